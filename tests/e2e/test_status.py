"""Status tells the truth, with a reason that people can read."""

from types import SimpleNamespace

import pytest

from tests.e2e.conftest import ADD_PHYSICAL_BRIDGE
from tests.e2e.world import World
from tests.sandbox import eventually

AGENTS = {"Open vSwitch agent", "L3 agent", "DHCP agent", "Metadata agent", "Loadbalancer agent"}


@pytest.fixture(scope="module")
def site(world: World):
    """An instance on an overlay network, another on the wire."""
    world.network("over", "10.67.1.0/24")
    wire = "--provider-network-type vlan --provider-physical-network physnet"
    world.network("wire", "10.67.2.0/24", options=wire)
    guests = {base: world.boot(f"--network {world.name(base)}", base) for base in ("over", "wire")}
    for guest in guests.values():
        world.ready(guest)
    return SimpleNamespace(world=world, host=world.machine.run("hostname").stdout.strip(), **guests)


def explained(world: World, port: str) -> tuple[int, str]:
    done = world.machine.run("netloom", "status", port, check=False)
    return done.returncode, done.stdout + done.stderr


def status(world: World, port: str) -> str:
    return str(world.openstack(f"port show {port}")["status"])


def test_all_parts_are_up(site):
    eventually(lambda: site.world.machine.run("netloom", "status", check=False).returncode == 0, what="health")
    said = site.world.machine.run("netloom", "status").stdout
    assert all(agent in said for agent in AGENTS)
    agents = site.world.openstack("network agent list")
    assert {agent["Agent Type"] for agent in agents} == AGENTS
    assert all(agent["Alive"] is True and agent["State"] is True for agent in agents)
    assert {agent["Binary"] for agent in agents} >= {"neutron-openvswitch-agent", "neutron-l3-agent"}


def test_compute_is_up(site):
    services = site.world.openstack("compute service list --service nova-compute")
    assert [(one["Status"], one["State"]) for one in services] == [("enabled", "up")]


def test_a_port_that_nothing_uses_is_down(world):
    port = world.create("port", f"--network {world.name('over')}", "free")
    assert port["status"] == "DOWN"
    code, said = explained(world, port["id"])
    assert code == 1
    assert "bound to no host" in said


def test_a_port_that_is_bound_but_not_plugged_waits(world, site):
    options = f"--network {world.name('over')} --host {site.host} --device-owner compute:nova --device somebody"
    port = world.create("port", options, "waits")
    eventually(lambda: "no interface is plugged" in explained(world, port["id"])[1], what="the reason")
    assert f"tap{port['id'][:11]}" in explained(world, port["id"])[1]
    assert status(world, port["id"]) == "DOWN"
    world.openstack(f"port unset --host {port['id']}")


def test_a_port_of_a_host_that_is_not_there_is_not_bound(world):
    port = world.create("port", f"--network {world.name('over')} --host nowhere", "lost")
    assert (port["binding_vif_type"], port["status"]) == ("binding_failed", "DOWN")
    assert "nowhere had no live Open vSwitch agent" in explained(world, port["id"])[1]


def test_a_port_that_works_is_active(world, site):
    port = world.port_of(site.over)["id"]
    eventually(lambda: status(world, port) == "ACTIVE", what="ACTIVE")
    for name in (port, port[:8], f"tap{port[:11]}"):
        code, said = explained(world, name)
        assert (code, f"{site.host} has applied it" in said) == (0, True)
    world.openstack(f"port set --disable {port}")
    eventually(lambda: status(world, port) == "DOWN", what="DOWN")
    assert "administratively down" in explained(world, port)[1]
    world.openstack(f"port set --enable {port}")
    eventually(lambda: status(world, port) == "ACTIVE", what="ACTIVE again")


def test_services_ports_are_active_with_what_they_serve(world):
    world.router("r", "over", gateway=False)
    ports = world.openstack(f"port list --network {world.name('over')} --device-owner network:dhcp --long")
    ports += world.openstack(f"port list --network {world.name('over')} --device-owner network:router_interface --long")
    assert len(ports) == 2
    for port in ports:
        eventually(lambda port=port: status(world, port["ID"]) == "ACTIVE", what="ACTIVE")


def test_a_broken_host_says_what_is_broken_for_the_ports_it_concerns(world, site):
    broken, whole = world.port_of(site.wire)["id"], world.port_of(site.over)["id"]
    world.machine.run("ovs-vsctl", "del-br", "br-vlan")
    try:
        eventually(lambda: status(world, broken) == "ERROR", what="ERROR")
        assert "ovs-vsctl add-br br-vlan" in explained(world, broken)[1], "the reason says what to do"
        assert status(world, whole) == "ACTIVE", "a port that does not need the bridge goes on"
    finally:
        world.machine.run(*ADD_PHYSICAL_BRIDGE)
    eventually(lambda: status(world, broken) == "ACTIVE", what="ACTIVE again")


def test_an_unknown_port_is_an_error_of_the_question(world):
    code, said = explained(world, "there-is-none")
    assert code == 1
    assert "no port's id begins with 'there-is-none'" in said


def test_an_agent_that_is_silent_counts_as_dead_until_it_speaks(world, site):
    """Stopped, so that it is there and says nothing."""
    pid = world.machine.run("cat", "/run/netloom/agent.pid").stdout.strip()

    def alive() -> set[bool]:
        return {agent["Alive"] for agent in world.openstack("network agent list")}

    port = world.port_of(site.over)["id"]
    world.machine.run("kill", "-STOP", pid)
    try:
        eventually(lambda: alive() == {False}, 40, "the agents' silence")
        assert "silent since" in explained(world, port)[1]
        assert world.machine.run("netloom", "status", check=False).returncode == 1
        made = world.create("port", f"--network {world.name('over')} --host {site.host}", "unbound")
        assert made["binding_vif_type"] == "binding_failed"
    finally:
        world.machine.run("kill", "-CONT", pid)
    eventually(lambda: alive() == {True}, what="the agents' return")
    world.openstack(f"port set --host {site.host} {made['id']}")
    assert world.openstack(f"port show {made['id']}")["binding_vif_type"] == "ovs"


def test_normal_work_leaves_no_error_in_the_logs(world):
    for part in ("server", "agent"):
        log = world.machine.run("cat", f"/var/lib/netloom/log/{part}.log").stdout
        assert not [line for line in log.splitlines() if "level='error'" in line or "Traceback" in line], log
