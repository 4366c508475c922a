"""Who gets a frame: the guests and services of this host by MAC, the rest of the network by its uplink.

Frames to filtered guests do not pass through the switch's NORMAL action, so it cannot learn where the answers
come from and would flood them to every guest of the network. So unicast frames never meet it: the plan knows
all MACs of this host, and what is not here is behind the uplink, or behind a guest without port security.
Broadcast and multicast packets go to each filtered guest through its own rules; NORMAL floods only what is no IP.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from netloom.feed.fragments import Network
from netloom.plan import pipeline as p
from netloom.plan.names import to_physical
from netloom.plan.settings import PlanSettings
from netloom.plan.tunnels import PATCH_TO_TUNNELS
from netloom.state import Flow

NAMED = 500
"""Receivers in one flow: what it does must fit into an OpenFlow message of 64 KiB."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """A port of this host: how it is handed a frame without a tag."""

    enter: str
    origin: str
    filtered: bool
    shared: bool = False
    """Another host has the same port, and may be the one that answers."""


@dataclass(slots=True)
class Segment:
    """One network on this host, and who receives in it, in the order of their ids."""

    bridge: str
    network: Network
    vlan: int
    own: dict[str, Receiver] = field(default_factory=dict)
    """By the MAC of the port."""
    extra: dict[str, list[Receiver]] = field(default_factory=dict)
    """By MACs of allowed address pairs; several guests may share one, also with other hosts."""
    unchecked: list[str] = field(default_factory=list)
    """Actions that reach guests who may have MACs that nobody knows."""
    away: dict[str, str] = field(default_factory=dict)
    """Origins by MACs that intent places on other hosts: none of those guests has them."""

    def arriving(self, priority: int, match: str, enter: str, origin: str) -> Flow:
        """From the network: to receivers, who get it without its tag."""
        actions = p.actions(p.load(p.REG_NETWORK, self.vlan), "strip_vlan", enter) if enter else "drop"
        return p.flow(self.bridge, p.ARRIVING, priority, f"dl_vlan={self.vlan},{match}", actions, origin=origin)

    def leaving(self, priority: int, match: str, actions: str, origin: str, *, table: int = p.NORMAL_SWITCHING) -> Flow:
        """From a port of this host, which may send it."""
        match = f"reg{p.REG_NETWORK}={self.vlan:#x},{match}"
        return p.flow(self.bridge, table, priority, match, actions or "drop", origin=origin)


def uplink(network: Network, settings: PlanSettings) -> str:
    """The patch of br-int by which a network leaves this host; empty when it does not."""
    if network.network_type in settings.tunnel_types:
        return PATCH_TO_TUNNELS
    bridge = settings.bridge_of(network.physical_network)
    return to_physical(bridge) if bridge and network.network_type in ("flat", "vlan") else ""


def flows(segment: Segment, settings: PlanSettings) -> Iterator[Flow]:
    """Flows that hand frames on: from the network in table 61, from this host in tables 73 and 94."""
    patch, origin = uplink(segment.network, settings), segment.network.name
    leave = p.actions(f"mod_vlan_vid:{segment.vlan}", f"output:{patch}") if patch else ""
    yield from _known(segment, leave)
    if any(receiver.filtered for receiver in segment.own.values()):
        yield from _to_all(segment, leave)
    for mac, neighbour in segment.away.items() if segment.unchecked else ():
        if mac not in segment.own and mac not in segment.extra:
            yield segment.leaving(p.DIRECT, f"dl_dst={mac}", leave, neighbour)
    unchecked, unknown = p.actions(*segment.unchecked), f"dl_dst={p.INDIVIDUAL}"
    yield segment.arriving(p.STRAY, unknown, unchecked, origin)
    yield segment.leaving(p.STRAY, unknown, p.actions(unchecked, leave), origin)


def _to_all(segment: Segment, leave: str) -> Iterator[Flow]:
    """Broadcast and multicast packets to each receiver; those of a crowd are named by several flows."""
    receivers = [receiver.enter for receiver in segment.own.values()]
    groups = [p.actions(*receivers[start : start + NAMED]) for start in range(0, len(receivers), NAMED)]
    everybody, origin = groups[0], segment.network.name
    if len(groups) > 1:
        calls = [(p.load(p.REG_PORT, number), p.resubmit(p.EVERYBODY)) for number in range(1, len(groups) + 1)]
        everybody = p.actions(*(word for call in calls for word in call))
        for number, those in enumerate(groups, start=1):
            match = f"reg{p.REG_PORT}={number:#x}"
            yield segment.leaving(p.ACCEPT, match, those, origin, table=p.EVERYBODY)
    for ip in ("ip", "ipv6"):
        match = f"{ip},dl_dst={p.GROUP}"
        yield segment.arriving(p.IP_TO_ALL, match, everybody, origin)
        yield segment.leaving(p.IP_TO_ALL, match, p.actions(everybody, leave), origin)


def _known(segment: Segment, leave: str) -> Iterator[Flow]:
    """Unicast frames for this host; those for a shared MAC leave it, too, since its owner may be elsewhere."""
    for mac, receiver in segment.own.items():
        enter, match, origin = receiver.enter, f"dl_dst={mac}", receiver.origin
        yield segment.arriving(p.TO_PORT, match, enter, origin)
        if receiver.filtered:
            yield segment.leaving(p.LOCAL_PORT, match, enter, origin, table=p.ACCEPT_EGRESS)
        else:
            actions = p.actions(enter, leave) if receiver.shared else enter
            yield segment.leaving(p.DIRECT, match, actions, origin)
    for mac, receivers in segment.extra.items():
        if mac not in segment.own:
            enter, match = p.actions(*(receiver.enter for receiver in receivers)), f"dl_dst={mac}"
            yield segment.arriving(p.TO_PORT, match, enter, receivers[0].origin)
            yield segment.leaving(p.DIRECT, match, p.actions(enter, leave), receivers[0].origin)
