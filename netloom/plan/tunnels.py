"""Overlay networks: br-tun, its tunnels to other hosts, and the translation of local VLANs to VNIs.

With l2population the intent says where MACs are: unicast frames go to that one host, and who asks for an address
that intent knows is answered on the spot (ARP, and neighbour discovery for IPv6). A port that several hosts carry,
as that of a router with standbys, is with the one that spoke last: so a failover needs nobody but the routers.

What intent does not place is learned from what arrives (table 10 fills table 20), and until then flooded to the
hosts that share the network, and to no others. Frames from a tunnel never go back into one.
"""

import hashlib
import ipaddress
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from netloom.feed.fragments import Neighbour, Network, TunnelPeer
from netloom.plan import pipeline as p
from netloom.plan.intent import Intent
from netloom.plan.settings import PlanSettings
from netloom.state import Bridge, Element, Facts, Flow, Key, SwitchPort

PATCH_TO_TUNNELS = "patch-tun"
"""On br-int."""
PATCH_TO_INTEGRATION = "patch-int"
"""On br-tun."""

SOLICITATION, ADVERTISEMENT = 135, 136
"""Types of ICMPv6: who is my neighbour, and the answer."""
TARGET_LINK_LAYER = 2
"""Option of an advertisement; a solicitation's is of kind 1."""


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
    tunnels: dict[tuple[str, str], str] = {}
    neighbours = _neighbours(intent)
    for kind, peer in _tunnels(intent, overlays, neighbours, settings):
        port = tunnel_port(kind, peer, settings)
        yield port
        tunnels[kind, peer.id] = port.name
        into = p.resubmit(p.FROM_TUNNEL[kind])
        yield p.flow(bridge, p.LOCAL_SWITCHING, 1, f"in_port={port.name}", into, origin=peer.name)
    if settings.l2_population:
        yield from _solicitations(bridge)
    for network in overlays:
        ports = {host: port for (kind, host), port in tunnels.items() if kind == network.network_type}
        yield from _network(bridge, network, vlans[network.id], neighbours[network.id], ports)
        if settings.l2_population:
            yield from _population(network, vlans[network.id], neighbours[network.id], ports, settings)


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


def _neighbours(intent: Intent) -> Mapping[str, list[Neighbour]]:
    """The ports that other hosts have of each overlay network, by id of the network."""
    neighbours: dict[str, list[Neighbour]] = defaultdict(list)
    for neighbour in intent.neighbours.values():
        neighbours[neighbour.network_id].append(neighbour)
    return neighbours


def _tunnels(
    intent: Intent, overlays: Iterable[Network], neighbours: Mapping[str, list[Neighbour]], settings: PlanSettings
) -> list[tuple[str, TunnelPeer]]:
    """The tunnels of this host: to those that share a network of the type with it."""
    pairs = {
        (network.network_type, host)
        for network in overlays
        for neighbour in neighbours[network.id]
        for host in neighbour.hosts
    }
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
    for table in (p.LOCAL_SWITCHING, *p.FROM_TUNNEL.values(), p.FLOOD):
        yield p.flow(bridge, table, p.DEFAULT, "", "drop")
    from_here = f"in_port={PATCH_TO_INTEGRATION}"
    yield p.flow(bridge, p.LOCAL_SWITCHING, 1, from_here, p.resubmit(p.PATCH_TO_TUNNELS))
    yield p.flow(bridge, p.PATCH_TO_TUNNELS, p.DEFAULT, f"dl_dst={p.INDIVIDUAL}", p.resubmit(p.UNICAST))
    yield p.flow(bridge, p.PATCH_TO_TUNNELS, p.DEFAULT, f"dl_dst={p.GROUP}", p.resubmit(p.FLOOD))
    learn = (
        f"learn(table={p.UNICAST},hard_timeout={p.LEARNED_SECONDS},priority={p.LEARNED},NXM_OF_VLAN_TCI[0..11],"
        "NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:0->NXM_OF_VLAN_TCI[],"
        "load:NXM_NX_TUN_ID[]->NXM_NX_TUN_ID[],output:NXM_OF_IN_PORT[])"
    )
    yield p.flow(bridge, p.LEARN, 1, "", f"{learn},output:{PATCH_TO_INTEGRATION}")
    for table in (p.UNICAST, p.ARP_RESPONDER):
        yield p.flow(bridge, table, p.DEFAULT, "", p.resubmit(p.FLOOD))


def _solicitations(bridge: str) -> Iterator[Flow]:
    """Questions for the MAC of an address may be answered here; what probes for a duplicate asks all hosts.

    The kind of a neighbour advertisement's option can be written only where the match has its type.
    """
    everybody, responder = p.resubmit(p.FLOOD), p.resubmit(p.ARP_RESPONDER)
    yield p.flow(bridge, p.PATCH_TO_TUNNELS, p.SOLICITATION, f"arp,arp_op=1,dl_dst={p.BROADCAST}", responder)
    solicited = f"icmp6,icmp_type={SOLICITATION},icmp_code=0,dl_dst={p.GROUP}"
    yield p.flow(bridge, p.PATCH_TO_TUNNELS, p.SOLICITATION, solicited, responder)
    unspecified = f"icmp6,icmp_type={SOLICITATION},ipv6_src=::"
    yield p.flow(bridge, p.ARP_RESPONDER, p.DUPLICATE_DETECTION, unspecified, everybody)
    advertise = "move:NXM_OF_ETH_SRC[]->NXM_NX_ND_TLL[],in_port"
    yield p.flow(bridge, p.ARP_RESPONDER, p.ANSWER, f"icmp6,icmp_type={ADVERTISEMENT},icmp_code=0", advertise)


def _network(
    bridge: str, network: Network, vlan: int, neighbours: Iterable[Neighbour], tunnels: Mapping[str, str]
) -> Iterator[Flow]:
    """From tunnels, and to all hosts of a network. ``tunnels`` are those of its type, by host."""
    key, origin = network.segmentation_id, network.name
    inward = f"mod_vlan_vid:{vlan},{p.resubmit(p.LEARN)}"
    yield p.flow(bridge, p.FROM_TUNNEL[network.network_type], 1, f"tun_id={key:#x}", inward, origin=origin)
    outward = _outward(network, {host for neighbour in neighbours for host in neighbour.hosts}, tunnels)
    if outward:
        yield p.flow(bridge, p.FLOOD, 1, f"dl_vlan={vlan}", outward, origin=origin)


def _population(
    network: Network,
    vlan: int,
    neighbours: Iterable[Neighbour],
    tunnels: Mapping[str, str],
    settings: PlanSettings,
) -> Iterable[Flow]:
    """Where the ports of a network are, and the answers for their addresses.

    News come piece by piece: for a moment two ports may have one address, and one of them is as good as the other.
    """
    flows: dict[Key, Flow] = {}
    for neighbour in neighbours:
        outward = _outward(network, neighbour.hosts, tunnels)
        those = [_place(settings.tunnel_bridge, vlan, neighbour, outward)] if outward else []
        if settings.host not in neighbour.hosts:
            those += _answers(settings.tunnel_bridge, vlan, neighbour)
        flows |= {flow.key: flow for flow in those}
    return flows.values()


def _outward(network: Network, hosts: Iterable[str], tunnels: Mapping[str, str]) -> str:
    """Actions that send a frame to hosts; empty when there is no tunnel to any of them."""
    outputs = [f"output:{tunnels[host]}" for host in sorted(hosts) if host in tunnels]
    return p.actions("strip_vlan", f"load:{network.segmentation_id:#x}->NXM_NX_TUN_ID[]", *outputs) if outputs else ""


def _place(bridge: str, vlan: int, neighbour: Neighbour, outward: str) -> Flow:
    """To the host of a port; to all of several hosts as long as none of them has spoken."""
    priority = p.PLACED if len(neighbour.hosts) == 1 else p.CARRIED
    match = f"dl_vlan={vlan},dl_dst={neighbour.mac.lower()}"
    return p.flow(bridge, p.UNICAST, priority, match, outward, origin=neighbour.name)


def _answers(bridge: str, vlan: int, neighbour: Neighbour) -> Iterator[Flow]:
    """The MAC of each address of a port, to whoever asks. Not for a port that is here, too: it answers itself, and
    its own announcements must get through."""
    mac = neighbour.mac.lower()
    for address in neighbour.addresses:
        if ":" in address:
            match = f"icmp6,dl_vlan={vlan},icmp_type={SOLICITATION},icmp_code=0,nd_target={address}"
            actions = _advertisement(mac, address, router=len(neighbour.hosts) > 1)
        else:
            match, actions = f"arp,dl_vlan={vlan},arp_op=1,arp_tpa={address}", _arp_reply(mac, address)
        yield p.flow(bridge, p.ARP_RESPONDER, p.ANSWER, match, actions, origin=neighbour.name)


def _arp_reply(mac: str, address: str) -> str:
    """Actions that make a request its own answer (RFC 826)."""
    return p.actions(
        "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]",
        f"mod_dl_src:{mac}",
        "set_field:2->arp_op",
        "move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[]",
        "move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[]",
        f"set_field:{mac}->arp_sha",
        f"set_field:{address}->arp_spa",
        "in_port",
    )


def _advertisement(mac: str, address: str, *, router: bool) -> str:
    """Actions that make a neighbour solicitation the advertisement that answers it (RFC 4861, section 4.4).

    The flags are those of routers, solicited, override.
    """
    return p.actions(
        "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]",
        f"mod_dl_src:{mac}",
        "move:NXM_NX_IPV6_SRC[]->NXM_NX_IPV6_DST[]",
        f"set_field:{address}->ipv6_src",
        f"set_field:{ADVERTISEMENT}->icmpv6_type",
        f"set_field:{0xE0000000 if router else 0x60000000:#x}->nd_reserved",
        f"set_field:{TARGET_LINK_LAYER}->nd_options_type",
        p.resubmit(p.ARP_RESPONDER),
    )
