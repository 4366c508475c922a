"""The same table of packets by both firewall drivers: real switches, Linux bridges and tables, and frames on cards.

The table is the one that the simulated flows pass (``tests/unit/plan/test_firewall.py``).
"""

import json
import os
import select
import socket
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from netloom.feed.fragments import Port
from netloom.host.filters import canonical
from netloom.host.host import Host
from netloom.host.namespaces import inside
from netloom.host.vswitch import VSwitch
from netloom.plan import Intent, PlanSettings, names, plan, plugs
from netloom.plan.packet import Packet
from netloom.state import Bridge, FilterTable, HostState, IpSet, SwitchPort
from tests.host.frames import ACK, MARK_LENGTH, SYN, SYN_ACK, frame
from tests.unit.plan.switching_world import (
    BROADCAST,
    EGRESS_ALL,
    HOST,
    ICMP,
    OUTSIDE_MAC,
    TCP,
    UDP,
    World,
    between,
    group,
    id_of,
    network,
    pair,
    port,
    rule,
)
from tests.unit.plan.test_firewall import LIES_OF_1, OTHER_MAC, RULES, TRUE_OF_1, arp, neighbour

from .sandbox import Sandbox, host_namespace, run

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
GUESTS = range(1, len(RULES) + 2)
"""Guest 1 speaks; each other one has a rule of the table, or what a test gives it."""
MEMBERS = id_of(0xADD, 1)
WIRE = "wire"
QUIET, PATIENCE = 0.03, 1.0
"""Seconds after which nothing more comes; and for which the last of what was sent is awaited."""
OPEN, CLOSED = group(1, *EGRESS_ALL), group(99)


class Town:
    """A host with guests that Nova plugged, and a wire to the world; their cards are in our hands."""

    def __init__(self, box: Sandbox, driver: str) -> None:
        self.box, self.driver = box, driver
        self.vswitch = VSwitch(box.layout.ovs_rundir, box.home / "db")
        self.vswitch.start()
        self.host = Host(box.layout)
        settings = PlanSettings(host=HOST, bridge_mappings=(("physnet", "br-eth1"),), firewall_driver=driver)
        self.world = World(settings=settings)
        self.cards: dict[int | str, socket.socket] = {}
        self.namespaces: list[str] = []
        self.count = 0

    def vsctl(self, *words: str) -> str:
        return run("ovs-vsctl", f"--db={self.vswitch.connection}", *words)

    def build(self) -> None:
        """The wire and the guests."""
        self.card(WIRE, "wire0")
        self.vsctl("add-br", "br-eth1", "--", "set", "bridge", "br-eth1", "datapath_type=netdev")
        self.vsctl("add-port", "br-eth1", "wire0")
        self.vsctl("add-br", "br-int", "--", "set", "bridge", "br-int", "datapath_type=netdev", "fail_mode=secure")
        words: list[str] = []
        for number in GUESTS:
            device = self._plug(number)
            ids = f"external_ids:iface-id={port(number).id}", f"external_ids:attached-mac={port(number).mac}"
            words += ["--", "add-port", "br-int", device, "--", "set", "interface", device, *ids]
        self.vsctl(*words[1:])

    def card(self, guest: int | str, device: str, mac: str = "") -> None:
        """A namespace whose card leads to a device of the host."""
        name = f"nlg-{self.box.run}-{guest}"
        run("ip", "netns", "add", name)
        self.namespaces.append(name)
        run("ip", "-n", name, "link", "set", "lo", "up")
        address = ["address", mac] if mac else []
        run("ip", "link", "add", device, "type", "veth", "peer", "name", "eth0", *address, "netns", name)
        with inside(name):
            Path("/proc/sys/net/ipv6/conf/eth0/disable_ipv6").write_text("1")
            Path("/proc/sys/net/ipv4/conf/all/arp_ignore").write_text("8")
            run("ethtool", "-K", "eth0", "tx", "off", "rxvlan", "off")
            run("ip", "link", "set", "eth0", "up", "promisc", "on")
            card = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            card.bind(("eth0", 0))
        card.setblocking(False)
        self.cards[guest] = card
        run("ip", "link", "set", device, "up")

    def _plug(self, number: int) -> str:
        """As os-vif does; returns the device for the switch."""
        id = port(number).id
        tap = names.tap(id)
        self.card(number, tap, port(number).mac)
        if self.driver != plugs.HYBRID:
            return tap
        bridge, end, outer = names.hybrid_bridge(id), names.hybrid_inner(id), names.hybrid_outer(id)
        run(
            "ip",
            "link",
            "add",
            bridge,
            "type",
            "bridge",
            "forward_delay",
            "0",
            "ageing_time",
            "0",
            "mcast_snooping",
            "0",
        )
        run("ip", "link", "add", end, "master", bridge, "up", "type", "veth", "peer", "name", outer)
        run("ip", "link", "set", tap, "master", bridge)
        for device in (bridge, outer):
            run("ip", "link", "set", device, "up")
        return outer

    def apply(self) -> None:
        """Bring the host to what the world says, and wait for it."""
        wanted = plan(Intent(self.world.fragments), self.host.facts(), self.world.settings)
        assert self.host.apply(wanted) == []
        (control,) = self.box.layout.ovs_rundir.glob("ovs-vswitchd.*.ctl")
        run("ovs-appctl", "-t", str(control), "revalidator/purge")  # the datapath's own memory of flows
        up = [guest for guest in self.world.fragments.values() if isinstance(guest, Port) and guest.admin_state_up]
        numbers = [number for number in GUESTS if any(g.id == port(number).id and g.host == HOST for g in up)]
        self.send(*((number, arp(number), SYN) for number in numbers))  # a switch that learns floods no more

    def put(self, *fragments) -> None:
        """Change the world, and the host with it."""
        self.world.put(*fragments)
        self.apply()

    def send(self, *cases: tuple[int | str, Packet, int]) -> list[set[int | str]]:
        """Who gets each packet (sender, packet, TCP flags); the sender does not count.

        Each sender says something last that is let through: what it said before has arrived then, or never does.
        """
        last = [(sender, self._last_word(sender), SYN) for sender in dict.fromkeys(sender for sender, _, _ in cases)]
        marks = []
        for sender, packet, flags in (*cases, *last):
            self.count += 1
            marks.append(f"netloom {self.count:08x}".encode())
            self.cards[sender].send(frame(packet, marks[-1], flags))
        came = self._received(set(marks), set(marks[len(cases) :]))
        return [came[mark] - {sender} for mark, (sender, _, _) in zip(marks, cases, strict=False)]

    def _last_word(self, sender: int | str) -> Packet:
        return arp(sender) if isinstance(sender, int) else replace(arp(99), dl_src=OUTSIDE_MAC, vlan=1001)

    def _received(self, marks: set[bytes], last: set[bytes]) -> dict[bytes, set[int | str]]:
        """Who got which marks, when the last ones are there and nothing more comes."""
        came: dict[bytes, set[int | str]] = {mark: set() for mark in marks}
        by_card = {card: guest for guest, card in self.cards.items()}
        patience = time.monotonic() + PATIENCE
        while True:
            awaited = not all(came[mark] for mark in last) and time.monotonic() < patience
            ready, _, _ = select.select(list(by_card), [], [], PATIENCE if awaited else QUIET)
            for card in ready:
                data = card.recv(4096)
                place = data.find(b"netloom ")
                if (mark := data[place : place + MARK_LENGTH]) in marks:
                    came[mark].add(by_card[card])
            if not ready:
                return came

    def passes(self, sender: int | str, packet: Packet, receiver: int | str, flags: int = SYN) -> bool:
        """Whether a packet gets from one to another."""
        (came,) = self.send((sender, packet, flags))
        return receiver in came

    def close(self) -> None:
        self.host.apply(HostState())
        self.host.close()
        for card in self.cards.values():
            card.close()
        for name in self.namespaces:
            run("ip", "netns", "del", name)
        self.vswitch.stop(remove=True)


@pytest.fixture(scope="module", params=["openvswitch", plugs.HYBRID])
def town(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    box = Sandbox(tmp_path_factory.mktemp("town"))
    with host_namespace(f"nlhost-{box.run}"):
        town = Town(box, request.param)
        try:
            town.build()
            yield town
        finally:
            town.close()


with_linux_bridges = pytest.mark.parametrize("town", [plugs.HYBRID], indirect=True)
"""Of what the other driver does not have: sets of members, zones of ports, bridges."""


@pytest.fixture(autouse=True)
def _anew(town: Town) -> None:
    """Each test begins with guest 1, which may send everything; the others have no rule, guest 2 in its own group."""
    town.world.fragments.clear()
    town.world.put(network(), OPEN, group(2), CLOSED, port(1, [OPEN.id]), port(2, [group(2).id])).members(MEMBERS)
    town.world.put(*(port(number, [CLOSED.id]) for number in GUESTS[2:]))


def on_wire(packet: Packet) -> Packet:
    return replace(packet, vlan=1001)


def to(number: int, packet: Packet) -> Packet:
    """A packet for guest 2, for another guest instead."""
    there = port(number)
    return replace(packet, dl_dst=there.mac, dst=there.fixed_ips[":" in packet.dst].address)


@pytest.mark.parametrize("stateful", [True, False], ids=["stateful", "stateless"])
def test_ingress_rules(town: Town, stateful: bool):
    cases = []
    for number, (name, (wanted, packets)) in enumerate(RULES.items(), 2):
        one = group(100 + number, *([wanted] if wanted else []), stateful=stateful)
        town.world.put(one, port(number, [one.id]))
        cases += [(name, number, to(number, packet), passes) for packet, passes in packets]
    town.apply()
    came = town.send(*((1, packet, SYN) for _, _, packet, _ in cases))
    for (name, number, packet, passes), got in zip(cases, came, strict=True):
        assert got == ({number} if passes else set()), (name, packet)


def test_egress_rules_bound_what_a_guest_sends(town: Town):
    only_web = group(1, rule("egress", protocol=TCP, first=80, last=80, prefix="10.0.0.2/32"))
    town.put(only_web, group(2, rule()))
    web, other = between(1, 2, TCP, 80), between(1, 2, TCP, 81)
    assert town.send((1, web, SYN), (1, other, SYN), (1, replace(web, dst="10.0.0.3"), SYN)) == [{2}, set(), set()]


@pytest.mark.parametrize("six", [False, True], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize(("protocol", "dport"), [(TCP, 22), (UDP, 53), (ICMP, 8)])
def test_replies_need_no_rule(town: Town, protocol: int, dport: int, six: bool):
    protocol, dport = (58, 128) if six and protocol == ICMP else (protocol, dport)
    town.put(group(2, rule(version=6 if six else 4)))
    request = between(1, 2, protocol, dport, six=six, sport=41000)
    assert not town.passes(2, request.reply(), 1, SYN_ACK)
    assert town.passes(1, request, 2)
    assert town.passes(2, request.reply(), 1, SYN_ACK)


def test_errors_about_a_connection_come_back(town: Town):
    town.apply()
    request = replace(between(1, 2, UDP, 53, sport=42000), dl_dst=OUTSIDE_MAC, dst="192.0.2.53")
    error = Packet(
        dl_src=OUTSIDE_MAC, dl_dst=port(1).mac, src="192.0.2.1", dst="10.0.0.1", protocol=ICMP, sport=3, dport=3
    )
    about = on_wire(replace(error, error_for=request))
    assert not town.passes(WIRE, about, 1)
    assert town.passes(1, request, WIRE)
    assert town.passes(WIRE, about, 1)
    assert not town.passes(WIRE, on_wire(replace(error, error_for=replace(request, dport=54))), 1)


@pytest.mark.parametrize("protocol", [TCP, UDP])
@pytest.mark.parametrize("side", ["ingress", "egress"])
def test_a_connection_ends_with_its_rule_in_both_directions_and_goes_on_when_it_is_back(
    town: Town, protocol: int, side: str
):
    """However much either end says."""
    egress, ingress = OPEN, group(2, rule(protocol=protocol, first=22, last=22))
    town.put(egress, ingress)
    request = between(1, 2, protocol, 22, sport=43000 + protocol + len(side))
    there, back = (1, request, ACK), (2, request.reply(), ACK)
    assert town.passes(1, request, 2)
    assert town.passes(2, request.reply(), 1, SYN_ACK)
    assert town.send(there) + town.send(back) == [{2}, {1}]
    town.put(group(2) if side == "ingress" else group(1))
    assert [came for one in (there, back, there, back) for came in town.send(one)][1:] == [set(), set(), set()]
    town.put(egress, ingress)
    assert [came for one in (there, back, there, back) for came in town.send(one)] == [{2}, {1}, {2}, {1}]


def test_stateless_groups_need_a_rule_for_each_direction(town: Town):
    ssh = rule(protocol=TCP, first=22, last=22)
    town.put(group(2, ssh, stateful=False))
    request = between(1, 2, TCP, 22, sport=44000)
    assert town.passes(1, request, 2)
    assert not town.passes(2, request.reply(), 1, SYN_ACK)
    town.put(group(2, ssh, rule("egress", protocol=TCP), stateful=False))
    assert town.passes(2, request.reply(), 1, SYN_ACK)


@pytest.mark.parametrize("six", [False, True], ids=["IPv4", "IPv6"])
def test_remote_sets_follow_their_members(town: Town, six: bool):
    town.put(group(2, rule(version=6 if six else 4, protocol=TCP, first=22, last=30, remote=MEMBERS)))
    ssh, web = (between(1, 2, TCP, dport, six=six, sport=45000 + six) for dport in (22, 80))
    assert not town.passes(1, ssh, 2)
    for members, passes in ((("10.0.0.1", "2001:db8::1"), True), (("10.0.0.3",), False), (("0.0.0.0/0", "::/0"), True)):
        town.world.members(MEMBERS, *members)
        town.apply()
        assert town.send((1, ssh, SYN), (1, web, SYN)) == [{2} if passes else set(), set()], members


def test_remote_sets_bound_egress_by_destination(town: Town):
    town.world.members(MEMBERS, "10.0.0.2")
    town.put(group(1, rule("egress", remote=MEMBERS)), group(2, rule()))
    assert town.passes(1, between(1, 2, TCP, 22, sport=46000), 2)
    town.world.members(MEMBERS, "10.0.0.0/31")
    town.apply()
    assert not town.passes(1, between(1, 2, TCP, 22, sport=46001), 2)


def test_what_works_before_any_rule(town: Town):
    town.put(group(1))
    for name, came in zip(TRUE_OF_1, town.send(*((1, packet, SYN) for packet in TRUE_OF_1.values())), strict=True):
        assert WIRE in came, name


def test_lies_go_nowhere(town: Town):
    town.put(group(2, rule(), rule(version=6)))
    lies = LIES_OF_1 | {"a priority tag": replace(between(1, 2, UDP, 53), vlan=0, src="10.0.0.9")}
    for name, came in zip(lies, town.send(*((1, packet, SYN) for packet in lies.values())), strict=True):
        assert not came, name


def test_without_port_security_a_guest_says_what_it_likes_and_takes_everything_in(town: Town):
    town.put(group(2, rule(), rule(version=6)), port(1, port_security=False), port(3, [group(2).id]))
    lies = {name: packet for name, packet in LIES_OF_1.items() if "VLAN" not in name}
    for name, came in zip(lies, town.send(*((1, packet, SYN) for packet in lies.values())), strict=True):
        assert came, name
    assert town.passes(WIRE, on_wire(replace(between(9, 1, TCP, 22), dl_src=OUTSIDE_MAC)), 1)
    town.put(group(2))
    assert not town.passes(1, between(1, 3, TCP, 22, sport=47000), 3)


@pytest.mark.parametrize("stateful", [True, False], ids=["stateful", "stateless"])
def test_metadata_answers_without_a_rule(town: Town, stateful: bool):
    town.put(group(1, stateful=stateful))
    request = replace(TRUE_OF_1["metadata"], sport=48000 + stateful)
    assert town.passes(1, request, WIRE)
    answer = on_wire(request.reply())
    assert town.send((WIRE, answer, SYN_ACK), (WIRE, replace(answer, sport=81), SYN_ACK)) == [{1}, set()]


def test_answers_of_the_network_come_in_without_a_rule(town: Town):
    town.apply()
    offer = Packet(
        dl_src=OUTSIDE_MAC, dl_dst=port(2).mac, src="10.0.0.254", dst="10.0.0.2", protocol=UDP, sport=67, dport=68
    )
    advertisement = neighbour(134, 9, "", dl_src=OUTSIDE_MAC, dl_dst=port(2).mac)
    request = arp(9, dl_src=OUTSIDE_MAC, dl_dst=port(2).mac)
    came = town.send(*((WIRE, on_wire(packet), SYN) for packet in (offer, advertisement, request)))
    assert came == [{2}, {2}, {2}]


def test_broadcast_and_multicast_packets_go_by_each_guests_rules(town: Town):
    town.put(group(2, rule(protocol=UDP, first=53, last=53)), port(3, [OPEN.id]), port(4, port_security=False))
    spread = replace(between(1, 2, UDP, 53, sport=49000), dl_dst=BROADCAST, dst="255.255.255.255")
    multicast = replace(spread, dl_dst="01:00:5e:00:00:fb", dst="224.0.0.251")
    came = town.send((1, spread, SYN), (1, replace(spread, dport=54), SYN), (1, multicast, SYN))
    assert came == [{2, 4, WIRE}, {4, WIRE}, {2, 4, WIRE}]


def test_allowed_pairs_extend_what_a_guest_may_say(town: Town):
    own = port(1).mac
    pairs = (
        pair("10.0.0.100", own),
        pair("10.0.0.101", OTHER_MAC),
        pair("2001:db8::100", own),
        pair("10.9.0.0/16", own),
    )
    town.put(group(2, rule(), rule(version=6)), port(1, [OPEN.id], address_pairs=pairs))
    udp = between(1, 2, UDP, 53)
    allowed: Iterable[Packet] = (
        arp(1, "10.0.0.100"),
        arp(1, "10.9.1.2"),
        neighbour(136, 1, "2001:db8::100"),
        replace(udp, src="10.0.0.100"),
        replace(udp, src="10.0.0.101", dl_src=OTHER_MAC),
        replace(udp, src="10.9.8.7"),
        replace(between(1, 2, UDP, 53, six=True), src="2001:db8::100"),
    )
    assert all(2 in came for came in town.send(*((1, packet, SYN) for packet in allowed)))
    assert not town.passes(1, replace(udp, src="10.0.0.100", dl_src=OTHER_MAC), 2)


@pytest.mark.parametrize("changes", [{"admin_state_up": False}, {"host": "host2"}], ids=str)
def test_a_port_that_is_down_or_not_bound_here_neither_sends_nor_receives(town: Town, changes: dict[str, object]):
    town.put(group(2, rule()), port(2, [OPEN.id], **changes))
    said = (
        (2, between(2, 1, TCP, 22, sport=50000), SYN),
        (1, between(1, 2, TCP, 22, sport=50001), SYN),
        (1, arp(1), SYN),
    )
    came = town.send(*said)
    assert came[0] == set()
    assert not any(2 in one for one in came)


def test_nothing_is_left_to_do(town: Town):
    rules = [wanted for wanted, _ in RULES.values() if wanted]
    more = [rule(version=v, protocol=p) for v in (4, 6) for p in (33, 47, 50, 112, 132, 136, 200)]
    remote = rule(protocol=TCP, first=5, last=6, remote=MEMBERS), rule(version=6, protocol=132, first=5, last=6)
    town.world.members(MEMBERS, "10.0.0.0/8", "10.0.0.1", "2001:db8::/32", "0.0.0.0/0")
    town.put(group(2, *rules, *more, *remote), group(1, *EGRESS_ALL, stateful=False), port(3, port_security=False))
    wanted = plan(Intent(town.world.fragments), town.host.facts(), town.world.settings)
    town.host.audit()
    before = ruleset()
    assert town.host.apply(wanted) == []
    assert ruleset() == before
    again = town.host.observe()
    tables = HostState(map(canonical, wanted.of(FilterTable).values()))
    assert not tables.changes(FilterTable, again)
    for kind in (IpSet, Bridge, SwitchPort):
        assert not wanted.changes(kind, again), kind


def ruleset() -> str:
    """All rules of the host, with their handles: one that was loaded anew has another."""
    return run("nft", "-a", "-s", "list", "ruleset") + run("ipset", "save")


@with_linux_bridges
def test_members_come_and_go_without_a_rule_being_loaded(town: Town):
    town.put(group(2, rule(protocol=TCP, remote=MEMBERS)))
    before = run("nft", "-a", "-s", "list", "ruleset")
    town.world.members(MEMBERS, "10.0.0.1")
    town.apply()
    assert run("nft", "-a", "-s", "list", "ruleset") == before
    assert "10.0.0.1" in run("ipset", "list", f"NIPv4{MEMBERS[:24]}")


@with_linux_bridges
def test_connections_of_a_port_are_forgotten_when_it_goes(town: Town):
    town.put(group(2, rule()))
    assert town.passes(1, between(1, 2, TCP, 22, sport=51000), 2)
    tap, raw = names.tap(port(2).id), run("iptables-save", "-t", "raw").splitlines()
    (zone,) = (line.split()[-1] for line in raw if tap in line)
    assert f"zone={zone} " in run("conntrack", "-L")
    town.put(msgspec.structs.replace(port(2), host="host2"))
    assert f"zone={zone} " not in run("conntrack", "-L")


@with_linux_bridges
def test_a_guest_does_not_reach_its_host_past_the_switch(town: Town):
    """Also one whose Linux bridge is Nova's, and in no device group of ours."""
    town.apply()
    (bridge,) = json.loads(run("ip", "-json", "link", "show", names.hybrid_bridge(port(1).id)))
    mac = bridge["address"]
    run("ip", "address", "add", "10.250.0.1/32", "dev", "lo")
    ask = replace(arp(1), dst="10.250.0.1")
    ping = replace(between(1, 2, ICMP, 8), dl_dst=mac, dst="10.250.0.1")
    before = counters()
    town.send((1, ask, SYN), (1, ping, SYN))
    assert counters() == before


def counters() -> tuple[int, ...]:
    """Echo requests that the host took in, and ARP answers that it gave."""
    icmp = [line.split() for line in Path("/proc/net/snmp").read_text().splitlines() if line.startswith("Icmp:")]
    values = dict(zip(icmp[0][1:], icmp[1][1:], strict=True))
    return int(values["InEchos"]), int(values["OutEchoReps"])
