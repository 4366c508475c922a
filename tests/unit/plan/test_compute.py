"""Instances of the standalone compute role, and how their ports come to br-int."""

import msgspec

from netloom.feed.fragments import Fragment
from netloom.plan import compute, plan
from netloom.plan.vlans import DEAD
from netloom.state import Facts, Flow, HostState, Instance, Interface, SwitchPort
from tests.unit.plan import golden
from tests.unit.plan import services as cloud

TAP = "tap0a11ce00-00"


def whole(*fragments: Fragment, facts: Facts | None = None) -> HostState:
    return plan(cloud.intent(*fragments), facts or Facts(), cloud.SETTINGS)


def test_an_instance() -> None:
    golden.check("compute", str(cloud.planned(compute.plan, *cloud.cloud())))


def test_its_port_is_plugged_as_os_vif_does_and_has_its_flows_before_it_boots() -> None:
    state = whole(*cloud.cloud())
    port = state.of(SwitchPort)[(TAP,)]
    assert dict(port.external_ids) == {
        "attached-mac": "fa:16:3e:00:00:05",
        "iface-id": cloud.VM_PORT,
        "iface-status": "active",
        "vm-uuid": "instance-1",
    }
    assert any(TAP in flow.match for flow in state.of(Flow).values())


def test_a_plugged_port_changes_nothing() -> None:
    interface = Interface(device=TAP, port_id=cloud.VM_PORT, mac="fa:16:3e:00:00:05")
    assert whole(*cloud.cloud()) == whole(*cloud.cloud(), facts=Facts(interfaces={cloud.VM_PORT: interface}))


def test_what_nova_wrote_on_a_port_of_its_own_is_left_as_it_is() -> None:
    interface = Interface(device=TAP, port_id=cloud.VM_PORT, mac="fa:16:3e:00:00:05")
    facts = Facts(interfaces={cloud.VM_PORT: interface})
    port = whole(cloud.DEMO_NET, cloud.INSTANCE_PORT, facts=facts).of(SwitchPort)[(TAP,)]
    assert port.external_ids == ()


def test_the_card_of_an_instance_that_is_gone_goes_even_if_its_port_stays() -> None:
    interface = Interface(device=TAP, port_id=cloud.VM_PORT, mac="fa:16:3e:00:00:05", bridge="br-int", ours=True)
    state = whole(cloud.DEMO_NET, cloud.INSTANCE_PORT, facts=Facts(interfaces={cloud.VM_PORT: interface}))
    assert not [element for element in state if TAP in str(element)]


def test_a_port_that_is_down_is_plugged_but_may_not_talk() -> None:
    down = msgspec.structs.replace(cloud.INSTANCE_PORT, admin_state_up=False)
    port = whole(cloud.DEMO_NET, down, cloud.SERVER).of(SwitchPort)[(TAP,)]
    assert (port.tag, port.other_config) == (DEAD, ())


def test_a_port_that_has_not_come_yet_is_waited_for() -> None:
    state = whole(cloud.DEMO_NET, cloud.SERVER)
    assert (TAP,) not in state.of(SwitchPort)
    assert len(state.of(Instance)) == 1


def test_a_host_has_the_first_label_of_a_long_name() -> None:
    named = msgspec.structs.replace(cloud.SERVER, hostname="x" * 52 + "-guest-test.example.com")
    (instance,) = whole(cloud.DEMO_NET, cloud.INSTANCE_PORT, named).of(Instance).values()
    assert instance.hostname == "x" * 52 + "-guest-test"


def test_power_and_reboots_reach_the_instance() -> None:
    stopped = msgspec.structs.replace(cloud.SERVER, running=False, boot=3)
    interface = Interface(device=TAP, port_id=cloud.VM_PORT, mac="fa:16:3e:00:00:05", ours=True)
    facts = Facts(interfaces={cloud.VM_PORT: interface})
    state = whole(cloud.DEMO_NET, cloud.INSTANCE_PORT, stopped, facts=facts)
    (instance,) = state.of(Instance).values()
    assert (instance.running, instance.boot) == (False, 3)
    assert (TAP,) not in state.of(SwitchPort)  # its devices go
