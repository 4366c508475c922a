"""Pictures of a host with a trunk: what is in them, what a narrower one leaves out, and how they look."""

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from netloom import picture
from netloom.picture.cables import Kind
from netloom.state import Bridge, Device, HostState, SwitchPort
from tests.unit.picture import world
from tests.unit.picture.world import DHCP_PORTS, INSTANCE, NAMES, NETWORKS, PARENT, ROUTER, ROUTER_PORTS, SUB_PORTS

SVG = "{http://www.w3.org/2000/svg}"
OTHER = "11111111-2222-4333-8444-555555555555"


def trees(state: HostState | None = None) -> list[picture.Branch]:
    return picture.whole(state or world.host(), "br-int", NAMES)


def wires(branches: list[picture.Branch]) -> set[tuple[str, str, int | None, int | None]]:
    """What is wired: names and tags of both ends."""
    drawn = (wire.cable for wire in picture.draw(branches).wires)
    return {
        (c.one.port, c.other.port if c.other else c.note, c.one.tag, c.other.tag if c.other else None) for c in drawn
    }


def boxes(branches: list[picture.Branch]) -> list[str]:
    return sorted(box.place.id for box in picture.draw(branches).boxes)


def only(wanted: str, state: HostState | None = None) -> list[picture.Branch]:
    found = picture.part(trees(state), wanted, NAMES)
    assert found
    return [found]


def test_the_way_of_a_card_is_whole():
    tree = trees()[0]
    (trunk,) = [child for child in tree.children if child.place.id == "tbr-3b9bb4f7-a"]
    (linux,) = trunk.children
    (instance,) = linux.children
    assert [one.place.kind for one in (trunk, linux, instance)] == [Kind.SWITCH, Kind.BRIDGE, Kind.INSTANCE]
    assert (instance.place.id, instance.title) == (INSTANCE, "vlan-aware-vm")
    ends = [(cable.kind, cable.one.port, cable.other.port) for one in (linux, instance) for cable in one.cables]
    assert ends == [("veth", "qvo027824df-17", "qvb027824df-17"), ("card", "tap027824df-17", world.MAC)]


def test_patches_of_a_trunk_carry_the_tags_of_both_bridges():
    parent = (f"tpi-{PARENT[:10]}", f"tpt-{PARENT[:10]}", 4, None)
    subs = {(f"spi-{port[:10]}", f"spt-{port[:10]}", local, tag) for port, (local, tag) in SUB_PORTS.items()}
    assert {parent, *subs} <= wires(trees())


def test_what_serves_networks_and_the_ways_out_are_there():
    found = wires(trees())
    for ports, prefix in ((DHCP_PORTS, "tap"), (ROUTER_PORTS, "qr-")):
        assert {(f"{prefix}{port[:11]}", f"{prefix}{port[:11]}", vlan, None) for vlan, port in ports.items()} <= found
    assert {("int-br-eth1", "phy-br-eth1", None, None), ("patch-tun", "patch-int", None, None)} <= found
    assert {("eth1", "", None, None), ("vxlan-0a000120", "10.0.1.32", None, None)} <= found
    assert not any("eth0" in wire for wire in found), "a device that is in no bridge"


def test_every_place_is_drawn_once():
    namespaces = [f"qdhcp-{network}" for network, _, _ in NETWORKS.values()] + [f"qrouter-{ROUTER}"]
    bridges = ["br-eth1", "br-ex", "br-int", "br-tun", "qbr027824df-17", "tbr-3b9bb4f7-a"]
    assert boxes(trees()) == sorted([*namespaces, *bridges, INSTANCE])


def test_a_bridge_that_nothing_joins_to_the_others_is_drawn_below():
    state = world.host()
    state.add(Bridge(name="br-aaa", datapath_type="system"))
    assert [tree.place.id for tree in trees(state)] == ["br-int", "br-aaa"]


def test_an_instance_without_a_trunk_hangs_on_the_integration_bridge():
    state = world.host()
    state.update(world.plain_instance(OTHER, "22222222-3333", 2))
    (branch,) = [child for child in trees(state)[0].children if child.place.id == OTHER]
    assert [(cable.one.port, cable.one.tag) for cable in branch.cables] == [("tap22222222-33", 2)]


def test_a_patch_without_its_peer_is_told():
    state = HostState(one for one in world.host() if getattr(one, "name", "") != f"spt-{next(iter(SUB_PORTS))[:10]}")
    assert ("spi-867d7f27-8", "spt-867d7f27-8", 1, None) in wires(trees(state))
    assert " spt-867d7f27-8" in picture.as_text(picture.draw(trees(state)))


def test_a_port_that_the_switch_cannot_use_says_why():
    state = world.host()
    state.add(SwitchPort(bridge="br-int", name="tapgone", tag=1, error="could not open network device tapgone"))
    assert ("tapgone", "could not open network device tapgone", 1, None) in wires(trees(state))


@pytest.mark.parametrize("wanted", ["net1", NETWORKS[1][0], NETWORKS[1][0][:8]])
def test_a_network_is_drawn_with_its_ports_alone(wanted):
    found = {wire for wire in wires(only(wanted)) if wire[2] is not None}
    assert {vlan for _, _, vlan, _ in found} == {1}
    assert len(found) == 3, "the sub-port, DHCP and the router"


@pytest.mark.parametrize("wanted", ["spt-867d7f27-8", "867d7f27-8da0-4dfc-8d37-82e9f1db5f97", "spi-867d"])
def test_a_port_is_drawn_with_what_serves_its_network(wanted):
    state = world.host()
    state.update(world.plain_instance(OTHER, "22222222-3333", 1))
    places = boxes(only(wanted, state))
    assert {"tbr-3b9bb4f7-a", INSTANCE, f"qdhcp-{NETWORKS[1][0]}", f"qrouter-{ROUTER}", "br-eth1"} <= set(places)
    assert OTHER not in places
    assert f"qdhcp-{NETWORKS[2][0]}" not in places


@pytest.mark.parametrize("wanted", ["vlan-aware-vm", INSTANCE, "tap027824df-17", "qbr027824df-17"])
def test_an_instance_is_drawn_with_all_its_networks_and_no_other_instance(wanted):
    state = world.host()
    state.update(world.plain_instance(OTHER, "22222222-3333", 2))
    assert set(boxes(trees(state))) - set(boxes(only(wanted, state))) == {OTHER}


def test_ports_that_belong_to_a_namespace_are_drawn_along():
    state = world.host()
    state.update(world.plain_instance(OTHER, "22222222-3333", 1))
    namespace = f"qdhcp-{NETWORKS[1][0]}"
    for ports in ((), ("22222222-3333",)):
        found = picture.part(trees(state), namespace, NAMES, ports)
        assert found
        assert {namespace, f"qrouter-{ROUTER}"} <= set(boxes([found]))
        assert (OTHER in boxes([found])) == bool(ports)
        assert INSTANCE not in boxes([found])


def test_what_is_not_there_is_not_found():
    assert picture.part(trees(), "nothing", NAMES) is None


def test_networks_are_listed_with_all_their_vlans():
    state = world.host()
    state.update(world.plain_instance(OTHER, "22222222-3333", 2))
    rows = picture.networks(state, "br-int", NAMES, shown(trees(state)))
    assert [row.cells() for row in rows] == [
        ("net1", "vlan", "physnet", "1031", "1", "1100"),
        ("net2", "vlan", "physnet", "1090", "2", "untagged, 1200"),
        ("net3", "vlan", "physnet", "1048", "3", "1300"),
        ("trunk", "vlan", "physnet", "1052", "4", "untagged"),
    ]
    assert [row.network for row in picture.networks(state, "br-int", {}, shown(only("net3")))] == [NETWORKS[3][0]]


def shown(branches):
    return [cable for child in branches[0].children for cable in child.cables]


def test_the_text_shows_each_cable_on_one_line():
    lines = picture.as_text(picture.draw(trees())).splitlines()
    card = next(line for line in lines if "tpi-" in line)
    for name in ("tpi-027824df-1  tag 4", "tpt-027824df-1", "qvo027824df-17", "qvb027824df-17", "tap027824df-17"):
        assert name in card
    assert card.index("tpi-") < card.index("tpt-") < card.index("qvo") < card.index("qvb") < card.index("tap")
    sub = next(line for line in lines if "spi-867d7f27-8" in line)
    assert "spi-867d7f27-8  tag 1 ├╌╌╌╌╌┤ spt-867d7f27-8  tag 1100" in sub
    assert any(line.startswith("┌─ br-int ─") for line in lines)


def test_no_two_things_are_drawn_over_each_other():
    drawing = picture.draw(trees())
    taken: dict[tuple[int, int], str] = {}
    for box in drawing.boxes:
        for port in box.ports:
            assert box.x < port.x
            assert port.x + len(port.text) < box.x + box.width
        for cell in ((x, y) for x in range(box.x, box.x + box.width) for y in range(box.y, box.y + box.height)):
            assert taken.setdefault(cell, box.title) == box.title
            assert cell[0] < drawing.width
            assert cell[1] < drawing.height
    for wire in drawing.wires:
        assert not {(x, wire.y) for x in range(wire.x, wire.x + wire.length)} & taken.keys()


def test_the_svg_has_every_place_and_cable():
    branches = trees()
    root = ElementTree.fromstring(picture.as_svg(picture.draw(branches), "a <host>", ["NETWORK  TYPE"]))
    places = {g.get("data-id"): g.get("class") for g in root.iter(f"{SVG}g") if g.get("data-id")}
    assert sorted(places) == boxes(branches)
    assert (places[INSTANCE], places["qbr027824df-17"]) == ("instance", "bridge")
    cables = {
        (g.get("data-from"), g.get("data-to"), g.get("data-vlan"), g.get("data-far-vlan"))
        for g in root.iter(f"{SVG}g")
        if g.get("data-from")
    }
    assert cables == {tuple(None if t is None else str(t) for t in wire) for wire in wires(branches)}
    assert root.findtext(f"{SVG}title") == "a <host>"
    assert "NETWORK  TYPE" in {text.text for text in root.iter(f"{SVG}text")}


def test_equal_states_make_equal_pictures():
    def drawn(state):
        return picture.as_svg(picture.draw(trees(state)), "host")

    backwards = HostState(reversed(list(world.host())))
    assert drawn(world.host()) == drawn(backwards)
    moved = HostState(
        replace(one, tag=9) if isinstance(one, SwitchPort) and one.tag == 1 else one for one in world.host()
    )
    assert drawn(moved) != drawn(world.host())


def test_a_veth_pair_between_two_bridges_is_one_cable():
    state = HostState(Bridge(name=name, datapath_type="system") for name in ("br-int", "br-x"))
    for name, peer, bridge in (("left", "right", "br-int"), ("right", "left", "br-x")):
        state.add(SwitchPort(bridge=bridge, name=name))
        state.add(Device(namespace="", name=name, kind="veth", mac="", mtu=1500, up=True, peer=peer))
    assert wires(trees(state)) == {("left", "right", None, None)}
