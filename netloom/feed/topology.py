"""The facts that slices follow from, in memory: found by host, network and router, and kept up to date.

So no change needs more statements than reading the rows that it names, however many hosts are connected.
"""

from collections.abc import Collection, Mapping
from itertools import chain
from typing import Any, NamedTuple

from netloom.feed import facts
from netloom.feed.facts import Balanced, Carried, Facts, Port
from netloom.feed.indexed import NOTHING, Indexed
from netloom.model.owners import HA_PORT
from netloom.store.database import Tx

Differing = Mapping[str, Collection[str]]
"""Ids by kind of what is not as it was."""


class Touched(NamedTuple):
    """What a change may concern."""

    hosts: set[str]
    """Whose slices may have other names now."""
    names: set[str]
    """Of fragments with possibly other contents."""


class Overlay(NamedTuple):
    """An overlay network as other hosts see it."""

    neighbours: frozenset[str]
    """Names of the fragments of its ports."""
    places: frozenset[str]
    """Hosts where those are."""


class Topology:
    """Who is where, as of the last ``load`` or ``refresh``."""

    def __init__(self) -> None:
        self.ports: Indexed[Port] = Indexed(
            host=lambda port: (port.host,),
            network=lambda port: (port.network,),
            router=lambda port: (port.router,),
            group=lambda port: port.groups,
        )
        self.networks: Indexed[bool] = Indexed()
        """Whether it is an overlay."""
        self.dhcp: Indexed[frozenset[str]] = Indexed(host=lambda hosts: hosts)
        self.routers: Indexed[Carried] = Indexed(host=lambda carried: carried.hosts)
        self.remotes: Indexed[frozenset[str]] = Indexed()
        self.servers: Indexed[str] = Indexed(host=lambda host: (host,))
        self.balancers: Indexed[Balanced] = Indexed(
            host=lambda balanced: balanced.hosts,
            port=lambda balanced: balanced.ports,
            network=lambda balanced: (balanced.network,),
        )
        tables = (self.ports, self.networks, self.dhcp, self.routers, self.remotes, self.servers, self.balancers)
        self._tables: Mapping[str, Indexed[Any]] = dict(zip(facts.KINDS, tables, strict=True))
        self._overlays: dict[str, Overlay | None] = {}

    def load(self, tx: Tx) -> None:
        """Read all facts, for a new topology; 8 statements."""
        found = facts.read(tx)
        for kind, table in self._tables.items():
            table.take(found.of(kind), found.of(kind))

    def refresh(self, tx: Tx, changed: Collection[tuple[str, str]]) -> Touched:
        """Read again what changes (kind and id) are about; 8 statements at most."""
        ids = _by_kind(changed)
        hosts = ids.get("host", set())
        for kind in facts.BOUND:
            # What is gone from a host is found by what it had.
            bound = set().union(*(self._tables[kind].ids("host", host) for host in hosts))
            ids[kind] = ids.get(kind, set()) | bound
        # A group matters from its first member on, and that changes the addresses that it stands for.
        ids["security_group"] = ids.get("security_group", set()) | ids.get("addresses", set())
        found = facts.read(tx, ids, hosts)
        differing = {kind: table.differing(found.of(kind), ids.get(kind, ())) for kind, table in self._tables.items()}
        ports = ids.get("port", set())
        before = self._touched(differing, ports)
        self._take(found, differing)
        after = self._touched(differing, ports)
        named = {f"{kind}/{object_id}" for kind, object_id in changed}
        # Which subnets have no router is said by the servers of DHCP.
        named |= {f"dhcp/{network}" for network in ids.get("network", ())}
        # The VIP of a balancer has the MTU of its network.
        balanced = (self.balancers.ids("network", network) for network in ids.get("network", ()))
        named |= {f"loadbalancer/{balancer}" for balancer in chain.from_iterable(balanced)}
        return Touched(before.hosts | after.hosts, named | before.names | after.names)

    def places(self, port: Port) -> frozenset[str]:
        """Hosts where a port is: of a highly available router, each that carries it."""
        if not port.wired:
            return NOTHING
        carried = self.routers.values.get(port.router)
        if carried is not None and carried.ha and port.owner != HA_PORT:
            return carried.hosts
        return frozenset((port.host,))

    def overlay(self, network: str) -> Overlay | None:
        """A network as other hosts see it; None when it is no overlay."""
        if network not in self._overlays:
            seen = None
            if self.networks.values.get(network):
                wired = [(port.neighbour, self.places(port)) for port in self.ports.find("network", network)]
                seen = Overlay(
                    frozenset(name for name, places in wired if places), NOTHING.union(*(each for _, each in wired))
                )
            self._overlays[network] = seen
        return self._overlays[network]

    def _take(self, found: Facts, differing: Differing) -> None:
        stale = self._networks(differing)
        for kind, table in self._tables.items():
            table.take(found.of(kind), differing[kind])
        for network in stale | self._networks(differing):
            self._overlays.pop(network, None)

    def _networks(self, differing: Differing) -> set[str]:
        """Networks whose ports, or whose ports' places, differ."""
        ports = [self.ports.values[each] for each in differing["port"] if each in self.ports.values]
        routed = chain.from_iterable(self.ports.find("router", router) for router in differing["router"])
        return {port.network for port in chain(ports, routed)} | set(differing["network"])

    def _touched(self, differing: Differing, ports: Collection[str]) -> Touched:
        """What depends on the differing facts as they are now, and on ports whose contents may differ."""
        return Touched(self._hosts(differing), self._names(differing, ports))

    def _hosts(self, differing: Differing) -> set[str]:
        values = self.ports.values
        ports = [values[each] for each in differing["port"] if each in values]
        hosts = {port.host for port in ports}
        for router in {port.router for port in ports} | set(differing["router"]):
            hosts |= self._carrying(router)
        for network in {port.network for port in ports}:
            hosts |= self._serving(network)
        for network in self._networks(differing):
            seen = self.overlay(network)
            hosts |= seen.places if seen is not None else NOTHING
        for network in differing["dhcp"]:
            hosts |= self.dhcp.values.get(network, NOTHING)
        for group in differing["security_group"]:
            hosts |= {port.host for port in self.ports.find("group", group)}
        for balancer in differing["loadbalancer"]:
            hosts |= self.balancers.values[balancer].hosts if balancer in self.balancers.values else NOTHING
        return hosts | {self.servers.values.get(server, "") for server in differing["server"]}

    def _names(self, differing: Differing, ports: Collection[str]) -> set[str]:
        """Names of fragments that say what these facts are, or something that follows from them."""
        known = [self.ports.values[each] for each in ports if each in self.ports.values]
        names = {f"neighbour/{each}" for each in ports}
        names |= {f"router/{port.router}" for port in known if port.owner == HA_PORT}
        names |= {f"loadbalancer/{each}" for port in ports for each in self.balancers.ids("port", port)}
        for network in {port.network for port in known}:
            # Which address of a pair a port alone may have depends on the others.
            names |= {port.neighbour for port in self.ports.find("network", network) if port.paired}
        for router in differing["router"]:
            names |= {port.neighbour for port in self.ports.find("router", router)}
        for network in differing["network"]:
            names |= {port.neighbour for port in self.ports.find("network", network)}
        return names

    def _carrying(self, router: str) -> frozenset[str]:
        return self.routers.values.get(router, Carried()).hosts

    def _serving(self, network: str) -> frozenset[str]:
        """Hosts that answer for every port of a network."""
        routers = {port.router for port in self.ports.find("network", network) if port.router}
        return self.dhcp.values.get(network, NOTHING).union(*map(self._carrying, routers))


def _by_kind(changed: Collection[tuple[str, str]]) -> dict[str, set[str]]:
    ids: dict[str, set[str]] = {}
    for kind, object_id in changed:
        ids.setdefault(kind, set()).add(object_id)
    return ids
