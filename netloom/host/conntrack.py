"""Forgetting connections of what went away or leads elsewhere now (ctnetlink, nfnetlink_conntrack.h).

Else established connections of a removed floating IP would go on through the translation they began with.
Nothing here is kept, so nothing needs a mark.
"""

import ipaddress
import re
import socket
import struct
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from functools import partial

from netloom.host.failures import failure
from netloom.host.namespaces import inside
from netloom.host.netlink import NETLINK_NETFILTER, Request, Socket, attribute, attributes
from netloom.state import Address, Changes, Failure, FilterTable

_GET, _DELETE = 1 << 8 | 1, 1 << 8 | 2
_ORIGINAL, _REPLY, _ID, _ZONE = 1, 2, 12, 18
_TUPLE_IP, _NESTED = 1, 0x8000
_TRANSLATED = re.compile(r"-d ([^/ ]+)\S* -j DNAT ")
_BALANCED = re.compile(r"-p udp .*-j DNAT --to-destination \[?([^\]]+?)\]?:\d+$")
"""Of load balancers: clients of a member that went begin anew with another one."""
_IN_ZONE = re.compile(r" -j CT --zone (\d+)")
_SOURCE = re.compile(r" -j SNAT --to-source (\S+)")


def forget(namespace: str, addresses: Collection[str]) -> int:
    """Remove a namespace's connections to and from these addresses, before or after translation; how many.

    Raises:
        OSError: the namespace is gone, or the kernel refused.
    """
    packed = {ipaddress.ip_address(address).packed for address in addresses}
    families = {socket.AF_INET if len(address) == 4 else socket.AF_INET6 for address in packed}
    return _forget(namespace, families, lambda found: not packed.isdisjoint(_ends(found)))


def _forget(namespace: str, families: Iterable[int], doomed: Callable[[dict[int, bytes]], bool]) -> int:
    with inside(namespace), Socket(NETLINK_NETFILTER) as netlink:
        requests = [
            Request(_DELETE, header + _identity(found))
            for family in sorted(families)
            for header in [bytes([family, 0, 0, 0])]
            for found in (attributes(body, 4) for body in netlink.dump(_GET, header))
            if doomed(found)
        ]
        return sum(error is None for error in netlink.send(requests))  # one may have ended by itself


def _in_zone(zones: Collection[bytes], found: dict[int, bytes]) -> bool:
    return found.get(_ZONE) in zones


def forget_addresses(addresses: Iterable[Address]) -> list[Failure]:
    """Forget the connections of addresses that are gone from namespaces; what could not be done."""
    failures = []
    by_namespace: dict[str, list[Address]] = defaultdict(list)
    for address in addresses:
        if address.namespace:
            by_namespace[address.namespace].append(address)
    for namespace, those in by_namespace.items():
        try:
            forget(namespace, {address.cidr.partition("/")[0] for address in those})
        except OSError as error:
            failures += [failure(address, error) for address in those]
    return failures


def forget_translations(tables: Iterable[tuple[FilterTable, FilterTable]]) -> list[Failure]:
    """An address that is translated to another one from now on starts afresh, also for those who never paused.

    So does one that nothing is translated to any more: it may be no planned address that goes with its translation.
    """
    failures = []
    for have, want in tables:
        had, kept = _rules(have), _rules(want)
        moved = {found[1] for rule in had - kept if (found := _TRANSLATED.match(rule))}
        moved |= _sources(had) - _sources(kept)
        moved |= _balanced(had) - _balanced(kept)
        try:
            if moved:
                forget(have.namespace, moved)
        except OSError as error:
            failures.append(failure(want, error))
    return failures


def forget_zones(tables: Changes[FilterTable]) -> list[Failure]:
    """Forget the connections of zones that no rule puts packets into any more: who comes after starts afresh."""
    failures = []
    changed = [*tables.update, *((table, replace(table, chains=())) for table in tables.delete)]
    for have, want in changed:
        gone = {struct.pack("!H", int(zone)) for zone in _zones(_rules(have)) - _zones(_rules(want))}
        family = socket.AF_INET if have.family == 4 else socket.AF_INET6
        try:
            if gone:
                _forget(have.namespace, [family], partial(_in_zone, gone))
        except OSError as error:
            failures.append(failure(want, error))
    return failures


def _rules(table: FilterTable) -> set[str]:
    return {rule for chain in table.chains for rule in chain.rules}


def _sources(rules: Iterable[str]) -> set[str]:
    return {found[1] for rule in rules if (found := _SOURCE.search(rule))}


def _balanced(rules: Iterable[str]) -> set[str]:
    return {found[1] for rule in rules if (found := _BALANCED.search(rule))}


def _zones(rules: Iterable[str]) -> set[str]:
    return {found[1] for rule in rules if (found := _IN_ZONE.search(rule))}


def _ends(connection: dict[int, bytes]) -> set[bytes]:
    """The addresses of both directions."""
    return {
        address
        for direction in (_ORIGINAL, _REPLY)
        for address in attributes(attributes(connection[direction])[_TUPLE_IP]).values()
    }


def _identity(connection: dict[int, bytes]) -> bytes:
    original = attribute(_ORIGINAL | _NESTED, connection[_ORIGINAL])
    return original + b"".join(attribute(kind, connection[kind]) for kind in (_ZONE, _ID) if kind in connection)
