"""What security groups and port security do to packets, by the planned flows."""

from dataclasses import replace

import pytest

from netloom.plan.packet import Packet
from netloom.state import Flow
from tests.unit.plan.switching_world import (
    BROADCAST,
    EGRESS_ALL,
    ICMP,
    ICMP6,
    OUTSIDE_MAC,
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

OPEN = group(1, *EGRESS_ALL)
MEMBERS = id_of(0xADD, 1)


def world(*rules, stateful=True, **changes) -> World:
    """Guest 1 may send everything; guest 2 has a group with ``rules``."""
    filtering = group(2, *rules, stateful=stateful)
    return World().put(network(), OPEN, filtering, port(1, [OPEN.id]), port(2, [filtering.id], **changes))


# Rules for what guest 2 may receive: the rule, and for each packet from guest 1 whether it gets through.
RULES = {
    "none": (
        None,
        [
            (between(1, 2, TCP, 22), False),
            (between(1, 2, ICMP, 8), False),
            (between(1, 2, ICMP6, 128, six=True), False),
        ],
    ),
    "any, IPv4": (
        rule(),
        [(between(1, 2, TCP, 22), True), (between(1, 2, VRRP), True), (between(1, 2, TCP, 22, six=True), False)],
    ),
    "any, IPv6": (rule(version=6), [(between(1, 2, TCP, 22, six=True), True), (between(1, 2, TCP, 22), False)]),
    "tcp 22": (
        rule(protocol=TCP, first=22, last=22),
        [(between(1, 2, TCP, 22), True), (between(1, 2, TCP, 23), False), (between(1, 2, UDP, 22), False)],
    ),
    "tcp 80-442": (
        rule(protocol=TCP, first=80, last=442),
        [(between(1, 2, TCP, p), p in range(80, 443)) for p in (79, 80, 81, 127, 128, 255, 256, 441, 442, 443)],
    ),
    "tcp 1-65535": (
        rule(protocol=TCP, first=1, last=65535),
        [(between(1, 2, TCP, 1), True), (between(1, 2, TCP, 65535), True), (between(1, 2, UDP, 1), False)],
    ),
    "udp, IPv6": (
        rule(version=6, protocol=UDP),
        [(between(1, 2, UDP, 53, six=True), True), (between(1, 2, UDP, 53), False)],
    ),
    "icmp echo": (rule(protocol=ICMP, first=8), [(between(1, 2, ICMP, 8), True), (between(1, 2, ICMP, 13), False)]),
    "icmp, any": (
        rule(protocol=ICMP),
        [(between(1, 2, ICMP, 8), True), (between(1, 2, ICMP, 13), True), (between(1, 2, TCP, 8), False)],
    ),
    "icmpv6 echo": (
        rule(version=6, protocol=ICMP6, first=128),
        [(between(1, 2, ICMP6, 128, six=True), True), (between(1, 2, ICMP, 8), False)],
    ),
    "protocol 112": (rule(protocol=VRRP), [(between(1, 2, VRRP), True), (between(1, 2, TCP, 112), False)]),
    "from 10.0.0.0/30": (rule(prefix="10.0.0.0/30"), [(between(1, 2, TCP, 22), True)]),
    "from 10.0.0.8/29": (rule(prefix="10.0.0.8/29"), [(between(1, 2, TCP, 22), False)]),
    "from everywhere": (rule(prefix="0.0.0.0/0"), [(between(1, 2, TCP, 22), True)]),
    "from 2001:db8::/64": (rule(version=6, prefix="2001:db8::/64"), [(between(1, 2, TCP, 22, six=True), True)]),
    "DCCP with ports": (rule(protocol=33, first=5, last=6), [(between(1, 2, 33, 5), False)]),
}


@pytest.mark.parametrize("stateful", [True, False], ids=["stateful", "stateless"])
@pytest.mark.parametrize("name", RULES)
def test_ingress_rules(name, stateful):
    wanted, packets = RULES[name]
    cloud = world(*([wanted] if wanted else []), stateful=stateful)
    for packet, passes in packets:
        assert cloud.passes(1, packet, 2) == passes, packet
        cloud.connections.entries.clear()


def test_egress_rules_bound_what_a_guest_sends():
    only_web = group(1, rule("egress", protocol=TCP, first=80, last=80, prefix="10.0.0.2/32"))
    cloud = world(rule()).put(only_web)
    assert cloud.passes(1, between(1, 2, TCP, 80), 2)
    assert not cloud.passes(1, between(1, 2, TCP, 81), 2)
    assert not cloud.send(1, replace(between(1, 2, TCP, 80), dst="10.0.0.3")).ports


def test_groups_of_a_port_add_up():
    web, ssh = group(3, rule(protocol=TCP, first=80, last=80)), group(4, rule(protocol=TCP, first=22, last=22))
    cloud = world().put(web, ssh, port(2, [web.id, ssh.id]))
    assert [cloud.passes(1, between(1, 2, TCP, p), 2) for p in (22, 80, 443)] == [True, True, False]


def test_a_group_that_is_not_known_yet_lets_nothing_in():
    cloud = world().put(port(2, [id_of(0x5E, 99)]))
    assert not cloud.passes(1, between(1, 2, TCP, 22), 2)


def test_frames_from_the_wire_are_filtered_too():
    cloud = world(rule(protocol=TCP, first=22, last=22))
    outside = replace(between(1, 2, TCP, 22), dl_src=OUTSIDE_MAC, src="10.0.0.77")
    assert cloud.receive(outside) == {tap(2)}
    assert not cloud.receive(replace(outside, dport=23))
    assert not cloud.receive(outside, segment=1002)


# Connections


@pytest.mark.parametrize("six", [False, True], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize(("protocol", "dport"), [(TCP, 22), (UDP, 53), (ICMP, 8)])
def test_replies_need_no_rule(protocol, dport, six):
    if six and protocol == ICMP:
        protocol, dport = ICMP6, 128
    no_egress = group(2, rule(version=6 if six else 4))
    cloud = world().put(no_egress)
    request = between(1, 2, protocol, dport, six=six)
    assert not cloud.passes(2, request.reply(), 1)
    assert cloud.passes(1, request, 2)
    assert cloud.passes(2, request.reply(), 1)
    assert cloud.passes(1, request, 2)


def test_a_refused_packet_opens_nothing():
    cloud = world()
    request = between(1, 2, TCP, 22)
    assert not cloud.passes(1, request, 2)
    assert not cloud.passes(2, request.reply(), 1)


def test_replies_from_the_wire():
    cloud = world()
    request = replace(between(1, 2, UDP, 53), dl_dst=OUTSIDE_MAC, dst="192.0.2.53")
    assert not cloud.receive(request.reply())
    assert WIRE in cloud.send(1, request).ports
    assert cloud.receive(request.reply()) == {tap(1)}


def test_errors_about_a_connection_come_back():
    cloud = world()
    request = replace(between(1, 2, UDP, 53), dl_dst=OUTSIDE_MAC, dst="192.0.2.53")
    error = Packet(
        dl_src=OUTSIDE_MAC, dl_dst=port(1).mac, src="192.0.2.1", dst="10.0.0.1", protocol=ICMP, sport=3, dport=3
    )
    assert not cloud.receive(replace(error, error_for=request))
    cloud.send(1, request)
    assert cloud.receive(replace(error, error_for=request)) == {tap(1)}
    assert not cloud.receive(error)


def test_removing_a_rule_cuts_its_connections_and_bringing_it_back_heals_them():
    ssh = rule(protocol=TCP, first=22, last=22)
    cloud = world(ssh)
    request = between(1, 2, TCP, 22)
    assert cloud.passes(1, request, 2)
    assert cloud.passes(2, request.reply(), 1)
    cloud.put(group(2))
    assert not cloud.passes(1, request, 2)
    assert not cloud.passes(2, request.reply(), 1)
    cloud.put(group(2, ssh))
    assert cloud.passes(1, request, 2)
    assert cloud.passes(2, request.reply(), 1)


def test_removing_an_egress_rule_cuts_its_connections():
    cloud = world(rule())
    request = between(1, 2, TCP, 22)
    assert cloud.passes(1, request, 2)
    assert cloud.passes(2, request.reply(), 1)
    cloud.put(group(1))
    assert not cloud.passes(1, request, 2)
    assert not cloud.passes(2, request.reply(), 1)


def test_stateless_groups_need_a_rule_for_each_direction():
    cloud = world(rule(protocol=TCP, first=22, last=22), stateful=False)
    request = between(1, 2, TCP, 22)
    assert cloud.passes(1, request, 2)
    assert not cloud.passes(2, request.reply(), 1)
    cloud.put(group(2, rule(protocol=TCP, first=22, last=22), rule("egress", protocol=TCP), stateful=False))
    assert cloud.passes(2, request.reply(), 1)


def test_two_stateless_guests_leave_no_connection_behind():
    stateless = group(1, *EGRESS_ALL, stateful=False)
    cloud = world(rule(), stateful=False).put(stateless)
    assert cloud.passes(1, between(1, 2, TCP, 22), 2)
    assert not cloud.connections.entries


def test_equal_addresses_in_two_networks_do_not_meet():
    second = network(2)
    cloud = world(rule()).put(
        second, port(3, [OPEN.id], network_id=second.id, mac=port(1).mac, fixed_ips=port(1).fixed_ips)
    )
    request = between(1, 2, TCP, 22)
    assert cloud.passes(1, request, 2)
    assert not cloud.send(3, request).ports & {tap(1), tap(2)}
    assert len({entry[0] for entry in cloud.connections.entries}) == 2


# Remote sets


@pytest.mark.parametrize("six", [False, True], ids=["IPv4", "IPv6"])
def test_remote_sets_follow_their_members(six):
    cloud = world(rule(version=6 if six else 4, protocol=TCP, first=22, last=30, remote=MEMBERS))
    ssh, web = between(1, 2, TCP, 22, six=six), between(1, 2, TCP, 80, six=six)
    assert not cloud.passes(1, ssh, 2)
    cloud.members(MEMBERS)
    assert not cloud.passes(1, ssh, 2)
    cloud.members(MEMBERS, "10.0.0.1", "2001:db8::1")
    assert cloud.passes(1, ssh, 2)
    assert not cloud.passes(1, web, 2)
    cloud.members(MEMBERS, "10.0.0.3", "2001:db8::3")
    assert not cloud.passes(1, ssh, 2)


def test_remote_sets_do_not_lend_their_ports_to_each_other():
    other = id_of(0xADD, 2)
    cloud = world(
        rule(protocol=TCP, first=22, last=22, remote=MEMBERS), rule(protocol=TCP, first=80, last=80, remote=other)
    )
    cloud.members(MEMBERS, "10.0.0.1").members(other, "10.0.0.0/30", "10.0.0.9")
    assert [cloud.passes(1, between(1, 2, TCP, p), 2) for p in (22, 80)] == [True, True]
    cloud.members(MEMBERS, "10.0.0.9")
    assert [cloud.passes(1, between(1, 2, TCP, p), 2) for p in (22, 80)] == [False, True]


def test_a_remote_set_of_one_group_is_not_one_of_anothers():
    trusting = group(3, rule(protocol=TCP, remote=MEMBERS))
    cloud = world().put(trusting, port(3, [trusting.id])).members(MEMBERS, "10.0.0.1")
    assert cloud.passes(1, between(1, 3, TCP, 22), 3)
    assert not cloud.passes(1, between(1, 2, TCP, 22), 2)


def test_remote_sets_bound_egress_by_destination():
    cloud = world(rule()).put(group(1, rule("egress", remote=MEMBERS))).members(MEMBERS, "10.0.0.2")
    assert cloud.passes(1, between(1, 2, TCP, 22), 2)
    cloud.members(MEMBERS, "10.0.0.3")
    assert not cloud.passes(1, between(1, 2, TCP, 22), 2)


def test_a_member_that_joins_costs_one_flow_a_direction_whatever_the_number_of_ports_and_rules():
    rules = [rule(protocol=TCP, first=p, last=p, remote=MEMBERS) for p in range(1, 40, 2)]
    rules += [rule("egress", protocol=TCP, first=p, last=p, remote=MEMBERS) for p in range(1, 40, 2)]
    cloud = world(*rules).put(*(port(n, [id_of(0x5E, 2)]) for n in range(3, 30))).members(MEMBERS, "10.0.0.1")
    before = cloud.plan()
    changes = cloud.members(MEMBERS, "10.0.0.1", "10.0.0.200").plan().changes(Flow, before)
    assert (len(changes.create), len(changes.update), len(changes.delete)) == (2, 0, 0)


BROADCAST_TABLES = {61, 94}
"""Where one flow a network and IP version lists all guests."""


def test_another_group_changes_no_number():
    cloud = world(rule(protocol=TCP, remote=MEMBERS)).members(MEMBERS, "10.0.0.1")
    before = cloud.plan()
    other = group(9, rule(protocol=UDP, remote=id_of(0xADD, 0)))
    cloud.put(other, port(7, [other.id])).members(id_of(0xADD, 0), "10.0.0.200")
    changes = cloud.plan().changes(Flow, before)
    assert {new.table for _, new in changes.update} == BROADCAST_TABLES
    assert not changes.delete


def test_ports_of_equal_groups_share_their_rules():
    cloud = world(*(rule(protocol=TCP, first=p, last=p) for p in range(1, 100)))
    before = cloud.plan()
    changes = cloud.put(port(3, [id_of(0x5E, 2)])).plan().changes(Flow, before)
    assert len(changes.create) < 30
    assert {new.table for _, new in changes.update} == BROADCAST_TABLES


# What a guest says of itself


def arp(sender: int, spa: str = "", **changes: str) -> Packet:
    a = port(sender)
    asked = Packet(dl_src=a.mac, dl_dst=BROADCAST, src=spa or a.fixed_ips[0].address, dst="10.0.0.2")
    return replace(asked, **changes)


def neighbour(kind: int, sender: int, target: str, src: str = "", **changes: str) -> Packet:
    return replace(
        Packet(
            dl_src=port(sender).mac,
            dl_dst="33:33:00:00:00:01",
            src=src or link_local(sender),
            dst="ff02::1",
            protocol=ICMP6,
            sport=kind,
            target=target,
        ),
        **changes,
    )


OTHER_MAC = "fa:16:3e:00:00:77"
TRUE_OF_1 = {
    "ARP": arp(1),
    "NA of its address": neighbour(136, 1, "2001:db8::1"),
    "NA of its link-local address": neighbour(136, 1, link_local(1)),
    "NS": neighbour(135, 1, "2001:db8::2"),
    "duplicate address detection": neighbour(135, 1, "2001:db8::1", src="::"),
    "RS": neighbour(133, 1, ""),
    "RS without an address": neighbour(133, 1, "", src="::"),
    "multicast listener report": neighbour(143, 1, "", src="::"),
    "DHCP discover": Packet(
        dl_src=port(1).mac, dl_dst=BROADCAST, src="0.0.0.0", dst="255.255.255.255", protocol=UDP, sport=68, dport=67
    ),
    "DHCPv6 solicit": Packet(
        dl_src=port(1).mac,
        dl_dst="33:33:00:01:00:02",
        src=link_local(1),
        dst="ff02::1:2",
        protocol=UDP,
        sport=546,
        dport=547,
    ),
    "metadata": Packet(
        dl_src=port(1).mac,
        dl_dst=OUTSIDE_MAC,
        src="10.0.0.1",
        dst="169.254.169.254",
        protocol=TCP,
        sport=4000,
        dport=80,
    ),
}
LIES_OF_1 = {
    "ARP for another": arp(1, "10.0.0.2"),
    "ARP from another MAC": arp(1, dl_src=OTHER_MAC),
    "NA of another": neighbour(136, 1, "2001:db8::2"),
    "NA from another MAC": neighbour(136, 1, "2001:db8::1", dl_src=OTHER_MAC),
    "NS from another address": neighbour(135, 1, "2001:db8::2", src="2001:db8::9"),
    "RA": neighbour(134, 1, ""),
    "DHCP offer": Packet(
        dl_src=port(1).mac, dl_dst=port(2).mac, src="10.0.0.1", dst="10.0.0.2", protocol=UDP, sport=67, dport=68
    ),
    "DHCPv6 reply": Packet(
        dl_src=port(1).mac, dl_dst=port(2).mac, src=link_local(1), dst=link_local(2), protocol=UDP, sport=547, dport=546
    ),
    "IPv4 of another": replace(between(1, 2, UDP, 53), src="10.0.0.9"),
    "IPv6 of another": replace(between(1, 2, UDP, 53, six=True), src="2001:db8::9"),
    "another MAC": replace(between(1, 2, UDP, 53), dl_src=OTHER_MAC),
    "DHCP discover from another MAC": replace(TRUE_OF_1["DHCP discover"], dl_src=OTHER_MAC),
    "a VLAN tag": replace(between(1, 2, UDP, 53), vlan=1),
    "a VLAN tag of nobody": replace(between(1, 2, UDP, 53), vlan=77),
}


@pytest.mark.parametrize("name", TRUE_OF_1)
def test_what_works_before_any_rule(name):
    cloud = world().put(group(1))
    assert WIRE in cloud.send(1, TRUE_OF_1[name]).ports


@pytest.mark.parametrize("name", LIES_OF_1)
def test_lies_go_nowhere(name):
    cloud = world(rule(), rule(version=6))
    assert not cloud.send(1, LIES_OF_1[name]).ports


@pytest.mark.parametrize("name", [name for name in LIES_OF_1 if "VLAN" not in name])
def test_without_port_security_a_guest_says_what_it_likes(name):
    cloud = world(rule(), rule(version=6)).put(port(1, port_security=False))
    assert cloud.send(1, LIES_OF_1[name]).ports


def test_port_security_off_takes_everything_in_and_does_not_free_the_others():
    cloud = world().put(port(1, port_security=False), port(3, port_security=False))
    assert cloud.receive(between(9, 1, TCP, 22)) >= {tap(1)}
    assert cloud.send(1, between(1, 3, TCP, 22)).ports >= {tap(3)}
    assert not cloud.send(1, between(1, 2, TCP, 22)).ports


@pytest.mark.parametrize("stateful", [True, False], ids=["stateful", "stateless"])
def test_metadata_answers_without_a_rule(stateful):
    cloud = world().put(group(1, stateful=stateful))
    request = TRUE_OF_1["metadata"]
    assert WIRE in cloud.send(1, request).ports
    assert cloud.receive(request.reply()) == {tap(1)}
    assert not cloud.receive(replace(request.reply(), sport=81))


def test_answers_of_the_network_come_in_without_a_rule():
    cloud = world()
    offer = Packet(
        dl_src=OUTSIDE_MAC, dl_dst=port(2).mac, src="10.0.0.254", dst="10.0.0.2", protocol=UDP, sport=67, dport=68
    )
    advertisement = neighbour(134, 9, "", dl_src=OUTSIDE_MAC, dl_dst=port(2).mac)
    request = arp(9, dl_src=OUTSIDE_MAC, dl_dst=port(2).mac)
    for packet in (offer, advertisement, request):
        assert cloud.receive(packet) == {tap(2)}


@pytest.mark.parametrize(
    ("mac", "address"),
    [
        (BROADCAST, "10.0.0.2"),
        (BROADCAST, "10.0.0.255"),
        (BROADCAST, "255.255.255.255"),
        ("01:00:5e:00:00:fb", "224.0.0.251"),
    ],
)
def test_broadcast_and_multicast_packets_go_by_each_guests_rules(mac, address):
    cloud = world(rule(protocol=UDP, first=53, last=53)).put(port(3, [OPEN.id]), port(4, port_security=False))
    spread = replace(between(1, 2, UDP, 53), dl_dst=mac, dst=address)
    assert cloud.send(1, spread).ports & {tap(n) for n in range(1, 9)} == {tap(2), tap(4)}
    assert cloud.send(1, replace(spread, dport=54)).ports & {tap(n) for n in range(1, 9)} == {tap(4)}
    assert WIRE in cloud.send(1, spread).ports
    cloud.connections.entries.clear()
    outside = replace(spread, dl_src=OUTSIDE_MAC, src="10.0.0.77")
    assert cloud.receive(outside) == {tap(2), tap(4)}
    assert cloud.receive(replace(outside, dport=54)) == {tap(4)}


# Allowed address pairs


def test_allowed_pairs_extend_what_a_guest_may_say():
    vip = pair("10.0.0.100", port(1).mac)
    other_mac, six = pair("10.0.0.101", OTHER_MAC), pair("2001:db8::100", port(1).mac)
    prefix = pair("10.9.0.0/16", port(1).mac)
    cloud = world(rule(), rule(version=6)).put(port(1, [OPEN.id], address_pairs=(vip, other_mac, six, prefix)))
    assert WIRE in cloud.send(1, arp(1, "10.0.0.100")).ports
    assert WIRE in cloud.send(1, arp(1, "10.9.1.2")).ports
    assert WIRE in cloud.send(1, neighbour(136, 1, "2001:db8::100")).ports
    for src, mac in (("10.0.0.100", port(1).mac), ("10.0.0.101", OTHER_MAC), ("10.9.8.7", port(1).mac)):
        assert cloud.passes(1, replace(between(1, 2, UDP, 53), src=src, dl_src=mac), 2), src
    assert not cloud.passes(1, replace(between(1, 2, UDP, 53), src="10.0.0.100", dl_src=OTHER_MAC), 2)


def test_frames_for_an_allowed_mac_are_filtered_and_reach_each_guest_that_shares_it():
    shared = pair("10.0.0.100", OTHER_MAC)
    ssh = group(2, rule(protocol=TCP, first=22, last=22))
    cloud = world().put(ssh, port(2, [ssh.id], address_pairs=(shared,)), port(3, [ssh.id], address_pairs=(shared,)))
    packet = replace(between(1, 2, TCP, 22), dl_dst=OTHER_MAC, dst="10.0.0.100")
    assert cloud.send(1, packet).ports >= {tap(2), tap(3), WIRE}
    assert not cloud.send(1, replace(packet, dport=23)).ports & {tap(2), tap(3)}
    assert cloud.receive(replace(packet, dl_src=OUTSIDE_MAC)) == {tap(2), tap(3)}


def test_unicast_frames_are_never_flooded_to_other_guests():
    cloud = world().put(port(3, [OPEN.id]), port(4, port_security=False))
    away = replace(between(1, 2, UDP, 53), dl_dst=OUTSIDE_MAC, dst="192.0.2.53")
    assert cloud.send(1, away).ports & {WIRE, tap(2), tap(3)} == {WIRE}
    assert cloud.receive(replace(away, dl_src="fa:16:3e:00:00:98")) == {tap(4)}
    answer = replace(arp(1), dl_dst=port(3).mac)
    assert cloud.send(1, answer).ports == {tap(3)}


def test_everything_allowed_as_a_pair_still_goes_by_the_rules():
    cloud = world().put(port(1, [OPEN.id], address_pairs=(pair("0.0.0.0/0", port(1).mac), pair("::/0", port(1).mac))))
    assert WIRE in cloud.send(1, arp(1, "10.0.0.9")).ports
    assert not cloud.send(1, replace(between(1, 2, UDP, 53), src="1.2.3.4")).ports


# Ports that may not talk


@pytest.mark.parametrize("changes", [{"admin_state_up": False}, {"host": "host2"}, {"host": ""}], ids=str)
def test_a_port_that_is_down_or_not_bound_here_neither_sends_nor_receives(changes):
    cloud = world(rule()).put(port(2, [OPEN.id], **changes))
    assert not cloud.send(2, between(2, 1, TCP, 22)).ports
    assert tap(2) not in cloud.send(1, between(1, 2, TCP, 22)).ports
    assert tap(2) not in cloud.send(1, arp(1)).ports
