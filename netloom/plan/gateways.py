"""Ways out of a namespace by the gateways of its subnets."""

from collections.abc import Collection, Iterator
from ipaddress import ip_address, ip_network

from netloom.feed.fragments import Network, Subnet
from netloom.state import Route


def default_routes(
    network: Network, subnet_ids: Collection[str], namespace: str, device: str, origin: str
) -> Iterator[Route]:
    """One per family, through the gateway of the first of these subnets of a network that has one."""
    for family in (4, 6):
        subnets = [s for s in network.subnets if s.ip_version == family and s.gateway and s.id in subnet_ids]
        for subnet in subnets[:1]:
            ways = [("default", subnet.gateway)]
            if not _on_link(subnet):
                ways.insert(0, (str(ip_network(subnet.gateway)), ""))
            for destination, via in ways:
                yield Route(
                    namespace=namespace,
                    family=family,
                    destination=destination,
                    via=via,
                    device=device,
                    origin=origin,
                )


def _on_link(subnet: Subnet) -> bool:
    gateway = ip_address(subnet.gateway)
    return gateway in ip_network(subnet.cidr) or gateway.is_link_local
