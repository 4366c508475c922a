"""Trunks: one card, several networks, each told by a tag and filtered by the security groups of its own port."""

import random
import re
from dataclasses import replace
from itertools import pairwise

import msgspec
import pytest

from netloom.feed.fragments import Network, Nic, Port, Server, SubPort, Trunk
from netloom.plan import Intent, plan
from netloom.plan.packet import Packet, value_of
from netloom.plan.settings import PlanSettings
from netloom.plan.simulate import Switch
from netloom.plan.vlans import DEAD
from netloom.state import Bridge, Facts, Flow, HostState, Interface, SwitchPort
from tests.unit.plan import golden
from tests.unit.plan.switching_world import (
    BROADCAST,
    ICMP,
    OUTSIDE_MAC,
    SETTINGS,
    TCP,
    WIRE,
    World,
    between,
    id_of,
    network,
    port,
    tap,
)
from tests.unit.plan.trunk_world import (
    BRIDGE,
    CLOSED,
    FIRST,
    LAST,
    OPEN,
    PARENT,
    SSH,
    SUB_PORTS,
    cloud,
    inside,
    name,
    network_of,
    sub_port,
    tag,
    trunk,
)

HYBRID = replace(SETTINGS, firewall_driver="iptables_hybrid")
DRIVERS = pytest.mark.parametrize("settings", [SETTINGS, HYBRID], ids=["openvswitch", "hybrid"])
OURS = re.compile(r"\btbr-|\b[ts]p[ti]-")


def walk(world: World, in_port: str, packet: Packet) -> set[tuple[str, int | None]]:
    """Ports that a packet leaves by, each with the tag that it bears there; bridges' own ports are nobody's."""
    state = world.plan()
    switch = Switch(state, world.connections)
    teach(switch, world, state)
    outputs = switch.send(in_port, packet).outputs
    return {(output.port, output.vlan) for output in outputs if not output.port.startswith("br-")}


def teach(switch: Switch, world: World, state: HostState) -> None:
    """Let bridges that learn know who is where, so that they flood nothing but broadcast."""
    ports = state.of(SwitchPort)
    for fragment in list(world.fragments.values()):
        if isinstance(fragment, Network):
            switch.learned["br-eth1", fragment.segmentation_id, value_of("dl_src", OUTSIDE_MAC)] = WIRE
        if isinstance(fragment, Port):
            prefixes = {"spi-": 10, "tpi-": 10, "tap": 11, "qvo": 11}
            place = next(p for prefix, n in prefixes.items() if (p := ports.get((prefix + fragment.id[:n],))))
            switch.learned["br-int", place.tag, value_of("dl_src", fragment.mac)] = place.name
            switch.learned["br-int", place.tag, value_of("dl_src", OUTSIDE_MAC)] = "int-br-eth1"


def sent(world: World, packet: Packet, vlan: int | None) -> set[tuple[str, int | None]]:
    """What becomes of a packet that the instance sends with a tag."""
    return walk(world, world.card(PARENT), replace(packet, vlan=vlan))


@pytest.mark.parametrize(("file", "settings"), [("trunks", SETTINGS), ("trunks_hybrid", HYBRID)])
def test_golden(file: str, settings: PlanSettings):
    world = World(settings=settings).put(network(), OPEN, port(PARENT, [OPEN.id]), trunk(*SUB_PORTS))
    world.put(*(network_of(n) for n in SUB_PORTS), *(sub_port(n, OPEN.id) for n in SUB_PORTS))
    lines = str(world.plan()).splitlines(keepends=True)
    golden.check(file, "".join(line for line in lines if OURS.search(line)))


def test_ports_and_tags_are_those_that_operators_know():
    ports = cloud(*SUB_PORTS).plan().of(SwitchPort)
    assert (ports[tap(PARENT),].bridge, ports[tap(PARENT),].tag) == (BRIDGE, None)
    assert (ports[name("tpt", PARENT),].bridge, ports[name("tpt", PARENT),].tag) == (BRIDGE, None)
    there, here = [ports[name("spt", n),] for n in SUB_PORTS], [ports[name("spi", n),] for n in SUB_PORTS]
    assert [(p.bridge, p.tag) for p in there] == [(BRIDGE, 1100), (BRIDGE, 1200), (BRIDGE, 1300)]
    assert [(p.bridge, p.tag) for p in here] == [("br-int", 2), ("br-int", 3), ("br-int", 4)]
    assert (ports[name("tpi", PARENT),].bridge, ports[name("tpi", PARENT),].tag) == ("br-int", 1)
    for end in (*here, ports[name("tpi", PARENT),]):
        ids = dict(end.external_ids)
        assert ports[dict(end.options)["peer"],].options == (("peer", end.name),)
        assert ids["iface-id"][:10] == end.name[4:]
        assert ids["attached-mac"].startswith("fa:16:3e")


@DRIVERS
def test_each_network_leaves_by_its_own_vlan_and_comes_back_with_its_own_tag(settings: PlanSettings):
    world = cloud(*SUB_PORTS, settings=settings)
    for number in (PARENT, *SUB_PORTS):
        real = network_of(number).segmentation_id
        out = replace(between(number, 9, ICMP, 8), dl_dst=OUTSIDE_MAC)
        assert sent(world, out, inside(number)) == {(WIRE, real)}
        assert walk(world, WIRE, replace(out.reply(), vlan=real)) == {(world.card(PARENT), inside(number))}


@DRIVERS
def test_security_groups_of_each_sub_port_hold_on_its_own_network(settings: PlanSettings):
    world = cloud(*SUB_PORTS, settings=settings)
    allowed = {FIRST: {22, 80}, FIRST + 1: {22}, FIRST + 2: set()}
    for number in SUB_PORTS:
        for dport in (22, 80):
            came = walk(world, world.card(number + 10), between(number + 10, number, TCP, dport))
            assert came == ({(world.card(PARENT), tag(number))} if dport in allowed[number] else set())


@DRIVERS
def test_a_sub_port_says_only_what_is_true_of_it(settings: PlanSettings):
    world = cloud(*SUB_PORTS, settings=settings)
    other = FIRST + 11
    ping = between(FIRST + 1, other, ICMP, 8)
    assert sent(world, ping, tag(FIRST + 1)) == {(world.card(other), None)}
    for lie in (
        replace(ping, dl_src=port(PARENT).mac),
        replace(ping, src="10.0.0.77"),
        replace(between(FIRST, other, ICMP, 8), dl_src=ping.dl_src),
        replace(ping, protocol=None, dl_dst=BROADCAST, src="10.0.0.77"),
    ):
        assert not sent(world, lie, tag(FIRST + 1)), lie


def test_a_connection_between_two_trunks_of_a_host_is_tracked_for_each_of_them():
    world = cloud(*SUB_PORTS, settings=HYBRID)
    there = port(40, [OPEN.id], network_id=network(40).id)
    other = sub_port(41, SSH.id, network_id=network_of(FIRST).id)
    world.put(network(40), there, other, Trunk(id_of(0x3B, 2), there.id, (SubPort(other.id, 7),)))
    zones = {
        dict(p.other_config).get("zone") for p in world.plan().of(SwitchPort).values() if p.name.startswith("spi-")
    }
    assert len(zones) == 4
    assert None not in zones
    assert sent(world, between(FIRST, 41, TCP, 80), tag(FIRST)) == set()
    assert sent(world, between(FIRST, 41, TCP, 22), tag(FIRST)) == {(world.card(40), 7)}
    answer, guess = (replace(between(FIRST, 41, TCP, dport).reply(), vlan=7) for dport in (22, 80))
    assert walk(world, world.card(40), answer) == {(world.card(PARENT), tag(FIRST))}
    world.put(msgspec.structs.replace(SSH, rules=()))
    assert walk(world, world.card(40), guess) == set()  # what it was not let hear it may not answer


def test_zones_of_sub_ports_stay_when_others_come():
    world = cloud(LAST - 1, settings=HYBRID)
    spi = name("spi", LAST - 1)
    zone = int(dict(world.plan().of(SwitchPort)[spi,].other_config)["zone"])
    more = cloud(*SUB_PORTS, settings=HYBRID)
    facts = replace(more.facts, zones={id_of(0xB0, LAST - 1): zone})
    ports = plan(Intent(more.fragments), facts, HYBRID).of(SwitchPort)
    assert dict(ports[spi,].other_config)["zone"] == str(zone)
    assert len({dict(ports[name("spi", n),].other_config)["zone"] for n in SUB_PORTS}) == 3


@DRIVERS
def test_nothing_gets_from_one_network_into_another(settings: PlanSettings):
    world = cloud(*SUB_PORTS, settings=settings)
    for number in (PARENT, *SUB_PORTS):
        arp = replace(between(number, 9, TCP), protocol=None, dl_dst=BROADCAST)
        others = set() if number == PARENT else {(world.card(number + 10), None)}
        assert sent(world, arp, inside(number)) == others | {(WIRE, network_of(number).segmentation_id)}
    for nobodys in (1, 2, 999, 1001, 4095):
        assert not sent(world, replace(arp, dl_src=port(PARENT).mac), nobodys)


def test_nothing_is_made_before_the_parent_is_plugged():
    world = cloud(*SUB_PORTS)
    facts = Facts({id: card for id, card in world.facts.interfaces.items() if id != id_of(0xB0, PARENT)})
    state = plan(Intent(world.fragments), facts, SETTINGS)
    assert not [element for element in state if OURS.search(str(element))]


def test_a_card_is_taken_for_a_trunk_on_the_trunks_own_bridge_alone():
    world = cloud(*SUB_PORTS)
    card = world.facts.interfaces[id_of(0xB0, PARENT)]

    def planned(bridge: str) -> HostState:
        facts = Facts(dict(world.facts.interfaces) | {card.port_id: replace(card, bridge=bridge)})
        return plan(Intent(world.fragments), facts, SETTINGS)

    assert planned(BRIDGE) == planned("")
    plugged_too_early, somewhere = planned("br-int"), planned("tbr-another")
    assert plugged_too_early.of(SwitchPort)[tap(PARENT),].tag == 1
    assert (tap(PARENT),) not in somewhere.of(SwitchPort)
    for state in (plugged_too_early, somewhere):
        assert not [element for element in state if OURS.search(str(element))]


@DRIVERS
def test_a_sub_port_with_a_card_of_its_own_is_behind_its_trunk_all_the_same(settings: PlanSettings):
    world, id = cloud(*SUB_PORTS, settings=settings), id_of(0xB0, FIRST)
    stray = Interface(world.card(FIRST), id, port(FIRST).mac, "br-int")
    cards = dict(world.facts.interfaces) | {id: stray}
    ports = plan(Intent(world.fragments), Facts(cards), settings).of(SwitchPort)
    assert (stray.device,) not in ports
    assert (name("spi", FIRST),) in ports
    del cards[id_of(0xB0, PARENT)]
    assert (name("spi", FIRST),) not in plan(Intent(world.fragments), Facts(cards), settings).of(SwitchPort)


@DRIVERS
def test_one_port_of_two_trunks_for_a_moment_does_not_stop_the_plan(settings: PlanSettings):
    world = cloud(*SUB_PORTS, settings=settings)
    world.put(Trunk(id_of(0x3B, 2), id_of(0xB0, PARENT), trunk(*SUB_PORTS).sub_ports))
    world.put(Trunk(id_of(0x3B, 3), id_of(0xB0, FIRST + 10), (SubPort(id_of(0xB0, FIRST), 7),)))
    ports = world.plan().of(SwitchPort)
    bridges = {ports[name("spt", n),].bridge for n in SUB_PORTS} | {ports[world.card(PARENT),].bridge}
    assert bridges == {"tbr-" + id_of(0x3B, n)[:10] for n in (2, 3)}


@DRIVERS
def test_our_own_instances_are_plugged_as_nova_plugs(settings: PlanSettings):
    world = cloud(*SUB_PORTS, settings=settings)
    parent = port(PARENT, [OPEN.id], device_id="one")
    nic = Nic(parent.id, parent.mac, 1500)
    world.put(parent, Server("one", "one", "one", "demo", "any", 64, 1, True, 0, (nic,)))
    for facts in (Facts(), world.facts):
        ports = plan(Intent(world.fragments), facts, settings).of(SwitchPort)
        card = ports[world.card(PARENT),]
        assert (card.bridge, card.tag, dict(card.external_ids)["vm-uuid"]) == (BRIDGE, None, "one")
        assert {(name("tpt", PARENT),), (name("spt", FIRST),), (name("spi", FIRST),)} <= ports.keys()


def test_what_is_not_known_yet_keeps_nobody_else_waiting():
    world = cloud(*SUB_PORTS)
    del world.fragments[f"port/{id_of(0xB0, FIRST)}"], world.fragments[f"network/{network_of(FIRST + 1).id}"]
    ports = world.plan().of(SwitchPort)
    assert (name("spt", FIRST),) not in ports
    assert (ports[name("spt", FIRST + 1),].tag, ports[name("spi", FIRST + 1),].tag) == (tag(FIRST + 1), DEAD)
    assert ports[name("spi", FIRST + 2),].tag != DEAD


@DRIVERS
def test_a_sub_port_that_is_down_is_silent_alone(settings: PlanSettings):
    world = cloud(*SUB_PORTS, settings=settings)
    world.put(msgspec.structs.replace(world.fragments[f"port/{id_of(0xB0, FIRST)}"], admin_state_up=False))
    assert world.plan().of(SwitchPort)[name("spi", FIRST),].tag == DEAD
    assert not sent(world, between(FIRST, FIRST + 10, ICMP, 8), tag(FIRST))
    assert world.card(PARENT) not in world.send(FIRST + 10, between(FIRST + 10, FIRST, ICMP, 8)).ports
    assert sent(world, between(FIRST + 1, FIRST + 11, ICMP, 8), tag(FIRST + 1))


def test_origins_say_for_whom_things_are():
    state = cloud(*SUB_PORTS).plan()
    ports, sub = state.of(SwitchPort), f"port/{id_of(0xB0, FIRST)}"
    assert state.of(Bridge)[BRIDGE,].origin == trunk().name
    assert {ports[name(prefix, PARENT),].origin for prefix in ("tpt", "tpi")} == {trunk().name}
    assert {ports[name(prefix, FIRST),].origin for prefix in ("spt", "spi")} == {sub}
    named = [f for f in state.of(Flow).values() if name("spi", FIRST) in str(f) or name("spt", FIRST) in str(f)]
    assert {flow.origin for flow in named if "in_port" in flow.match} <= {sub}


def touched(before: HostState, after: HostState) -> set[str]:
    """Origins of all that differs."""
    found: set[str] = set()
    for kind in (Bridge, SwitchPort, Flow):
        changes = after.changes(kind, before)
        found |= {element.origin for element in (*changes.create, *changes.delete)}
        found |= {after.origin for _, after in changes.update}
    return found


@DRIVERS
def test_a_sub_port_that_comes_or_goes_touches_only_what_is_its_own(settings: PlanSettings):
    world = cloud(*SUB_PORTS, settings=settings)
    world.put(trunk(*SUB_PORTS[:-1]))
    before = world.plan()
    after = world.put(trunk(*SUB_PORTS)).plan()
    gone = world.put(trunk(*SUB_PORTS[:-1])).plan()
    own = {f"port/{id_of(0xB0, LAST - 1)}", network_of(LAST - 1).name, CLOSED.name}
    assert touched(before, after) <= own
    assert touched(after, gone) <= own
    assert before == gone


@DRIVERS
def test_a_walk_of_sub_ports_leaves_nothing_behind(settings: PlanSettings):
    dice = random.Random(4)
    world, states = cloud(*SUB_PORTS, settings=settings), []
    for _ in range(20):
        there = sorted(dice.sample(SUB_PORTS, dice.randint(0, len(SUB_PORTS))))
        state = world.put(trunk(*there)).plan()
        assert {p.name for p in state.of(SwitchPort).values() if p.bridge == BRIDGE} == {
            world.card(PARENT),
            name("tpt", PARENT),
            *(name("spt", n) for n in there),
        }
        names = {p.name for p in state.of(SwitchPort).values()}
        assert {n for n in names if n.startswith("spi-")} == {name("spi", n) for n in there}
        states.append((there, state))
    for (there, before), (here, after) in pairwise(states):
        if there == here:
            assert before == after
