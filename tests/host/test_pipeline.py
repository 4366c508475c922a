"""Planned flows in a real ovs-vswitchd (dummy datapath, no root): each is accepted, and packets go as simulated."""

import os
import random
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from netloom.feed.fragments import FixedIp, Neighbour, TunnelPeer
from netloom.plan.packet import CT_STATES, Packet
from netloom.plan.simulate import Switch
from netloom.state import Bridge, Flow, HostState, SwitchPort
from tests.host.switch import eventually
from tests.unit.plan.switching_world import (
    BROADCAST,
    EGRESS_ALL,
    ICMP,
    ICMP6,
    OUTSIDE_MAC,
    SETTINGS,
    TCP,
    UDP,
    VRRP,
    WIRE,
    World,
    between,
    group,
    id_of,
    link_local,
    network,
    pair,
    port,
    rule,
    tap,
)
from tests.unit.plan.test_reachability import random_cloud, random_packets
from tests.unit.plan.trunk_world import BRIDGE, PARENT, SUB_PORTS, network_of, tag
from tests.unit.plan.trunk_world import cloud as trunk_cloud

MEMBERS = id_of(0xADD, 1), id_of(0xADD, 2)
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"


class DummySwitch:
    """ovs-vswitchd without devices: all ports are dummies."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.datapath_ports: dict[str, str] = {}

    def start(self) -> None:
        """Start the daemons."""
        home = self.home
        run("ovsdb-tool", "create", str(home / "conf.db"), SCHEMA)
        self._start("ovsdb-server", str(home / "conf.db"), f"--remote=punix:{home}/db.sock")
        self.vsctl("--no-wait", "init")
        self._start(
            "ovs-vswitchd",
            f"unix:{home}/db.sock",
            "--enable-dummy=override",
            "--disable-system",
            "--disable-system-route",
        )

    def _start(self, daemon: str, *arguments: str) -> None:
        files = [f"--pidfile={self.home}/{daemon}.pid", f"--unixctl={self.home}/{daemon}.ctl"]
        run(
            daemon,
            *arguments,
            *files,
            f"--log-file={self.home}/{daemon}.log",
            "--detach",
            "--no-chdir",
            rundir=self.home,
        )

    def vsctl(self, *arguments: str) -> str:
        return run("ovs-vsctl", f"--db=unix:{self.home}/db.sock", *arguments)

    def appctl(self, *arguments: str) -> str:
        return run("ovs-appctl", "-t", f"{self.home}/ovs-vswitchd.ctl", *arguments)

    def load(self, state: HostState) -> None:
        """Bridges, ports and flows of a plan."""
        names = {port.bridge for port in state.of(SwitchPort).values()} | {b.name for b in state.of(Bridge).values()}
        words: list[str] = []
        for name in sorted(names):
            words += ["--", "add-br", name, "--", "set", "bridge", name, "datapath_type=dummy", "fail_mode=secure"]
            words += ["protocols=OpenFlow14"]
        for p in state.of(SwitchPort).values():
            words += ["--", "add-port", p.bridge, p.name, *([f"tag={p.tag}"] if p.tag is not None else [])]
            words += ["--", "set", "interface", p.name, f"type={p.kind or 'dummy'}"]
            words += [f"options:{key}={value}" for key, value in p.options]
        self.vsctl(*words[1:])
        self.replace_flows(state)
        found = re.findall(r"^\s+(\S+) \d+/(\d+): ", self.appctl("dpif/show"), re.MULTILINE)
        self.datapath_ports = {number: name for name, number in found}

    def replace_flows(self, state: HostState) -> None:
        """Each bridge has exactly these flows, all at once."""
        for name in {flow.bridge for flow in state.of(Flow).values()}:
            flows = [flow for flow in state.of(Flow).values() if flow.bridge == name]
            text = "".join(f"cookie={f.cookie:#x},{str(f).removeprefix(f'flow {name} ')}\n" for f in flows)
            self.ofctl("--bundle", "replace-flows", name, "-", text=text)
            assert f"flow_count={len(flows)}" in self.ofctl("dump-aggregate", name)
        self.appctl("revalidator/wait")

    def ofctl(self, *arguments: str, text: str | None = None) -> str:
        *options, command, bridge, file = [*arguments, ""] if text is None else arguments
        bridge = f"unix:{self.home}/{bridge}.mgmt"
        return run("ovs-ofctl", "-O", "OpenFlow14", *options, command, bridge, *filter(None, [file]), text=text)

    def counters(self) -> dict[str, tuple[int, int]]:
        """Packets that came in and went out by each port of br-int."""
        text = self.ofctl("--names", "dump-ports", "br-int")
        found = re.findall(r'port +"?([\w.-]+)"?: rx pkts=(\d+).*\n +tx pkts=(\d+)', text)
        return {name: (int(received), int(sent)) for name, received, sent in found}

    def inject(self, in_port: str, packet: Packet) -> set[str]:
        """Put a UDP packet in; the ports that it left by."""
        ends = f"eth(src={packet.dl_src},dst={packet.dl_dst}),eth_type(0x800)"
        ip = f"ipv4(src={packet.src},dst={packet.dst},proto=17,tos=0,ttl=64,frag=no)"
        udp = f"udp(src={packet.sport},dst={packet.dport})"
        before = self.counters()
        self.appctl("netdev-dummy/receive", in_port, f"in_port(1),{ends},{ip},{udp}")
        eventually(lambda: self.counters()[in_port][0] > before[in_port][0])
        return {name for name, (_, sent) in self.counters().items() if sent > before[name][1]}

    def trace(self, bridge: str, in_port: str, packet: Packet, states: list[int]) -> set[str]:
        """Ports that a packet leaves by, when connection tracking answers so."""
        nexts: list[str] = []
        for state in states:
            nexts += ["--ct-next", ",".join(name for name, bit in CT_STATES.items() if state & bit)]
        text = self.appctl("ofproto/trace", bridge, f"in_port={in_port},{packet.trace_text()}", *nexts)
        actions = ",".join(re.findall(r"^Datapath actions: (.*)$", text, re.MULTILINE))
        while re.search(r"\w+\([^()]*\)", actions):
            actions = re.sub(r"clone\(([^()]*)\)", r"\1", actions)
            actions = re.sub(r"\b(?!clone\b)\w+\([^()]*\)", "", actions)
        return {self.datapath_ports[number] for number in re.findall(r"\b\d+\b", actions)}

    def stop(self) -> None:
        for daemon in ("ovs-vswitchd", "ovsdb-server"):
            control = self.home / f"{daemon}.ctl"
            if control.exists():
                run("ovs-appctl", "-t", str(control), "exit")


def run(*argv: str, text: str | None = None, rundir: Path | None = None) -> str:
    environment = os.environ | ({"OVS_RUNDIR": str(rundir)} if rundir else {})
    done = subprocess.run(argv, input=text, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, f"{' '.join(argv[:6])}: {done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def dummy() -> Iterator[DummySwitch]:
    """A running dummy switch with the plan of ``cloud``."""
    with running() as switch:
        switch.load(cloud().plan())
        yield switch


@pytest.fixture
def another() -> Iterator[DummySwitch]:
    """A running dummy switch without a plan."""
    with running() as switch:
        yield switch


@contextmanager
def running() -> Iterator[DummySwitch]:
    with tempfile.TemporaryDirectory(prefix="nltest-") as home:
        switch = DummySwitch(Path(home))
        try:
            switch.start()
            yield switch
        finally:
            switch.stop()


def cloud() -> World:
    """Guests of every kind: 1 open, 2 and 3 by rules, 4 stateless, 5 without port security, 6 down, 7 elsewhere."""
    everything = group(1, *EGRESS_ALL)
    ruled = group(
        2,
        rule(protocol=TCP, first=22, last=22),
        rule(protocol=TCP, first=8000, last=8999, remote=MEMBERS[0]),
        rule(version=6, protocol=UDP, first=1000, last=2000, remote=MEMBERS[1]),
        rule(protocol=ICMP, first=8, last=0),
        rule(version=6, protocol=ICMP6, first=128),
        rule("egress", protocol=UDP, prefix="10.0.0.0/30"),
    )
    also = group(3, rule(protocol=VRRP), rule(protocol=132, first=5, last=6), rule(protocol=UDP, remote=MEMBERS[1]))
    stateless = group(
        4, *EGRESS_ALL, rule(protocol=TCP), rule(protocol=UDP, first=53, remote=MEMBERS[0], last=53), stateful=False
    )
    pairs = (pair("10.0.9.0/24", "fa:16:3e:00:00:55"), pair("2001:db8:9::/64", port(3).mac))
    overlay = network(2, "vxlan", 77)
    return (
        World(settings=SETTINGS)
        .put(network(), overlay, network(3, "flat"), everything, ruled, also, stateless)
        .put(port(1, [everything.id]), port(2, [ruled.id]), port(3, [ruled.id, also.id], address_pairs=pairs))
        .put(port(4, [stateless.id]), port(5, port_security=False), port(6, admin_state_up=False))
        .put(TunnelPeer("host2", "192.0.2.2", ("vxlan",)))
        .put(Neighbour("remote", overlay.id, OUTSIDE_MAC, ("10.0.0.9",), ("host2",)))
        .put(port(7, [everything.id], network_id=overlay.id), port(8, network_id=network(3).id, port_security=False))
        .members(MEMBERS[0], "10.0.0.1", "10.0.0.4", "2001:db8::1")
        .members(MEMBERS[1], "10.0.0.0/29", "2001:db8::/125")
    )


def packets() -> Iterator[tuple[int, Packet]]:
    """(sender, packet): everybody to everybody with everything, truths and lies."""
    kinds = [(TCP, 22), (TCP, 8500), (TCP, 9000), (UDP, 53), (UDP, 1500), (ICMP, 8), (VRRP, 0), (132, 5)]
    for a, b in product(range(1, 9), range(1, 9)):
        if a != b:
            yield from ((a, between(a, b, protocol, dport)) for protocol, dport in kinds)
            yield a, between(a, b, ICMP6, 128, six=True)
            yield a, between(a, b, UDP, 1500, six=True)
    for a in range(1, 9):
        me, first = port(a), port(a).fixed_ips[0].address
        arp = Packet(dl_src=me.mac, dl_dst=BROADCAST, src=first, dst="10.0.0.2")
        yield from ((a, arp), (a, replace(arp, src="10.0.0.99")), (a, replace(arp, dl_dst=port(1).mac)))
        advertise = Packet(
            dl_src=me.mac,
            dl_dst="33:33:00:00:00:01",
            src=link_local(a),
            dst="ff02::1",
            protocol=ICMP6,
            sport=136,
            target=me.fixed_ips[1].address,
        )
        yield from (
            (a, advertise),
            (a, replace(advertise, target="2001:db8::99")),
            (a, replace(advertise, dl_src=OUTSIDE_MAC)),
        )
        yield from ((a, replace(advertise, sport=kind, target="")) for kind in (130, 131, 133, 134, 143))
        yield a, replace(advertise, sport=135, src="::")
        out = replace(between(a, 1, UDP, 53), dl_dst=OUTSIDE_MAC, dst="192.0.2.53")
        yield from ((a, out), (a, replace(out, src="10.0.9.9", dl_src="fa:16:3e:00:00:55")), (a, replace(out, vlan=1)))
        yield a, replace(out, dst="169.254.169.254", protocol=TCP, dport=80)
        yield a, replace(out, src="0.0.0.0", dst="255.255.255.255", dl_dst=BROADCAST, sport=68, dport=67)
        yield a, replace(out, dst="255.255.255.255", dl_dst=BROADCAST, sport=67, dport=68)
        yield a, replace(between(a, 2, UDP, 53), dl_dst=BROADCAST)
        yield a, replace(between(a, 3, VRRP), dl_dst="fa:16:3e:00:00:55")


def agree(dummy: DummySwitch, simulated: Switch, bridge: str, in_port: str, packet: Packet) -> set[str]:
    outcome = simulated.send(in_port, packet)
    assert dummy.trace(bridge, in_port, packet, outcome.tracked) == outcome.ports, [str(flow) for flow in outcome.path]
    return outcome.ports


def test_new_packets_of_guests_go_as_simulated(dummy: DummySwitch) -> None:
    state = cloud().plan()
    seen = [agree(dummy, Switch(state), "br-int", tap(a), packet) for a, packet in packets()]
    assert {WIRE, "br-ex", *map(tap, range(1, 6))} <= set().union(*seen)
    assert set() in seen


def test_packets_from_the_wire_go_as_simulated(dummy: DummySwitch) -> None:
    state = cloud().plan()
    seen = [
        agree(dummy, Switch(state), "br-eth1", WIRE, replace(packet, vlan=vlan, dl_src="fa:16:3e:00:00:98"))
        for a, packet in packets()
        if a in (1, 2)
        for vlan in (1001, 1002)
    ]
    assert set(map(tap, range(2, 6))) <= set().union(*seen)


def test_replies_go_as_simulated(dummy: DummySwitch) -> None:
    state, replies = cloud().plan(), set()
    for a, b, kind in product((1, 2, 4, 5), (2, 3, 4, 5), ((TCP, 22), (UDP, 53), (ICMP, 8))):
        if a != b:
            switch, request = Switch(state), between(a, b, *kind)
            switch.send(tap(a), request)
            replies |= agree(dummy, switch, "br-int", tap(b), request.reply())
            agree(dummy, switch, "br-int", tap(a), request)
    assert replies >= {tap(1), tap(2), tap(5)}


@pytest.mark.parametrize("seed", [1, 2])
def test_random_clouds_go_as_simulated(another: DummySwitch, seed: int) -> None:
    dice = random.Random(seed)
    state = random_cloud(dice).plan()
    another.load(state)
    seen = [agree(another, Switch(state), "br-int", tap(a), p) for a, _, p in random_packets(dice, 60)]
    assert 10 < sum(map(bool, seen)) < 60


def test_questions_and_unicast_of_overlays_go_as_simulated(another: DummySwitch) -> None:
    overlay = network(2, "vxlan", 77)
    small = World(settings=replace(SETTINGS, l2_population=True)).put(overlay)
    small.put(*(TunnelPeer(f"host{n}", f"192.0.2.{n}", ("vxlan",)) for n in (2, 3)))
    small.put(port(1, network_id=overlay.id, port_security=False))
    for number, hosts in ((2, ("host2",)), (3, ("host2", "host3")), (4, ("host1", "host3"))):
        there = port(number)
        addresses = tuple(fixed.address for fixed in there.fixed_ips)
        small.put(Neighbour(there.id, overlay.id, there.mac, addresses, hosts))
    state = small.plan()
    another.load(state)
    second, third = "vxlan-c0000202", "vxlan-c0000203"
    places = {2: {second}, 3: {second, third}, 4: {third}, 5: {second, third}}
    for number, place in places.items():
        assert agree(another, Switch(state), "br-int", tap(1), between(1, number, TCP, 80)) == place
        asks = Packet(dl_src=port(1).mac, dl_dst=BROADCAST, src="10.0.0.1", dst=f"10.0.0.{number}")
        solicits = Packet(
            dl_src=port(1).mac,
            dl_dst="33:33:ff:00:00:01",
            src="2001:db8::1",
            dst="ff02::1:ff00:1",
            protocol=ICMP6,
            sport=135,
            target=f"2001:db8::{number}",
        )
        for question in (asks, solicits):
            known = number in (2, 3)
            came = agree(another, Switch(state), "br-int", tap(1), question) - {"br-int"}
            assert came == ({tap(1)} if known else {second, third}), question
        probe = replace(solicits, src="::")
        assert agree(another, Switch(state), "br-int", tap(1), probe) - {"br-int"} == {second, third}


@pytest.mark.parametrize("driver", ["openvswitch", "iptables_hybrid"])
def test_frames_through_a_trunk_go_as_simulated(another: DummySwitch, driver: str) -> None:
    behind = trunk_cloud(*SUB_PORTS, settings=replace(SETTINGS, firewall_driver=driver))
    state, card = behind.plan(), behind.card(PARENT)
    another.load(state)
    kinds, seen = ((TCP, 22), (TCP, 80), (ICMP, 8)), set()
    for number, kind in product((PARENT, *SUB_PORTS), kinds):
        out, inward = between(number, number + 10, *kind), between(number + 10, number, *kind)
        question = replace(out, protocol=None, dl_dst=BROADCAST)
        for frame in (out, question, replace(out, dl_src=OUTSIDE_MAC), replace(question, src="10.0.0.99")):
            for vlan in (None, tag(number), 999):
                seen |= agree(another, Switch(state), BRIDGE, card, replace(frame, vlan=vlan))
        real = network_of(number).segmentation_id
        for frame in (inward, replace(inward, protocol=None, dl_dst=BROADCAST)):
            seen |= agree(another, Switch(state), "br-eth1", WIRE, replace(frame, vlan=real))
    assert {card, WIRE, *(behind.card(n + 10) for n in SUB_PORTS)} <= seen


def test_flows_for_a_thousand_receivers_of_one_network_can_be_said() -> None:
    crowd = World().put(network(), group(1, *EGRESS_ALL))
    for n in range(1100):
        fixed = (FixedIp("four", f"10.0.{n >> 8}.{n & 255}"),)
        mac = f"fa:16:3f:00:{n >> 8:02x}:{n & 255:02x}"
        crowd.put(port(n, [id_of(0x5E, 1)], id=f"{n:08x}-0000-4000-8000-000000000000", mac=mac, fixed_ips=fixed))
    flows = [flow for flow in crowd.plan().of(Flow).values() if flow.bridge == "br-int"]
    text = "".join(f"{str(flow).removeprefix('flow br-int ')}\n" for flow in flows)
    run("ovs-ofctl", "-O", "OpenFlow14", "parse-flows", "-", text=re.sub(r"\b(tap|int-|patch-)[\w-]+", "7", text))


def test_flows_beside_another_firewall_are_accepted(another: DummySwitch) -> None:
    other = cloud()
    other.settings = replace(SETTINGS, firewall_driver="iptables_hybrid")
    another.load(other.plan())


def test_connections_are_tracked_cut_and_healed_as_simulated(another: DummySwitch) -> None:
    rules = [rule(protocol=UDP, first=53, last=53)]
    small = World().put(network(), group(1, *EGRESS_ALL), group(2, *rules))
    small.put(port(1, [id_of(0x5E, 1)]), port(2, [id_of(0x5E, 2)]))
    request = between(1, 2, UDP, 53)
    another.load(small.plan())
    steps = [(2, request.reply()), (1, request), (2, request.reply()), (1, request), (2, request.reply())]

    def walk() -> list[set[str]]:
        return [another.inject(tap(sender), packet) for sender, packet in steps]

    def simulated() -> list[set[str]]:
        return [small.send(sender, packet).ports for sender, packet in steps]

    there, back, nowhere = {tap(2)}, {tap(1)}, set()
    assert walk() == simulated() == [nowhere, there, back, there, back]
    small.put(group(2))
    another.replace_flows(small.plan())
    assert walk() == simulated() == [back, nowhere, nowhere, nowhere, nowhere]
    small.put(group(2, *rules))
    another.replace_flows(small.plan())
    assert walk() == simulated() == [nowhere, there, back, there, back]
