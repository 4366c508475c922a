"""Packet filter tables inside namespaces, in iptables' words and the kernel's nf_tables (Debian's nft backend).

In a namespace that is ours every ``nat``, ``filter``, ``mangle`` and ``raw`` table is ours. A generation number
of the kernel tells whether anything in a namespace changed since we read it, so that looking again costs nothing.
"""

import re
import socket
import struct
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

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
_PATIENCE = 30
"""Seconds for one run of a tool."""


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
        saved = [(version, _run(f"{_COMMANDS[version]}-save", "")) for version in versions]
        return _Seen(generation, tuple(t for version, out in saved for t in parse(out, namespace, version)))

    def apply(self, changes: Changes[FilterTable]) -> list[Failure]:
        """Load the new and changed tables, remove the unwanted; one process per namespace and family."""
        loads: dict[tuple[str, int], list[FilterTable]] = defaultdict(list)
        for table in [*changes.create, *(want for _, want in changes.update)]:
            loads[table.namespace, table.family].append(table)
        failures: list[Failure] = []
        for tables in loads.values():
            failures += self._load(tables)
        for table in changes.delete:
            failures += _attempt(_remove, [table])
        return failures

    def _load(self, tables: list[FilterTable]) -> list[Failure]:
        """All at once; when that is refused, one by one, so that only the faulty one is missing."""
        failures = _attempt(_restore, tables)
        if failures and len(tables) > 1:
            return [failed for table in tables for failed in _attempt(_restore, [table])]
        return failures


def _attempt(action: Callable[[Sequence[FilterTable]], None], tables: Sequence[FilterTable]) -> list[Failure]:
    """Do something with tables of one namespace and family inside it."""
    try:
        with inside(tables[0].namespace):
            action(tables)
    except (OSError, subprocess.TimeoutExpired) as error:
        return [failure(table, error) for table in tables]
    return []


def _restore(tables: Sequence[FilterTable]) -> None:
    _run(f"{_COMMANDS[tables[0].family]}-restore", "".join(table.text for table in tables))


def _remove(tables: Sequence[FilterTable]) -> None:
    header = bytes([_FAMILIES[tables[0].family], 0, 0, 0])
    batch = struct.pack("!BBH", socket.AF_UNSPEC, 0, _NFTABLES)
    with Socket(NETLINK_NETFILTER) as netlink:
        netlink.do(
            Request(_BATCH_BEGIN, batch, acknowledged=False),
            *(Request(_DELETE_TABLE, header + text(_TABLE_NAME, table.table)) for table in tables),
            Request(_BATCH_END, batch, acknowledged=False),
        )


def _run(command: str, stdin: str) -> str:
    done = subprocess.run([command], input=stdin, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    if done.returncode != 0:
        raise OSError(0, f"{command}: {done.stderr.strip()}")
    return done.stdout


def parse(saved: str, namespace: str, family: int) -> Iterator[FilterTable]:
    """The tables that iptables-save printed, in canonical form."""
    for block in ("\n" + saved).split("\n*")[1:]:
        name, *lines = block.partition("\nCOMMIT")[0].splitlines()
        policies = {m[1]: m[2] for line in lines if (m := _CHAIN.match(line))}
        rules: dict[str, list[str]] = {chain: [] for chain in policies}
        for line in lines:
            if line.startswith("-A "):
                _, chain, rule = line.split(" ", 2)
                rules[chain].append(rule)
        chains = tuple(Chain(name=c, policy=policy, rules=tuple(rules[c])) for c, policy in policies.items())
        table = canonical(FilterTable(namespace=namespace, family=family, table=name, chains=chains))
        if name in _TABLES and table.chains:
            yield table
