"""Linux bridges between instances' cards and the switch."""

import json
from dataclasses import replace

import pytest

from netloom.host.linux_bridges import LinuxBridges
from netloom.host.veths import transmit_checksum_offload
from netloom.state import HostState, LinuxBridge

from .sandbox import eventually, run

PLUG = LinuxBridge(name="qbrx1", card="tapx1", inner="qvbx1", outer="qvox1", mtu=1450, origin="port/x1")


def to_do(driver, *wanted):
    return HostState(wanted).changes(LinuxBridge, HostState(driver.observe()))


def links(*words):
    return {link["ifname"]: link for link in json.loads(run("ip", "-details", "-json", *words))}


def card(name):
    run("ip", "link", "add", name, "up", "type", "veth", "peer", "name", f"{name}-g")
    run("ip", "link", "set", f"{name}-g", "up")


@pytest.fixture
def driver(sandbox):
    return LinuxBridges(sandbox.layout)


@pytest.fixture
def plugged(driver):
    card("tapx1")
    assert driver.apply(to_do(driver, PLUG)) == []
    return driver


def test_a_plug_looks_as_operators_know_it(plugged):
    assert not to_do(plugged, PLUG)
    found = links("link")
    assert {found[name].get("master") for name in ("tapx1", "qvbx1")} == {"qbrx1"}
    assert (found["qvbx1"]["link"], found["qvox1"]["link"]) == ("qvox1", "qvbx1")
    assert found["qbrx1"]["address"] == found["qvbx1"]["address"]
    assert all("PROMISC" in found[name]["flags"] for name in ("qvbx1", "qvox1"))
    assert {found[name]["mtu"] for name in ("qbrx1", "qvbx1", "qvox1")} == {1450}
    bridge = found["qbrx1"]["linkinfo"]["info_data"]
    assert [bridge[name] for name in ("forward_delay", "ageing_time", "stp_state", "mcast_snooping")] == [0, 0, 0, 0]
    assert not any(map(transmit_checksum_offload, ("qvbx1", "qvox1")))
    assert {"qvbx1", "tapx1"} <= set(run("brctl", "show", "qbrx1").split())


def test_all_but_the_bridge_have_a_link_local_address(plugged):
    def addressed():
        shown = links("-6", "address", "show", "scope", "link")
        return {name for name, link in shown.items() if link.get("addr_info")} - {"tapx1-g"}

    eventually(lambda: addressed() == {"qvox1", "qvbx1", "tapx1"})


@pytest.mark.parametrize(
    "damage",
    [
        "del qbrx1",
        "del qvox1",
        "set qvbx1 nomaster",
        "set tapx1 nomaster",
        "set qvox1 down",
        "set qbrx1 down",
        "set qvbx1 mtu 1400",
    ],
)
def test_what_is_damaged_is_mended(plugged, damage):
    run("ip", "link", *damage.split())
    assert to_do(plugged, PLUG)
    assert plugged.apply(to_do(plugged, PLUG)) == []
    assert not to_do(plugged, PLUG)


def test_offload_that_came_back_is_turned_off(plugged):
    transmit_checksum_offload("qvox1", on=True)
    assert plugged.apply(to_do(plugged, PLUG)) == []
    assert not transmit_checksum_offload("qvox1")


def test_another_mtu(plugged):
    other = replace(PLUG, mtu=1400)
    assert plugged.apply(to_do(plugged, other)) == []
    assert not to_do(plugged, other)


def test_a_card_that_is_made_anew_comes_in_again(plugged):
    run("ip", "link", "del", "tapx1")
    (failed,) = plugged.apply(to_do(plugged, PLUG))
    assert (failed.origin, "tapx1" in failed.element) == ("port/x1", True)
    card("tapx1")
    assert plugged.apply(to_do(plugged, PLUG)) == []
    assert not to_do(plugged, PLUG)


def test_nothing_is_left_but_the_card(plugged, sandbox):
    assert plugged.apply(to_do(plugged)) == []
    assert not list(LinuxBridges(sandbox.layout).observe())
    assert links("link").keys() == {"lo", "tapx1", "tapx1-g"}
    assert "master" not in links("link")["tapx1"]


def test_a_pair_without_its_bridge_goes_too(plugged):
    run("ip", "link", "del", "qbrx1")
    assert plugged.apply(to_do(plugged)) == []
    assert links("link").keys() == {"lo", "tapx1", "tapx1-g"}


@pytest.mark.parametrize("name", ["qbrx1", "qvbx1", "qvox1"])
def test_what_somebody_else_made_is_left_alone(driver, name):
    card("tapx1")
    run("ip", "link", "add", name, "type", "bridge")
    card("tapx2")
    second = LinuxBridge(name="qbrx2", card="tapx2", inner="qvbx2", outer="qvox2", mtu=1500)
    (failed,) = driver.apply(to_do(driver, PLUG, second))
    assert name in failed.reason
    assert links("link")[name]["linkinfo"]["info_kind"] == "bridge"
    assert not to_do(driver, second)
    assert driver.apply(to_do(driver)) == []
    assert name in links("link")


def test_many_at_once(driver):
    plugs = [
        LinuxBridge(name=f"qbr{n}", card=f"tap{n}", inner=f"qvb{n}", outer=f"qvo{n}", mtu=1450) for n in range(100)
    ]
    for n in range(100):
        card(f"tap{n}")
    assert driver.apply(to_do(driver, *plugs)) == []
    assert not to_do(driver, *plugs)
    assert driver.apply(to_do(driver)) == []
    assert not list(driver.observe())
