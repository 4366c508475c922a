"""Load balancers: a namespace each, with the VIP's device, haproxy, and the kernel's translation for UDP.

The device is no service that is trusted: it is a card of the VIP's port, and what it says and hears is filtered as for
any instance. Where several hosts carry a balancer each has the card of a port of its own, from which it examines the
members also while it stands by; keepalived gives the VIP to the active one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b

from netloom.feed.fragments import HaPort, LoadBalancer, Network
from netloom.plan import datagrams, gateways, ha, haproxy, keepalived, names, plugs
from netloom.plan.intent import Intent
from netloom.plan.settings import PlanSettings
from netloom.state import (
    Address,
    Daemon,
    Election,
    Element,
    Facts,
    File,
    Interface,
    LinuxBridge,
    Namespace,
    Route,
    Sysctl,
    Veth,
)

FOLDER = "lbaas"
"""Of the files of all balancers, each in a folder of its id."""
VRRP = {4: "ip,nw_proto=112", 6: "ipv6,nw_proto=112"}
ADMIN_SOCKET = "admin"
"""haproxy's, beside its record: all of its processes answer there (management guide, 9.4)."""
SYSCTLS = {
    # What binds to the VIP starts also where that is not, or not yet.
    "net/ipv4/ip_nonlocal_bind": "1",
    "net/ipv6/ip_nonlocal_bind": "1",
}
PINGS = {"net/ipv4/ping_group_range": "0 2147483647"}
"""Who examines members by ICMP needs no privilege for it."""
CHECK = 'told=$(haproxy -c -C "$0" -f "$0/conf" 2>&1) || { echo "$told" | grep -m 1 ALERT; exit 1; }'
"""haproxy would go on with what it had before, and tell only its log."""
FORWARDING = ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding")


@dataclass(frozen=True, slots=True)
class Carried:
    """A balancer that this host carries, with the port that is its card here."""

    balancer: LoadBalancer
    network: Network
    port_id: str
    mac: str
    own: HaPort | None
    """Of this host, where several carry it."""

    @property
    def namespace(self) -> str:
        """Where it lives."""
        return names.balancer_namespace(self.balancer.id)

    @property
    def device(self) -> str:
        """Its card, inside."""
        return names.tap(self.port_id)

    @property
    def daemon(self) -> str:
        """Name of its haproxy, also that of the directory of the admin socket."""
        return daemon(self.balancer.id)

    @property
    def folder(self) -> str:
        """Of its files."""
        return f"{FOLDER}/{self.balancer.id}"


def daemon(balancer_id: str) -> str:
    """Name of the haproxy of a balancer; its socket is ``daemons/NAME/admin`` below the run directory."""
    return f"haproxy-{balancer_id}"


def carried(intent: Intent, settings: PlanSettings) -> Iterator[Carried]:
    """The balancers that this host is to run, and whose fragments are all here."""
    for balancer in intent.load_balancers.values():
        own = next((port for port in balancer.ha.ports if port.host == settings.host), None) if balancer.ha else None
        if balancer.ha and (own is None or not own.address or settings.firewall_driver == plugs.HYBRID):
            continue  # iptables would let no advertisement through: all hosts would be active
        port = intent.ports.get(own.port_id if own else balancer.vip.port_id)
        network = intent.networks.get(port.network_id) if port else None
        if balancer.admin_state_up and network and port and port.host == settings.host:
            yield Carried(balancer, network, port.id, (own.mac if own else balancer.vip.mac).lower(), own)


def expected(intent: Intent, facts: Facts, settings: PlanSettings) -> Facts:
    """The facts as they will be once the balancers of this plan run: their cards count as plugged."""
    cards = {
        one.port_id: Interface(plugs.device(one.port_id, settings), one.port_id, one.mac)
        for one in carried(intent, settings)
    }
    return replace(facts, interfaces={**facts.interfaces, **cards})


def plan(intent: Intent, facts: Facts, settings: PlanSettings, vlans: Mapping[str, int]) -> Iterator[Element]:
    """What the balancers of this host consist of. The ports of their cards are planned by switching."""
    for one in carried(intent, settings):
        origin = one.balancer.name
        yield Namespace(name=one.namespace, origin=origin)
        yield Veth(name=one.device, namespace=one.namespace, mac=one.mac, mtu=one.network.mtu, origin=origin)
        yield from _hybrid(one, settings)
        yield from _sysctls(one)
        yield from _addresses(one)
        yield from datagrams.tables(one.balancer, one.namespace, facts.failing_members)
        yield from _haproxy(one, settings)
        if one.own:
            yield from _elected(one, one.own, intent, settings, vlans)


def _hybrid(one: Carried, settings: PlanSettings) -> Iterator[Element]:
    if settings.firewall_driver == plugs.HYBRID:
        yield LinuxBridge(
            name=names.hybrid_bridge(one.port_id),
            card=one.device,
            inner=names.hybrid_inner(one.port_id),
            outer=names.hybrid_outer(one.port_id),
            mtu=one.network.mtu,
            origin=f"port/{one.port_id}",
        )


def _sysctls(one: Carried) -> Iterator[Sysctl]:
    pings = PINGS if any(pool.monitor and pool.monitor.type == "PING" for pool in one.balancer.pools) else {}
    forwards = "1" if datagrams.listeners(one.balancer) else "0"
    # Addresses and routes are planned, not learnt.
    learns = {f"net/ipv6/conf/{one.device}/accept_ra": "0"}
    for name, value in {**SYSCTLS, **pings, **dict.fromkeys(FORWARDING, forwards), **learns}.items():
        yield Sysctl(namespace=one.namespace, name=name, value=value, origin=one.balancer.name)


def _addresses(one: Carried) -> Iterator[Element]:
    """The VIP, or where several hosts carry the balancer this host's own; and the way out."""
    cidrs = (one.own.address,) if one.own else one.balancer.vip.addresses
    for cidr in cidrs:
        yield Address(namespace=one.namespace, device=one.device, cidr=cidr, announced=True, origin=one.balancer.name)
    yield from (route for route in _routes(one) if _always(route, one))


def _routes(one: Carried) -> Iterator[Route]:
    return gateways.default_routes(one.network, one.balancer.vip.subnets, one.namespace, one.device, one.balancer.name)


def _always(route: Route, one: Carried) -> bool:
    """Whether it leads out from this host's own address, not from the VIP."""
    return one.own is None or route.family == _family(one.own)


def _family(own: HaPort) -> int:
    """Of the network protocol by which the hosts of a balancer hear each other."""
    return 6 if ":" in own.address else 4


def _haproxy(one: Carried, settings: PlanSettings) -> Iterator[Element]:
    balancer, origin = one.balancer, one.balancer.name
    if not balancer.listeners:
        return
    text = haproxy.configuration(balancer, settings.loadbalancer_user, settings.loadbalancer_group)
    beside = sorted(set(haproxy.files(balancer)))
    whole = blake2b("".join((text, *(content for _, content, _ in beside))).encode(), digest_size=8).hexdigest()
    yield File(path=f"{one.folder}/conf", text=text + haproxy.named(whole), mode=0o600, origin=origin)
    for path, content, mode in beside:
        yield File(path=f"{one.folder}/{path}", text=content, mode=mode, origin=origin)
    folder, socket = f"{{state}}/{one.folder}", f"{{run}}/daemons/{one.daemon}/{ADMIN_SOCKET}"
    yield Daemon(
        name=one.daemon,
        namespace=one.namespace,
        # It begins as runbooks look for it in the list of processes.
        argv=("haproxy", "-f", f"{folder}/conf", "-p", f"{folder}/pid", "-W", "-C", folder, "-S", f"{socket},mode,600"),
        reloads=whole,
        reload_signal="USR2",
        check=("sh", "-c", CHECK, folder),
        serves=(socket, haproxy.WHICH),
        bequest=(socket, "@1 show servers state", f"{folder}/{haproxy.SERVERS}"),
        origin=origin,
    )


def _elected(
    one: Carried, own: HaPort, intent: Intent, settings: PlanSettings, vlans: Mapping[str, int]
) -> Iterator[Element]:
    """The election of the active host, which has the VIP (netloom.plan.ha does the same for routers)."""
    group, origin = one.balancer.ha, one.balancer.name
    assert group is not None
    shared = [(one.device, cidr) for cidr in one.balancer.vip.addresses]
    interval = ha.advert_int(intent, settings)
    text = keepalived.configuration(
        vrid=group.vrid,
        device=one.device,
        version=keepalived.version(settings.ha_vrrp_advert_int, _family(own)),
        advert_int=interval,
        health=ha.HEALTH,
        addresses=shared,
        routes=[route for route in _routes(one) if not _always(route, one)],
        family=_family(own),
    )
    config = File(path=f"ha/{one.balancer.id}/keepalived.conf", text=text, origin=origin)
    name = f"keepalived-{one.balancer.id}"
    yield ha.SCRIPT
    yield config
    yield Daemon(
        name=name,
        namespace=one.namespace,
        argv=("sh", f"{{state}}/{ha.SCRIPT.path}", f"{{state}}/{config.path}", f"{{run}}/daemons/{name}", own.address),
        reloads=config.digest,
        origin=origin,
    )
    yield from ha.flows(
        group,
        own,
        plugs.device(one.port_id, settings),
        one.network,
        settings,
        vlans[one.network.id],
        only=VRRP[_family(own)],
        origin=origin,
    )
    yield Election(
        router=one.balancer.id,
        namespace=one.namespace,
        device=one.device,
        address=keepalived.elected_address(group.vrid, _family(own)),
        shared=tuple(sorted(shared)),
        health=f"ha/{one.balancer.id}/{ha.HEALTH}",
        heard_over=ha.medium(one.network, settings) if len(group.ports) > 1 else "",
        served_over=(),
        handover=keepalived.handover(interval),
        origin=origin,
    )
