"""Routers that several hosts carry: one of them is active and answers, and another takes over when it falls silent.

The hosts elect it by VRRP (RFC 5798): keepalived, in the router's namespace, on a device of its own. The active host
has the addresses and routes of the router; the others have its devices, which must stay mute there because all bear
the same MACs. conntrackd tells the others of each connection, so that they go on after a failover.
"""

from collections.abc import Iterator, Mapping

from netloom.feed.fragments import HaGroup, HaPort, Network, Router
from netloom.plan import conntrackd, keepalived, metadata, names, routing
from netloom.plan import pipeline as p
from netloom.plan.forwarding import uplink
from netloom.plan.intent import Intent
from netloom.plan.plugging import into_namespace
from netloom.plan.settings import PlanSettings
from netloom.state import Address, Chain, Daemon, Election, Element, Facts, File, FilterTable, Flow, Sysctl

HEALTH = "health"
"""File beside keepalived's configuration, from which it reads how fit the host is."""
ADVERTS_PER_SECOND = 250
"""Of all elections of a host whose switch is in userspace: more would keep it from its work."""
MUTE_CHAIN = "neutron-l3-agent-OUTPUT"
SCRIPT = File(path="ha/keepalived.sh", text=keepalived.SCRIPT)


def plan(intent: Intent, facts: Facts, settings: PlanSettings, vlans: Mapping[str, int]) -> Iterator[Element]:
    """What an HA router has besides what routing.plan gives it."""
    for router in routing.active(intent):
        if router.ha is None:
            continue
        yield _mute(router)
        yield _tolerance(router)
        own = member(router, intent, settings)
        if own is not None:
            network = intent.networks[router.ha.network_id]
            yield from _device(router, own, network, settings, vlans)
            device = names.router_ha(own.port_id)
            yield from flows(router.ha, own, device, network, settings, vlans[network.id], origin=router.name)
            yield from _keepalived(router, own, intent, settings)
            yield from _conntrackd(router, own)
            yield _election(router, own, intent, settings)


def member(router: Router, intent: Intent, settings: PlanSettings) -> HaPort | None:
    """The port by which this host takes part in the election; None while it or its network is not known here."""
    if router.ha is None or router.ha.network_id not in intent.networks:
        return None
    return next((port for port in router.ha.ports if port.host == settings.host), None)


def advert_int(intent: Intent, settings: PlanSettings) -> float:
    """Seconds between advertisements: as configured, or doubled as often as it takes when there are too many elections.

    Doubled, so that another one seldom changes it; hosts that differ in it understand each other (RFC 5798 6.1).
    """
    seconds = settings.ha_vrrp_advert_int
    groups = sum(router.ha is not None for router in routing.active(intent))
    groups += sum(balancer.ha is not None for balancer in intent.load_balancers.values() if balancer.admin_state_up)
    while settings.datapath_type == "netdev" and groups > seconds * ADVERTS_PER_SECOND:
        seconds *= 2
    return seconds


def _mute(router: Router) -> FilterTable:
    """Packets without a source address (multicast listener reports) come also from a device that has no address."""
    return FilterTable(
        namespace=names.router_namespace(router.id),
        family=6,
        table="filter",
        chains=(
            Chain(name="OUTPUT", policy="ACCEPT", rules=(f"-j {MUTE_CHAIN}",)),
            Chain(name=MUTE_CHAIN, rules=("-s ::/128 -o qr-+ -j DROP", "-s ::/128 -o qg-+ -j DROP")),
        ),
        origin=router.name,
    )


def _tolerance(router: Router) -> Sysctl:
    """A host that was not active for a while does not know how far connections have come meanwhile.

    It would not translate their packets, and would take them for its own and reset the connections.
    """
    return Sysctl(
        namespace=names.router_namespace(router.id),
        name="net/netfilter/nf_conntrack_tcp_be_liberal",
        value="1",
        origin=router.name,
    )


def _device(
    router: Router, own: HaPort, network: Network, settings: PlanSettings, vlans: Mapping[str, int]
) -> Iterator[Element]:
    device, namespace = names.router_ha(own.port_id), names.router_namespace(router.id)
    yield from into_namespace(
        device=device,
        namespace=namespace,
        port_id=own.port_id,
        mac=own.mac,
        network=network,
        settings=settings,
        vlans=vlans,
        origin=router.name,
    )
    yield Address(namespace=namespace, device=device, cidr=own.address, origin=router.name)


def flows(
    group: HaGroup,
    own: HaPort,
    device: str,
    network: Network,
    settings: PlanSettings,
    vlan: int,
    *,
    only: str = "",
    origin: str,
) -> Iterator[Flow]:
    """Hosts of one election hear each other alone, by way of ``device`` here; of all frames or of those that ``only``
    matches.

    Flooding would hand the advertisements of each router to the devices of all others of the project.
    """
    patch, bridge = uplink(network, settings), settings.integration_bridge
    if not patch:
        return
    out = f"mod_vlan_vid:{vlan},output:{patch}"
    yield p.flow(bridge, p.LOCAL_SWITCHING, p.ELECTION, (f"in_port={device}", only), out, origin=origin)
    tag = {"vlan": f"dl_vlan={network.segmentation_id}", "flat": p.UNTAGGED}.get(
        network.network_type, f"dl_vlan={vlan}"
    )
    for other in group.ports:
        if other is not own:
            match = (f"in_port={patch}", tag, f"dl_src={other.mac}", only)
            into = p.actions("" if tag == p.UNTAGGED else "strip_vlan", f"output:{device}")
            yield p.flow(bridge, p.LOCAL_SWITCHING, p.ELECTION, match, into, origin=origin)


def _keepalived(router: Router, own: HaPort, intent: Intent, settings: PlanSettings) -> Iterator[Element]:
    assert router.ha is not None
    text = keepalived.configuration(
        vrid=router.ha.vrid,
        device=names.router_ha(own.port_id),
        version=keepalived.version(settings.ha_vrrp_advert_int),
        advert_int=advert_int(intent, settings),
        health=HEALTH,
        addresses=list(_addresses(router, intent, settings)),
        routes=routing.routes(router, intent),
    )
    config = File(path=f"ha/{router.id}/keepalived.conf", text=text, origin=router.name)
    name = f"keepalived-{router.id}"
    yield SCRIPT
    yield config
    yield Daemon(
        name=name,
        namespace=names.router_namespace(router.id),
        argv=("sh", f"{{state}}/{SCRIPT.path}", f"{{state}}/{config.path}", f"{{run}}/daemons/{name}"),
        reloads=config.digest,
        origin=router.name,
    )


def _addresses(router: Router, intent: Intent, settings: PlanSettings) -> Iterator[tuple[str, str]]:
    """(Device, address) of all that belongs to the active host.

    Link-local ones first: they go first, too, so that the kernel has no address to report the others' end from.
    """
    for device, port in routing.devices(router, intent):
        yield device, f"{routing.link_local(port.mac)}/64"
    yield from metadata.of_router(router, intent, settings)
    yield from routing.addresses(router, intent)


def _conntrackd(router: Router, own: HaPort) -> Iterator[Element]:
    assert router.ha is not None
    text = conntrackd.configuration(router.ha.vrid, names.router_ha(own.port_id), own.address)
    config = File(path=f"ha/{router.id}/conntrackd.conf", text=text, origin=router.name)
    name = f"conntrackd-{router.id}"
    yield config
    yield Daemon(
        name=name,
        namespace=names.router_namespace(router.id),
        argv=("sh", "-c", conntrackd.START, f"{{run}}/daemons/{name}", f"{{state}}/{config.path}"),
        restarts=config.digest,
        origin=router.name,
    )


def _election(router: Router, own: HaPort, intent: Intent, settings: PlanSettings) -> Election:
    assert router.ha is not None
    others = len(router.ha.ports) > 1
    heard_over = medium(intent.networks[router.ha.network_id], settings) if others else ""
    networks = {port.network_id for _, port in routing.devices(router, intent)}
    served_over = {medium(intent.networks[network], settings) for network in networks}
    return Election(
        router=router.id,
        namespace=names.router_namespace(router.id),
        device=names.router_ha(own.port_id),
        address=keepalived.elected_address(router.ha.vrid),
        shared=tuple(sorted(_addresses(router, intent, settings))),
        health=f"ha/{router.id}/{HEALTH}",
        heard_over=heard_over,
        served_over=tuple(sorted(served_over - {heard_over, ""})) if others else (),
        handover=keepalived.handover(advert_int(intent, settings)),
        origin=router.name,
    )


def medium(network: Network, settings: PlanSettings) -> str:
    """What a network's frames travel over between hosts: a bridge, or the address of our end of the tunnels."""
    if network.physical_network:
        return settings.bridge_of(network.physical_network)
    return "" if network.network_type == "local" else settings.local_ip
