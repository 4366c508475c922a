"""Bridges of trunks: one card of an instance, several networks, told apart by tags of the instance's own.

The bridge has the card and a patch to br-int for each network: the parent's gets what has no tag, a sub-port's what
has its tag. All on br-int sees of it is a guest for each port (see ``plugs``).

Flows, one for each way, tie the card to the patches. The bridge neither learns nor floods, so nothing gets from one
network into another, a tag of no sub-port goes nowhere, and an instance may have one MAC on all its networks. The tags
of the ports say the same to operators. (For flows of sub-ports that are filtered here see ``trunk_firewall``.)
"""

from collections.abc import Iterator, Mapping

from netloom.feed.fragments import Trunk
from netloom.plan import names, plugs, trunk_firewall
from netloom.plan import pipeline as p
from netloom.plan.intent import Intent
from netloom.plan.plugging import of_card
from netloom.plan.settings import PlanSettings
from netloom.state import Bridge, Element, Facts, Flow, Interface, SwitchPort


def plan(intent: Intent, facts: Facts, settings: PlanSettings, vlans: Mapping[str, int]) -> Iterator[Element]:
    """The bridges of trunks whose parent is plugged. The ends of their patches on br-int are planned by switching."""
    for trunk in intent.trunks.values():
        if card := plugs.card_of(trunk, intent, facts):
            yield from _trunk(trunk, card, intent, settings)


def _trunk(trunk: Trunk, card: Interface, intent: Intent, settings: PlanSettings) -> Iterator[Element]:
    bridge, parent = names.trunk_bridge(trunk.id), intent.ports[trunk.port_id]
    yield Bridge(name=bridge, datapath_type=settings.datapath_type, origin=trunk.name)
    ids = of_card(parent, card.mac, intent)
    yield SwitchPort(bridge=bridge, name=card.device, external_ids=ids, origin=parent.name)
    patch, peer = names.parent_on_trunk(parent.id), names.parent_on_integration(parent.id)
    yield SwitchPort(bridge=bridge, name=patch, kind="patch", options=(("peer", peer),), origin=trunk.name)
    yield _flow(bridge, (f"in_port={card.device}", p.UNTAGGED), f"output:{patch}", trunk.name)
    yield _flow(bridge, (f"in_port={patch}", p.UNTAGGED), f"output:{card.device}", trunk.name)
    for sub, port in plugs.sub_ports(trunk, intent):
        patch, peer = names.sub_port_on_trunk(port.id), names.sub_port_on_integration(port.id)
        options = (("peer", peer),)
        yield SwitchPort(bridge=bridge, name=patch, kind="patch", tag=sub.vlan, options=options, origin=port.name)
        if not trunk_firewall.filters(port, settings):
            out, back = (f"in_port={card.device}", f"dl_vlan={sub.vlan}"), (f"in_port={patch}", p.UNTAGGED)
            yield _flow(bridge, out, f"strip_vlan,output:{patch}", port.name)
            yield _flow(bridge, back, f"mod_vlan_vid:{sub.vlan},output:{card.device}", port.name)


def _flow(bridge: str, match: tuple[str, ...], actions: str, origin: str) -> Flow:
    return p.flow(bridge, p.LOCAL_SWITCHING, p.BETWEEN_CARD_AND_PATCH, match, actions, origin=origin)
