"""Flows on a real Open vSwitch."""

import re

import pytest

from netloom.host.openflow import OpenFlow
from netloom.state import Bridge, Flow, HostState, SwitchPort
from tests.host.switch import Switch, eventually, switch

__all__ = ["switch"]


def flow(priority: int, match: str = "", actions: str = "drop", *, table: int = 0, origin: str = "") -> Flow:
    return Flow(bridge="br-int", table=table, priority=priority, match=match, actions=actions, origin=origin)


def dump(switch: Switch) -> list[str]:
    """The flows as an operator sees them, without cookies and counters."""
    lines = (line for line in switch.ofctl("dump-flows", "br-int").splitlines() if "actions=" in line)
    return sorted(
        re.sub(r"\b(cookie|duration|n_packets|n_bytes)=\S+ |(?<=table=0), |table=0, ", "", line).strip()
        for line in lines
    )


def plug(switch: Switch, *names: str) -> None:
    """Make br-int and these ports, and no others of ours."""
    elements = [Bridge(name="br-int", datapath_type="netdev"), *(SwitchPort(bridge="br-int", name=n) for n in names)]
    plan, actual = HostState(elements), HostState(switch.db.observe())
    assert switch.db.apply(plan.changes(Bridge, actual), plan.changes(SwitchPort, actual)) == []


@pytest.fixture
def bridge(switch: Switch) -> Switch:
    """A switch with br-int and the ports tap-v1 and tap-v2."""
    switch.veth("tap-v1", "tap-v2")
    plug(switch, "tap-v1", "tap-v2")
    return switch


def test_flows_are_added_changed_and_removed_and_others_stay(bridge: Switch) -> None:
    bridge.ofctl("add-flow", "br-int", "table=7,cookie=0x77,priority=5,actions=drop")
    keep = flow(1, "arp", "NORMAL")
    plan = [keep, flow(2, "in_port=tap-v1,tcp", "output:tap-v2"), flow(3, "udp", table=5)]
    assert bridge.flows.apply("br-int", plan) == []
    assert dump(bridge) == [
        "priority=1,arp actions=NORMAL",
        'priority=2,tcp,in_port="tap-v1" actions=output:"tap-v2"',
        "table=5, priority=3,udp actions=drop",
        "table=7, priority=5 actions=drop",
    ]
    # The same match and priority with other actions: the deletion of the old must not hit the new.
    assert bridge.flows.apply("br-int", [keep, flow(2, "in_port=tap-v1,tcp", "IN_PORT")]) == []
    assert dump(bridge) == [
        "priority=1,arp actions=NORMAL",
        'priority=2,tcp,in_port="tap-v1" actions=IN_PORT',
        "table=7, priority=5 actions=drop",
    ]
    assert bridge.flows.apply("br-int", []) == []
    assert dump(bridge) == ["table=7, priority=5 actions=drop"]


def test_what_a_flow_learns_is_not_ours(bridge: Switch) -> None:
    learning = flow(1, "arp", "learn(table=20,hard_timeout=300,cookie=0x5,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[])")
    assert bridge.flows.apply("br-int", [learning]) == []
    bridge.flows.invalidate()
    assert len(bridge.flows.observe(["br-int"])["br-int"]) == 1


def test_an_agent_that_starts_anew_finds_nothing_to_do(bridge: Switch) -> None:
    plan = [flow(1, "arp", "NORMAL"), flow(2, "in_port=tap-v1,tcp", "output:tap-v2")]
    bridge.flows.apply("br-int", plan)
    bridge.ip("link", "set", "br-int", "up")
    before = bridge.ofctl("dump-flows", "br-int", "arp").split("duration=")[1].split(",")[0]
    anew = OpenFlow(bridge.vswitch.rundir, bridge.db.ofports)
    assert len(anew.observe(["br-int"])["br-int"]) == 2
    assert anew.apply("br-int", plan) == []
    after = bridge.ofctl("dump-flows", "br-int", "arp").split("duration=")[1].split(",")[0]
    assert float(after.rstrip("s")) > float(before.rstrip("s")), "the flow was written again"


def test_wrong_flows_are_named_and_the_others_are_in(bridge: Switch) -> None:
    right = flow(1, "arp", "NORMAL")
    wrong = [
        flow(2, "tcp,foo=1", origin="port/keyword"),
        flow(3, "ip,nw_dst=10.0.0.1/99", origin="port/prefix"),
        flow(4, "ipv6,ipv6_dst=2001:db8::1,reg5=7", "set_field:1->reg6,group:9", origin="port/group"),
        flow(5, "ip", "mod_tp_dst:80", origin="port/prerequisite"),
        flow(6, "in_port=tap-gone,tcp", origin="port/gone"),
        flow(7, "udp", "output:tap-gone", origin="port/gone too"),
    ]
    failures = {failure.origin: failure for failure in bridge.flows.apply("br-int", [*wrong, right])}
    assert failures.keys() == {each.origin for each in wrong}
    assert "unknown keyword foo" in failures["port/keyword"].reason
    assert "network prefix bits" in failures["port/prefix"].reason
    assert "OFPBAC_BAD_OUT_GROUP" in failures["port/group"].reason
    assert "cannot be said in OpenFlow 1.4" in failures["port/prerequisite"].reason
    assert "tap-gone: invalid or unknown port" in failures["port/gone"].reason
    assert failures["port/group"].element == str(wrong[2])
    assert dump(bridge) == ["priority=1,arp actions=NORMAL"]


def test_hundreds_of_flows_of_a_vanished_port_do_not_stop_the_others(bridge: Switch) -> None:
    gone = [flow(n, "in_port=tap-gone,tcp", origin=f"port/{n}") for n in range(1, 300)]
    failures = bridge.flows.apply("br-int", [*gone, flow(1, "arp", "NORMAL")])
    assert len(failures) == len(gone)
    assert dump(bridge) == ["priority=1,arp actions=NORMAL"]


def test_flows_follow_a_port_that_is_plugged_anew(bridge: Switch) -> None:
    plan = [flow(1, "in_port=tap-v1,arp", "output:tap-v2"), flow(2, "in_port=tap-v2,arp", "resubmit(tap-v1,3)")]
    assert bridge.flows.apply("br-int", plan) == []
    before, written = bridge.db.ofports("br-int")["tap-v1"], dump(bridge)
    plug(bridge, "tap-v2")
    plug(bridge, "tap-v1", "tap-v2")
    assert bridge.db.ofports("br-int")["tap-v1"] != before
    assert dump(bridge) != written
    assert bridge.flows.apply("br-int", plan) == []
    assert dump(bridge) == written


def test_flows_come_back_after_a_restart_of_vswitchd(bridge: Switch) -> None:
    plan = [flow(1, "arp", "NORMAL"), flow(2, "in_port=tap-v1,tcp", "output:tap-v2")]
    bridge.flows.apply("br-int", plan)
    written = dump(bridge)
    bridge.kill("ovs-vswitchd")
    bridge.vswitch.start()
    eventually(lambda: dump(bridge) == [])
    assert bridge.flows.apply("br-int", plan) == []
    assert dump(bridge) == written


def test_flows_come_back_when_the_bridge_is_made_anew(bridge: Switch) -> None:
    plan = [flow(1, "arp", "NORMAL")]
    bridge.flows.apply("br-int", plan)
    bridge.vsctl("del-br", "br-int")
    plug(bridge, "tap-v1")
    assert dump(bridge) == []
    assert bridge.flows.apply("br-int", plan) == []
    assert dump(bridge) == ["priority=1,arp actions=NORMAL"]


def test_flows_that_others_delete_come_back_after_a_fresh_look(bridge: Switch) -> None:
    plan = [flow(1, "arp", "NORMAL"), flow(2)]
    bridge.flows.apply("br-int", plan)
    bridge.ofctl("del-flows", "br-int", "arp")
    bridge.flows.invalidate()
    assert bridge.flows.apply("br-int", plan) == []
    assert dump(bridge) == ["priority=1,arp actions=NORMAL", "priority=2 actions=drop"]


def test_a_bridge_that_is_not_there_is_told_once_for_each_origin(bridge: Switch) -> None:
    assert bridge.flows.observe(["br-int", "br-ex"]).keys() == {"br-int"}
    plan = [flow(n, "arp", origin=f"port/{n % 2}") for n in range(1, 6)]
    failures = bridge.flows.apply("br-ex", plan)
    assert sorted(failure.origin for failure in failures) == ["port/0", "port/1"]
    assert "bridge br-ex does not exist" in failures[0].reason


def test_thousands_of_flows_change_at_once(bridge: Switch) -> None:
    def plan(generation: int) -> list[Flow]:
        return [flow(n, f"ip,nw_dst=10.0.{n >> 8}.{n & 255}", f"set_field:{generation}->reg5") for n in range(1, 2001)]

    for generation in (1, 2):
        assert bridge.flows.apply("br-int", plan(generation)) == []
        assert len(dump(bridge)) == 2000
    assert all("reg5" in line and "0x2->" in line for line in dump(bridge))
