"""Intent as a host knows it: its fragments, by kind and id."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import TypeVar

from netloom.feed.fragments import (
    AddressSet,
    DhcpNetwork,
    Fragment,
    LoadBalancer,
    Neighbour,
    Network,
    Port,
    Router,
    SecurityGroup,
    Server,
    Trunk,
    TunnelPeer,
)

F = TypeVar("F", bound=Fragment)


class Intent:
    """An immutable view of fragments; iteration is always in the order of ids, however they came."""

    def __init__(self, fragments: Mapping[str, Fragment]) -> None:
        """From fragments by name (``kind/id``)."""
        self._fragments = [fragments[name] for name in sorted(fragments)]

    def _of(self, kind: type[F]) -> Mapping[str, F]:
        return MappingProxyType({f.id: f for f in self._fragments if isinstance(f, kind)})

    @cached_property
    def ports(self) -> Mapping[str, Port]:
        """Ports bound to this host, and all those of the networks that it serves."""
        return self._of(Port)

    @cached_property
    def networks(self) -> Mapping[str, Network]:
        """Networks with their subnets."""
        return self._of(Network)

    @cached_property
    def security_groups(self) -> Mapping[str, SecurityGroup]:
        """Security groups with their rules."""
        return self._of(SecurityGroup)

    @cached_property
    def address_sets(self) -> Mapping[str, AddressSet]:
        """What the remote sets of rules stand for."""
        return self._of(AddressSet)

    @cached_property
    def routers(self) -> Mapping[str, Router]:
        """Routers that this host carries."""
        return self._of(Router)

    @cached_property
    def dhcp(self) -> Mapping[str, DhcpNetwork]:
        """Networks that this host serves DHCP for, by network id."""
        return self._of(DhcpNetwork)

    @cached_property
    def servers(self) -> Mapping[str, Server]:
        """Instances of the standalone compute role."""
        return self._of(Server)

    @cached_property
    def peers(self) -> Mapping[str, TunnelPeer]:
        """Hosts of shared overlay networks, by name."""
        return self._of(TunnelPeer)

    @cached_property
    def neighbours(self) -> Mapping[str, Neighbour]:
        """Ports of shared overlay networks, by id of the port."""
        return self._of(Neighbour)

    @cached_property
    def trunks(self) -> Mapping[str, Trunk]:
        """Trunks whose parent port is bound to this host."""
        return self._of(Trunk)

    @cached_property
    def load_balancers(self) -> Mapping[str, LoadBalancer]:
        """Load balancers that this host carries."""
        return self._of(LoadBalancer)

    @cached_property
    def balancer_ports(self) -> frozenset[str]:
        """Ids of the ports that load balancers have on their hosts."""
        balancers = self.load_balancers.values()
        several = {port.port_id for balancer in balancers if balancer.ha for port in balancer.ha.ports}
        return frozenset(several | {balancer.vip.port_id for balancer in balancers if not balancer.ha})

    @cached_property
    def trunk_of(self) -> Mapping[str, Trunk]:
        """The trunk that a port is the parent or a sub-port of, by id of the port."""
        return by_port(self.trunks.values())

    @cached_property
    def ports_by_network(self) -> Mapping[str, tuple[Port, ...]]:
        """The known ports of each network, by network id."""
        grouped: dict[str, list[Port]] = {}
        for port in self.ports.values():
            grouped.setdefault(port.network_id, []).append(port)
        return {network: tuple(ports) for network, ports in grouped.items()}

    def ports_of(self, network_id: str) -> tuple[Port, ...]:
        """The known ports of one network."""
        return self.ports_by_network.get(network_id, ())

    def ports_on(self, host: str) -> tuple[Port, ...]:
        """The ports bound to a host."""
        return tuple(port for port in self.ports.values() if port.host == host)


def by_port(trunks: Iterable[Trunk]) -> dict[str, Trunk]:
    """Trunks by the ids of their parents and sub-ports."""
    return {port: trunk for trunk in trunks for port in (trunk.port_id, *(sub.port_id for sub in trunk.sub_ports))}
