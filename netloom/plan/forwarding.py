"""Who gets a frame: the guests and services of this host by MAC, the rest of the network by its uplink.

Frames to filtered guests do not pass through the switch's NORMAL action, so it cannot learn where the answers
come from and would flood them to every guest of the network. So unicast frames never meet it: the plan knows
all MACs of this host, and what is not here is behind the uplink, or behind a guest without port security.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from netloom.feed.fragments import Network
from netloom.plan import pipeline as p
from netloom.plan.names import to_physical
from netloom.plan.settings import PlanSettings
from netloom.plan.tunnels import PATCH_TO_TUNNELS
from netloom.state import Flow


@dataclass(frozen=True, slots=True)
class Receiver:
    """A port of this host: how it is handed a frame without a tag."""

    enter: str
    origin: str
    filtered: bool


@dataclass(slots=True)
class Segment:
    """One network on this host, and who receives in it."""

    network: Network
    vlan: int
    own: dict[str, Receiver] = field(default_factory=dict)
    """By the MAC of the port."""
    extra: dict[str, list[Receiver]] = field(default_factory=dict)
    """By MACs of allowed address pairs; several guests may share one, also with other hosts."""
    addresses: dict[str, list[Receiver]] = field(default_factory=dict)
    """Filtered guests by the match of a fixed address of theirs."""
    unchecked: list[str] = field(default_factory=list)
    """Actions that reach guests who may have MACs that nobody knows."""


def uplink(network: Network, settings: PlanSettings) -> str:
    """The patch of br-int by which a network leaves this host; empty when it does not."""
    if network.network_type in settings.tunnel_types:
        return PATCH_TO_TUNNELS
    bridge = settings.bridge_of(network.physical_network)
    return to_physical(bridge) if bridge and network.network_type in ("flat", "vlan") else ""


def flows(segment: Segment, settings: PlanSettings) -> Iterator[Flow]:
    """Flows that hand frames on: from the network in table 61, from this host in tables 73 and 94."""
    patch, vlan = uplink(segment.network, settings), segment.vlan
    leave = p.actions(f"mod_vlan_vid:{vlan}", f"output:{patch}") if patch else ""
    here = p.actions(p.load(p.REG_NETWORK, vlan), "strip_vlan")
    origin = segment.network.name

    def arriving(priority: int, match: str, actions: str, origin: str) -> Flow:
        match = f"dl_vlan={vlan},{match}"
        return p.flow(settings.integration_bridge, p.ARRIVING, priority, match, actions, origin=origin)

    def local(table: int, priority: int, match: str, actions: str, origin: str) -> Flow:
        match = f"reg{p.REG_NETWORK}={vlan:#x},{match}"
        return p.flow(settings.integration_bridge, table, priority, match, actions, origin=origin)

    for mac, receiver in segment.own.items():
        enter, match = receiver.enter, f"dl_dst={mac}"
        table, priority = (p.ACCEPT_EGRESS, p.LOCAL_PORT) if receiver.filtered else (p.NORMAL_SWITCHING, p.DIRECT)
        yield arriving(p.TO_PORT, match, p.actions(here, enter), receiver.origin)
        yield local(table, priority, match, enter, receiver.origin)
    for mac, receivers in segment.extra.items():
        enter, match = p.actions(*(receiver.enter for receiver in receivers)), f"dl_dst={mac}"
        if mac not in segment.own:
            yield arriving(p.TO_PORT, match, p.actions(here, enter), receivers[0].origin)
            yield local(p.NORMAL_SWITCHING, p.DIRECT, match, p.actions(enter, leave), receivers[0].origin)
    for address, receivers in segment.addresses.items():
        enter, match = p.actions(*(receiver.enter for receiver in receivers)), f"dl_dst={p.GROUP},{address}"
        yield arriving(p.DISGUISED, match, p.actions(here, enter), receivers[0].origin)
        yield local(p.ACCEPT_EGRESS, p.LOCAL_DISGUISED, match, enter, receivers[0].origin)
    unchecked, unknown = p.actions(*segment.unchecked), f"dl_dst={p.INDIVIDUAL}"
    yield arriving(p.STRAY, unknown, p.actions("strip_vlan", unchecked) if unchecked else "drop", origin)
    yield local(p.NORMAL_SWITCHING, p.STRAY, unknown, p.actions(unchecked, leave) or "drop", origin)
