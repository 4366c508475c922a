"""Routers: a namespace each, with its interfaces, gateway, floating IPs and routes.

Of a router that several hosts carry each has the same devices with the same MACs; its addresses and routes are not
planned, because the active host alone has them (netloom.plan.ha).
"""

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address, ip_interface, ip_network

from netloom.feed.fragments import Router, RouterPort
from netloom.plan import names
from netloom.plan.intent import Intent
from netloom.plan.plugging import into_namespace
from netloom.plan.settings import PlanSettings
from netloom.state import Address, Element, Facts, Namespace, Route, Sysctl

NAMESPACE_SYSCTLS = {
    "net/ipv4/ip_forward": "1",
    "net/ipv6/conf/all/forwarding": "1",
    # An address is answered for only on the device that bears it, and asked from with an address of that device.
    "net/ipv4/conf/all/arp_ignore": "1",
    "net/ipv4/conf/all/arp_announce": "2",
    # The effective value is the greater one (rp_filter) or either one (send_redirects) of "all" and the device.
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/all/send_redirects": "0",
}
DEVICE_SYSCTLS = {
    "net/ipv4/conf/{device}/rp_filter": "0",
    # A packet that goes back where it came from (to a floating IP of the same subnet) is no reason to complain.
    "net/ipv4/conf/{device}/send_redirects": "0",
    # Addresses and routes are planned, not learnt.
    "net/ipv6/conf/{device}/accept_ra": "0",
}


SHARED_DEVICE_SYSCTLS = {
    # A host on standby must not speak from the MAC that all share: no link-local address of its own.
    "net/ipv6/conf/{device}/addr_gen_mode": "1",
}


def plan(intent: Intent, facts: Facts, settings: PlanSettings, vlans: Mapping[str, int]) -> Iterator[Element]:
    """The routers that this host carries. A router that is administratively down has no namespace."""
    for router in active(intent):
        namespace = names.router_namespace(router.id)
        yield Namespace(name=namespace, origin=router.name)
        for name, value in NAMESPACE_SYSCTLS.items():
            yield Sysctl(namespace=namespace, name=name, value=value, origin=router.name)
        for device, port in devices(router, intent):
            network = intent.networks[port.network_id]
            yield from into_namespace(
                device=device,
                namespace=namespace,
                port_id=port.port_id,
                mac=port.mac,
                network=network,
                settings=settings,
                vlans=vlans,
                origin=router.name,
            )
            yield from _configure(router, device)
        if router.ha is None:
            for device, cidr in addresses(router, intent):
                yield Address(namespace=namespace, device=device, cidr=cidr, announced=True, origin=router.name)
            yield from routes(router, intent)


def active(intent: Intent) -> Iterable[Router]:
    """The routers that are to run."""
    return (router for router in intent.routers.values() if router.admin_state_up)


def gateway(router: Router, intent: Intent) -> tuple[str, RouterPort] | None:
    """Device and port of the gateway, when there is one whose network is known here."""
    port = router.gateway
    return (names.router_gateway(port.port_id), port) if port and port.network_id in intent.networks else None


def interfaces(router: Router, intent: Intent) -> Iterator[tuple[str, RouterPort]]:
    """Devices and ports of the interfaces whose network is known here; a network that is late delays only those."""
    for port in router.interfaces:
        if port.network_id in intent.networks:
            yield names.router_interface(port.port_id), port


def devices(router: Router, intent: Intent) -> Iterator[tuple[str, RouterPort]]:
    """The interfaces, then the gateway."""
    yield from interfaces(router, intent)
    outside = gateway(router, intent)
    if outside:
        yield outside


def addresses(router: Router, intent: Intent) -> Iterator[tuple[str, str]]:
    """(Device, address with prefix length) of all that the router answers for."""
    for device, port in devices(router, intent):
        for cidr in port.addresses:
            yield device, cidr
    outside = gateway(router, intent)
    if outside:
        for floating in router.floating_ips:
            yield outside[0], f"{floating.floating_address}/32"


def link_local(mac: str) -> str:
    """The address that an interface gives itself by its MAC (RFC 4291, appendix A)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    identifier = bytes([octets[0] ^ 2]) + octets[1:3] + b"\xff\xfe" + octets[3:]
    return str(ip_address(b"\xfe\x80" + bytes(6) + identifier))


def _configure(router: Router, device: str) -> Iterator[Element]:
    sysctls = DEVICE_SYSCTLS if router.ha is None else DEVICE_SYSCTLS | SHARED_DEVICE_SYSCTLS
    for name, value in sysctls.items():
        yield Sysctl(
            namespace=names.router_namespace(router.id),
            name=name.format(device=device),
            value=value,
            origin=router.name,
        )


def routes(router: Router, intent: Intent) -> list[Route]:
    """Routes by destination: an extra route replaces one that follows from the gateway."""
    outside = gateway(router, intent)
    planned: dict[tuple[int, str], tuple[str, str]] = {}
    if outside:
        device, port = outside
        for cidr in _unaddressed_subnets(port, intent):
            planned[4, cidr] = ("", device)
        for hop in router.gateway_routes:
            if not _reachable(hop, port):
                planned[_family(hop), _host_prefix(hop)] = ("", device)
            planned.setdefault((_family(hop), "default"), (hop, device))
    for route in router.routes:
        via = next((name for name, port in devices(router, intent) if _reachable(route.nexthop, port)), None)
        if via:
            planned[_family(route.nexthop), _destination(route.destination)] = (route.nexthop, via)
    namespace = names.router_namespace(router.id)
    return [
        Route(namespace=namespace, family=family, destination=to, via=via, device=device, origin=router.name)
        for (family, to), (via, device) in planned.items()
    ]


def _unaddressed_subnets(port: RouterPort, intent: Intent) -> Iterator[str]:
    """IPv4 prefixes of the external network that the gateway has no address in: they are on the link all the same."""
    for subnet in intent.networks[port.network_id].subnets:
        if subnet.ip_version == 4 and subnet.id not in port.subnets:
            yield subnet.cidr


def _family(address: str) -> int:
    return 6 if ":" in address else 4


def _host_prefix(address: str) -> str:
    return str(ip_network(address))


def _destination(prefix: str) -> str:
    return "default" if prefix in ("0.0.0.0/0", "::/0") else prefix


def _reachable(hop: str, port: RouterPort) -> bool:
    """Whether a next hop is on the link of a port: in a prefix of it, or link-local."""
    address = ip_address(hop)
    if address.version == 6 and address.is_link_local:
        return any(":" in cidr for cidr in port.addresses)
    return any(address in ip_interface(cidr).network for cidr in port.addresses)
