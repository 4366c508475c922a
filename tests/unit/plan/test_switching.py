"""Bridges, VLANs, tunnels and the shape of whole plans."""

import random
import re
from dataclasses import replace
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.feed.fragments import (
    DhcpNetwork,
    DhcpServer,
    Fragment,
    Neighbour,
    Port,
    Router,
    RouterPort,
    SubPort,
    Trunk,
    TunnelPeer,
)
from netloom.plan import Intent, matches, plan, vlans
from netloom.plan.numbers import number
from netloom.plan.simulate import Switch
from netloom.state import Facts, Flow, HostState, Interface, SwitchPort
from tests.unit.plan import golden
from tests.unit.plan.switching_world import (
    BROADCAST,
    EGRESS_ALL,
    OUTSIDE_MAC,
    SETTINGS,
    TCP,
    WIRE,
    World,
    between,
    group,
    id_of,
    network,
    pair,
    port,
    rule,
    tap,
)

HYBRID = replace(SETTINGS, firewall_driver="iptables_hybrid")
REMOTE = id_of(0xADD, 1)
WEB = group(1, *EGRESS_ALL, rule(protocol=TCP, first=80, last=89), rule(protocol=TCP, first=22, last=22, remote=REMOTE))


def small(**changes) -> World:
    """One guest of a VLAN network in one group."""
    return (
        World(**changes).put(network(), WEB, port(1, [WEB.id])).members(REMOTE, "10.0.0.1", "10.0.0.2", "2001:db8::1")
    )


def flow_texts(state: HostState, bridge: str) -> set[str]:
    """Flows of a bridge in an operator's words."""
    texts = (str(flow).removeprefix(f"flow {bridge} ") for flow in state.of(Flow).values() if flow.bridge == bridge)
    return {text.removeprefix("table=0,") for text in texts}


def test_golden_openvswitch_firewall():
    golden.check("switching", str(small().plan()))


def test_golden_without_our_firewall():
    golden.check("switching_hybrid", str(small(settings=HYBRID).plan()))


def test_flows_of_vlan_networks_read_as_operators_know_them():
    cloud = small(settings=HYBRID).put(network(2), port(2, network_id=network(2).id))
    physical, integration = flow_texts(cloud.plan(), "br-eth1"), flow_texts(cloud.plan(), "br-int")
    assert physical == {
        "priority=4,in_port=phy-br-eth1,dl_vlan=1 actions=mod_vlan_vid:1001,NORMAL",
        "priority=4,in_port=phy-br-eth1,dl_vlan=2 actions=mod_vlan_vid:1002,NORMAL",
        "priority=2,in_port=phy-br-eth1 actions=drop",
        "priority=0 actions=NORMAL",
    }
    device, address = cloud.card(1), "fe80::f816:3eff:fe00:1"
    assert integration >= {
        "priority=3,in_port=int-br-eth1,dl_vlan=1001 actions=mod_vlan_vid:1,NORMAL",
        "priority=3,in_port=int-br-eth1,dl_vlan=1002 actions=mod_vlan_vid:2,NORMAL",
        "priority=2,in_port=int-br-ex actions=drop",
        "priority=2,in_port=int-br-eth1 actions=drop",
        "priority=0 actions=NORMAL",
        "table=23,priority=0 actions=drop",
        "table=24,priority=0 actions=drop",
        f"priority=10,icmp6,in_port={device},icmp_type=136 actions=resubmit(,24)",
        f"priority=10,arp,in_port={device} actions=resubmit(,24)",
        f"priority=9,in_port={device} actions=resubmit(,25)",
        f"table=24,priority=2,arp,in_port={device},arp_spa=10.0.0.1 actions=resubmit(,25)",
        f"table=24,priority=2,icmp6,in_port={device},icmp_type=136,nd_target={address} actions=NORMAL",
        f"table=25,priority=2,in_port={device},dl_src={port(1).mac} actions=NORMAL",
    }


def test_a_flat_network_goes_untagged():
    flat = network(2, "flat")
    cloud = World().put(flat, port(1, network_id=flat.id, port_security=False))
    assert cloud.plan().of(SwitchPort)[tap(1),].tag == 1
    outcome = cloud.send(1, between(1, 9, TCP, 22))
    assert {(output.port, output.vlan) for output in outcome.outputs} == {("br-ex", None)}


def test_real_and_local_vlan_change_at_the_wire():
    cloud = small()
    outcome = cloud.send(1, replace(between(1, 9, TCP, 22), dl_dst=OUTSIDE_MAC))
    assert {(o.port, o.vlan) for o in outcome.outputs if o.port == WIRE} == {(WIRE, 1001)}
    assert {flow.origin for flow in outcome.path} == {port(1).name, WEB.name, network().name, ""}


def test_spoofing_is_stopped_where_another_driver_filters():
    cloud = small(settings=HYBRID).put(port(2, address_pairs=(pair("10.0.0.50", port(2).mac),)))
    arp = replace(between(1, 2, TCP, 0), protocol=None, dl_dst=BROADCAST)
    assert cloud.send(1, arp).ports >= {WIRE, cloud.card(2)}
    assert not cloud.send(1, replace(arp, src="10.0.0.2")).ports
    assert not cloud.send(1, replace(arp, vlan=0)).ports
    assert cloud.send(2, replace(arp, src="10.0.0.50", dl_src=port(2).mac)).ports >= {WIRE, cloud.card(1)}
    assert cloud.send(1, between(1, 2, TCP, 22)).ports >= {cloud.card(2)}
    assert not cloud.send(1, replace(between(1, 2, TCP, 22), dl_src=OUTSIDE_MAC)).ports


def test_services_talk_to_guests_and_are_filtered_at_the_guest():
    qr = RouterPort(id_of(0xB0, 50), network().id, OUTSIDE_MAC, 1500, ("10.0.0.254/24",), ("s",))
    router = Router("r", "demo", True, True, (qr,), None, (), (), ())
    served = DhcpNetwork(network().id, (DhcpServer("host1", id_of(0xB0, 51)),), ())
    server = port(51, device_owner="network:dhcp", device_id="dhcp")
    cloud = small().put(router, served, server)
    state = cloud.plan()
    assert {state.of(SwitchPort)[name,].tag for name in ("qr-00b00032-00", tap(51), tap(1))} == {1}
    switch = Switch(state)
    ssh = replace(between(9, 1, TCP, 22), dl_src=OUTSIDE_MAC)
    assert not switch.send("qr-00b00032-00", ssh).ports
    assert switch.send("qr-00b00032-00", replace(ssh, dport=80)).ports == {tap(1)}
    assert switch.send(tap(1), replace(between(1, 9, TCP, 22), dl_dst=OUTSIDE_MAC)).ports == {"qr-00b00032-00"}
    assert switch.send(tap(1), between(1, 51, TCP, 53)).ports == {tap(51)}


def test_a_port_that_nobody_knows_is_not_kept_and_reaches_nobody():
    cloud = small().put(port(2, [WEB.id]))
    facts = cloud.facts
    stranger = Interface("tapstranger", id_of(0xB0, 77), OUTSIDE_MAC)
    state = plan(Intent(cloud.fragments), Facts({**facts.interfaces, stranger.port_id: stranger}), SETTINGS)
    assert ("tapstranger",) not in state.of(SwitchPort)
    state.add(SwitchPort(bridge="br-int", name="tapstranger"))
    for vlan in (None, 1):
        assert not Switch(state).send("tapstranger", replace(between(1, 2, TCP, 80), vlan=vlan)).ports


# Tunnels

OVERLAY = network(7, "vxlan", 77)
PEER = TunnelPeer("host2", "192.0.2.2", ("vxlan",))
REMOTE_PORT = Neighbour(id_of(0xB0, 9), OVERLAY.id, OUTSIDE_MAC, ("10.0.0.9",), ("host2",))
TUNNEL = "vxlan-c0000202"


def overlay(*fragments: Fragment) -> World:
    return World().put(OVERLAY, port(1, network_id=OVERLAY.id, port_security=False), *fragments)


@pytest.mark.parametrize(("name", "population"), [("tunnels", False), ("tunnels_populated", True)])
def test_golden_tunnels(name, population):
    cloud = overlay(PEER, msgspec.structs.replace(REMOTE_PORT, addresses=("10.0.0.9", "2001:db8::9")))
    cloud.settings = replace(SETTINGS, l2_population=population)
    lines = str(cloud.plan()).splitlines(keepends=True)
    golden.check(name, "".join(line for line in lines if re.search(r"br-tun|patch-tun|vxlan", line)))


def test_one_address_at_two_ports_for_a_moment_does_not_stop_the_plan():
    moved = msgspec.structs.replace(REMOTE_PORT, id=id_of(0xB0, 10))
    cloud = overlay(PEER, REMOTE_PORT, moved)
    cloud.settings = replace(SETTINGS, l2_population=True)
    flows = flow_texts(cloud.plan(), "br-tun")
    assert [sum(word in flow for flow in flows) for word in ("arp_tpa=10.0.0.9", f"dl_dst={OUTSIDE_MAC}")] == [1, 1]


def test_an_overlay_goes_to_the_peers_that_share_it_and_learns_where_to():
    cloud = overlay(
        PEER,
        TunnelPeer("host3", "192.0.2.3", ("vxlan",)),
        msgspec.structs.replace(REMOTE_PORT, hosts=("host2", "host3")),
    )
    switch = Switch(cloud.plan())
    out, back = replace(between(1, 9, TCP, 22), dl_dst=OUTSIDE_MAC), replace(between(9, 1, TCP, 22), dl_src=OUTSIDE_MAC)
    assert {(o.port, o.vlan, o.tun_id) for o in switch.send(tap(1), out).outputs} == {
        (TUNNEL, None, 77),
        ("vxlan-c0000203", None, 77),
    }
    assert switch.send(TUNNEL, replace(back, tun_id=77)).ports == {tap(1)}
    assert switch.send(tap(1), out).ports == {TUNNEL}
    assert not switch.send(TUNNEL, replace(back, tun_id=78)).ports
    assert switch.send(TUNNEL, replace(back, tun_id=77, dl_dst=BROADCAST)).ports <= {tap(1), "br-int"}


def test_broadcast_reaches_a_crowd_that_one_flow_cannot_name(monkeypatch):
    cloud = small().put(*(port(n, [WEB.id]) for n in range(2, 8)), network(2, "vlan"))
    http = replace(between(9, 1, TCP, 80), dl_src=OUTSIDE_MAC, dl_dst=BROADCAST)
    everybody = {tap(n) for n in range(1, 8)}
    heard, sent = cloud.receive(http), cloud.send(1, replace(http, dl_src=port(1).mac, src="10.0.0.1")).ports
    assert heard == everybody
    monkeypatch.setattr("netloom.plan.forwarding.NAMED", 3)
    assert max(str(flow).count("resubmit(,81)") for flow in cloud.plan().of(Flow).values()) == 3
    assert cloud.receive(http) == heard
    assert cloud.send(1, replace(http, dl_src=port(1).mac, src="10.0.0.1")).ports == sent


# Small parts


def test_local_vlans_stay_and_new_ones_take_the_lowest_free():
    known = vlans.assign(["b", "a"], {})
    assert known == {"a": 1, "b": 2}
    assert vlans.assign(["a0", "b"], known) == {"b": 2, "a0": 3}
    assert vlans.assign(["c", "b"], {"b": 4095}) == {"b": 1, "c": 2}


def test_local_vlans_of_the_gone_are_taken_last():
    gone = {f"n{i}": i for i in range(1, 4095)}
    assert vlans.assign(["new"], gone) == {"new": 1}
    with pytest.raises(ValueError, match="local VLANs"):
        vlans.assign(map(str, range(4095)), {})


@given(st.integers(0, 65535), st.integers(0, 65535))
@settings(max_examples=60, deadline=None)
def test_port_masks_cover_a_range_and_nothing_else(a, b):
    first, last = sorted((a, b))
    covered = 0
    for text in matches.port_masks(first, last):
        value, _, mask = text.partition("/")
        size = 0x10000 - int(mask or "0xffff", 0)
        assert first <= int(value, 0)
        assert int(value, 0) + size - 1 <= last
        covered += size
    assert covered == last - first + 1


def test_numbers_are_distinct_even_for_ids_that_begin_alike():
    ids = [f"00000000-0000-4000-8000-{n:012x}" for n in range(50)] + ["plain"]
    numbers = number(ids)
    assert len(set(numbers.values())) == 51
    assert 0 not in numbers.values()
    assert number(["5e000001-0000-4000-8000-000000000001"]) == {"5e000001-0000-4000-8000-000000000001": 0x5E000001}


# Whole plans

GROUPS = [
    group(1, *EGRESS_ALL, rule(protocol=TCP, first=22, last=1000, remote=REMOTE)),
    group(2, rule(), rule(version=6, remote=id_of(0xADD, 2)), stateful=False),
    group(3),
]


def random_cloud(seed: int) -> dict[str, Fragment]:
    """Some ports, in some groups, on some networks, in some state; some of them behind another one."""
    dice = random.Random(seed)
    cloud = World().put(
        *(network(n, kind) for n, kind in enumerate(dice.sample(["vlan", "vlan", "flat", "vxlan", "local"], 3), 1))
    )
    cloud.put(*dice.sample(GROUPS, dice.randint(1, 3)))
    ports = dice.randint(1, 8)
    for n in range(1, 1 + ports):
        pairs = tuple(pair(f"10.0.1.{i}", f"fa:16:3e:00:01:{i:02x}") for i in range(dice.randint(0, 2)))
        cloud.put(
            port(
                n,
                [g.id for g in dice.sample(GROUPS, dice.randint(0, 2))],
                network_id=network(dice.randint(1, 3)).id,
                host=dice.choice(["host1"] * 4 + ["host2", ""]),
                admin_state_up=dice.random() < 0.9,
                port_security=dice.random() < 0.8,
                address_pairs=pairs,
            )
        )
    cloud.members(REMOTE, *(f"10.0.0.{n}" for n in range(dice.randint(0, 5))))
    cloud.put(TunnelPeer("host2", "192.0.2.2", ("vxlan",)))
    cloud.put(
        *(
            Neighbour(
                id_of(0xB1, n), network(n).id, f"fa:16:3e:99:00:0{n}", (f"10.0.9.{n}", f"2001:db8:9::{n}"), ("host2",)
            )
            for n in range(1, 4)
        )
    )
    parent, *subs = dice.sample([f for f in cloud.fragments.values() if isinstance(f, Port)], dice.randint(1, ports))
    cloud.put(*(msgspec.structs.replace(sub, device_owner="trunk:subport") for sub in subs))
    cloud.put(Trunk(id_of(0x3B, seed), parent.id, tuple(SubPort(sub.id, 100 + n) for n, sub in enumerate(subs))))
    return cloud.fragments


def populated(seed: int) -> World:
    """Every other one with l2population, some where iptables filter."""
    settings = SETTINGS if seed % 3 else HYBRID
    return World(random_cloud(seed), settings=replace(settings, l2_population=bool(seed % 2)))


@pytest.mark.parametrize("seed", range(20))
def test_the_order_of_intent_does_not_matter(seed):
    fragments = random_cloud(seed)
    backwards = dict(reversed(fragments.items()))
    forward, back = World(fragments), World(backwards)
    assert str(forward.plan()) == str(back.plan())
    assert [element.origin for element in forward.plan()] == [element.origin for element in back.plan()]


@pytest.mark.parametrize("seed", range(20))
def test_no_flow_refers_to_a_port_that_is_not_there(seed):
    state = populated(seed).plan()
    ports = {port.name: port.bridge for port in state.of(SwitchPort).values()}
    for flow in state.of(Flow).values():
        named = re.findall(r"(?:in_port=|output:)([\w.-]+)", f"{flow.match} {flow.actions}")
        assert all(ports.get(name) == flow.bridge for name in named if name != "NXM_OF_IN_PORT"), flow


@pytest.mark.parametrize("seed", range(20))
def test_every_resubmit_has_a_table_that_ends(seed):
    state = populated(seed).plan()
    tables = {(flow.bridge, flow.table) for flow in state.of(Flow).values() if not flow.match or "dl_dst" in flow.match}
    for flow in state.of(Flow).values():
        for table in re.findall(r"(?:resubmit\(,|ct\(table=)(\d+)", flow.actions):
            assert (flow.bridge, int(table)) in tables, flow


def test_a_walk_between_clouds_keeps_the_vlans_of_networks_that_stay():
    known: dict[str, int] = {}
    states = []
    for seed in range(10):
        fragments = random_cloud(seed)
        state = World(fragments, vlans=known).plan()
        found = {dict(p.other_config).get("net_uuid"): p.tag for p in state.of(SwitchPort).values() if p.other_config}
        assert all(known[id] == tag for id, tag in found.items() if id in known)
        known, states = found, [*states, state]
    for before, after in pairwise(states):
        changes = after.changes(Flow, before)
        assert len(changes.create) + len(changes.update) + len(changes.delete) < len(after.of(Flow)) + len(
            before.of(Flow)
        )
