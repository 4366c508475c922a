"""Several hosts whose planned flows are joined by tunnels and a wire: packets walk from one to the other."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from netloom.feed.fragments import HaGroup, HaPort, Neighbour, Network, Port, Router, RouterPort, TunnelPeer
from netloom.plan.packet import Packet
from netloom.plan.pipeline import FROM_TUNNEL
from netloom.plan.simulate import Switch
from netloom.state import SwitchPort
from tests.unit.plan.switching_world import OUTSIDE_MAC, SETTINGS, WIRE, World, id_of

TYPES = tuple(sorted(FROM_TUNNEL))
HA_NETWORK = 90
FLAT_WIRE = "eth2"
"""Of br-ex."""


def address_of(host: str) -> str:
    """This host's end of the tunnels: of host3, 192.0.2.3."""
    return f"192.0.2.{host.removeprefix('host')}"


class Hosts:
    """What the server would tell each of some hosts, and the switches that follow from it."""

    def __init__(self, populated: Mapping[str, bool]) -> None:
        """``populated``: whether each host, ``host1`` and so on, has l2population."""
        self.worlds = {
            host: World(
                settings=replace(
                    SETTINGS, host=host, local_ip=address_of(host), tunnel_types=TYPES, l2_population=population
                )
            )
            for host, population in populated.items()
        }
        self._switches: dict[str, Switch] = {}
        self._tunnels: dict[tuple[str, str], tuple[str, str]] = {}
        self.crossed: Counter[tuple[str, str]] = Counter()
        """Frames that went from host to host through tunnels."""

    def put(self, *fragments: Network | Port) -> "Hosts":
        """Networks to all hosts; ports to their own."""
        for fragment in fragments:
            for world in [self.worlds[fragment.host]] if isinstance(fragment, Port) else self.worlds.values():
                world.put(fragment)
        return self

    def carry(self, router: Router, hosts: Iterable[str], network: Network) -> "Hosts":
        """A router with a host for each of the HA network's ports."""
        ports = tuple(
            HaPort(host, id_of(0x4A, n), f"fa:16:3e:4a:00:{n:02x}", f"169.254.192.{n}/18")
            for n, host in enumerate(hosts, 1)
        )
        group = HaGroup(network.id, network.mtu, 1, ports)
        fields = {name: getattr(router, name) for name in router.__struct_fields__}
        shared = Router(**fields | {"ha": group})
        for port in ports:
            self.worlds[port.host].put(shared, network)
        return self

    def tell(self) -> "Hosts":
        """Tell all hosts of each other, as the server does."""
        where = [(p.network_id, p.id, p.mac, [ip.address for ip in p.fixed_ips], {h}) for h, p in self._ports()]
        routers = {router.id: (router, self._carriers(router.id)) for router in self._routers()}
        for router, carriers in routers.values():
            for port in router.interfaces:
                addresses = [cidr.split("/")[0] for cidr in port.addresses]
                where.append((port.network_id, port.port_id, port.mac, addresses, carriers))
            for elector in router.ha.ports if router.ha else ():
                address = elector.address.split("/")[0]
                where.append((router.ha.network_id, elector.port_id, elector.mac, [address], {elector.host}))
        for network_id, port_id, mac, addresses, carriers in where:
            sharing = {host for there, *_, hosts in where for host in hosts if there == network_id}
            told = Neighbour(port_id, network_id, mac, tuple(addresses), tuple(sorted(carriers)))
            for host in sharing:
                if carriers - {host}:
                    self.worlds[host].put(told, *(TunnelPeer(h, address_of(h), TYPES) for h in sharing - {host}))
        return self

    def plug(self) -> "Hosts":
        """Tell all hosts of each other, and start their switches."""
        self.tell()
        for host, world in self.worlds.items():
            state = world.plan()
            state.add(SwitchPort(bridge="br-ex", name=FLAT_WIRE))
            self._switches[host] = Switch(state)
            for port in state.of(SwitchPort).values():
                if port.kind in TYPES:
                    remote = "host" + dict(port.options)["remote_ip"].rpartition(".")[2]
                    self._tunnels[host, port.name] = (remote, f"{port.kind}-c00002{int(host[4:]):02x}")
        return self

    def _ports(self) -> list[tuple[str, Port]]:
        return [(h, f) for h, world in self.worlds.items() for f in world.fragments.values() if isinstance(f, Port)]

    def _routers(self) -> list[Router]:
        return [f for world in self.worlds.values() for f in world.fragments.values() if isinstance(f, Router)]

    def _carriers(self, router: str) -> set[str]:
        return {host for host, world in self.worlds.items() if f"router/{router}" in world.fragments}

    def send(self, host: str, device: str, packet: Packet) -> list[tuple[str, str, Packet]]:
        """Put a frame in; (host, device, frame) of all that come out at a device, in order."""
        came_out: list[tuple[str, str, Packet]] = []
        underway = [(host, device, packet)]
        while underway:
            here, in_port, frame = underway.pop(0)
            for output in self._switches[here].send(in_port, frame).outputs:
                if output.port in (WIRE, FLAT_WIRE):
                    underway += [(other, output.port, output.packet) for other in self.worlds if other != here]
                elif (here, output.port) in self._tunnels:
                    there, port = self._tunnels[here, output.port]
                    self.crossed[here, there] += 1
                    underway.append((there, port, output.packet))
                elif not output.port.startswith("br-"):
                    came_out.append((here, output.port, output.packet))
        return came_out


def router(number: int, network: Network, *addresses: str) -> Router:
    """A router with one interface."""
    port = RouterPort(id_of(0x40, number), network.id, OUTSIDE_MAC, network.mtu, addresses, ("s",) * len(addresses))
    return Router(id_of(0x41, number), "demo", True, True, (port,), None, (), (), ())
