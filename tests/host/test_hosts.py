"""Networks of every type on three real hosts at once: what planned flows do to real packets."""

from collections.abc import Iterator

import msgspec
import pytest

from netloom.feed.fragments import FixedIp, Network, Port
from netloom.host.namespaces import inside
from netloom.host.openflow import cookie
from netloom.rules import mtu
from netloom.settings.network import NetworkSettings
from netloom.state import Bridge, Flow, SwitchPort
from tests.host.cluster import Cluster, Guest
from tests.host.netlab import eventually, root
from tests.unit.plan.hosts_world import Hosts, address_of
from tests.unit.plan.switching_world import network, port

pytestmark = pytest.mark.skipif(not root(), reason="needs root")

KINDS = ("vxlan", "gre", "geneve", "vlan", "flat")
POPULATED = {"host1": True, "host2": True, "host3": False}


def sized(number: int, kind: str) -> Network:
    """Network ``number`` of a type with the MTU that the API computes for it."""
    plain = network(number, kind)
    most = mtu.effective(NetworkSettings(), 0, kind, plain.physical_network)
    return msgspec.structs.replace(plain, mtu=most)


NETWORKS = {kind: sized(number, kind) for number, kind in enumerate(KINDS, 1)}


def port_of(host: str, kind: str) -> Port:
    """The port of a host's guest in the network of a type."""
    which, place = NETWORKS[kind], int(host[-1])
    number = 16 * (1 + KINDS.index(kind)) + place
    fixed = FixedIp("4", address(host, kind)), FixedIp("6", address(host, kind, six=True))
    return port(number, network_id=which.id, host=host, fixed_ips=fixed, port_security=False)


def address(host: str, kind: str, *, six: bool = False) -> str:
    net, place = KINDS.index(kind), int(host[-1])
    return f"2001:db8:{net}::{place}" if six else f"10.7.{net}.{place}"


class World:
    """A guest on each host, with a card in every network."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        cluster.build(*POPULATED)
        self.hosts = Hosts(POPULATED).put(*NETWORKS.values())
        for host in POPULATED:
            self.hosts.put(*(port_of(host, kind) for kind in KINDS))
        self.hosts.tell()
        for node in cluster.nodes.values():  # br-int is there before anybody plugs
            node.apply(self.hosts)
        self.guests = {host: Guest(cluster, node, f"guest{host[-1]}") for host, node in cluster.nodes.items()}
        for host, guest in self.guests.items():
            for kind in KINDS:
                guest.plug(port_of(host, kind), kind, NETWORKS[kind].mtu)
        self.desired = {host: node.apply(self.hosts) for host, node in cluster.nodes.items()}


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with Cluster() as cluster:
        yield World(cluster)


def test_the_first_packet_arrives(world: World) -> None:
    """One ping each, and nobody has spoken before: no tunnel's end is asked for only then."""
    for a, b in (("host1", "host2"), ("host2", "host3"), ("host3", "host1")):
        for kind in KINDS:
            assert world.guests[a].pings(address(b, kind)), (a, b, kind)
            assert world.guests[a].pings(address(b, kind, six=True)), (a, b, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_packet_of_full_mtu_passes_whole_and_a_larger_one_does_not_leave(world: World, kind: str) -> None:
    most = NETWORKS[kind].mtu
    for a, b in (("host1", "host2"), ("host2", "host3")):
        guest = world.guests[a]
        assert guest.pings(address(b, kind), "-M", "do", "-s", str(most - 28))
        assert guest.pings(address(b, kind, six=True), "-M", "do", "-s", str(most - 48))
        assert not guest.pings(address(b, kind), "-M", "do", "-W", "0.1", "-s", str(most - 27))


@pytest.mark.parametrize("kind", KINDS)
def test_tcp_carries_much(world: World, kind: str) -> None:
    assert world.guests["host1"].greets(world.guests["host2"], address("host2", kind))
    assert world.guests["host3"].greets(world.guests["host1"], address("host1", kind))


def test_known_neighbours_are_not_looked_for_on_other_hosts(world: World) -> None:
    one, third = world.guests["host1"], world.cluster.nodes["host3"]
    tunnels = [f"{kind}-c0000201" for kind in ("vxlan", "gre", "geneve")]

    def quiet() -> bool:
        before = [third.arrived(tunnel) for tunnel in tunnels]
        one.lab.ip("-n", one.namespace, "neigh", "flush", "all")
        for kind in ("vxlan", "gre", "geneve"):
            assert one.pings(address("host2", kind))
            assert one.pings(address("host2", kind, six=True))
        return [third.arrived(tunnel) for tunnel in tunnels] == before

    eventually(quiet, "nothing arrives, but for what guests say by themselves now and then")
    before = third.arrived(tunnels[0])
    # An address that nobody has is asked for everywhere.
    assert not one.pings("10.7.0.99")
    assert third.arrived(tunnels[0]) > before


def test_a_mac_of_intent_is_told_by_its_own_host(world: World) -> None:
    """The answer bears the MAC of the port, in both families."""
    one = world.guests["host1"]
    wanted = port_of("host2", "geneve").mac
    for six in (False, True):
        one.lab.ip("-n", one.namespace, "neigh", "flush", "all")
        assert one.pings(address("host2", "geneve", six=six))
        assert f"lladdr {wanted}" in one.lab.ip(
            "-n", one.namespace, "neigh", "show", address("host2", "geneve", six=six)
        )


def test_what_was_applied_is_there_and_nothing_is_left_to_do(world: World) -> None:
    for host, node in world.cluster.nodes.items():
        desired = world.desired[host]
        with inside(node.namespace):
            observed = node.host.observe()
        assert not desired.changes(Bridge, observed)
        assert not desired.changes(SwitchPort, observed)
        flows = [flow for flow in desired.of(Flow).values() if flow.bridge == "br-tun"]
        ports = node.switch.db.ofports("br-tun")
        assert node.switch.flows.observe(["br-tun"])["br-tun"] == {cookie(flow, ports) for flow in flows}


def test_a_tunnel_goes_with_the_last_network_that_two_hosts_share(world: World) -> None:
    """Last: the other tests need it."""
    alone = Hosts(POPULATED).put(*NETWORKS.values())
    for host in ("host1", "host2"):
        alone.put(*(port_of(host, kind) for kind in KINDS))
    alone.put(port_of("host3", "gre")).tell()
    node = world.cluster.nodes["host1"]
    node.apply(alone)
    third = f"c00002{3:02x}"
    assert address_of("host3").endswith(".3")
    ports = set(node.switch.vsctl("list-ports", "br-tun").split())
    assert {port for port in ports if port.endswith(third)} == {f"gre-{third}"}
    assert world.guests["host1"].pings(address("host2", "vxlan"))
