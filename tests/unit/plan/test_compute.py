"""Instances of the standalone compute role."""

import msgspec

from netloom.plan import compute
from netloom.plan.vlans import DEAD
from netloom.state import Facts, Instance, Interface, SwitchPort
from tests.unit.plan import golden
from tests.unit.plan import services as cloud


def test_an_instance_and_its_port_as_os_vif_makes_it() -> None:
    golden.check("compute", str(cloud.planned(compute.plan, *cloud.cloud())))


def test_a_port_that_is_plugged_is_left_to_switching() -> None:
    interface = Interface(device="tap0a11ce00-00", port_id=cloud.VM_PORT, mac="fa:16:3e:00:00:05")
    state = cloud.planned(compute.plan, *cloud.cloud(), facts=Facts(interfaces={cloud.VM_PORT: interface}))
    assert not state.of(SwitchPort)
    assert [instance.id for instance in state.of(Instance).values()] == ["instance-1"]


def test_a_port_that_is_down_is_plugged_but_may_not_talk() -> None:
    down = msgspec.structs.replace(cloud.INSTANCE_PORT, admin_state_up=False)
    (port,) = cloud.planned(compute.plan, cloud.DEMO_NET, down, cloud.SERVER).of(SwitchPort).values()
    assert (port.tag, port.other_config) == (DEAD, ())


def test_a_port_that_has_not_come_yet_is_waited_for() -> None:
    state = cloud.planned(compute.plan, cloud.DEMO_NET, cloud.SERVER)
    assert not state.of(SwitchPort)
    assert len(state.of(Instance)) == 1


def test_power_and_reboots_reach_the_instance() -> None:
    stopped = msgspec.structs.replace(cloud.SERVER, running=False, boot=3)
    state = cloud.planned(compute.plan, cloud.DEMO_NET, cloud.INSTANCE_PORT, stopped)
    (instance,) = state.of(Instance).values()
    assert (instance.running, instance.boot) == (False, 3)
    assert not state.of(SwitchPort)  # its devices are not there
