"""A virtual machine as people meet it: the same guest as a container, with a kernel of its own."""

from types import SimpleNamespace

import pytest

from tests.e2e.world import World
from tests.sandbox import eventually


@pytest.fixture(scope="module")
def site(world: World):
    """A machine and a container on one network with a router."""
    world.network("m1", "10.66.1.0/24")
    world.router("m", "m1")
    options = f"--network {world.name('m1')} --security-group {world.open_group()}"
    machine, container = world.boot_machine(options, "machine"), world.boot(options, "container")
    for one in (container, machine):
        world.ready(one)
    return SimpleNamespace(world=world, machine=machine, container=container)


def test_it_is_on_the_network_with_a_kernel_of_its_own(site):
    machine, container = site.machine, site.container
    shown = site.world.openstack(f"server show {machine.id}")
    assert (shown["status"], shown["OS-EXT-STS:power_state"]) in (("ACTIVE", 1), ("ACTIVE", "Running"))
    assert shown["addresses"] == {site.world.name("m1"): [machine.address()]}
    assert container.pings(machine.address())
    assert machine.pings(container.address())
    assert machine.pings("8.8.8.8")
    mac = site.world.port_of(machine)["mac_address"]
    assert mac in machine.run("ip", "link", "show", "ens3")
    assert machine.run("uname", "-r") != container.run("uname", "-r")
    assert machine.id in machine.run("wget", "-q", "-O", "-", "http://169.254.169.254/openstack/latest/meta_data.json")


def test_its_console(site):
    world, machine = site.world, site.machine
    eventually(lambda: f"{machine.name} login:" in world.openstack(f"console log show {machine.id}"), 30)
    typed = "(sleep 1; echo; sleep 2; echo root; sleep 2; echo 'echo $(tty) is here'; sleep 2; echo exit)"
    said = world.machine.run("sh", "-c", f"{typed} | netloom console {machine.name}").stdout
    assert "/dev/ttyS0 is here" in said
    assert "/dev/ttyS0 is here" in world.openstack(f"console log show {machine.id} --lines 20")
    shell = world.machine.run("sh", "-c", f"echo hostname | netloom console {site.container.name}")
    assert shell.stdout == f"{site.container.name}\n"
    assert world.machine.run("netloom", "exec", machine.name, "--", "hostname").stdout == f"{machine.name}\n"


def test_cards_come_and_go_while_it_runs(site):
    world, machine = site.world, site.machine
    second = world.network("m2", "10.66.2.0/24")
    world.openstack(f"server add network {machine.id} {second['id']}")
    eventually(lambda: machine.address(1).startswith("10.66.2."), 30)
    (port,) = world.openstack(f"port list --server {machine.id} --network {second['id']}")
    world.openstack(f"server remove port {machine.id} {port['ID']}")
    eventually(lambda: not machine.address(1), 30)
    assert machine.pings(site.container.address())


def test_what_is_too_small_is_refused(site):
    world = site.world
    words = "--ram 64 --vcpus 1 --disk 0 --property capabilities:hypervisor_type=qemu"
    small = world.openstack(f"flavor create {words}", world.name("small"))
    world.made("flavor", small["id"])
    options = f"--image cirros --network {world.name('m1')} --flavor {small['id']}"
    said = world.openstack(f"server create {options}", world.name("never"), check=False)
    assert "Flavor's memory is too small for a virtual machine: it needs 128 MiB." in said


def test_stop(site):
    world, machine = site.world, site.machine
    address = machine.address()
    world.openstack(f"server stop {machine.id}")
    eventually(lambda: world.openstack(f"server show {machine.id}")["status"] == "SHUTOFF", what="SHUTOFF")
    assert not site.container.pings(address)
