"""Which fragments a host must have: its slice of the intent, and no more."""

from netloom.feed.facts import Port
from netloom.feed.topology import Topology
from netloom.model.owners import ROUTER_INTERFACES


def interest(topology: Topology, host: str) -> set[str]:
    """Names of all fragments that ``host`` must have."""
    bound = list(topology.ports.find("host", host))
    carried = [port for router in topology.routers.ids("host", host) for port in topology.ports.find("router", router)]
    return (
        _switched(bound + carried)
        | _served(topology, host, carried)
        | _protected(topology, bound)
        | _beyond(topology, host, bound + carried)
        | {port.trunk for port in bound if port.trunk and port.wired}
        | {f"server/{server}" for server in topology.servers.ids("host", host)}
        | {f"loadbalancer/{balancer}" for balancer in topology.balancers.ids("host", host)}
    )


def _switched(ports: list[Port]) -> set[str]:
    """The ports of a host, those of the routers that it carries among them, and their networks."""
    return {port.name for port in ports} | {f"network/{port.network}" for port in ports}


def _served(topology: Topology, host: str, carried: list[Port]) -> set[str]:
    """The routers that the host carries, the networks that it serves DHCP for, and all ports of both's networks.

    Routers and DHCP servers answer for every port of a network: leases, metadata, ARP.
    """
    leased = topology.dhcp.ids("host", host)
    routed = {port.network for port in carried if port.owner in ROUTER_INTERFACES}
    names = {f"router/{router}" for router in topology.routers.ids("host", host)}
    for network in {*leased, *routed}:
        names.add(f"network/{network}")
        names.update(port.name for port in topology.ports.find("network", network))
    return names | {f"dhcp/{network}" for network in leased}


def _protected(topology: Topology, bound: list[Port]) -> set[str]:
    """Security groups of the ports bound to the host, and the sets that their rules refer to."""
    groups = {group for port in bound for group in port.groups}
    remotes = (topology.remotes.values.get(group, ()) for group in groups)
    return {f"security_group/{group}" for group in groups}.union(*remotes)


def _beyond(topology: Topology, host: str, ports: list[Port]) -> set[str]:
    """What is elsewhere on the overlay networks that the host can reach: their ports, and the hosts of those."""
    here = [(port, topology.places(port)) for port in ports]
    names: set[str] = set()
    for network in {port.network for port, places in here if host in places}:
        if (overlay := topology.overlay(network)) is not None:
            names |= overlay.neighbours
            names.update(f"peer/{place}" for place in overlay.places if place != host)
    return names - {port.neighbour for port, places in here if places == {host}}
