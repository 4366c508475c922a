"""The walk-through of VLAN-aware instances: one card, four networks, and how the host and the guest see it.

One story in order: each test needs those before it. It is typed as it was at its time, by the clients of 2016; what
they did not have yet is typed by that of today. The configuration is made of its author's local.conf.
"""

import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.e2e.cloud import Cloud
from tests.e2e.legacy import Legacy
from tests.faults.api import Api
from tests.sandbox import ROOT, Sandbox, eventually, sandbox

TRUNK = "trunk,"
CONF = "/etc/netloom/netloom.conf"
LOCAL_CONF = ROOT / "tests/unit/settings/devstack/local.conf"
"""Its author's."""
PLUGINS = "[DEFAULT]\nservice_plugins = {trunk}neutron.services.l3_router.l3_router_plugin.L3RouterPlugin\n"
NETWORKS = {
    "net1": ("192.168.10.0/24", "subnet1"),
    "net2": ("192.168.20.0/24", "subnet2"),
    "net3": ("192.168.30.0/24", "subnet3"),
    "trunk": ("192.168.100.0/24", "trunk-subnet"),
}
SUB_PORTS = {"net1": 1100, "net2": 1200, "net3": 1300}
"""Tag in the instance by network."""
FIELDS = {"admin_state_up", "created_at", "description", "id", "name", "port_id", "project_id", "revision_number"}
FIELDS |= {"status", "sub_ports", "tenant_id", "updated_at"}
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
KEY = "/run/id_rsa"
SHOW = "ovs-ofctl --names --no-stats dump-flows"


class Story:
    """What the tests tell each other."""

    def __init__(self, machine: Sandbox) -> None:
        self.machine = machine
        self.convert()
        self.configure("")
        self.cloud = Cloud(machine, "--bare")
        self.openstack = self.cloud.openstack
        self.client = Legacy(machine, "newton")
        self.neutron, self.nova = self.client.neutron, self.client.nova
        self.ports: dict[str, dict] = {}
        """By network: the instance's."""
        self.networks: dict[str, str] = {}
        self.ids: dict[str, str] = {}

    def convert(self) -> None:
        """Make the configuration of the author's."""
        self.machine.run("sh", "-c", "cat > /run/local.conf", text=LOCAL_CONF.read_text())
        self.machine.run("netloom", "config", "from-devstack", "/run/local.conf", "--output-directory", "/etc/netloom")
        self.converted = self.machine.run("cat", CONF).stdout

    def configure(self, trunk: str) -> None:
        """Say which services the server offers beside the plain ones."""
        changed = self.converted.replace("[DEFAULT]\n", PLUGINS.format(trunk=trunk), 1)
        self.machine.run("sh", "-c", f"cat > {CONF}", text=changed)

    def restart_server(self) -> None:
        """As an operator does."""
        (pid,) = self.machine.run("cat", "/run/netloom/server.pid").stdout.split()
        self.machine.run("kill", pid)
        eventually(lambda: self.machine.run("kill", "-0", pid, check=False).returncode != 0, what="the server's end")
        self.machine.run("netloom", "up", "--bare", timeout=90)

    def vsctl(self, *words: str) -> str:
        return self.machine.run("ovs-vsctl", *words).stdout.strip()

    def ports_of(self, bridge: str) -> set[str]:
        return set(self.vsctl("list-ports", bridge).split())

    def tag(self, port: str) -> int | None:
        found = self.vsctl("get", "port", port, "tag")
        return None if found == "[]" else int(found)

    def flows(self, bridge: str, table: int = 0) -> set[str]:
        """From the priority on."""
        lines = self.machine.run(*SHOW.split(), bridge, f"table={table}").stdout.replace('"', "").splitlines()
        return {line[line.index("priority=") :] for line in lines if "priority=" in line}

    def address(self, network: str) -> str:
        """Of the instance on a network."""
        return str(self.ports[network]["fixed_ips"][0]["ip_address"])

    def mac(self, network: str) -> str:
        return str(self.ports[network]["mac_address"])

    def patch(self, prefix: str, network: str) -> str:
        """A patch port of the instance: prefix and port id, cut as the host cuts them."""
        return f"{prefix}-{self.ports[network]['id']}"[:14]

    @property
    def bridge(self) -> str:
        """Of the trunk."""
        return f"tbr-{self.ids['trunk-net']}"[:14]

    def device(self, prefix: str) -> str:
        """Of the instance's card."""
        return prefix + self.ports["trunk"]["id"][:11]

    def in_router(self, *argv: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        return self.machine.run("ip", "netns", "exec", f"qrouter-{self.ids['router1']}", *argv, check=check)

    def ssh(self, *options: str) -> list[str]:
        """The command line from the router's namespace into the instance."""
        words = (
            f"-i {KEY} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o BatchMode=yes"
        )
        shared = "-o ControlMaster=auto -o ControlPath=/run/ssh-%r -o ControlPersist=yes -o ConnectTimeout=10"
        return ["ssh", *words.split(), *shared.split(), *options, f"ubuntu@{self.address('trunk')}"]

    def inside(self, script: str, check: bool = True) -> str:
        """Run a shell script in the instance; its output."""
        return self.in_router(*self.ssh(), script, check=check).stdout

    def router_pings(self, network: str, count: int = 2) -> bool:
        words = ("ping", f"-c{count}", "-i0.3", "-W1", self.address(network))
        return self.in_router(*words, check=False).returncode == 0


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    with sandbox() as machine:
        yield Story(machine)


def listed(said: str, word: str) -> bool:
    """What ``grep`` tells."""
    return any(word in line for line in said.splitlines())


def test_001_01_02_the_extension_is_there_once_its_plugin_is(story):
    def extensions() -> list[tuple[str, str, str]]:
        found = story.openstack("extension list --network")
        return [(one["Name"], one["Alias"], one["Description"]) for one in found if "trunk" in str(one).lower()]

    assert extensions() == []
    story.machine.run("ovs-vsctl", "add-br", "br-eth1", "--", "set", "bridge", "br-eth1", "datapath_type=netdev")
    story.configure(TRUNK)
    story.restart_server()
    assert sorted(extensions())[1:] == [
        ("Trunk Extension", "trunk", "Provides support for trunk ports"),
        ("Trunk port details", "trunk-details", "Expose trunk port details"),
    ]
    assert {"trunk", "trunk-details"} <= {row["alias"] for row in story.neutron("ext-list").rows}


def test_001_03_04_networks_of_vlans_from_the_range(story):
    for name, (prefix, subnet) in NETWORKS.items():
        assert story.neutron(f"net-create {name}").heading == "Created a new network:"
        made = story.neutron(f"subnet-create {name} {prefix} --name {subnet}").record
        assert made["gateway_ip"] == prefix.replace(".0/24", ".1")
    said = story.neutron("net-list -c name -c provider:network_type -c provider:segmentation_id")
    assert said.columns == ["name", "provider:network_type", "provider:segmentation_id"]
    rows = {row["name"]: row for row in said.rows if row["name"] in NETWORKS}
    assert {row["provider:network_type"] for row in rows.values()} == {"vlan"}
    story.networks = {name: row["provider:segmentation_id"] for name, row in rows.items()}
    assert len(set(story.networks.values())) == 4
    assert all(1000 <= int(number) <= 2000 for number in story.networks.values())


def test_001_05_a_router_joins_them(story):
    story.ids["router1"] = story.neutron("router-create router1").record["id"]
    for _, subnet in NETWORKS.values():
        said = story.neutron(f"router-interface-add router1 {subnet}").text.strip()
        assert re.fullmatch(r"Added interface [0-9a-f-]{36} to router router1\.", said)
    assert len(story.neutron("router-port-list router1").rows) == 4


def test_001_06_ports(story):
    for network in SUB_PORTS:
        story.ports[network] = story.openstack(f"port create --network {network} port-{network}")
    story.ports["trunk"] = story.openstack("port create --network trunk my-trunk")
    for network, port in story.ports.items():
        assert port["fixed_ips"][0]["ip_address"].startswith(NETWORKS[network][0].removesuffix("0/24"))
        assert port["status"] == "DOWN"


def test_001_07_08_09_the_trunk_and_its_sub_ports(story):
    made = story.openstack("network trunk create --parent-port my-trunk trunk-net")
    raw = Api(story.machine.pid).call("GET", f"/v2.0/trunks/{made['id']}")["trunk"]
    assert set(raw) >= FIELDS
    assert raw["admin_state_up"] is True
    assert raw["tenant_id"] == raw["project_id"] == made["project_id"]
    assert (made["revision_number"], made["status"], made["sub_ports"]) == (1, "DOWN", [])
    assert (made["name"], made["description"], made["port_id"]) == ("trunk-net", "", story.ports["trunk"]["id"])
    assert re.fullmatch(TIME, made["created_at"])
    assert made["updated_at"] == made["created_at"]
    story.ids["trunk-net"] = made["id"]
    wanted = [f"port=port-{name},segmentation-type=vlan,segmentation-id={tag}" for name, tag in SUB_PORTS.items()]
    words = " ".join(f"--subport {one}" for one in wanted)
    eventually(lambda: now(story) != made["created_at"], what="the next second")
    assert story.openstack(f"network trunk set trunk-net {words}") == ""
    shown = story.openstack("network trunk show trunk-net")
    assert (shown["revision_number"], shown["status"]) == (2, "DOWN")
    assert shown["created_at"] == made["created_at"] < shown["updated_at"]
    assert sorted(shown["sub_ports"], key=lambda one: one["segmentation_id"]) == [
        {"port_id": story.ports[name]["id"], "segmentation_type": "vlan", "segmentation_id": tag}
        for name, tag in SUB_PORTS.items()
    ]
    assert story.machine.run("ovs-vsctl", "br-exists", story.bridge, check=False).returncode == 2


def now(story: Story) -> str:
    return story.machine.run("date", "-u", "+%Y-%m-%dT%H:%M:%SZ").stdout.strip()


def test_001_10_11_12_key_image_and_rules(story):
    story.machine.run("ssh-keygen", "-q", "-t", "rsa", "-N", "", "-f", KEY)
    story.nova(f"keypair-add ubuntu --pub-key {KEY}.pub")
    assert {row["Name"] for row in story.nova("keypair-list").rows} == {"ubuntu"}
    story.machine.run("sh", "-c", "echo boots the built-in guest > /run/my-ubuntu.qcow2")
    formats = "--disk-format qcow2 --container-format bare --public --file /run/my-ubuntu.qcow2"
    more = "--property os_admin_user=ubuntu --property hypervisor_type=qemu"
    made = story.openstack(f"image create ubuntu {formats} {more}")
    assert (made["status"], made["visibility"]) == ("active", "public")
    story.ids["image"] = made["id"]
    story.openstack("flavor create --id d1 --ram 128 --disk 0 --vcpus 1 ds512M")
    group = story.ports["trunk"]["security_group_ids"][0]
    for rule in ("--port-range-min 22 --port-range-max 22 --protocol tcp", "--protocol icmp"):
        said = story.neutron(
            f"security-group-rule-create {group} --direction ingress {rule} --remote-ip-prefix 0.0.0.0/0"
        )
        assert said.heading == "Created a new security_group_rule:"
        assert said.record["security_group_id"] == group


def test_001_13_the_instance_gets_the_trunk_and_all_of_it_turns_active(story):
    nic = f"port-id={story.ports['trunk']['id']}"
    said = story.nova(f"boot vlan-aware-vm --flavor d1 --image {story.ids['image']} --nic {nic} --key-name ubuntu")
    assert said.record["name"] == "vlan-aware-vm"
    eventually(lambda: the_server(story)["Status"] != "BUILD", 60, "the instance built")
    row = the_server(story)
    assert list(row) == ["ID", "Name", "Status", "Task State", "Power State", "Networks"]
    assert [row[name] for name in list(row)[1:]] == [
        "vlan-aware-vm",
        "ACTIVE",
        "-",
        "Running",
        f"trunk={story.address('trunk')}",
    ]
    eventually(lambda: story.openstack("network trunk show trunk-net")["status"] == "ACTIVE", what="the trunk ACTIVE")
    for name in SUB_PORTS:
        port = story.openstack(f"port show port-{name}")
        assert (port["status"], port["device_owner"]) == ("ACTIVE", "trunk:subport")


def the_server(story: Story) -> dict[str, str]:
    (row,) = story.nova("list").rows
    return row


def test_001_14_15_bridges_and_their_ports(story):
    assert set(story.vsctl("list-br").split()) == {"br-eth1", "br-ex", "br-int", "br-tun", story.bridge}
    card = {story.patch("tpt", "trunk"), *(story.patch("spt", name) for name in SUB_PORTS)}
    assert story.ports_of(story.bridge) == {story.device("qvo"), *card}
    on_int = {story.patch("tpi", "trunk"), *(story.patch("spi", name) for name in SUB_PORTS)}
    assert on_int <= story.ports_of("br-int")
    assert not {story.device("qvo"), story.device("tap")} & story.ports_of("br-int")
    for network in NETWORKS:
        kind = "tp" if network == "trunk" else "sp"
        there, here = story.patch(f"{kind}t", network), story.patch(f"{kind}i", network)
        assert story.vsctl("get", "interface", here, "type", "options:peer").split() == ["patch", there]
        assert story.vsctl("get", "interface", there, "type", "options:peer").split() == ["patch", here]


def test_001_16_17_tags_are_the_instances_on_the_trunk_and_local_on_br_int(story):
    assert story.tag(story.patch("tpt", "trunk")) is None
    assert {name: story.tag(story.patch("spt", name)) for name in SUB_PORTS} == SUB_PORTS
    local = local_vlans(story)
    assert sorted(local.values()) == [1, 2, 3, 4]
    for network, vlan in local.items():
        ports = story.openstack(f"port list --network {network} --long")
        served = {f"tap{one['ID'][:11]}" for one in ports if one["Device Owner"] == "network:dhcp"}
        served |= {f"qr-{one['ID'][:11]}" for one in ports if one["Device Owner"] == "network:router_interface"}
        assert len(served) == 2
        assert {story.tag(device) for device in served} == {vlan}


def local_vlans(story: Story) -> dict[str, int]:
    """By network."""
    found = {"trunk": story.tag(story.patch("tpi", "trunk"))}
    found |= {name: story.tag(story.patch("spi", name)) for name in SUB_PORTS}
    return {name: tag for name, tag in found.items() if tag is not None}


def test_001_18_a_linux_bridge_joins_the_tap_and_a_veth_pair(story):
    slaves = story.machine.run("ls", f"/sys/class/net/{story.device('qbr')}/brif").stdout.split()
    assert set(slaves) == {story.device("tap"), story.device("qvb")}
    veths = story.machine.run("ip", "-o", "link", "show", "type", "veth").stdout
    assert f"{story.device('qvo')}@{story.device('qvb')}:" in veths
    assert story.vsctl("port-to-br", story.device("qvo")) == story.bridge


def test_001_19_patches_to_the_world(story):
    for here, there in (("int-br-ex", "phy-br-ex"), ("int-br-eth1", "phy-br-eth1"), ("patch-int", "patch-tun")):
        assert story.vsctl("get", "interface", here, "options:peer") == there
        assert story.vsctl("get", "interface", there, "options:peer") == here


def test_001_20_a_picture_has_the_table_of_vlans(story):
    drawn = story.machine.run("netloom", "draw", "vlan-aware-vm").stdout
    local = local_vlans(story)
    rows = {line.split()[0]: line.split() for line in drawn.partition("NETWORK ")[2].splitlines()[1:]}
    for network, number in story.networks.items():
        inside = SUB_PORTS.get(network, "untagged")
        assert rows[network] == [network, "vlan", "physnet", number, str(local[network]), str(inside)]
        assert len({number, str(local[network]), str(inside)}) == 3
    card = next(line for line in drawn.splitlines() if story.patch("tpi", "trunk") in line)
    chain = [story.patch("tpt", "trunk"), *(story.device(prefix) for prefix in ("qvo", "qvb", "tap"))]
    assert [card.index(one) for one in chain] == sorted(card.index(one) for one in chain)


def test_001_21_22_internal_vlans_become_those_of_the_wire(story):
    wire, local = story.flows("br-eth1"), local_vlans(story)
    for network, number in story.networks.items():
        match = f"priority=4,in_port=phy-br-eth1,dl_vlan={local[network]}"
        assert f"{match} actions=mod_vlan_vid:{number},NORMAL" in wire
    assert "priority=2,in_port=phy-br-eth1 actions=drop" in wire
    assert "priority=0 actions=NORMAL" in wire


def test_001_23_24_25_and_those_of_the_wire_internal_ones(story):
    found, local = story.flows("br-int"), local_vlans(story)
    for network, number in story.networks.items():
        match = f"priority=3,in_port=int-br-eth1,dl_vlan={number}"
        assert f"{match} actions=mod_vlan_vid:{local[network]},NORMAL" in found
    for patch in ("int-br-ex", "int-br-eth1"):
        assert f"priority=2,in_port={patch} actions=drop" in found
    assert "priority=0 actions=NORMAL" in found
    for table in (23, 24):
        assert "priority=0 actions=drop" in story.flows("br-int", table)


def test_001_26_27_28_nobody_takes_anothers_address(story):
    first, second, third = (story.flows("br-int", table) for table in (0, 24, 25))
    for network in NETWORKS:
        patch = story.patch("tpi" if network == "trunk" else "spi", network)
        assert f"priority=10,icmp6,in_port={patch},icmp_type=136 actions=resubmit(,24)" in first
        assert f"priority=10,arp,in_port={patch} actions=resubmit(,24)" in first
        assert f"priority=9,in_port={patch} actions=resubmit(,25)" in first
        spoken = f"priority=2,arp,in_port={patch},arp_spa={story.address(network)}"
        assert f"{spoken} actions=resubmit(,25)" in second
        told = f"priority=2,icmp6,in_port={patch},icmp_type=136,nd_target={link_local(story.mac(network))}"
        assert f"{told} actions=NORMAL" in second
        assert f"priority=2,in_port={patch},dl_src={story.mac(network)} actions=NORMAL" in third


def link_local(mac: str) -> str:
    """The address that a MAC makes for itself (RFC 4291, appendix A)."""
    octets = [int(part, 16) for part in mac.split(":")]
    octets[0] ^= 2
    words = [octets[0] << 8 | octets[1], octets[2] << 8 | 0xFF, 0xFE00 | octets[3], octets[4] << 8 | octets[5]]
    return "fe80::" + ":".join(f"{word:x}" for word in words)


def test_001_29_namespaces(story):
    names = [line.split()[0] for line in story.machine.run("ip", "netns").stdout.splitlines()]
    assert [name for name in names if name.startswith("qrouter-")] == [f"qrouter-{story.ids['router1']}"]
    assert len([name for name in names if name.startswith("qdhcp-")]) == 4
    assert len(names) == 5


def test_001_30_the_key_opens_a_shell_from_the_routers_namespace(story):
    eventually(lambda: story.router_pings("trunk"), 60, "an answer of the instance")
    eventually(lambda: story.in_router(*story.ssh(), "true", check=False).returncode == 0, 60, "the shell")
    assert story.inside("hostname; id -un").split() == ["vlan-aware-vm", "ubuntu"]


def card(story: Story) -> str:
    """Name of the instance's card."""
    (name,) = story.inside("ls /sys/class/net | grep '^ens[0-9]*$'").split()
    return name


def test_001_31_the_instance_has_one_plain_card(story):
    name = card(story)
    shown = story.inside("ip a")
    links = re.findall(r"^\d+: ([^:@]+)", shown, re.MULTILINE)
    assert [link for link in links if link != "lo"] == [name]
    assert f"link/ether {story.mac('trunk')} brd ff:ff:ff:ff:ff:ff" in shown
    assert f"inet {story.address('trunk')}/24 brd 192.168.100.255 scope global {name}" in shown
    assert "mtu 1500" in shown
    assert f"inet6 {link_local(story.mac('trunk'))}/64 scope link" in shown


def test_001_32_vlan_devices_come_up_with_the_cards_mac(story):
    name = card(story)
    for network, tag in SUB_PORTS.items():
        story.inside(f"sudo vconfig add {name} {tag} && sudo ifconfig {name}.{tag} {story.address(network)}/24")
    shown = story.inside("ip a")
    for network, tag in SUB_PORTS.items():
        found = re.search(rf"^\d+: {name}\.{tag}@{name}: .*\n.*\n.*", shown, re.MULTILINE)
        assert found
        assert f"link/ether {story.mac('trunk')}" in found[0]
        assert f"inet {story.address(network)}/24" in found[0]
        assert ",UP" in found[0]


@pytest.mark.parametrize("network", SUB_PORTS)
def test_001_33_34_frames_reach_the_instance_with_its_tag_and_count_with_the_sub_ports_mac(story, network):
    name, tag, address = card(story), SUB_PORTS[network], story.address(network)
    gateway = NETWORKS[network][0].replace(".0/24", ".1")
    script = f"sudo timeout 8 tcpdump -l -n -e -c 2 -i {name} vlan {tag} and arp 2>&1"
    capture = story.machine.popen("ip", "netns", "exec", f"qrouter-{story.ids['router1']}", *story.ssh("-tt"), script)
    assert capture.stdout
    while "listening on" not in (line := capture.stdout.readline()):
        assert line, "tcpdump ended"
    assert not story.router_pings(network), "the MAC is not the sub-port's"
    seen = capture.communicate(timeout=15)[0]
    router = re.search(r"link/ether (\S+)", story.in_router("ip", "link", "show", qr(story, network)).stdout)
    assert router
    frame = f"ethertype 802.1Q (0x8100), length 46: vlan {tag}, p 0, ethertype ARP"
    asked = f"{router[1]} > ff:ff:ff:ff:ff:ff, {frame}"
    answered = f"{story.mac('trunk')} > {router[1]}, {frame}"
    assert re.search(re.escape(asked) + rf".* Request who-has {address} tell {gateway}, length 28", seen), seen
    assert re.search(re.escape(answered) + rf".* Reply {address} is-at {story.mac('trunk')}, length 28", seen), seen
    story.inside(f"sudo ip link set {name}.{tag} address {story.mac(network)}")
    eventually(lambda: story.router_pings(network), what="an answer by the sub-port's MAC")


def qr(story: Story, network: str) -> str:
    """The router's device on a network."""
    ports = story.openstack(f"port list --router router1 --network {network}")
    return f"qr-{ports[0]['ID'][:11]}"


def test_outside_the_tag_is_the_networks(story):
    story.machine.run("ip", "link", "add", "wire", "type", "veth", "peer", "name", "eth1")
    for device in ("wire", "eth1"):
        story.machine.run("ip", "link", "set", device, "up")
    story.vsctl("add-port", "br-eth1", "eth1")
    name = card(story)
    for network, tag in SUB_PORTS.items():
        number = story.networks[network]
        words = f"timeout 10 tcpdump -l -n -e -c 1 -i wire vlan {number} and arp"
        capture = story.machine.popen(*words.split())
        assert capture.stdout
        while "listening on" not in (line := capture.stdout.readline()):
            assert line, "tcpdump ended"
        nobody = NETWORKS[network][0].replace(".0/24", ".250")
        story.inside(f"ping -c 1 -W 1 -I {name}.{tag} {nobody}", check=False)
        seen = capture.communicate(timeout=15)[0]
        assert f"{story.mac(network)} > ff:ff:ff:ff:ff:ff" in seen
        assert f"vlan {number}, p 0, ethertype ARP" in seen
    story.vsctl("del-port", "br-eth1", "eth1")
    story.machine.run("ip", "link", "del", "wire")


def test_001_35_and_beyond_each_sub_ports_own_group_counts(story):
    """The document found that the parent's group alone did."""
    closed = story.neutron("security-group-create closed").record["id"]
    story.neutron(f"port-update port-net1 --security-group {closed}")
    eventually(lambda: not story.router_pings("net1", 1), what="net1 closed")
    assert story.router_pings("net2")
    assert story.router_pings("trunk")
    story.neutron(f"port-update my-trunk --security-group {closed}")
    eventually(lambda: not story.router_pings("trunk", 1), what="the parent closed")
    assert story.router_pings("net2")
    group = story.ports["trunk"]["security_group_ids"][0]
    for port in ("my-trunk", "port-net1"):
        story.neutron(f"port-update {port} --security-group {group}")
    eventually(lambda: story.router_pings("net1") and story.router_pings("trunk"), what="all open again")


def test_a_sub_port_goes_and_comes_back_under_traffic_and_the_others_do_not_notice(story):
    words = f"ip netns exec qrouter-{story.ids['router1']} ping -i 0.05 -q {story.address('net2')}"
    traffic = story.machine.popen("sh", "-c", f"echo $$ > /run/traffic; exec {words}")
    story.openstack("network trunk unset --subport port-net1 trunk-net")
    eventually(lambda: story.patch("spt", "net1") not in story.ports_of(story.bridge), what="the patch gone")
    assert not story.router_pings("net1", 1)
    again = "port=port-net1,segmentation-type=vlan,segmentation-id=1100"
    story.openstack(f"network trunk set trunk-net --subport {again}")
    eventually(lambda: story.router_pings("net1"), what="net1 back")
    story.machine.run("sh", "-c", "kill -INT $(cat /run/traffic)")
    found = re.search(r"(\d+) packets transmitted, (\d+) received", traffic.communicate(timeout=10)[0])
    assert found
    sent, received = map(int, found.groups())
    assert sent > 20
    assert received >= sent - 1, "the last may be on its way"


def test_a_sub_port_that_the_host_cannot_wire_degrades_the_trunk_until_it_can(story):
    def status() -> str:
        return str(story.openstack("network trunk show trunk-net")["status"])

    assert status() == "ACTIVE"
    story.openstack("network trunk unset --subport port-net3 trunk-net")
    patch = story.patch("spt", "net3")
    eventually(lambda: patch not in story.ports_of(story.bridge), what="the patch gone")
    story.vsctl("add-port", "br-eth1", patch, "--", "set", "interface", patch, "type=internal")
    story.openstack("network trunk set trunk-net --subport port=port-net3,segmentation-type=vlan,segmentation-id=1300")
    eventually(lambda: status() == "DEGRADED", what="a trunk that lacks a sub-port")
    reason = story.machine.run("netloom", "status", story.ports["net3"]["id"], check=False).stdout
    assert (
        f"a port of that name was put on bridge br-eth1 by somebody else; remove it (ovs-vsctl del-port {patch})"
        in reason
    )
    assert story.router_pings("net2")
    story.vsctl("del-port", "br-eth1", patch)
    eventually(lambda: status() == "ACTIVE", what="the trunk ACTIVE again")
    eventually(lambda: story.router_pings("net3"), what="net3 back")


def test_all_that_was_made_goes(story):
    story.in_router(*story.ssh("-O", "exit"), check=False)
    story.nova("delete vlan-aware-vm")
    eventually(lambda: story.nova("list").rows == [], 30, "no instance")
    eventually(lambda: story.bridge not in story.vsctl("list-br"), what="the trunk's bridge gone")
    eventually(lambda: not any(port[:4] in ("tpi-", "spi-") for port in story.ports_of("br-int")), what="no patches")
    assert story.openstack("network trunk show trunk-net")["status"] == "DOWN"
    words = " ".join(f"--subport port-{name}" for name in SUB_PORTS)
    story.openstack(f"network trunk unset {words} trunk-net")
    assert story.openstack("network trunk show trunk-net")["sub_ports"] == []
    story.openstack("network trunk delete trunk-net")
    assert story.openstack("network trunk list") == []
    links = story.machine.run("ip", "-o", "link").stdout
    assert not re.search(r"(tap|qvo|qvb|qbr)" + story.ports["trunk"]["id"][:8], links)
