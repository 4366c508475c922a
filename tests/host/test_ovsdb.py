"""Bridges and ports on a real Open vSwitch."""

import contextlib
import os
import signal
import threading
import time

import pytest

from netloom.host.ovsdb import DELETE_AT_ONCE, PATCHES_AT_ONCE, Ovsdb
from netloom.host.vswitch import PRIORITY, Process, daemon_pid
from netloom.state import Bridge, Failure, HostState, Interface, SwitchPort
from tests.host.switch import Switch, eventually, switch

__all__ = ["switch"]

BRIDGES = (Bridge(name="br-int", datapath_type="netdev"), Bridge(name="br-tun", datapath_type="netdev"))
PATCHES = (
    SwitchPort(bridge="br-int", name="patch-tun", kind="patch", options=(("peer", "patch-int"),)),
    SwitchPort(bridge="br-tun", name="patch-int", kind="patch", options=(("peer", "patch-tun"),)),
)
IDS = (("attached-mac", "FA:16:3E:00:00:01"), ("iface-id", "port-1"), ("iface-status", "active"))


def converge(switch: Switch, *wanted: Bridge | SwitchPort) -> list[Failure]:
    """One round of an agent."""
    plan, actual = HostState(wanted), HostState(switch.db.observe())
    return switch.db.apply(plan.changes(Bridge, actual), plan.changes(SwitchPort, actual))


def observed(switch: Switch) -> HostState:
    return HostState(switch.db.observe())


def test_the_daemons_have_the_processor_before_others(switch: Switch) -> None:
    pids = [daemon_pid(switch.vswitch.rundir / f"{name}.pid") for name in ("ovsdb-server", "ovs-vswitchd")]
    assert [os.getpriority(os.PRIO_PROCESS, pid) for pid in pids] == [PRIORITY, PRIORITY]


def test_a_plan_is_applied_and_seen_again(switch: Switch) -> None:
    switch.veth("qr-1")
    plan = (
        *BRIDGES,
        *PATCHES,
        SwitchPort(bridge="br-int", name="qr-1", tag=3, external_ids=IDS, other_config=(("net_uuid", "net-1"),)),
        SwitchPort(
            bridge="br-tun", name="vxlan-0a000002", kind="vxlan", options=(("key", "flow"), ("remote_ip", "10.0.0.2"))
        ),
    )
    assert converge(switch, *plan) == []
    assert observed(switch) == HostState(plan)
    assert switch.vsctl("get", "bridge", "br-int", "fail_mode") == "secure"
    assert "NORMAL" not in switch.ofctl("dump-flows", "br-int")
    assert switch.db.facts() == (
        {"port-1": Interface("qr-1", "port-1", "fa:16:3e:00:00:01", "br-int", ours=True)},
        {"net-1": 3},
        {},
    )
    assert set(switch.db.ofports("br-int")) == {"patch-tun", "qr-1"}


def test_nothing_to_do_changes_nothing(switch: Switch) -> None:
    converge(switch, *BRIDGES, *PATCHES)
    before = switch.vsctl("get", "Open_vSwitch", ".", "next_cfg")
    assert converge(switch, *BRIDGES, *PATCHES) == []
    assert switch.vsctl("get", "Open_vSwitch", ".", "next_cfg") == before


def test_ports_are_changed_in_place(switch: Switch) -> None:
    switch.veth("qr-1")
    converge(switch, *BRIDGES, SwitchPort(bridge="br-int", name="qr-1", tag=3, trunks=(5, 7), vlan_mode="trunk"))
    plan = (*BRIDGES, SwitchPort(bridge="br-tun", name="qr-1", tag=4, external_ids=IDS))
    assert converge(switch, *plan) == []
    assert observed(switch) == HostState(plan)
    assert switch.vsctl("port-to-br", "qr-1") == "br-tun"


def test_an_agent_that_starts_anew_knows_what_is_ours(switch: Switch) -> None:
    switch.veth("qr-1")
    plan = (*BRIDGES, SwitchPort(bridge="br-int", name="qr-1", tag=9, other_config=(("net_uuid", "net-1"),)))
    converge(switch, *plan)
    anew = Ovsdb(switch.vswitch.connection)
    try:
        assert HostState(anew.observe()) == HostState(plan)
        assert anew.facts()[1] == {"net-1": 9}
    finally:
        anew.close()


def test_a_device_that_others_plug_gets_its_tag_and_stays(switch: Switch) -> None:
    converge(switch, *BRIDGES)
    switch.veth("tap-1")
    plug = ("add-port", "br-int", "tap-1", "--", "set", "interface", "tap-1", "external_ids:iface-id=port-1")
    switch.vsctl(*plug, "external_ids:attached-mac=fa:16:3e:00:00:01")
    assert observed(switch) == HostState(BRIDGES)
    eventually(lambda: "port-1" in switch.db.facts()[0])

    plan = (*BRIDGES, SwitchPort(bridge="br-int", name="tap-1", tag=2, other_config=(("net_uuid", "net-1"),)))
    assert converge(switch, *plan) == []
    assert observed(switch) == HostState(plan)
    assert switch.vsctl("get", "port", "tap-1", "tag") == "2"
    assert switch.db.facts()[1] == {"net-1": 2}

    assert converge(switch, *BRIDGES) == []
    assert observed(switch) == HostState(BRIDGES)
    assert switch.vsctl("get", "port", "tap-1", "tag", "other_config", "external_ids").split() == ["[]", "{}", "{}"]
    assert "iface-id=port-1" in switch.vsctl("get", "interface", "tap-1", "external_ids")
    assert switch.vsctl("port-to-br", "tap-1") == "br-int"


def test_of_two_devices_for_one_port_the_newer_counts(switch: Switch) -> None:
    switch.vsctl("add-br", "br-int", "--", "set", "bridge", "br-int", "datapath_type=netdev")
    for port, devices in (("port-1", ("qvo-1", "tap-1")), ("port-2", ("tap-2", "qvo-2"))):
        switch.veth(*devices)
        for device in reversed(devices):
            plugged = f"external_ids:iface-id={port}"
            switch.vsctl("add-port", "br-int", device, "--", "set", "interface", device, plugged)
    eventually(lambda: [switch.db.facts()[0][port].device for port in ("port-1", "port-2")] == ["tap-1", "qvo-2"])


def test_what_is_not_ours_is_left_alone(switch: Switch) -> None:
    switch.veth("eth1", "tap-1")
    assert switch.db.ensure_bridge("br-ex", "netdev", ["eth1"]) == []
    phy = SwitchPort(bridge="br-ex", name="phy-br-ex", kind="patch", options=(("peer", "int-br-ex"),))
    inner = SwitchPort(bridge="br-int", name="int-br-ex", kind="patch", options=(("peer", "phy-br-ex"),))
    converge(switch, *BRIDGES, phy, inner)
    switch.vsctl("add-port", "br-tun", "tap-1")
    assert observed(switch) == HostState((*BRIDGES, phy, inner))

    (failure,) = converge(switch)
    assert failure == Failure("", "bridge br-tun datapath_type=netdev", "others have ports on it: tap-1")
    assert switch.vsctl("list-br").split() == ["br-ex", "br-tun"]
    assert switch.vsctl("list-ports", "br-ex") == "eth1"
    assert "NORMAL" in switch.ofctl("dump-flows", "br-ex")


def test_a_bridge_that_was_there_is_taken_over_and_given_back(switch: Switch) -> None:
    switch.vsctl("add-br", "br-int", "--", "set", "bridge", "br-int", "datapath_type=netdev")
    assert converge(switch, *BRIDGES, *PATCHES) == []
    assert observed(switch) == HostState((*BRIDGES, *PATCHES))
    assert switch.vsctl("get", "bridge", "br-int", "fail_mode") == "secure"
    assert converge(switch) == []
    assert switch.vsctl("list-br") == "br-int"
    assert switch.vsctl("list-ports", "br-int") == ""


def test_a_missing_bridge_of_a_physical_network_is_told(switch: Switch) -> None:
    phy = SwitchPort(bridge="br-ex", name="phy-br-ex", kind="patch", options=(("peer", "int-br-ex"),), origin="host")
    inner = SwitchPort(bridge="br-int", name="int-br-ex", kind="patch", options=(("peer", "phy-br-ex"),))
    failures = {failure.element: failure for failure in converge(switch, *BRIDGES, phy, inner)}
    assert failures[str(phy)].origin == "host"
    assert "bridge br-ex does not exist; create it (ovs-vsctl add-br br-ex)" in failures[str(phy)].reason
    assert "its peer phy-br-ex" in failures[str(inner)].reason
    assert observed(switch) == HostState(BRIDGES)


def test_a_wrong_port_is_told_every_time_and_the_others_are_made(switch: Switch) -> None:
    switch.veth("qr-1", "qr-3")
    right = SwitchPort(bridge="br-int", name="qr-1", tag=3)
    absent = SwitchPort(bridge="br-int", name="qr-2", origin="port/2")
    wrong = SwitchPort(bridge="br-int", name="qr-3", tag=5000, origin="port/3")
    switch.db.wait(0)
    for _ in range(2):
        first, second = converge(switch, *BRIDGES, right, absent, wrong)
        assert (first.origin, first.reason) == ("port/2", "could not open network device qr-2 (No such device)")
        assert (second.origin, second.reason) == ("port/3", "it is now: port qr-3 bridge=br-int")
    assert right in list(observed(switch))
    while switch.db.wait(0):
        pass
    converge(switch, *BRIDGES, right, absent, wrong)
    assert not switch.db.wait(0.2), "trying again a port that stays wrong must not wake the agent"

    switch.veth("qr-2")
    assert switch.db.wait(5)
    assert [failure.origin for failure in converge(switch, *BRIDGES, right, absent, wrong)] == ["port/3"]
    assert converge(switch, *BRIDGES, right) == []
    assert observed(switch) == HostState((*BRIDGES, right))


def test_many_ports_are_deleted_a_few_at_a_time(switch: Switch) -> None:
    names = [f"v{number}" for number in range(8)]
    switch.veth(*names)
    converge(switch, *BRIDGES, *(SwitchPort(bridge="br-int", name=name) for name in names))
    before = int(switch.vsctl("get", "Open_vSwitch", ".", "next_cfg"))
    assert converge(switch, *BRIDGES) == []
    assert switch.vsctl("list-ports", "br-int") == ""
    assert int(switch.vsctl("get", "Open_vSwitch", ".", "next_cfg")) - before == -(-len(names) // DELETE_AT_ONCE)


def test_patches_go_in_larger_steps_than_devices(switch: Switch) -> None:
    count = PATCHES_AT_ONCE + 1
    ends = [("br-int", f"a{n}", f"b{n}") for n in range(count)] + [("br-tun", f"b{n}", f"a{n}") for n in range(count)]
    patches = [SwitchPort(bridge=br, name=name, kind="patch", options=(("peer", peer),)) for br, name, peer in ends]
    converge(switch, *BRIDGES, *patches)
    before = int(switch.vsctl("get", "Open_vSwitch", ".", "next_cfg"))
    assert converge(switch, *BRIDGES) == []
    assert switch.vsctl("list-ports", "br-int") + switch.vsctl("list-ports", "br-tun") == ""
    assert int(switch.vsctl("get", "Open_vSwitch", ".", "next_cfg")) - before == 3


def test_a_device_of_the_same_name_is_plugged_anew(switch: Switch) -> None:
    """The userspace datapath does not notice: it would stay deaf to the new device."""
    switch.veth("qr-1")
    plan = (*BRIDGES, SwitchPort(bridge="br-int", name="qr-1"))
    converge(switch, *plan)
    switch.db.wait(0)
    switch.ip("link", "del", "qr-1")
    switch.veth("qr-1")
    eventually(lambda: observed(switch) != HostState(plan))
    assert converge(switch, *plan) == []
    assert observed(switch) == HostState(plan)

    # A frame that the new device sends reaches the switch.
    number = switch.db.ofports("br-int")["qr-1"]
    switch.ofctl("add-flow", "br-int", f"in_port={number},arp,actions=drop")
    switch.ip("addr", "add", "10.77.0.1/24", "dev", "qr-1p")
    switch.run("ping", "-c1", "-W1", "10.77.0.2")
    eventually(lambda: "n_packets=0" not in switch.ofctl("dump-flows", "br-int", "arp"))


def test_waiting_ends_when_something_is_plugged_or_wake_is_called(switch: Switch) -> None:
    converge(switch, *BRIDGES)
    while switch.db.wait(0.05):
        pass
    switch.vsctl("--no-wait", "add-port", "br-int", "tap-9")
    assert switch.db.wait(5)
    while switch.db.wait(0.05):
        pass
    threading.Timer(0.05, switch.db.wake).start()
    assert switch.db.wait(5)


def test_waiting_ends_when_vswitchd_goes_and_when_it_is_back(switch: Switch) -> None:
    converge(switch, *BRIDGES)
    while switch.db.wait(0.05):
        pass
    switch.kill("ovs-vswitchd")
    assert switch.db.wait(5)
    assert not switch.db.wait(0.15)
    switch.veth("qr-1")
    began = time.monotonic()
    (failure,) = converge(switch, *BRIDGES, SwitchPort(bridge="br-int", name="qr-1"))
    assert "ovs-vswitchd is not running" in failure.reason
    assert time.monotonic() - began < 8  # it does not wait for its time limit of 10 s
    switch.vswitch.start()
    assert switch.db.wait(5)
    eventually(lambda: converge(switch, *BRIDGES, SwitchPort(bridge="br-int", name="qr-1")) == [])


def test_the_database_server_may_be_away_for_a_while(switch: Switch) -> None:
    converge(switch, *BRIDGES)
    switch.kill("ovsdb-server")
    switch.vswitch.start()
    assert observed(switch) == HostState(BRIDGES)
    assert converge(switch, *BRIDGES, *PATCHES) == []
    assert observed(switch) == HostState((*BRIDGES, *PATCHES))


def test_no_database_is_told(switch: Switch) -> None:
    nowhere = f"unix:{switch.vswitch.rundir}/nowhere.sock"
    with pytest.raises(ConnectionError, match=r"nowhere\.sock does not answer"):
        Ovsdb(nowhere, timeout=0.2)


def test_a_switch_leaves_nothing_behind(switch: Switch) -> None:
    converge(switch, *BRIDGES)
    assert switch.vswitch.running()
    pids = [daemon_pid(switch.vswitch.rundir / f"{name}.pid") for name in ("ovsdb-server", "ovs-vswitchd")]
    with contextlib.ExitStack() as held:
        monitors = [held.enter_context(Process(os.getpgid(pid))) for pid in pids]
        for monitor in monitors:
            monitor.signal(signal.SIGSTOP)
            slow = threading.Timer(0.2, monitor.signal, (signal.SIGCONT,))
            slow.start()
            held.callback(slow.join)
        switch.vswitch.stop(remove=True)
        assert all(monitor.wait(0) for monitor in monitors), "one that lives would still write to its log"
    assert not switch.vswitch.running()
    assert not switch.vswitch.rundir.exists()
    assert not switch.vswitch.dbdir.exists()
