"""Overlay networks: br-tun, its tunnels to other hosts, and the translation of local VLANs to VNIs.

Addresses are learned from what arrives (table 10 fills table 20); what is not learned is flooded to the hosts
that share the network. Frames from a tunnel never go back into one.
"""

import hashlib
import ipaddress
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from netloom.feed.fragments import Network, TunnelPeer
from netloom.plan import pipeline as p
from netloom.plan.intent import Intent
from netloom.plan.settings import PlanSettings
from netloom.state import Bridge, Element, Facts, Flow, SwitchPort

PATCH_TO_TUNNELS = "patch-tun"
"""On br-int."""
PATCH_TO_INTEGRATION = "patch-int"
"""On br-tun."""


def plan(intent: Intent, facts: Facts, settings: PlanSettings, vlans: Mapping[str, int]) -> Iterable[Element]:
    """br-tun with its patch, ports and flows; nothing on a host without tunnels."""
    if not settings.tunnel_types:
        return
    bridge = settings.tunnel_bridge
    known = map(intent.networks.__getitem__, sorted(vlans))
    overlays = [network for network in known if network.network_type in settings.tunnel_types]
    yield Bridge(name=bridge, datapath_type=settings.datapath_type)
    yield from _patch(settings)
    yield from _fixed(bridge)
    flood: dict[str, list[str]] = {network.id: [] for network in overlays}
    shared = _hosts(intent)
    for kind, peer in _tunnels(intent, overlays, shared, settings):
        port = tunnel_port(kind, peer, settings)
        yield port
        into = p.resubmit(p.FROM_TUNNEL[kind])
        yield p.flow(bridge, p.LOCAL_SWITCHING, 1, f"in_port={port.name}", into, origin=peer.name)
        for network in overlays:
            if network.network_type == kind and peer.id in shared[network.id]:
                flood[network.id].append(port.name)
    for network in overlays:
        yield from _network(bridge, network, vlans[network.id], flood[network.id])


def tunnel_port(kind: str, peer: TunnelPeer, settings: PlanSettings) -> SwitchPort:
    """The port of a tunnel to another host; its name holds the address in hexadecimal digits."""
    address = ipaddress.ip_address(peer.address)
    digits = address.packed if address.version == 4 else hashlib.blake2b(address.packed, digest_size=4).digest()
    options = {"in_key": "flow", "out_key": "flow", "df_default": "true", "remote_ip": str(address)}
    if settings.local_ip:
        options["local_ip"] = settings.local_ip
    return SwitchPort(
        bridge=settings.tunnel_bridge,
        name=f"{kind}-{digits.hex()}",
        kind=kind,
        options=tuple(sorted(options.items())),
        origin=peer.name,
    )


def _hosts(intent: Intent) -> Mapping[str, set[str]]:
    """The hosts on which each overlay network has ports, by id of the network."""
    hosts: dict[str, set[str]] = defaultdict(set)
    for neighbour in intent.neighbours.values():
        hosts[neighbour.network_id].update(neighbour.hosts)
    return hosts


def _tunnels(
    intent: Intent, overlays: Iterable[Network], shared: Mapping[str, set[str]], settings: PlanSettings
) -> list[tuple[str, TunnelPeer]]:
    """The tunnels of this host: to those that share a network of the type with it."""
    pairs = {(network.network_type, host) for network in overlays for host in shared[network.id]}
    return [
        (kind, intent.peers[host])
        for kind, host in sorted(pairs)
        if host != settings.host and host in intent.peers and kind in intent.peers[host].types
    ]


def _patch(settings: PlanSettings) -> Iterator[SwitchPort]:
    for bridge, name, peer in (
        (settings.integration_bridge, PATCH_TO_TUNNELS, PATCH_TO_INTEGRATION),
        (settings.tunnel_bridge, PATCH_TO_INTEGRATION, PATCH_TO_TUNNELS),
    ):
        yield SwitchPort(bridge=bridge, name=name, kind="patch", options=(("peer", peer),))


def _fixed(bridge: str) -> Iterator[Flow]:
    """Flows that do not depend on networks or peers."""
    for table in (p.LOCAL_SWITCHING, *p.FROM_TUNNEL.values(), p.ARP_RESPONDER, p.FLOOD):
        yield p.flow(bridge, table, p.DEFAULT, "", "drop")
    from_here = f"in_port={PATCH_TO_INTEGRATION}"
    yield p.flow(bridge, p.LOCAL_SWITCHING, 1, from_here, p.resubmit(p.PATCH_TO_TUNNELS))
    yield p.flow(bridge, p.PATCH_TO_TUNNELS, p.DEFAULT, f"dl_dst={p.INDIVIDUAL}", p.resubmit(p.UNICAST))
    yield p.flow(bridge, p.PATCH_TO_TUNNELS, p.DEFAULT, f"dl_dst={p.GROUP}", p.resubmit(p.FLOOD))
    learn = (
        f"learn(table={p.UNICAST},hard_timeout={p.LEARNED_SECONDS},priority=1,NXM_OF_VLAN_TCI[0..11],"
        "NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:0->NXM_OF_VLAN_TCI[],"
        "load:NXM_NX_TUN_ID[]->NXM_NX_TUN_ID[],output:NXM_OF_IN_PORT[])"
    )
    yield p.flow(bridge, p.LEARN, 1, "", f"{learn},output:{PATCH_TO_INTEGRATION}")
    yield p.flow(bridge, p.UNICAST, p.DEFAULT, "", p.resubmit(p.FLOOD))


def _network(bridge: str, network: Network, vlan: int, ports: Iterable[str]) -> Iterator[Flow]:
    key, origin = network.segmentation_id, network.name
    inward = f"mod_vlan_vid:{vlan},{p.resubmit(p.LEARN)}"
    yield p.flow(bridge, p.FROM_TUNNEL[network.network_type], 1, f"tun_id={key:#x}", inward, origin=origin)
    outputs = [f"output:{port}" for port in ports]
    if outputs:
        outward = p.actions("strip_vlan", f"load:{key:#x}->NXM_NX_TUN_ID[]", *outputs)
        yield p.flow(bridge, p.FLOOD, 1, f"dl_vlan={vlan}", outward, origin=origin)
