"""Security groups of sub-ports where iptables filter all others: flows on the bridges of their trunks.

There br-int is a plain switch, and iptables see nothing that bears a tag. So between the instance's card and the
patch to br-int a frame of a sub-port meets the tables of the openvswitch firewall (see ``pipeline``): 71 to 73 and 94
on its way out, 81 to 95 on its way in. Each sub-port has a conntrack zone of its own, because a frame between two
sub-ports of one host is tracked twice.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from netloom.feed.fragments import Port, SubPort, Trunk
from netloom.plan import attachments, firewall, names, plugs, profiles
from netloom.plan import pipeline as p
from netloom.plan.attachments import Guest
from netloom.plan.intent import Intent
from netloom.plan.numbers import number
from netloom.plan.settings import PlanSettings
from netloom.plan.vlans import lasting
from netloom.state import Element, Facts, Flow

FIRST_ZONE, LAST_ZONE = 0x8000, 0xFFFF


def filters(port: Port, settings: PlanSettings) -> bool:
    """Whether a sub-port is filtered on the bridge of its trunk."""
    return port.port_security and settings.firewall_driver == plugs.HYBRID


def zones(intent: Intent, facts: Facts, settings: PlanSettings) -> Mapping[str, int]:
    """Conntrack zones of the sub-ports that are filtered here, by port id."""
    return lasting((guest.port.id for _, guest in _guests(intent, facts, settings)), facts.zones, FIRST_ZONE, LAST_ZONE)


def plan(intent: Intent, facts: Facts, settings: PlanSettings, vlans: Mapping[str, int]) -> Iterator[Element]:
    """Flows of the trunks' bridges; none where flows of br-int are the firewall."""
    tracked = zones(intent, facts, settings)
    trunks: dict[str, list[Guest]] = {}
    for trunk, guest in _guests(intent, facts, settings):
        trunks.setdefault(trunk.id, []).append(guest)
    for id, guests in trunks.items():
        yield from _trunk(intent.trunks[id], guests, intent, facts, tracked)


def _guests(intent: Intent, facts: Facts, settings: PlanSettings) -> Iterator[tuple[Trunk, Guest]]:
    if settings.firewall_driver != plugs.HYBRID:
        return
    for guest in attachments.guests(intent, facts, settings):
        trunk = intent.trunk_of.get(guest.port.id) if guest.plug.peer else None
        if trunk and trunk.port_id != guest.port.id and filters(guest.port, settings):
            yield trunk, guest


def _trunk(
    trunk: Trunk, guests: Iterable[Guest], intent: Intent, facts: Facts, tracked: Mapping[str, int]
) -> Iterator[Flow]:
    bridge, card = names.trunk_bridge(trunk.id), facts.interfaces[trunk.port_id].device
    for table in p.TRUNK_FIREWALL_TABLES:
        yield p.flow(bridge, table, p.DEFAULT, "", "drop", origin=trunk.name)
    yield from firewall.common(bridge)
    wanted = profiles.profiles({profiles.key(guest.port.security_groups) for guest in guests}, intent)
    yield from profiles.flows(wanted.values(), intent, bridge)
    numbers, tags = number(guest.port.id for guest in guests), {sub.port_id: sub.vlan for sub in trunk.sub_ports}
    for guest in guests:
        id, profile = guest.port.id, wanted[profiles.key(guest.port.security_groups)]
        registers = (numbers[id], tracked[id], profile.register)
        yield from _sub_port(bridge, card, SubPort(id, tags[id]), guest, registers)


@lru_cache(maxsize=4096)
def _sub_port(bridge: str, card: str, sub: SubPort, guest: Guest, registers: tuple[int, int, int]) -> tuple[Flow, ...]:
    """Flows of one sub-port, whose number, zone and profile are in ``registers``; most last from plan to plan."""
    own, patch = f"reg{p.REG_PORT}={registers[0]:#x}", guest.plug.peer
    loads = [p.load(r, value) for r, value in zip((p.REG_PORT, p.REG_NETWORK, p.REG_PROFILE), registers, strict=True)]
    leave, enter = (p.actions(*loads, p.resubmit(table)) for table in (p.BASE_EGRESS, p.BASE_INGRESS))

    def flow(table: int, priority: int, match: tuple[str, ...], actions: str) -> Flow:
        return p.flow(bridge, table, priority, match, actions, origin=guest.origin)

    from_card, tagged = (f"in_port={card}", f"dl_vlan={sub.vlan}"), f"mod_vlan_vid:{sub.vlan},output:{card}"
    return (
        flow(p.LOCAL_SWITCHING, p.BETWEEN_CARD_AND_PATCH, from_card, f"strip_vlan,{leave}"),
        flow(p.LOCAL_SWITCHING, p.BETWEEN_CARD_AND_PATCH, (f"in_port={patch}", p.UNTAGGED), enter),
        *firewall.genuine(bridge, guest, own),
        flow(p.NORMAL_SWITCHING, p.DIRECT, (own,), f"output:{patch}"),
        flow(p.DELIVER, p.ACCEPT, (own,), tagged),
    )
