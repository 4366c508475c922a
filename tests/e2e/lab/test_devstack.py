"""A cloud of 2013 on two machines: DevStack's localrc converted, and clients that know identity v2.0 alone.

The first machine is the document's; the second has the localrc that such a second machine had, for instances alone.
One story in order: each test needs those before it.
"""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.e2e.legacy import Legacy
from tests.lab.cloud import LabCloud, lab_cloud
from tests.sandbox import ROOT, eventually

LOCALRC = ROOT / "tests/unit/settings/devstack/localrc"
SECOND = """\
HOST_IP=192.168.100.11
SERVICE_HOST=192.168.100.10
ENABLED_SERVICES=n-cpu,q-agt,rabbit
ENABLE_TENANT_TUNNELS=True
"""
MORE = """\
# The tests' clients come by the lab's own network.
[DEFAULT]
bind_host = 0.0.0.0
[agent]
report_interval = 2
"""
LAYOUT = """\
[networks]
clients = { kind = "management", prefix = "10.9.0.0/24" }
machines = { kind = "tunnel", prefix = "192.168.100.0/24" }
public = { kind = "external", bridge = "br-ex" }

[hosts.first]
roles = ["server", "openvswitch", "l3", "dhcp", "metadata", "loadbalancer", "compute"]
links = { clients = "10.9.0.10", machines = "192.168.100.10", public = "" }
config_files = ["first.conf", "more.conf"]

[hosts.second]
roles = ["openvswitch", "compute"]
links = { clients = "10.9.0.11", machines = "192.168.100.11", public = "" }
config_files = ["second.conf", "more.conf"]
"""
VMS = {"vm1": ("first", "172.24.17.2"), "vm2": ("second", "172.24.17.3")}
"""The instances of the document, their hosts and addresses: the lowest first, but for the gateway's and DHCP's."""
KEY = "/run/devstack-key"
WIRE = "eth1"
"""The card that joins the machines."""


PAGE = r"while true; do echo -e 'HTTP/1.0 200 OK\r\n\r\n{name}' | sudo nc -l -p 80; done"
"""As the document types it."""


class Story(Legacy):
    """The cloud's client, and what has been made."""

    def __init__(self, cloud: LabCloud) -> None:
        super().__init__(cloud.machine, "newton", identity_v2=True)
        self.cloud, self.first = cloud, cloud.machine
        self.network = self.router = ""

    def inside(self, *argv: str) -> str:
        """Run a command in the network's namespace; its output, also when it fails."""
        return self.first.run("ip", "netns", "exec", f"qdhcp-{self.network}", *argv, check=False).stdout

    def ssh(self, address: str, command: str) -> str:
        """Run a command in an instance, from the network's namespace."""
        options = f"-i {KEY} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes"
        return self.inside("timeout", "10", "ssh", *options.split(), f"cirros@{address}", command)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Two machines with what their localrc says."""
    place = tmp_path_factory.mktemp("devstack")
    (place / "second.localrc").write_text(SECOND)
    for host, localrc in (("first", LOCALRC), ("second", place / "second.localrc")):
        netloom("config", "from-devstack", str(localrc), "--output-directory", str(place / host))
        (place / host / "netloom.conf").rename(place / f"{host}.conf")
    (place / "more.conf").write_text(MORE)
    (place / "layout.toml").write_text(LAYOUT)
    with lab_cloud(place / "layout.toml") as cloud:
        yield Story(cloud)


def netloom(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "netloom.cli.main", *words], check=True, capture_output=True, timeout=30)


def test_003_40_project_networks_are_gre(story):
    story.network = story.neutron("net-create private").record["id"]
    subnet = story.neutron("subnet-create private 172.24.17.0/24 --gateway 172.24.17.254").record["id"]
    story.router = story.neutron("router-create router1").record["id"]
    story.neutron(f"router-interface-add router1 {subnet}")
    shown = story.neutron("net-show private").record
    assert shown["provider:network_type"] == "gre"
    assert 1 <= int(shown["provider:segmentation_id"]) <= 1000
    assert {"br-int", "br-tun", "br-ex"} <= set(story.first.run("ovs-vsctl", "list-br").stdout.split())


def test_003_10_subnets(story):
    [subnet] = story.neutron("subnet-list").rows
    assert list(subnet) == ["id", "name", "cidr", "allocation_pools"]
    assert subnet["allocation_pools"] == '{"start": "172.24.17.1", "end": "172.24.17.253"}'


def test_003_27_28_29_agents(story):
    agents = story.neutron("agent-list").rows
    of_first = {row["agent_type"] for row in agents if row["host"] == "first"}
    assert {"DHCP agent", "L3 agent", "Open vSwitch agent", "Loadbalancer agent"} <= of_first
    assert {(row["alive"], row["admin_state_up"]) for row in agents} == {(":-)", "True")}
    for command in ("dhcp-agent-list-hosting-net private", "l3-agent-list-hosting-router router1"):
        [hosting] = story.neutron(command).rows
        assert (hosting["host"], hosting["alive"], hosting["admin_state_up"]) == ("first", ":-)", "True")


def test_003_01_02_rules(story):
    for rule in ("icmp -1 -1", "tcp 22 22", "tcp 80 80"):
        story.nova(f"secgroup-add-rule default {rule} 0.0.0.0/0")
    said = story.nova("secgroup-list-rules default")
    assert said.columns == ["IP Protocol", "From Port", "To Port", "IP Range", "Source Group"]
    assert len(re.findall(r"^\|", said.text, re.MULTILINE)) == 1 + 5


def test_003_03_to_07_instances_are_reached_out_of_the_networks_namespace(story):
    story.first.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", KEY)
    story.nova(f"keypair-add mine --pub-key {KEY}.pub")
    for name, (host, _) in VMS.items():
        options = f"--flavor m1.tiny --image cirros --key-name mine --availability-zone nova:{host}"
        story.nova(f"boot {options} --nic net-id={story.network} {name}")
    eventually(lambda: {row["Status"] for row in story.nova("list").rows} == {"ACTIVE"}, 60, "instances ACTIVE")
    listed = {row["Name"]: row["Networks"] for row in story.nova("list").rows}
    assert listed == {name: f"private={address}" for name, (_, address) in VMS.items()}
    namespaces = {line.split()[0] for line in story.first.run("ip", "netns").stdout.splitlines()}
    assert {f"qrouter-{story.router}", f"qdhcp-{story.network}"} <= namespaces
    for _, address in VMS.values():
        ping = ("ping", "-q", "-c", "1", "-W", "1", address)
        eventually(lambda ping=ping: "1 received, 0% packet loss" in story.inside(*ping), 30, f"an answer of {address}")


def test_003_40_packets_between_the_machines_travel_in_gre(story):
    key = int(story.neutron("net-show private").record["provider:segmentation_id"])
    words = ("timeout", "10", "tcpdump", "--immediate-mode", "-lnpi", WIRE, "-c", "6", "ip proto 47")
    with story.first.popen(*words) as watching:
        assert watching.stdout
        while (line := watching.stdout.readline()) and "listening on" not in line:
            pass
        assert "3 received" in story.inside("ping", "-q", "-c", "3", "-i", "0.2", "-W", "1", VMS["vm2"][1])
        seen = watching.stdout.read()
    ends = f"192.168.100.10 > 192.168.100.11: GREv0, key={key:#x}"
    assert ends in seen
    assert "ICMP echo request" in seen


def test_003_08_09_shells_and_pages(story):
    for name, (_, address) in VMS.items():
        eventually(lambda name=name, address=address: story.ssh(address, "hostname").strip() == name, 30, "a shell")
        story.ssh(address, f"setsid sh -c {shlex.quote(PAGE.format(name=name))} > /dev/null 2>&1 < /dev/null &")
    for name, (_, address) in VMS.items():
        url = ("curl", "-s", "--max-time", "2", address)
        eventually(lambda name=name, url=url: story.inside(*url).strip() == name, 10, f"the page of {name}")


def test_all_that_was_made_goes(story):
    story.nova("delete vm1 vm2")
    eventually(lambda: story.nova("list").rows == [], what="no instance")
    story.neutron(f"router-interface-delete router1 {story.neutron('subnet-list').rows[0]['id']}")
    story.neutron("router-delete router1")
    story.neutron("net-delete private")
