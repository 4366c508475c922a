"""DHCP: a namespace with one dnsmasq per network that this host serves.

A change of ports rewrites files and sends a HUP; a change of subnets, or of the MTU, starts it anew.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b

from netloom.feed.fragments import DhcpNetwork, Network, Port
from netloom.plan import dnsmasq, gateways, names
from netloom.plan.intent import Intent
from netloom.plan.plugging import into_namespace
from netloom.plan.settings import PlanSettings
from netloom.state import Address, Daemon, Element, Facts, File, Namespace, Sysctl

DHCP_OWNER = "network:dhcp"
"""``device_owner`` of the ports of DHCP servers."""


@dataclass(frozen=True, slots=True)
class Service:
    """A network that this host serves, with the host's port in it."""

    dhcp: DhcpNetwork
    network: Network
    port: Port

    @property
    def namespace(self) -> str:
        """Where its server runs."""
        return names.dhcp_namespace(self.network.id)

    @property
    def device(self) -> str:
        """The server's port, inside."""
        return names.tap(self.port.id)

    def others(self, intent: Intent) -> list[Port]:
        """The ports of the network's other servers."""
        ports = intent.ports_of(self.network.id)
        return [port for port in ports if port.device_owner == DHCP_OWNER and port.id != self.port.id]

    def metadata(self, settings: PlanSettings) -> dict[str, str]:
        """Subnets whose instances find metadata here, and the server's address in each."""
        if settings.force_metadata:
            wanted = {subnet.id for subnet in self.network.subnets}
        else:
            wanted = set(self.dhcp.isolated_subnets) if settings.enable_isolated_metadata else set()
        return {fixed.subnet_id: fixed.address for fixed in self.port.fixed_ips if fixed.subnet_id in wanted}


def services(intent: Intent, settings: PlanSettings) -> Iterator[Service]:
    """The networks that this host is to serve, and whose fragments are all here."""
    for dhcp in intent.dhcp.values():
        own = next((server.port_id for server in dhcp.servers if server.host == settings.host), "")
        network, port = intent.networks.get(dhcp.id), intent.ports.get(own)
        if network and port:
            yield Service(dhcp, network, port)


def plan(intent: Intent, facts: Facts, settings: PlanSettings, vlans: Mapping[str, int]) -> Iterator[Element]:
    """Namespaces, ports and servers of the networks that this host serves."""
    for service in services(intent, settings):
        namespace, device, origin = service.namespace, service.device, service.dhcp.name
        yield Namespace(name=namespace, origin=origin)
        yield from into_namespace(
            device=device,
            namespace=namespace,
            port_id=service.port.id,
            mac=service.port.mac,
            network=service.network,
            settings=settings,
            vlans=vlans,
            origin=origin,
        )
        # Its addresses and routes are planned, not learnt.
        yield Sysctl(namespace=namespace, name=f"net/ipv6/conf/{device}/accept_ra", value="0", origin=origin)
        yield from _addresses(service)
        # Name queries leave by the gateways.
        subnets = {fixed.subnet_id for fixed in service.port.fixed_ips}
        yield from gateways.default_routes(service.network, subnets, namespace, device, origin)
        if dnsmasq.served(service.network):
            yield from _server(service, intent, settings)


def _addresses(service: Service) -> Iterator[Address]:
    lengths = {subnet.id: subnet.cidr.split("/")[1] for subnet in service.network.subnets}
    for fixed in service.port.fixed_ips:
        if fixed.subnet_id in lengths:
            yield Address(
                namespace=service.namespace,
                device=service.device,
                cidr=f"{fixed.address}/{lengths[fixed.subnet_id]}",
                origin=service.dhcp.name,
            )


def _server(service: Service, intent: Intent, settings: PlanSettings) -> Iterator[Element]:
    network, dhcp = service.network, service.dhcp
    ports, subnets, others = intent.ports_of(network.id), dnsmasq.served(network), service.others(intent)
    servers = sorted([service.port, *others], key=lambda port: port.id)
    metadata = service.metadata(settings)
    if others:
        # Each of them has the service's address: whoever is there answers for it.
        metadata = dict.fromkeys(metadata, dnsmasq.ON_LINK)
    texts = {
        "host": dnsmasq.hosts(ports, subnets, dhcp.dns_domain),
        "addn_hosts": dnsmasq.names(ports, subnets, dhcp.dns_domain),
        "opts": dnsmasq.options(network, ports, _by_subnet(servers), metadata, dhcp.dns_domain),
    }
    files = [File(path=f"dhcp/{network.id}/{name}", text=text, origin=dhcp.name) for name, text in texts.items()]
    yield from files
    yield Daemon(
        name=f"dnsmasq-{network.id}",
        namespace=service.namespace,
        argv=dnsmasq.argv(network, dhcp, service.device, f"{{state}}/dhcp/{network.id}", settings, _ipv4(others)),
        reloads=blake2b("".join(file.digest for file in files).encode(), digest_size=8).hexdigest(),
        origin=dhcp.name,
    )


def _ipv4(ports: Iterable[Port]) -> list[str]:
    return sorted(fixed.address for port in ports for fixed in port.fixed_ips if ":" not in fixed.address)


def _by_subnet(servers: list[Port]) -> dict[str, list[str]]:
    addresses: dict[str, list[str]] = {}
    for port in servers:
        for fixed in port.fixed_ips:
            addresses.setdefault(fixed.subnet_id, []).append(fixed.address)
    return addresses
