"""One card, several networks on a real host: tags inside, VLANs and tunnels outside, security groups on each."""

import threading
from collections.abc import Iterator
from dataclasses import replace

import msgspec
import pytest

from netloom.feed.fragments import FixedIp, Network, Port
from netloom.host.host import Host
from netloom.host.namespaces import inside
from netloom.state import Bridge, HostState, SwitchPort
from tests.host.cluster import Cluster, Guest, Node
from tests.host.netlab import eventually, root
from tests.host.tagged import ARP, IPV4, TaggedCard, own
from tests.unit.plan.hosts_world import Hosts
from tests.unit.plan.switching_world import network, port
from tests.unit.plan.trunk_world import (
    BRIDGE,
    CLOSED,
    FIRST,
    GROUPS,
    LAST,
    OPEN,
    PARENT,
    SSH,
    SUB_PORTS,
    network_of,
    sub_port,
    tag,
    trunk,
)

pytestmark = pytest.mark.skipif(not root(), reason="needs root")

OVERLAY = FIRST + 1
"""This one's network is a VXLAN."""
PEERS = 100
SILENCE = 0.3
"""Seconds within which nothing comes that does not come at all."""


def net(number: int) -> Network:
    """The network of a port."""
    plain = network_of(number)
    return network(_place(plain), "vxlan", 77) if number == OVERLAY else plain


def address(number: int) -> str:
    """10.NETWORK.0.NUMBER."""
    return f"10.{_place(net(number % PEERS))}.0.{number}"


def peer_of(number: int) -> int:
    """The guest of another host on the same network."""
    return number + PEERS


def _place(network: Network) -> int:
    return int(network.id[4:8], 16)


def mac(number: int) -> str:
    return port(number).mac


class World:
    """An instance behind a trunk on one host, and somebody in each of its networks on another."""

    def __init__(self, cluster: Cluster, driver: str) -> None:
        self.cluster, self.numbers = cluster, [*SUB_PORTS]
        cluster.build("host1", "host2")
        self.node, there = cluster.nodes["host1"], cluster.nodes["host2"]
        self.hosts = Hosts({"host1": True, "host2": True}).put(*map(net, (PARENT, *SUB_PORTS)))
        world = self.hosts.worlds["host1"]
        world.settings = replace(world.settings, firewall_driver=driver)
        world.put(OPEN, SSH, CLOSED, trunk(*self.numbers))
        self.parent = self._port(PARENT, "host1", port_security=False)
        self.hosts.put(self.parent, *(self._sub_port(n) for n in SUB_PORTS))
        peers = {n: self._port(peer_of(n), "host2", network_id=net(n).id, port_security=False) for n in self.all}
        self.hosts.put(*peers.values()).tell()
        self.instance, self.peer = Guest(cluster, self.node, "instance"), Guest(cluster, there, "peer")
        there.apply(self.hosts)
        self.node.apply(self.hosts)
        self.instance.plug(self.parent, "eth0", 1500, BRIDGE)
        for n, peer in peers.items():
            self.peer.plug(peer, f"n{n}", 1450)
        there.apply(self.hosts)
        self.desired = self.node.apply(self.hosts)

    @property
    def all(self) -> list[int]:
        return [PARENT, *SUB_PORTS]

    def _port(self, number: int, host: str, **changes: object) -> Port:
        fixed = (FixedIp("s", address(number)),)
        return port(number, host=host, fixed_ips=fixed, **changes)

    def _sub_port(self, number: int) -> Port:
        fixed = (FixedIp("s", address(number)),)
        return sub_port(number, GROUPS[number].id, network_id=net(number).id, fixed_ips=fixed)

    def card(self) -> TaggedCard:
        """The instance's side."""
        owns = {tag(n): own(mac(n), address(n)) for n in SUB_PORTS}
        return TaggedCard(self.instance.namespace, "eth0", owns)

    def wire(self) -> TaggedCard:
        """Listens outside, where the host's VLANs come in."""
        return TaggedCard(self.cluster.segment, "host1-br-eth1")

    def give(self, *numbers: int) -> HostState:
        """The trunk has these sub-ports from now on."""
        self.hosts.worlds["host1"].put(trunk(*numbers))
        return self.node.apply(self.hosts)


def vlans(wire: TaggedCard, source: str) -> set[int | None]:
    """The VLANs on which a MAC was heard."""
    return {frame.vlan for frame in wire.seen if frame.source == bytes.fromhex(source.replace(":", ""))}


@pytest.fixture(scope="module", params=["openvswitch", "iptables_hybrid"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with Cluster() as cluster:
        yield World(cluster, request.param)


def test_each_network_has_a_tag_inside_and_another_outside(world: World) -> None:
    with world.card() as card, world.wire() as wire:
        assert world.instance.pings(address(peer_of(PARENT)))
        for number in SUB_PORTS:
            assert card.pings(tag(number), address(peer_of(number))), number
        outside = {PARENT: {1001}, FIRST: {1002}, OVERLAY: set(), LAST - 1: {1004}}
        eventually(lambda: {n: vlans(wire, mac(n)) for n in outside} == outside, "the VLANs of the networks")
        came = {frame.vlan for frame in card.seen if frame.kind in (ARP, IPV4)}
        assert came == {None, *map(tag, SUB_PORTS)}


def test_security_groups_of_each_sub_port_hold_on_its_own_network(world: World) -> None:
    world.peer.lab.ip("-n", world.peer.namespace, "neigh", "flush", "all")
    with world.card() as card:
        assert world.peer.pings(address(PARENT))
        assert world.peer.pings(address(FIRST))
        for closed in (OVERLAY, LAST - 1):
            assert not world.peer.pings(address(closed), "-W", str(SILENCE))
        assert {frame.vlan for frame in card.seen if frame.echo == 8} == {None, tag(FIRST)}
        # All the same they were asked who they are, but for the overlay's, for whom the other host answers.
        assert {frame.vlan for frame in card.seen if frame.kind == ARP} >= {tag(FIRST), tag(LAST - 1)}


def test_nobody_hears_a_sub_port_that_lies_nor_a_tag_of_none(world: World) -> None:
    with world.card() as card, TaggedCard(world.peer.namespace, f"n{FIRST}") as first, world.wire() as wire:
        assert not card.pings(tag(FIRST), address(peer_of(FIRST)), mac="fa:16:3e:00:00:66", wait=SILENCE)
        assert not card.pings(tag(FIRST), address(peer_of(FIRST)), mac=mac(OVERLAY), wait=SILENCE)
        card.vlans[999] = card.vlans[1001] = card.vlans[2] = card.vlans[tag(FIRST)]
        for nobodys in (999, 1001, 2):
            assert not card.pings(nobodys, address(peer_of(FIRST)), wait=SILENCE)
        liar, honest = bytes.fromhex("fa163e000066"), bytes.fromhex(mac(FIRST).replace(":", ""))
        assert not [frame for frame in first.seen + wire.seen if frame.source in (liar, honest)]
        assert card.pings(tag(FIRST), address(peer_of(FIRST)))


def test_sub_ports_come_and_go_while_others_lose_nothing(world: World) -> None:
    lost, done, sent = [], threading.Event(), 0
    other = tag(OVERLAY), address(peer_of(OVERLAY))
    with world.card() as card:

        def talk() -> None:
            nonlocal sent
            while not done.is_set():
                sent += 1
                if not card.pings(tag(FIRST), address(peer_of(FIRST))):
                    lost.append(sent)

        talker = threading.Thread(target=talk)
        talker.start()
        try:
            for _ in range(3):
                world.give(FIRST, LAST - 1)
                eventually(lambda: not card.pings(*other, wait=0.1), "no answer")
                world.give(*SUB_PORTS)
                eventually(lambda: card.pings(*other, wait=SILENCE), "an answer")
        finally:
            done.set()
            talker.join()
    assert sent > 20
    assert lost == []


def test_an_agent_that_starts_anew_finds_all_its_own_and_changes_nothing(world: World) -> None:
    node = world.node
    before = _traces(node)
    with inside(node.namespace):
        node.host.close()
        node.host = Host(node.layout)
        observed = node.host.observe()
    desired = node.apply(world.hosts)
    assert not desired.changes(Bridge, observed)
    assert not desired.changes(SwitchPort, observed)
    assert _traces(node) == before


def _traces(node: Node) -> tuple[str, list[str]]:
    """What would show that something was written: the database's counter, and flows that are younger."""
    flows = [node.switch.ofctl("dump-flows", bridge, "--no-stats") for bridge in ("br-int", BRIDGE)]
    return node.switch.vsctl("get", "Open_vSwitch", ".", "next_cfg"), flows


def test_a_sub_port_that_is_down_is_silent_and_comes_back(world: World) -> None:
    up = world.hosts.worlds["host1"].fragments[f"port/{sub_port(FIRST).id}"]
    first = tag(FIRST), address(peer_of(FIRST))
    with world.card() as card:
        world.hosts.put(msgspec.structs.replace(up, admin_state_up=False))
        world.node.apply(world.hosts)
        eventually(lambda: not card.pings(*first, wait=SILENCE), "no answer")
        assert card.pings(tag(OVERLAY), address(peer_of(OVERLAY)))
        world.hosts.put(up)
        world.node.apply(world.hosts)
        eventually(lambda: card.pings(*first, wait=SILENCE), "an answer")


def test_all_of_it_goes_with_the_card_and_comes_back_with_it(world: World) -> None:
    switch, tap = world.node.switch, f"tap{world.parent.id[:11]}"
    switch.vsctl("del-port", BRIDGE, tap)
    world.node.apply(world.hosts)
    assert BRIDGE in switch.vsctl("list-br").split()  # somebody else made it
    assert not switch.vsctl("list-ports", BRIDGE)
    switch.vsctl("del-br", BRIDGE)
    world.node.apply(world.hosts)
    assert not [p for p in switch.vsctl("list-ports", "br-int").split() if p.startswith(("tpi-", "spi-"))]
    world.instance.connect(world.parent, BRIDGE)
    world.node.apply(world.hosts)
    with world.card() as card:
        for number in SUB_PORTS:
            answered = tag(number), address(peer_of(number))
            eventually(lambda answered=answered: card.pings(*answered, wait=SILENCE), "an answer")


def test_the_bridge_may_go_under_the_agents_hands(world: World) -> None:
    """Last: the other tests need it. So does os-vif when an instance goes."""
    world.node.switch.vsctl("del-br", BRIDGE)
    world.node.apply(world.hosts)
    left = world.node.switch.vsctl("list-ports", "br-int").split()
    assert not [port for port in left if port.startswith(("tpi-", "spi-"))]
