"""Matches of flows for addresses, protocols and ports, in ovs-ofctl's words."""

import ipaddress
from collections.abc import Iterator
from functools import lru_cache

from netloom.feed.fragments import SecurityRule

ICMP, TCP, UDP, ICMPV6, SCTP = 1, 6, 17, 58, 132
WITH_PORTS = {TCP: "tcp", UDP: "udp", SCTP: "sctp"}
PROTOCOLS_WITH_PORTS = WITH_PORTS.keys() | {33, 136}
"""DCCP and UDP-Lite too have ports, but the switch cannot see them."""


def version(prefix: str) -> int:
    """4 or 6."""
    return 6 if ":" in prefix else 4


def ethertype(ip_version: int) -> str:
    """``ip`` or ``ipv6``."""
    return "ip" if ip_version == 4 else "ipv6"


@lru_cache(maxsize=1 << 16)
def address(end: str, prefix: str) -> str:
    """Match of an IP address or prefix; ``end`` is ``src`` or ``dst``. Empty when the prefix is everything."""
    network = ipaddress.ip_network(prefix, strict=False)
    if not network.prefixlen:
        return ""
    field = f"nw_{end}" if network.version == 4 else f"ipv6_{end}"
    return f"{field}={_short(network)}"


@lru_cache(maxsize=1 << 16)
def field_of(name: str, prefix: str) -> str:
    """Match of another field that holds an address, e.g. ``arp_spa``; empty when the prefix is everything."""
    network = ipaddress.ip_network(prefix, strict=False)
    return f"{name}={_short(network)}" if network.prefixlen else ""


@lru_cache(maxsize=1 << 12)
def link_local(mac: str) -> str:
    """The link-local IPv6 address that an interface makes of its MAC (RFC 4291, modified EUI-64)."""
    octets = bytearray(int(octet, 16) for octet in mac.split(":"))
    octets[0] ^= 2
    identifier = octets[:3] + b"\xff\xfe" + octets[3:]
    return str(ipaddress.IPv6Address(bytes.fromhex("fe80000000000000") + bytes(identifier)))


def port_masks(first: int, last: int) -> Iterator[str]:
    """The fewest ``value`` or ``value/mask`` that together cover a range of ports and nothing else."""
    first = max(first, 0)
    while first <= last:
        size = first & -first or 1 << 16
        while first + size - 1 > last:
            size >>= 1
        yield str(first) if size == 1 else f"{first:#x}/{0x10000 - size:#x}"
        first += size


def of_rule(rule: SecurityRule) -> Iterator[tuple[str, ...]]:
    """Match parts of a rule without its remote: its protocol, and each mask of its ports or its ICMP type and code.

    A rule for ports of a protocol whose ports the switch cannot see gives none: it lets nothing pass
    rather than too much.
    """
    ip = ethertype(rule.ip_version)
    six = "6" if rule.ip_version == 6 else ""
    any_port = rule.port_min <= 1 and rule.port_max in (-1, 65535)
    if rule.protocol < 0:
        yield (ip,)
    elif rule.protocol in (ICMP, ICMPV6):
        kind = f"icmp_type={rule.port_min}" if rule.port_min >= 0 else ""
        code = f"icmp_code={rule.port_max}" if kind and rule.port_max >= 0 else ""
        yield (f"icmp{six}", kind, code)
    elif rule.protocol in WITH_PORTS and not any_port:
        for mask in port_masks(rule.port_min, rule.port_max):
            yield (f"{WITH_PORTS[rule.protocol]}{six}", f"tp_dst={mask}")
    elif rule.protocol in WITH_PORTS:
        yield (f"{WITH_PORTS[rule.protocol]}{six}",)
    elif rule.protocol not in PROTOCOLS_WITH_PORTS or any_port:
        yield (ip, f"nw_proto={rule.protocol}")


def _short(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> str:
    alone = network.prefixlen == network.max_prefixlen
    return str(network.network_address) if alone else str(network)
