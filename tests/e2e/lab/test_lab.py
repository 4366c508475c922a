"""A lab is many hosts: they are apart, a cloud spans them, each fault does what it says, and nothing is left."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from netloom.lab.lab import Lab
from tests.e2e.world import Guest
from tests.faults.api import Api
from tests.lab.cloud import lab_cloud, leftovers
from tests.lab.world import LabWorld
from tests.sandbox import environment, eventually

HOSTS = ["controller", "compute1", "compute2", "internet"]


@pytest.fixture(scope="module")
def two() -> Iterator[LabWorld]:
    with lab_cloud("two") as cloud:
        made = LabWorld(cloud)
        yield made
        made.sweep()


@pytest.fixture(scope="module")
def pair(two: LabWorld) -> tuple[Guest, Guest]:
    """Instances of one overlay network on two hosts."""
    network = two.network("overlay", "10.60.0.0/24")["id"]
    two.router("overlay", "overlay")
    group = f"--security-group {two.open_group()}"
    one, other = (two.guest_on(host, network, f"on-{host}", group) for host in ("compute1", "compute2"))
    eventually(lambda: one.pings(other.address()), what="the first way through the overlay")
    return one, other


def reaches(world: LabWorld, host: str, address: str) -> bool:
    """Whether a host gets an answer within a second."""
    return world.on(host).run("ping", "-c1", "-W1", address, check=False).returncode == 0


def netloom(*words: str) -> "subprocess.CompletedProcess[str]":
    """Run the command on this machine, outside of any lab."""
    argv = [sys.executable, "-m", "netloom.cli.main", *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, env=environment())


def test_each_host_has_its_own_name_network_processes_and_files(two):
    for host in HOSTS:
        machine = two.on(host)
        assert machine.run("hostname").stdout.strip() == host
        machine.run("sh", "-c", f"echo {host} | tee /run/who /var/lib/who /etc/who")
        machine.run("ip", "netns", "add", "qrouter-same")
    for host in HOSTS:
        assert two.on(host).run("cat", "/run/who", "/var/lib/who", "/etc/who").stdout.split() == [host] * 3
        assert two.on(host).run("ip", "netns", "del", "qrouter-same").stdout == ""
        assert two.on(host).run("pgrep", "-c", "ovsdb-server", check=False).stdout.split()[0] in "012"
    assert not Path("/etc/who").exists()


def test_hosts_know_each_other_by_name_and_reach_each_other(two):
    for name in ("compute1", "compute2", "openstack.org"):
        assert name in two.on("controller").run("getent", "hosts", name).stdout
    assert reaches(two, "controller", "compute2")
    assert reaches(two, "compute1", "10.0.1.32")
    assert "local_ip = 10.0.1.31" in two.on("compute1").run("cat", "/etc/netloom/netloom.conf").stdout


def test_no_host_of_compute_has_anybodys_credentials(two):
    assert two.on("compute1").run("ls", "/etc/netloom").stdout.split() == ["netloom.conf"]
    assert two.on("compute1").run("stat", "-c%a", "/etc/netloom/netloom.conf").stdout.strip() == "600"


def test_consoles_of_other_hosts_are_read_on_the_server(two, pair):
    for guest in pair:
        eventually(lambda guest=guest: f"{guest.name} login:" in two.openstack(f"console log show {guest.id}"))


def test_instances_on_two_hosts_talk_through_the_overlay_at_full_size(two, pair):
    one, other = pair
    assert [two.labs.host_of(guest.id) for guest in pair] == ["compute1", "compute2"]
    assert one.pings(other.address(), "-s", "1422")  # 1450 octets with the headers
    assert other.pings(one.address())


def test_instances_on_two_hosts_talk_through_a_vlan(two):
    kind = "--provider-network-type vlan --provider-physical-network vlan"
    network = two.network("tagged", "10.61.0.0/24", options=kind)["id"]
    group = f"--security-group {two.open_group('tagged')}"
    one, other = (two.guest_on(host, network, f"vlan-{host}", group) for host in ("compute1", "compute2"))
    eventually(lambda: one.pings(other.address(), "-s", "1472"), what="an answer through the VLAN")


def test_instances_and_the_internet_reach_each_other(two, pair):
    one, _ = pair
    assert one.pings("8.8.8.8")
    assert "174.143.194.225" in one.run("nslookup", "openstack.org", check=False)
    assert one.fetches("http://169.254.169.254/latest/meta-data/local-ipv4") == one.address()
    floating = two.openstack("floating ip create public")
    two.made("floating ip", floating["id"])
    two.openstack(f"server add floating ip {one.id} {floating['floating_ip_address']}")
    eventually(lambda: two.pings(floating["floating_ip_address"]), what="an answer of the floating IP")


def test_a_cut_cable_has_no_carrier_until_it_is_healed(two, pair):
    one, other = pair
    two.lab.cut("compute2/tunnels")
    two.lab.cut("compute2/tunnels")
    assert two.on("compute2").run("cat", "/sys/class/net/eth1/carrier").stdout.strip() == "0"
    assert not one.pings(other.address())
    assert reaches(two, "controller", "compute2")
    assert two.lab.faults("compute2") == ["tunnels cut"]
    two.lab.heal("compute2/tunnels")
    eventually(lambda: one.pings(other.address()), what="the way through the overlay")
    assert two.lab.faults("compute2") == []


def test_a_frozen_host_answers_nothing_and_goes_on_where_it_was(two, pair):
    one, other = pair
    counting = "while [ ! -e /run/enough ]; do echo tick >> /run/ticks; sleep 0.05; done"
    two.on("compute2").run("sh", "-c", f"({counting}) > /dev/null 2>&1 < /dev/null &")
    ticks = two.on("compute2").place("/run/ticks")
    eventually(ticks.exists, what="the first tick")
    two.lab.freeze("compute2")
    try:
        before = ticks.stat().st_size
        assert not reaches(two, "controller", "compute2")
        assert not reaches(two, "compute1", "10.0.1.32")
        assert not one.pings(other.address())
        assert two.lab.faults("compute2") == ["frozen"]
        assert ticks.stat().st_size == before
    finally:
        two.lab.heal("compute2")
    assert reaches(two, "controller", "compute2")
    eventually(lambda: ticks.stat().st_size > before, what="a further tick")
    two.on("compute2").run("touch", "/run/enough")
    eventually(lambda: one.pings(other.address()), what="the way through the overlay")


def test_a_host_without_power_is_gone_and_comes_back_as_after_a_reboot(two, pair):
    one, other = pair
    two.on("compute2").run("sh", "-c", "echo kept > /var/lib/mark; echo lost > /run/mark")
    before = two.on("compute2")
    two.lab.power_off("compute2")
    two.lab.power_off("compute2")
    assert not Path(f"/proc/{before.pid}/root/run").exists()
    assert not reaches(two, "controller", "compute2")
    assert two.lab.faults("compute2") == ["off"]
    two.lab.heal()
    two.lab.wait_ready()
    assert two.on("compute2").run("cat", "/var/lib/mark").stdout == "kept\n"
    assert two.on("compute2").run("ls", "/run/mark", check=False).returncode != 0
    assert reaches(two, "compute1", "10.0.1.32")
    two.openstack(f"server reboot --hard {other.id}")
    eventually(lambda: one.pings(other.address() or "10.60.0.250"), 40, "the way through the overlay")


@pytest.mark.parametrize(("host", "process"), [("compute1", "agent"), ("controller", "server")])
def test_a_killed_service_is_gone_until_it_is_healed(two, host, process):
    (pid,) = two.lab.kill(host, process)
    assert not Path(f"/proc/{pid}").exists()
    assert two.lab.kill(host, process) == []
    assert two.lab.faults(host) == [f"no {process}"]
    two.lab.heal(host)
    two.lab.wait_ready()
    assert two.lab.faults(host) == []


def test_a_daemon_is_chosen_by_its_network(two, pair):
    network = two.openstack(f"network show {two.name('overlay')}")["id"]
    other = two.network("second", "10.62.0.0/24")["id"]
    two.guest_on("compute1", other, "second")
    assert len(two.lab.kill("controller", "dnsmasq", network)) == 1
    eventually(lambda: two.lab.kill("controller", "dnsmasq", network), what="another dnsmasq of the network")


def test_a_killed_switch_comes_back(two, pair):
    one, other = pair
    assert two.lab.kill("compute1", "vswitchd")
    two.lab.heal()
    eventually(lambda: one.pings(other.address()), what="the way through the overlay")


def test_the_command_shows_hosts_runs_commands_and_names_what_is_wrong(two):
    name = two.lab.name
    shown = netloom("lab", "list", "--name", name).stdout
    assert all(host in shown for host in HOSTS)
    assert "10.0.1.31" in shown
    assert netloom("lab", "exec", "--name", name, "compute1", "--", "sh", "-c", "exit 7").returncode == 7
    agents = netloom(
        "lab", "exec", "--name", name, "controller", "--", "openstack", "network", "agent", "list", "-fjson"
    )
    assert {agent["Host"] for agent in json.loads(agents.stdout)} == {"controller", "compute1", "compute2"}
    for words, wanted in {
        ("cut", "compute1/nothing"): "compute1/tunnels",
        ("cut", "nobody/tunnels"): "compute2",
        ("kill", "compute1", "init"): "keepalived",
        ("kill", "controller", "dnsmasq", "nothing"): "qdhcp-",
        ("up", "two"): "already",
    }.items():
        done = netloom("lab", words[0], "--name", name, *words[1:])
        assert done.returncode == 1
        assert wanted in done.stderr


def test_several_labs_run_at_once_and_leave_nothing(two):
    with lab_cloud("two") as other:
        assert other.lab.name != two.lab.name
        assert reaches(two, "controller", "compute1")
        assert other.on("controller").run("ping", "-c1", "-W1", "compute1").returncode == 0
        other.lab.power_off("compute1")
        other.lab.freeze("compute2")
        assert reaches(two, "controller", "compute1")
    assert leftovers(other.lab.name) == []
    other.lab.down()


def test_a_lab_that_does_not_come_up_leaves_nothing_and_says_why(tmp_path):
    layout = tmp_path / "wrong.toml"
    text = Path(sys.modules[Lab.__module__].__file__).with_name("layouts").joinpath("two.toml").read_text()
    layout.write_text(text.replace("l2_population = true", "l2_population = true, no_such_option = 1"))
    done = netloom("lab", "up", "--name", f"test-{tmp_path.name}"[:32].replace("_", "-"), str(layout))
    assert done.returncode == 1
    assert "no_such_option" in done.stderr
    assert leftovers(f"test-{tmp_path.name}"[:32].replace("_", "-")) == []


def test_a_lab_with_two_servers_has_one_database(tmp_path):
    layout = tmp_path / "servers.toml"
    layout.write_text(SERVERS)
    with lab_cloud(layout) as cloud:
        made = cloud.api.make("network", name="both")["id"]
        other = Api(cloud.on("server2").pid)
        assert [network["id"] for network in other.all("networks", "name=both")] == [made]
        assert cloud.lab.kill("server1", "server")
        other.make("network", name="more")
        cloud.lab.heal()
        cloud.lab.wait_ready()
        assert len(cloud.api.all("networks", "name=more")) == 1


SERVERS = """
database = "postgresql"
[networks]
management = { kind = "management", prefix = "10.0.0.0/24" }
[hosts.server]
count = 2
roles = ["server"]
links = { management = "10.0.0.11" }
[hosts.compute]
roles = ["openvswitch", "compute"]
links = { management = "10.0.0.31" }
"""
