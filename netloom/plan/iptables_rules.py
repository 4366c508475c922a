"""Rules of security groups and of port security in iptables' words, exactly as iptables-save prints them.

What passes returns from a chain, so that each chain only says what it knows. Their order is that of the flows' tables
(``pipeline``), and so is their meaning: connections are judged anew by each packet of who opened them, so that one
whose rule went away stops in both directions, and goes on when the rule is back.
"""

import ipaddress
from collections.abc import Iterable, Iterator

from netloom.feed.fragments import SecurityRule
from netloom.plan import matches
from netloom.plan.profiles import METADATA_ADDRESSES, METADATA_PORT, SOLICITATIONS, Direction, Profile

PASS, DROP = "-j RETURN", "-j DROP"
ICMP_NAMES = {4: ("icmp", "-m icmp --icmp-type"), 6: ("ipv6-icmp", "-m icmp6 --icmpv6-type")}
NAMES = {matches.TCP: "tcp", matches.UDP: "udp", matches.ICMP: "icmp", matches.ICMPV6: "ipv6-icmp"}
"""Of the protocols that iptables-save names on every host; others are numbers."""
REVOKED = "0x1/0x1"
"""Mark of a connection that was established under a rule that is no more (connmark)."""
KEPT = "0x0/0x1"
DHCP_CLIENT = {4: (68, 67), 6: (546, 547)}
DHCP_SERVER = {4: (67, 68), 6: (547, 546)}
UNNUMBERED_TYPES = (133, 135, 143)
ADVERTISEMENT, ROUTER_ADVERTISEMENT = 136, 134
NEIGHBOUR_TYPES = (130, ROUTER_ADVERTISEMENT, 135, ADVERTISEMENT)
MEMBERSHIP_TYPES = (131, 132, 143)


def rule(*parts: str) -> str:
    """A rule of its parts, empty ones left out."""
    return " ".join(part for part in parts if part)


def genuine(pairs: Iterable[tuple[str, str]], version: int) -> Iterator[str]:
    """What is from an address of the port and its MAC passes; nothing else does. ``pairs`` are (MAC, prefix)."""
    for mac, prefix in pairs:
        if matches.version(prefix) == version:
            yield rule(_address("s", prefix), f"-m mac --mac-source {mac}", PASS)
    yield DROP


def sent(profile: Profile, direction: Direction, version: int, check: str, refuse: str) -> Iterator[str]:
    """What a guest sends. ``check`` is the chain of its addresses, ``refuse`` that of what no rule lets through."""
    if version == 4:
        yield rule("-s 0.0.0.0/32", _udp(DHCP_CLIENT[4]), PASS)
    else:
        yield from (rule("-s ::/128", _icmp6(kind), PASS) for kind in UNNUMBERED_TYPES)
        yield rule(_icmp6(ROUTER_ADVERTISEMENT), DROP)
    yield f"-j {check}"
    if version == 6:  # which address an advertisement is about only the switch can see: table 24
        yield from (rule(_icmp6(kind), PASS) for kind in (*SOLICITATIONS, ADVERTISEMENT))
    yield rule(_udp(DHCP_CLIENT[version]), PASS)
    yield rule(_udp(DHCP_SERVER[version]), DROP)
    yield from _tracking(profile)
    for address in METADATA_ADDRESSES:
        if matches.version(address) == version:
            yield rule(_address("d", address), f"-p tcp -m tcp --dport {METADATA_PORT}", PASS)
    yield from _rules(profile, direction, version)
    yield f"-j {refuse}"


def received(profile: Profile, direction: Direction, version: int, refuse: str) -> Iterator[str]:
    """What reaches a guest."""
    if version == 6:
        yield from (rule(_icmp6(kind), PASS) for kind in NEIGHBOUR_TYPES)
        yield from (rule(_icmp6(kind), DROP) for kind in MEMBERSHIP_TYPES)
    yield rule(_udp(DHCP_SERVER[version]), PASS)
    yield from _tracking(profile)
    for address in () if profile.stateful else METADATA_ADDRESSES:
        if matches.version(address) == version:
            yield rule(_address("s", address), f"-p tcp -m tcp --sport {METADATA_PORT}", PASS)
    yield from _rules(profile, direction, version)
    yield f"-j {refuse}"


def refused() -> Iterator[str]:
    """What no rule lets through: if it belongs to a connection, its answers stop, too."""
    yield f"-m conntrack --ctstate ESTABLISHED --ctdir ORIGINAL -j CONNMARK --set-xmark {REVOKED}"
    yield DROP


def accepted() -> Iterator[str]:
    """What passed: a connection that is allowed again has its answers back."""
    yield f"-m connmark --mark {REVOKED} -j CONNMARK --set-xmark {KEPT}"
    yield "-j ACCEPT"


def set_name(set_id: str, version: int) -> str:
    """Name of the ipset of an address group or a remote group."""
    return f"NIPv{version}{set_id[:24]}"


def _tracking(profile: Profile) -> Iterator[str]:
    """What connection tracking decides before the rules."""
    if profile.stateful:
        yield f"-m conntrack --ctstate INVALID {DROP}"
        for answers in ("RELATED", "ESTABLISHED --ctdir REPLY"):
            yield f"-m conntrack --ctstate {answers} -m connmark --mark {KEPT} {PASS}"
        yield f"-m conntrack --ctstate RELATED {DROP}"
        yield f"-m conntrack --ctstate ESTABLISHED --ctdir REPLY {DROP}"


def _rules(profile: Profile, direction: Direction, version: int) -> Iterator[str]:
    remote = direction.remote[0]
    seen = set()
    for one, _ in profile.rules(direction):
        if one.ip_version == version and (words := _of_rule(one)) is not None:
            protocol, rest = words
            name = set_name(one.remote_set.removeprefix("addresses/"), version)
            members = f"-m set --match-set {name} {direction.remote}" if one.remote_set else ""
            prefix = _address(remote, one.remote_prefix) if one.remote_prefix else ""
            text = rule(prefix, protocol, members, rest, PASS)
            if text not in seen:
                seen.add(text)
                yield text


def _of_rule(one: SecurityRule) -> tuple[str, str] | None:
    """Protocol, and ports or ICMP type and code; None for what cannot be said: it lets nothing pass, not too much."""
    icmp = one.protocol in (matches.ICMP, matches.ICMPV6)
    any_port = one.port_min <= 1 and one.port_max in (-1, 65535)
    if one.protocol < 0:
        return "", ""
    if icmp:
        return _icmp(one)
    protocol = f"-p {NAMES.get(one.protocol, one.protocol)}"
    if any_port:
        # Protocol 0 would be any protocol.
        return (protocol, "") if one.protocol else None
    if one.protocol in matches.WITH_PORTS:
        first, last = max(one.port_min, 0), one.port_max
        ports = str(first) if first == last else f"{first}:{last}"
        return protocol, f"-m {matches.WITH_PORTS[one.protocol]} --dport {ports}"
    return None if one.protocol in matches.PROTOCOLS_WITH_PORTS or not one.protocol else (protocol, "")


def _icmp(one: SecurityRule) -> tuple[str, str] | None:
    name, option = ICMP_NAMES[one.ip_version]
    if one.ip_version == 4 and one.port_min == 255:  # iptables takes it for any type
        return None
    code = f"/{one.port_max}" if one.port_max >= 0 else ""
    return f"-p {name}", f"{option} {one.port_min}{code}" if one.port_min >= 0 else ""


def _address(end: str, prefix: str) -> str:
    """Match of an address or prefix, empty when it is everything; ``end`` is ``s`` or ``d``."""
    network = ipaddress.ip_network(prefix, strict=False)
    return f"-{end} {network}" if network.prefixlen else ""


def _udp(ports: tuple[int, int]) -> str:
    return f"-p udp -m udp --sport {ports[0]} --dport {ports[1]}"


def _icmp6(kind: int) -> str:
    return f"-p ipv6-icmp -m icmp6 --icmpv6-type {kind}"
