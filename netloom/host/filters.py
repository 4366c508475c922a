"""Packet filter tables, in iptables' words and the kernel's nf_tables (Debian's nft backend).

In a namespace that is ours every ``nat``, ``filter``, ``mangle`` and ``raw`` table is ours; in the host's own only
what ``shared_filters`` says. A generation number of the kernel tells whether anything in a namespace changed since we
read it, so that looking again costs nothing.
"""

import re
import socket
import struct
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from netloom.host import shared_filters
from netloom.host.failures import failure
from netloom.host.namespaces import inside
from netloom.host.netlink import NETLINK_NETFILTER, Request, Socket, text
from netloom.state import Chain, Changes, Failure, FilterTable

_NFTABLES = 10
_GET_TABLES, _DELETE_TABLE, _NEW_GENERATION, _GET_GENERATION = (_NFTABLES << 8 | n for n in (1, 2, 15, 16))
_BATCH_BEGIN, _BATCH_END = 16, 17
_TABLE_NAME = 1
_FAMILIES: dict[int, int] = {4: socket.AF_INET, 6: socket.AF_INET6}
_VERSIONS = {family: version for version, family in _FAMILIES.items()}
_COMMANDS = {4: "iptables", 6: "ip6tables"}
_TABLES = ("raw", "mangle", "nat", "filter")
_CHAIN = re.compile(r":(\S+) (\S+)")
_PROTOCOL = re.compile(r"(?<=-p )(?!(?:tcp|udp|icmp|ipv6-icmp) )[a-z]\S*")
_NAMED_BY_IPTABLES = {"sctp": 132, "udplite": 136, "esp": 50, "ah": 51, "mh": 135}
_HOST = ""
"""The namespace that is shared with others."""
_PATIENCE = 30
"""Seconds for one run of a tool."""


_Load: TypeAlias = tuple[FilterTable, FilterTable]
"""A table as it is, and as it shall be."""


@dataclass(frozen=True, slots=True)
class _Seen:
    generation: bytes
    tables: tuple[FilterTable, ...]


def canonical(table: FilterTable) -> FilterTable:
    """The table without what says nothing: an empty built-in chain that accepts; chains by name.

    A table that is left without chains is as good as none, and is neither loaded nor observed.
    """
    chains = [chain for chain in table.chains if chain.rules or chain.policy != "ACCEPT"]
    return replace(table, chains=tuple(sorted(chains, key=lambda chain: chain.name)))


class Filters:
    """The driver of packet filter tables."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}

    def observe(self, namespaces: Iterable[str]) -> Iterator[FilterTable]:
        """The tables of these namespaces, in canonical form."""
        seen: dict[str, _Seen] = {}
        for namespace in namespaces:
            with inside(namespace):
                seen[namespace] = self._observe(namespace)
            yield from seen[namespace].tables
        self._seen = seen

    def _observe(self, namespace: str) -> _Seen:
        with Socket(NETLINK_NETFILTER) as netlink:
            generation = netlink.ask(_GET_GENERATION, bytes(4), _NEW_GENERATION)
            known = self._seen.get(namespace)
            if known and known.generation == generation:
                return known
            families = {body[0] for body in netlink.dump(_GET_TABLES, bytes(4))}
        versions = sorted(_VERSIONS[family] for family in families if family in _VERSIONS)
        saved = [(version, _run("", f"{_COMMANDS[version]}-save")) for version in versions]
        return _Seen(generation, tuple(t for version, out in saved for t in parse(out, namespace, version)))

    def apply(self, changes: Changes[FilterTable]) -> list[Failure]:
        """Load the new and changed tables, remove the unwanted; one process per namespace and family."""
        loads: dict[tuple[str, int], list[_Load]] = defaultdict(list)
        for want in changes.create:
            loads[want.namespace, want.family].append((replace(want, chains=()), want))
        for have, want in changes.update:
            loads[want.namespace, want.family].append((have, want))
        for have in changes.delete:
            if have.namespace == _HOST:
                loads[have.namespace, have.family].append((have, replace(have, chains=())))
        failures = [failed for tables in loads.values() for failed in self._load(tables)]
        for table in changes.delete:
            failures += _attempt(_remove_empty if table.namespace == _HOST else _remove, [(table, table)])
        return failures

    def _load(self, tables: list[_Load]) -> list[Failure]:
        """All at once; when that is refused, one by one, so that only the faulty one is missing."""
        failures = _attempt(_restore, tables)
        if failures and len(tables) > 1:
            return [failed for table in tables for failed in _attempt(_restore, [table])]
        return failures


def _attempt(action: Callable[[Sequence[_Load]], None], tables: Sequence[_Load]) -> list[Failure]:
    """Do something with tables of one namespace and family inside it."""
    try:
        with inside(tables[0][1].namespace):
            action(tables)
    except (OSError, subprocess.TimeoutExpired) as error:
        # A table is named, but not told: that of a host may have thousands of rules.
        failures = [failure(want, error) for _, want in tables]
        return [replace(failed, element=failed.element.partition(" :")[0]) for failed in failures]
    return []


def _restore(tables: Sequence[_Load]) -> None:
    _, first = tables[0]
    command = f"{_COMMANDS[first.family]}-restore"
    if first.namespace == _HOST:
        _run("".join(shared_filters.load(have, want) for have, want in tables), command, "--noflush")
    else:
        _run("".join(want.text for _, want in tables), command)


def _remove_empty(tables: Sequence[_Load]) -> None:
    """Remove the table if nobody has anything in it."""
    _, table = tables[0]
    block = _block(_run("", f"{_COMMANDS[table.family]}-save", "-t", table.table), table.table)
    if block and all(line.startswith(":") and line.split()[1] == "ACCEPT" for line in block):
        _remove(tables)


def _remove(tables: Sequence[_Load]) -> None:
    header = bytes([_FAMILIES[tables[0][1].family], 0, 0, 0])
    batch = struct.pack("!BBH", socket.AF_UNSPEC, 0, _NFTABLES)
    with Socket(NETLINK_NETFILTER) as netlink:
        netlink.do(
            Request(_BATCH_BEGIN, batch, acknowledged=False),
            *(Request(_DELETE_TABLE, header + text(_TABLE_NAME, table.table)) for table, _ in tables),
            Request(_BATCH_END, batch, acknowledged=False),
        )


def _run(stdin: str, *command: str) -> str:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    if done.returncode != 0:
        raise OSError(0, f"{command[0]}: {done.stderr.strip()}")
    return done.stdout


def _block(saved: str, table: str) -> list[str]:
    """The lines of one table, of all that iptables-save printed."""
    _, _, rest = ("\n" + saved).partition(f"\n*{table}\n")
    return rest.partition("\nCOMMIT")[0].splitlines()


def parse(saved: str, namespace: str, family: int) -> Iterator[FilterTable]:
    """The tables that iptables-save printed, in canonical form."""
    for name in re.findall(r"^\*(\S+)$", saved, re.MULTILINE):
        lines = _block(saved, name)
        policies = {m[1]: m[2] for line in lines if (m := _CHAIN.match(line))}
        rules: dict[str, list[str]] = {chain: [] for chain in policies}
        for line in lines:
            if line.startswith("-A "):
                _, chain, rule = line.split(" ", 2)
                rules[chain].append(_PROTOCOL.sub(_numbered, rule))
        chains = tuple(Chain(name=c, policy=policy, rules=tuple(rules[c])) for c, policy in policies.items())
        table = canonical(FilterTable(namespace=namespace, family=family, table=name, chains=chains))
        if namespace == _HOST:
            table = shared_filters.ours(table)
        if name in _TABLES and table.chains:
            yield table


def _numbered(protocol: re.Match[str]) -> str:
    """Which protocols have names depends on the host (/etc/protocols): all but the most common are numbers in plans."""
    name = protocol[0]
    try:
        return str(_NAMED_BY_IPTABLES.get(name) or socket.getprotobyname(name))
    except OSError:
        return name
