"""A router that two hosts carry, on an overlay network: its guests elsewhere find the active host by themselves."""

from collections.abc import Iterator

import msgspec
import pytest

from netloom.feed.fragments import FixedIp, Port, Router
from tests.host.cluster import Cluster, Guest
from tests.host.netlab import eventually, root
from tests.unit.plan.hosts_world import HA_NETWORK, Hosts, router
from tests.unit.plan.switching_world import OUTSIDE_MAC, network, port

pytestmark = pytest.mark.skipif(not root(), reason="needs root")

CARRIERS = ("host1", "host2")
OVERLAY = msgspec.structs.replace(network(1, "vxlan", 5), mtu=1450)
ELECTIONS = msgspec.structs.replace(network(HA_NETWORK, "vxlan", 6), mtu=1450)
GATEWAY, GATEWAY6 = "10.8.0.254", "2001:db8:8::fe"


def guest_port(host: str) -> Port:
    number = int(host[-1])
    fixed = FixedIp("4", f"10.8.0.{number}"), FixedIp("6", f"2001:db8:8::{number}")
    return port(number, host=host, network_id=OVERLAY.id, fixed_ips=fixed, port_security=False)


class World:
    """Guests on host 1, beside the router, and on host 3, which carries none."""

    def __init__(self, cluster: Cluster, populated: bool) -> None:
        self.cluster = cluster
        cluster.build("host1", "host2", "host3")
        hosts = Hosts(dict.fromkeys(cluster.nodes, populated)).put(OVERLAY)
        shared = router(1, OVERLAY, f"{GATEWAY}/24", f"{GATEWAY6}/64")
        hosts.carry(shared, CARRIERS, ELECTIONS)
        for host in ("host1", "host3"):
            hosts.put(guest_port(host))
        hosts.tell()
        self.routers: dict[str, str] = {}
        for host in CARRIERS:  # the namespaces of all hosts are on one machine here
            fragments = hosts.worlds[host].fragments
            there = fragments.pop(shared.name)
            assert isinstance(there, Router)
            self.routers[host] = f"{cluster.lab.id}-{host}"
            hosts.worlds[host].put(msgspec.structs.replace(there, id=self.routers[host]))
        self.guests: dict[str, Guest] = {}
        for host, node in cluster.nodes.items():
            node.apply(hosts)
            if host != "host2":
                self.guests[host] = Guest(cluster, node, f"guest{host[-1]}")
                self.guests[host].plug(guest_port(host), "eth0", OVERLAY.mtu)
                node.apply(hosts)

    def active(self) -> list[str]:
        """Hosts that bear the router's addresses."""
        return [host for host in CARRIERS if GATEWAY in self.cluster.lab.ip("-n", self.namespace(host), "address")]

    def namespace(self, host: str) -> str:
        return f"qrouter-{self.routers[host]}"


@pytest.fixture(params=[True, False], ids=["populated", "learning"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with Cluster() as cluster:
        yield World(cluster, request.param)


def test_guests_find_the_active_host_before_and_after_a_failover(world: World) -> None:
    eventually(lambda: len(world.active()) == 1, "one of two is active")
    (first,) = world.active()
    (second,) = set(CARRIERS) - {first}
    for guest in world.guests.values():
        for address in (GATEWAY, GATEWAY6):
            eventually(lambda guest=guest, address=address: guest.pings(address), f"{address} answers", 5)
            told = guest.lab.ip("-n", guest.namespace, "neigh", "show", address)
            assert f"lladdr {OUTSIDE_MAC}" in told

    cut = world.cluster.nodes[first].switch
    cut.ip("link", "set", "u-br-phy", "down")
    eventually(lambda: second in world.active(), "the other one is active")
    far = world.guests["host3"]
    for address in (GATEWAY, GATEWAY6):
        eventually(lambda address=address: far.pings(address), f"{address} answers from the other host", 5)
    cut.ip("link", "set", "u-br-phy", "up")
    eventually(lambda: len(world.active()) == 1, "one of two is active again")
    for guest in world.guests.values():
        for address in (GATEWAY, GATEWAY6):
            eventually(lambda guest=guest, address=address: guest.pings(address), f"{address} answers again", 5)
