"""Next hops of tunnels are known to the switch before any packet needs them."""

from collections.abc import Iterator

import pytest

from netloom.host.namespaces import inside
from netloom.host.underlay import Underlay
from netloom.state import HostState, SwitchPort
from tests.host.cluster import Cluster, Node
from tests.host.netlab import eventually, root
from tests.unit.plan.hosts_world import Hosts, address_of
from tests.unit.plan.switching_world import network, port

pytestmark = pytest.mark.skipif(not root(), reason="needs root")

OVERLAY = network(1, "vxlan", 5)
BOTH = {"host1": True, "host2": True}


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster() as made:
        made.build(*BOTH)
        yield made


def told() -> Hosts:
    """Two hosts that share a network, with nobody on it who could say anything."""
    return Hosts(BOTH).put(OVERLAY, *(port(int(h[-1]), host=h, network_id=OVERLAY.id) for h in BOTH)).tell()


def knows(node: Node, peer: str) -> bool:
    """Whether the switch would send a packet to the peer at once."""
    return address_of(peer) in node.appctl("tnl/neigh/show")


def test_the_switch_knows_the_peers_of_new_tunnels_and_after_it_died(cluster: Cluster) -> None:
    hosts, (one, two) = told(), cluster.nodes.values()
    one.apply(hosts)
    eventually(lambda: knows(one, "host2"), "the peer of a new tunnel")
    two.apply(hosts)
    eventually(lambda: knows(two, "host1"), "the peer of a new tunnel")

    one.switch.kill("ovs-vswitchd")
    one.switch.vswitch.start()
    assert not knows(one, "host2")
    one.apply(hosts)
    eventually(lambda: knows(one, "host2"), "the peer, again")


def test_who_comes_late_is_known_to_those_who_asked_before(cluster: Cluster) -> None:
    hosts, (one, two) = told(), cluster.nodes.values()
    two.switch.ip("link", "set", "br-phy", "down")
    one.apply(hosts)
    two.switch.ip("link", "set", "br-phy", "up")
    assert not knows(one, "host2")
    two.apply(hosts)
    eventually(lambda: knows(one, "host2"), "the one that came late")


@pytest.mark.parametrize("kernel_knows", [True, False])
def test_what_the_kernel_knows_is_asked_for_again(cluster: Cluster, kernel_knows: bool) -> None:
    one = cluster.nodes["host1"]
    desired = one.apply(told())
    eventually(lambda: knows(one, "host2"), "the peer")
    for command in ("tnl/neigh/flush", "revalidator/purge"):
        one.appctl(command)
    if not kernel_knows:
        one.switch.ip("neigh", "flush", "all")
    assert not knows(one, "host2")
    with inside(one.namespace):
        Underlay().prepare(desired, switch=1)
    eventually(lambda: knows(one, "host2"), "the peer, again")


def test_a_peer_that_cannot_be_reached_is_no_failure(cluster: Cluster) -> None:
    one = cluster.nodes["host1"]
    strange = [("remote_ip", address) for address in ("198.51.100.1", "2001:db8::1", address_of("host1"))]
    ports = (SwitchPort(bridge="br-tun", name=f"t{n}", options=(pair,)) for n, pair in enumerate(strange))
    with inside(one.namespace):
        Underlay().prepare(HostState(ports), switch=1)
