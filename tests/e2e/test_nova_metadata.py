"""Netloom beside a real Nova: the guest of one is told by the other's metadata service who it is.

One story in order. The instance is Nova's, plugged as its os-vif does; Nova knows its security groups from Netloom.
"""

import json
import shutil
import uuid
from collections.abc import Iterator

import pytest
import yaml

from tests.e2e.cloud import CONFIG, Cloud
from tests.sandbox import ROOT, Sandbox, eventually, sandbox

NOVA = ROOT / ".cache/clients/nova"
HOST = "192.0.2.75"
"""An address of Nova's; the stand-in for Nova has the same port of 127.0.0.1."""
SECRET = "what Nova and Netloom share"
CONFIGURATION = f"""\
[DEFAULT]
nova_metadata_host = {HOST}
metadata_proxy_shared_secret = {{secret}}
[netloom]
standalone = true
roles = openvswitch, l3, dhcp, metadata
[ovs]
local_ip = 127.0.0.1
[agent]
tunnel_types = vxlan
"""
NOVA_CONF = """\
[DEFAULT]
state_path = {directory}
transport_url = fake://
[database]
connection = sqlite:///{directory}/nova.sqlite
[api]
local_metadata_per_cell = true
[neutron]
service_metadata_proxy = true
metadata_proxy_shared_secret = {secret}
auth_type = password
{account}
"""
DIRECTORY = "/run/nova"
SERVICE = "http://169.254.169.254"


class Story:
    """A cloud, Nova's metadata service beside it, and an instance of Nova's."""

    def __init__(self, machine: Sandbox) -> None:
        self.machine, self.instance = machine, str(uuid.uuid4())
        self.configure(SECRET)
        self.cloud = Cloud(machine)
        self.openstack = self.cloud.openstack
        self.openstack("network create net")
        self.openstack("subnet create --network net --subnet-range 10.0.0.0/24 subnet")
        self.openstack("router create router")
        self.openstack("router add subnet router subnet")
        self.openstack("security group create web")
        self.plug()
        machine.run("ip", "address", "add", HOST, "dev", "lo")
        self.start_nova()

    def configure(self, secret: str) -> None:
        """Say what the agent signs with."""
        text = CONFIGURATION.format(secret=secret)
        self.machine.run("sh", "-c", f"mkdir -p {CONFIG} && umask 077 && cat > {CONFIG}/netloom.conf", text=text)

    def start_nova(self) -> None:
        """As its documentation says, for an operator who has one cell."""
        clouds = yaml.safe_load(self.machine.run("cat", f"{CONFIG}/clouds.yaml").stdout)
        auth = clouds["clouds"]["netloom-admin"]["auth"]
        account = "\n".join(f"{name} = {value}" for name, value in auth.items())
        conf = NOVA_CONF.format(directory=DIRECTORY, secret=SECRET, account=account)
        self.machine.run("sh", "-c", f"mkdir {DIRECTORY} && umask 077 && cat > {DIRECTORY}/nova.conf", text=conf)
        shutil.copy(NOVA / "etc/nova/api-paste.ini", self.machine.place(DIRECTORY))
        manage = (str(NOVA / "bin/nova-manage"), "--config-dir", DIRECTORY)
        self.machine.run(*manage, "db", "sync", "--local_cell")
        told = {
            "OS_NOVA_CONFIG_DIR": DIRECTORY,
            "ADDRESS": HOST,
            "INSTANCE": self.instance,
            "PROJECT": self.openstack("project show admin")["id"],
            "NAME": "vm1",
        }
        program = (str(NOVA / "bin/python"), str(ROOT / "tests/e2e/nova_metadata.py"))
        self.machine.run("sh", "-c", f'"$@" > {DIRECTORY}/log 2>&1 &', "sh", *program, env=told)
        eventually(lambda: self.machine.run("curl", "-s", f"{HOST}:8775", check=False).stdout, 30, what="Nova")

    def plug(self) -> None:
        """What Nova does to start the instance: a port on this host, and a device on the bridge with its name."""
        owner = f"--device-owner compute:nova --device {self.instance} --host netloom-test"
        port = self.openstack(f"port create --network net --security-group web {owner} port")
        address, mac = port["fixed_ips"][0]["ip_address"], port["mac_address"]
        tap = f"tap{port['id']}"[:14]
        run = self.machine.run
        run("ip", "netns", "add", "guest")
        run("ip", "link", "add", tap, "type", "veth", "peer", "name", "eth0", "netns", "guest", "address", mac)
        run("ip", "netns", "exec", "guest", "ethtool", "-K", "eth0", "tx", "off")
        ids = {"iface-id": port["id"], "iface-status": "active", "attached-mac": mac, "vm-uuid": self.instance}
        columns = (f"external_ids:{name}={json.dumps(value)}" for name, value in ids.items())
        run("ovs-vsctl", "add-port", "br-int", tap, "--", "set", "interface", tap, *columns)
        run("ip", "link", "set", tap, "up")
        for words in ("link set eth0 up", f"address add {address}/24 dev eth0", "route add default via 10.0.0.1"):
            run("ip", "-n", "guest", *words.split())
        eventually(lambda: self.openstack("port show port")["status"] == "ACTIVE", what="the port")

    def asks(self, path: str, *options: str) -> str:
        """What the instance is told."""
        words = ("curl", "-s", "-m", "5", *options, SERVICE + path)
        return self.machine.run("ip", "netns", "exec", "guest", *words, check=False).stdout

    def status(self, *options: str) -> str:
        """Of an answer."""
        return self.asks("/openstack/latest/meta_data.json", "-o", "/dev/null", "-w", "%{http_code}", *options)


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    with sandbox() as machine:
        yield Story(machine)


def test_the_instance_is_told_by_nova(story):
    eventually(lambda: story.status() == "200", what="the service")
    told = json.loads(story.asks("/openstack/latest/meta_data.json"))
    assert (told["uuid"], told["name"], told["meta"]) == (story.instance, "vm1", {"told": "by Nova"})
    assert story.asks("/2009-04-04/meta-data/placement/availability-zone") == "nova"


def test_nova_knows_from_netloom_how_the_instance_is_connected(story):
    port = story.openstack("port show port")
    told = json.loads(story.asks("/openstack/latest/network_data.json"))
    (link,), (network,) = told["links"], told["networks"]
    assert (link["ethernet_mac_address"], link["vif_id"]) == (port["mac_address"], port["id"])
    assert (network["network_id"], network["type"]) == (port["network_id"], "ipv4_dhcp")
    assert story.asks("/2009-04-04/meta-data/local-ipv4") == port["fixed_ips"][0]["ip_address"]
    assert story.asks("/2009-04-04/meta-data/security-groups") == "web"


def test_an_instance_that_says_itself_who_it_is_does_not_get_there(story):
    before = story.machine.run("cat", f"{DIRECTORY}/log").stdout
    assert story.status("-H", f"X-Instance-ID: {uuid.uuid4()}") == "403"
    assert story.machine.run("cat", f"{DIRECTORY}/log").stdout == before


def test_nova_refuses_what_is_signed_with_another_secret(story):
    story.configure("what Nova does not know")
    (pid,) = story.machine.run("cat", "/run/netloom/agent.pid").stdout.split()
    story.machine.run("kill", pid)
    eventually(lambda: story.machine.run("kill", "-0", pid, check=False).returncode != 0, what="the agent's end")
    story.machine.run("netloom", "up", timeout=90)
    eventually(lambda: story.status() == "403", what="Nova's refusal")
    assert "X-Instance-ID-Signature" in story.machine.run("cat", f"{DIRECTORY}/log").stdout
