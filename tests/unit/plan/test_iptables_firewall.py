"""The hybrid plug and its filter tables; that they do to packets what flows do, tests/host/test_firewalls.py tells."""

import random
from dataclasses import replace

import pytest

from netloom.feed.fragments import Nic, Server, SubPort, Trunk
from netloom.plan import Intent, plan, plugs
from netloom.state import FilterTable, Instance, IpSet, LinuxBridge, SwitchPort, Sysctl
from tests.unit.plan import golden
from tests.unit.plan.switching_world import (
    EGRESS_ALL,
    ICMP,
    ICMP6,
    SETTINGS,
    TCP,
    UDP,
    World,
    group,
    id_of,
    network,
    pair,
    port,
    rule,
)

HYBRID = replace(SETTINGS, firewall_driver="iptables_hybrid")
MEMBERS = id_of(0xADD, 1)
WEB = group(
    1,
    *EGRESS_ALL,
    rule(protocol=TCP, first=80, last=89),
    rule(protocol=ICMP, first=8, last=0),
    rule(version=6, protocol=ICMP6, first=128),
    rule(protocol=TCP, first=22, last=22, remote=MEMBERS),
    rule(version=6, protocol=132, first=5, last=5, prefix="2001:db8::/64"),
)
STATELESS = group(2, *EGRESS_ALL, rule(protocol=UDP), stateful=False)


def cloud() -> World:
    """Guests of every kind: 1 by rules, 2 stateless, 3 without port security."""
    vip = pair("10.0.0.100", port(1).mac)
    return (
        World(settings=HYBRID)
        .put(network(), WEB, STATELESS, port(1, [WEB.id], address_pairs=(vip,)))
        .put(port(2, [STATELESS.id]), port(3, port_security=False))
        .members(MEMBERS, "10.0.0.1", "10.1.0.0/16", "2001:db8::1")
    )


def tables(world: World) -> dict[tuple[int, str], FilterTable]:
    """The filter tables of the host's own namespace."""
    return {(t.family, t.table): t for t in world.plan().of(FilterTable).values() if not t.namespace}


def chain(world: World, name: str, version: int = 4) -> tuple[str, ...]:
    """The rules of a chain of ``filter``."""
    return {c.name: c.rules for c in tables(world)[version, "filter"].chains}[f"neutron-openvswi-{name}"]


def test_golden_filter_tables():
    world = cloud()
    texts = [table.text for _, table in sorted(tables(world).items())]
    others = [*world.plan().of(IpSet).values(), *world.plan().of(Sysctl).values()]
    golden.check("iptables", "".join([*texts, *(f"{element}\n" for element in others)]))


@pytest.mark.parametrize("driver", ["openvswitch", "noop"])
def test_other_drivers_leave_the_tables_of_the_host_alone(driver: str):
    world = cloud()
    world.settings = replace(SETTINGS, firewall_driver=driver)
    assert not tables(world)
    assert not world.plan().of(IpSet)


def test_a_host_without_guests_asks_nothing_of_bridges():
    world = World(settings=HYBRID)
    assert tables(world).keys() == {(4, "raw"), (4, "filter"), (6, "raw"), (6, "filter")}
    assert not [name for _, name in world.plan().of(Sysctl) if name.startswith("net/bridge")]


def test_the_order_of_fragments_does_not_matter():
    world, other, dice = cloud(), cloud(), random.Random(1)
    names = list(world.fragments)
    dice.shuffle(names)
    other.fragments = {name: world.fragments[name] for name in names}
    assert str(other.plan()) == str(world.plan())


def test_a_member_that_joins_changes_its_set_alone():
    world = cloud()
    before = world.plan()
    after = world.members(MEMBERS, "10.0.0.1", "10.0.0.9").plan()
    assert not after.changes(FilterTable, before)
    sets = after.changes(IpSet, before)
    assert not sets.create
    assert not sets.delete
    assert {want.members for _, want in sets.update} == {("10.0.0.1", "10.0.0.9")}


def test_the_whole_address_space_is_two_members():
    world = cloud().members(MEMBERS, "0.0.0.0/0")
    assert world.plan().of(IpSet)[f"NIPv4{MEMBERS[:24]}",].members == ("0.0.0.0/1", "128.0.0.0/1")


def test_a_set_that_is_not_known_yet_is_empty():
    world = cloud()
    del world.fragments[f"addresses/{MEMBERS}"]
    assert world.plan().of(IpSet)[f"NIPv4{MEMBERS[:24]}",].members == ()


@pytest.mark.parametrize(
    "unsaid",
    [
        rule(protocol=0),  # iptables take it for any
        rule(protocol=ICMP, first=255),  # likewise
        rule(protocol=33, first=5, last=6),  # the switch cannot see its ports: the same under either driver
    ],
    ids=str,
)
def test_what_cannot_be_said_lets_nothing_pass(unsaid):
    world = cloud()
    without = chain(world.put(group(1)), f"i{port(1).id[:10]}")
    assert chain(world.put(group(1, unsaid)), f"i{port(1).id[:10]}") == without


def test_a_rule_that_several_groups_have_is_there_once():
    world = cloud().put(group(3, rule(protocol=TCP, first=80, last=89)), port(1, [WEB.id, group(3).id]))
    assert chain(world, f"i{port(1).id[:10]}").count("-p tcp -m tcp --dport 80:89 -j RETURN") == 1


def test_each_card_has_a_zone_of_its_own_that_others_do_not_change():
    def zones(world: World) -> dict[str, str]:
        rules = next(c.rules for c in tables(world)[4, "raw"].chains if c.name != "PREROUTING")
        return {rule.split()[3]: rule.split()[-1] for rule in rules if "--zone" in rule}

    world = cloud()
    before = zones(world)
    world.put(*(port(number, [WEB.id]) for number in range(4, 200)))
    after = zones(world)
    assert after.items() >= before.items()
    numbers = [int(zone) for device, zone in after.items() if device.startswith("tap")]
    assert len(numbers) == len(set(numbers)) == 197
    assert all(4097 <= zone <= 0x7FFF for zone in numbers)
    assert all(after["qvb" + device[3:]] == zone for device, zone in after.items() if device.startswith("tap"))


def test_a_port_that_is_down_has_no_rules():
    world = cloud().put(port(1, [WEB.id], admin_state_up=False))
    assert port(1).id[:10] not in "".join(table.text for table in tables(world).values())


def test_the_parent_of_a_trunk_is_filtered_by_iptables_and_its_sub_ports_are_not():
    world = cloud().put(port(5, [WEB.id], device_owner="trunk:subport", network_id=network(2).id), network(2))
    world.put(Trunk(id_of(0x3B, 1), port(1).id, (SubPort(port(5).id, 100),)))
    text = "".join(table.text for table in tables(world).values())
    assert f"neutron-openvswi-i{port(1).id[:10]}" in text
    assert port(5).id[:10] not in text
    assert world.plan().of(SwitchPort)[world.card(1),].bridge.startswith("tbr-")


@pytest.mark.parametrize("running", [True, False])
def test_our_own_instances_get_a_linux_bridge_for_each_card_while_they_run(running: bool):
    one = port(1, [WEB.id], device_id="vm")
    server = Server("vm", "vm", "vm", "demo", "image", 64, 1, running, 0, (Nic(one.id, one.mac, 1450),))
    world = World(settings=HYBRID).put(network(), WEB, one, server)
    state = plan(Intent(world.fragments), replace(world.facts, interfaces={}), HYBRID)
    p11 = one.id[:11]
    wanted = LinuxBridge(name=f"qbr{p11}", card=f"tap{p11}", inner=f"qvb{p11}", outer=f"qvo{p11}", mtu=1450)
    assert list(state.of(LinuxBridge).values()) == ([wanted] if running else [])
    assert [nic.device for nic in state.of(Instance)["vm",].nics] == [f"tap{p11}"]
    assert ((f"qvo{p11}",) in state.of(SwitchPort)) == running
    assert (f"tap{p11}",) not in state.of(SwitchPort)


def test_a_card_without_a_linux_bridge_is_dead_where_iptables_filter():
    world = cloud()
    card = replace(world.facts.interfaces[port(1).id], device="tap1")
    state = plan(Intent(world.fragments), replace(world.facts, interfaces={port(1).id: card}), HYBRID)
    assert state.of(SwitchPort)["tap1",].tag == 4095


def test_a_card_that_cannot_be_filtered_is_as_good_as_not_plugged():
    world = cloud()
    bare = {id: replace(card, device="tap1") for id, card in world.facts.interfaces.items()}
    facts = replace(world.facts, interfaces=bare | {"unknown": bare[port(1).id]})
    intent = Intent(world.fragments)
    assert plugs.usable(intent, facts, HYBRID).interfaces.keys() == {port(3).id, "unknown"}
    assert plugs.usable(intent, facts, SETTINGS) == facts
    assert plugs.usable(intent, world.facts, HYBRID) == world.facts
