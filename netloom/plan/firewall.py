"""The openvswitch firewall: from a guest to the switch, and from the switch to a guest.

A guest with port security says only what is true of its addresses, is no DHCP server and no router, and
sends and receives what its security groups let through; ARP, neighbour discovery, its own DHCP and its
metadata work before any rule. Guests without port security and services pass freely, but what they send to
a filtered guest is filtered there, broadcast and multicast packets too.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from netloom.plan import antispoof, attachments, forwarding, matches, profiles
from netloom.plan import pipeline as p
from netloom.plan.attachments import Guest
from netloom.plan.forwarding import Receiver, Segment
from netloom.plan.intent import Intent
from netloom.plan.names import origin_of_physical, to_physical
from netloom.plan.numbers import number
from netloom.plan.settings import PlanSettings
from netloom.plan.tunnels import PATCH_TO_TUNNELS
from netloom.state import Element, Facts, Flow

UNNUMBERED_TYPES = (133, 135, 143)
"""ICMPv6 that a guest without an address sends: solicitations, reports for its solicited-node group."""
ADVERTISEMENT = 136
ROUTER_ADVERTISEMENT = 134
NEIGHBOUR_TYPES = (130, ROUTER_ADVERTISEMENT, 135, ADVERTISEMENT)
"""ICMPv6 that a guest may receive before any rule."""
MEMBERSHIP_TYPES = (131, 132, 143)
"""ICMPv6 for routers and switches alone: the chatter of many guests is not worth a look at rules."""


def plan(intent: Intent, facts: Facts, settings: PlanSettings, vlans: Mapping[str, int]) -> Iterable[Element]:
    """Flows of tables 60 to 95, or of 24 and 25 where another driver filters."""
    bridge = settings.integration_bridge
    guests = list(attachments.guests(intent, facts, settings))
    filtered = [guest for guest in guests if guest.port.port_security]
    if settings.firewall_driver != "openvswitch":
        for guest in filtered:
            yield from antispoof.guest_flows(guest, bridge)
        return
    yield from _networks(settings)
    yield from common(bridge)
    yield p.flow(bridge, p.NORMAL_SWITCHING, p.FLOODED, "", "NORMAL")
    segments = {id: Segment(bridge, intent.networks[id], vlan) for id, vlan in sorted(vlans.items())}
    for service in attachments.services(intent, settings):
        segment, output = segments[service.network_id], f"output:{service.device}"
        segment.own[service.mac] = Receiver(output, service.origin, filtered=False, shared=service.shared)
        yield _trusted(bridge, service.device, segment.vlan, service.origin)
    for neighbour in intent.neighbours.values():
        if neighbour.network_id in segments:
            segments[neighbour.network_id].away[neighbour.mac.lower()] = neighbour.name
    for guest in guests:
        yield _untagged_only(bridge, guest)
        if not guest.port.port_security:
            segment, output = segments[guest.port.network_id], f"output:{guest.device}"
            segment.own[guest.port.mac.lower()] = Receiver(output, guest.origin, filtered=False)
            segment.unchecked.append(output)
            yield _trusted(bridge, guest.device, segment.vlan, guest.origin)
    yield from _filtered(bridge, filtered, intent, segments)
    for segment in segments.values():
        yield from forwarding.flows(segment, settings)


def _networks(settings: PlanSettings) -> Iterator[Flow]:
    """Frames from a network; group addressed ones are flooded."""
    patches = [(to_physical(bridge), origin_of_physical(name)) for name, bridge in settings.bridge_mappings]
    bridge, arriving = settings.integration_bridge, p.resubmit(p.ARRIVING)
    for patch, origin in patches + [(PATCH_TO_TUNNELS, "")] * bool(settings.tunnel_types):
        yield p.flow(bridge, p.CLASSIFY, p.FROM_PORT, f"in_port={patch}", arriving, origin=origin)
    yield p.flow(bridge, p.ARRIVING, p.GROUP_ADDRESSED, "", "NORMAL")


def common(bridge: str) -> Iterator[Flow]:
    """Flows of a bridge that hold for all filtered guests alike."""
    for forbidden in (
        "udp,tp_src=67,tp_dst=68",
        "udp6,tp_src=547,tp_dst=546",
        f"icmp6,icmp_type={ROUTER_ADVERTISEMENT}",
        f"icmp6,icmp_type={ADVERTISEMENT}",
    ):
        yield p.flow(bridge, p.BASE_EGRESS, p.NOT_A_GUESTS, forbidden, "drop")
    deliver = p.resubmit(p.DELIVER)
    yield p.flow(bridge, p.BASE_INGRESS, p.NEIGHBOUR, "arp", deliver)
    for kind in NEIGHBOUR_TYPES:
        yield p.flow(bridge, p.BASE_INGRESS, p.NEIGHBOUR, f"icmp6,icmp_type={kind}", deliver)
    for report in MEMBERSHIP_TYPES:
        yield p.flow(bridge, p.BASE_INGRESS, p.NEIGHBOUR, f"icmp6,icmp_type={report}", "drop")
    for answer in ("udp,tp_src=67,tp_dst=68", "udp6,tp_src=547,tp_dst=546"):
        yield p.flow(bridge, p.BASE_INGRESS, p.DHCP_CLIENT, answer, deliver)
    for ip in ("ip", "ipv6"):
        yield p.flow(bridge, p.BASE_INGRESS, p.GENUINE, ip, p.resubmit(p.RULES_INGRESS))
    yield from _accept(bridge, p.ACCEPT_EGRESS, p.NORMAL_SWITCHING)
    yield from _accept(bridge, p.ACCEPT_INGRESS, p.DELIVER)


def _accept(bridge: str, table: int, then: int) -> Iterator[Flow]:
    """Nothing stands in the way any more: remember a new connection, and one that rules allow again."""
    commit, restore = f"ct(commit,{p.ZONE})", f"ct(commit,{p.ZONE},exec(load:0->NXM_NX_CT_MARK[]))"
    for ip in ("ip", "ipv6"):
        yield p.flow(bridge, table, p.COMMIT, f"ct_state=+new+trk,{ip}", f"{commit},{p.resubmit(then)}")
        marked = f"ct_state=+est+trk,ct_mark={p.MARK_REVOKED:#x},{ip}"
        yield p.flow(bridge, table, p.COMMIT, marked, f"{restore},{p.resubmit(then)}")
    yield p.flow(bridge, table, p.ACCEPT, "", p.resubmit(then))


def _trusted(bridge: str, device: str, vlan: int, origin: str) -> Flow:
    enter = p.actions(p.load(p.REG_NETWORK, vlan), p.resubmit(p.ACCEPT_EGRESS))
    return p.flow(bridge, p.CLASSIFY, p.FROM_PORT, f"in_port={device}", enter, origin=origin)


def _untagged_only(bridge: str, guest: Guest) -> Flow:
    tagged = f"in_port={guest.device},vlan_tci=0x1000/0x1000"
    return p.flow(bridge, p.CLASSIFY, p.TAGGED, tagged, "drop", origin=guest.origin)


def _filtered(bridge: str, guests: Iterable[Guest], intent: Intent, segments: Mapping[str, Segment]) -> Iterator[Flow]:
    """Everything that guests with port security need; they become receivers of their segments."""
    wanted = profiles.profiles({profiles.key(guest.port.security_groups) for guest in guests}, intent)
    yield from profiles.flows(wanted.values(), intent, bridge)
    numbers = number(guest.port.id for guest in guests)
    for guest in guests:
        profile, segment = wanted[profiles.key(guest.port.security_groups)], segments[guest.port.network_id]
        yield from _egress(bridge, guest, profile.register, segment.vlan)
        register = numbers[guest.port.id]
        number_match, output = f"reg{p.REG_PORT}={register:#x}", f"output:{guest.device}"
        yield p.flow(bridge, p.DELIVER, p.ACCEPT, number_match, output, origin=guest.origin)
        registers = p.load(p.REG_PORT, register), p.load(p.REG_PROFILE, profile.register)
        enter = p.actions(*registers, p.resubmit(p.BASE_INGRESS))
        _receive(guest, Receiver(enter, guest.origin, filtered=True), segment)


def _receive(guest: Guest, receiver: Receiver, segment: Segment) -> None:
    own, *others = guest.macs
    segment.own[own] = receiver
    for mac in others:
        segment.extra.setdefault(mac, []).append(receiver)


@lru_cache(maxsize=4096)
def _egress(bridge: str, guest: Guest, profile: int, vlan: int) -> tuple[Flow, ...]:
    """As ``_sent``; from one plan to the next most guests are the same."""
    return tuple(_sent(bridge, guest, profile, vlan))


def _sent(bridge: str, guest: Guest, profile: int, vlan: int) -> Iterator[Flow]:
    """Classification and anti-spoofing of what a guest sends. ``profile`` is the register of its rules."""
    port = f"in_port={guest.device}"
    enter = p.actions(p.load(p.REG_NETWORK, vlan), p.load(p.REG_PROFILE, profile), p.resubmit(p.BASE_EGRESS))
    yield p.flow(bridge, p.CLASSIFY, p.FROM_PORT, port, enter, origin=guest.origin)
    yield from genuine(bridge, guest, port)


def genuine(bridge: str, guest: Guest, port: str) -> Iterator[Flow]:
    """Anti-spoofing of what a guest sends; ``port`` is a match that tells its frames from others'."""

    def base(priority: int, match: tuple[str, ...], table: int) -> Flow:
        return p.flow(bridge, p.BASE_EGRESS, priority, match, p.resubmit(table), origin=guest.origin)

    link_locals = {(mac, matches.link_local(mac)) for mac in guest.macs}
    for mac, prefix in sorted({*guest.pairs, *link_locals}):
        source = f"dl_src={mac}"
        if matches.version(prefix) == 4:
            speaks: tuple[str, ...] = ("arp", port, source, matches.field_of("arp_spa", prefix))
        else:
            speaks = ("icmp6", port, source, f"icmp_type={ADVERTISEMENT}", matches.field_of("nd_target", prefix))
        ip = matches.ethertype(matches.version(prefix))
        yield base(p.NEIGHBOUR, speaks, p.ACCEPT_EGRESS)
        yield base(p.GENUINE, (ip, port, source, matches.address("src", prefix)), p.RULES_EGRESS)
    for mac in guest.macs:
        for kind in UNNUMBERED_TYPES:
            unnumbered = ("icmp6", port, f"dl_src={mac}", "ipv6_src=::", f"icmp_type={kind}")
            yield base(p.NEIGHBOUR, unnumbered, p.ACCEPT_EGRESS)
    yield from (base(p.DHCP_CLIENT, match, p.ACCEPT_EGRESS) for match in _dhcp_requests(guest, port))


def _dhcp_requests(guest: Guest, port: str) -> Iterator[tuple[str, ...]]:
    for mac in guest.macs:
        own = {prefix for owner, prefix in guest.pairs if owner == mac and matches.version(prefix) == 4}
        for prefix in sorted({"0.0.0.0", *own}):  # noqa: S104  # a client without an address
            yield ("udp", port, f"dl_src={mac}", matches.address("src", prefix), "tp_src=68", "tp_dst=67")
        source = matches.address("src", matches.link_local(mac))
        yield ("udp6", port, f"dl_src={mac}", source, "tp_src=546", "tp_dst=547")
