"""Bridges, patch ports, guests' ports with their local VLANs, and the translation of VLANs.

Source: the Open vSwitch agent's classic design (br-int, one bridge a physical network); flows as operators
know them from ``ovs-ofctl dump-flows``.
"""

from collections.abc import Iterable, Iterator, Mapping

from netloom.feed.fragments import Network
from netloom.plan import attachments, names, trunk_firewall
from netloom.plan import pipeline as p
from netloom.plan.intent import Intent
from netloom.plan.plugging import external_ids, of_card
from netloom.plan.plugs import Plug
from netloom.plan.settings import PlanSettings
from netloom.plan.vlans import DEAD, port_config
from netloom.state import Bridge, Element, Facts, Flow, SwitchPort


def plan(intent: Intent, facts: Facts, settings: PlanSettings, vlans: Mapping[str, int]) -> Iterable[Element]:
    """br-int with its patches and guests, and the flows of table 0 and of the physical networks' bridges."""
    bridge = settings.integration_bridge
    yield Bridge(name=bridge, datapath_type=settings.datapath_type)
    yield p.flow(bridge, p.LOCAL_SWITCHING, p.DEFAULT, "", onwards(settings))
    yield p.flow(bridge, p.LOCAL_SWITCHING, p.DEAD, f"dl_vlan={DEAD}", "drop")
    for table in p.INTEGRATION_TABLES[1:]:
        yield p.flow(bridge, table, p.DEFAULT, "", "drop")
    known = [intent.networks[network] for network in sorted(vlans)]
    for physical_network, physical_bridge in settings.bridge_mappings:
        origin = names.origin_of_physical(physical_network)
        yield from _patch(bridge, physical_bridge, origin)
        networks = [network for network in known if network.physical_network == physical_network]
        yield from _physical(networks, physical_bridge, settings, vlans, origin)
    zones = trunk_firewall.zones(intent, facts, settings)
    for guest in attachments.guests(intent, facts, settings):
        network = intent.networks[guest.port.network_id]
        config = port_config(network, zones.get(guest.port.id, 0))
        yield _port(guest.plug, intent, settings, vlans[network.id], config)
    for stranger in attachments.strangers(intent, facts, settings):
        yield from _dead(stranger, intent, settings)


def onwards(settings: PlanSettings) -> str:
    """Action on br-int for a frame whose VLAN is the local one: the firewall's tables, where flows are the firewall."""
    return p.resubmit(p.CLASSIFY) if settings.firewall_driver == "openvswitch" else "NORMAL"


def _patch(bridge: str, physical_bridge: str, origin: str) -> Iterator[Element]:
    here, there = names.to_physical(physical_bridge), names.to_integration(physical_bridge)
    yield SwitchPort(bridge=bridge, name=here, kind="patch", options=(("peer", there),), origin=origin)
    yield SwitchPort(bridge=physical_bridge, name=there, kind="patch", options=(("peer", here),), origin=origin)


def _physical(
    networks: Iterable[Network], physical_bridge: str, settings: PlanSettings, vlans: Mapping[str, int], origin: str
) -> Iterator[Flow]:
    """VLANs change at both ends of the patch; what belongs to no network of this host stops there."""
    bridge, here, there = (
        settings.integration_bridge,
        names.to_physical(physical_bridge),
        names.to_integration(physical_bridge),
    )
    yield p.flow(physical_bridge, p.LOCAL_SWITCHING, p.DEFAULT, "", "NORMAL", origin=origin)
    yield p.flow(physical_bridge, p.LOCAL_SWITCHING, p.NOT_FOR_WIRE, f"in_port={there}", "drop", origin=origin)
    yield p.flow(bridge, p.LOCAL_SWITCHING, p.FOREIGN, f"in_port={here}", "drop", origin=origin)
    for network in networks:
        local = vlans[network.id]
        if network.network_type == "vlan":
            on_wire, to_wire = f"dl_vlan={network.segmentation_id}", f"mod_vlan_vid:{network.segmentation_id}"
        elif network.network_type == "flat":
            on_wire, to_wire = p.UNTAGGED, "strip_vlan"
        else:
            continue
        outward, inward = (f"in_port={there}", f"dl_vlan={local}"), (f"in_port={here}", on_wire)
        yield p.flow(physical_bridge, p.LOCAL_SWITCHING, p.TO_WIRE, outward, f"{to_wire},NORMAL", origin=network.name)
        to_local = f"mod_vlan_vid:{local},{onwards(settings)}"
        yield p.flow(bridge, p.LOCAL_SWITCHING, p.FROM_NETWORK, inward, to_local, origin=network.name)


def _port(
    plug: Plug, intent: Intent, settings: PlanSettings, tag: int, config: tuple[tuple[str, str], ...] = ()
) -> SwitchPort:
    """What stands on br-int for a plugged port: its card, or the patch to its trunk's bridge."""
    card = of_card(intent.ports[plug.port_id], plug.mac, intent)
    return SwitchPort(
        bridge=settings.integration_bridge,
        name=plug.device,
        kind="patch" if plug.peer else "",
        tag=tag,
        options=(("peer", plug.peer),) if plug.peer else (),
        external_ids=external_ids(plug.port_id, plug.mac) if plug.peer else card,
        other_config=config,
        origin=plug.origin,
    )


def _dead(stranger: Plug, intent: Intent, settings: PlanSettings) -> Iterator[Element]:
    """A port that may not talk. One that nobody knows is not kept: it is about to go, or not ours.

    Its frames go nowhere all the same: table 60 takes only those of ports that it knows.
    """
    port = intent.ports.get(stranger.port_id)
    if port:
        yield _port(stranger, intent, settings, DEAD)
    if port or settings.firewall_driver != "openvswitch":
        match, origin = f"in_port={stranger.device}", f"port/{stranger.port_id}"
        yield p.flow(settings.integration_bridge, p.LOCAL_SWITCHING, p.DEAD, match, "drop", origin=origin)
