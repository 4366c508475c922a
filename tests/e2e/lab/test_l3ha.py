"""The walk-through of the Networking Guide's scenario "High availability using VRRP (L3HA) with Open vSwitch".

One story in order, on the layout that the scenario describes: each test needs those before it. What the guide types is
typed by the clients of its year, and what took its place by those of today.
"""

import json
import re
import socket
from collections.abc import Iterator

import pytest

from tests.e2e.lab.elections import Election
from tests.e2e.legacy import Legacy
from tests.e2e.world import Guest
from tests.lab.cloud import LabCloud
from tests.lab.world import LabWorld
from tests.sandbox import eventually

NETWORK_NODES = ["network1", "network2"]
COMPUTE_NODES = ["compute1", "compute2"]
GATEWAY, FLOATING = "203.0.113.101", "203.0.113.102"
AGENTS = {
    ("DHCP agent", "neutron-dhcp-agent"): NETWORK_NODES,
    ("L3 agent", "neutron-l3-agent"): NETWORK_NODES,
    ("Metadata agent", "neutron-metadata-agent"): NETWORK_NODES,
    ("Open vSwitch agent", "neutron-openvswitch-agent"): [*COMPUTE_NODES, *NETWORK_NODES],
}
OFFICE = 5000
"""Port of a service that says what it is told."""


class Story:
    """What the tests tell each other."""

    def __init__(self, lab: LabCloud) -> None:
        self.cloud, self.lab = lab, lab.lab
        self.world = LabWorld(lab, external=False)
        self.openstack = lab.openstack
        controller = lab.on("controller")
        self.neutron = Legacy(controller, "liberty").neutron
        self.nova = Legacy(controller, "newton").nova
        self.demo = str(self.openstack("project show demo")["id"])
        self.ids: dict[str, str] = {}

    @property
    def election(self) -> Election:
        return Election(self.cloud, self.ids["demo-router"])

    @property
    def guest(self) -> Guest:
        return Guest(self.cloud, self.ids["demo-instance1"], "demo-instance1")

    def remember(self, kind: str, made: dict[str, str]) -> dict[str, str]:
        """Note what was made, to find it, and to delete it at the end; returns it."""
        self.ids[made.get("name", kind)] = made["id"]
        self.world.made(kind, made["id"])
        return made

    def device(self, prefix: str, port: str) -> str:
        return f"{prefix}-{self.ids[port][:11]}"

    def rules(self) -> list[str]:
        """Rules of demo's default security group that let the world in."""
        (group,) = self.openstack(f"security group list --project {self.demo}")
        rules = self.openstack(f"security group rule list --ingress {group['ID']}")
        return [rule["ID"] for rule in rules if rule["IP Range"] == "0.0.0.0/0" and rule["IP Protocol"]]


@pytest.fixture(scope="module")
def story(lab: LabCloud) -> Iterator[Story]:
    made = Story(lab)
    before = made.rules()
    try:
        yield made
    finally:
        made.lab.heal()
        made.world.sweep()
        if added := sorted(set(made.rules()) - set(before)):
            made.openstack(f"security group rule delete {' '.join(added)}")


def shows(record: dict[str, str], wanted: dict[str, str]) -> None:
    """See that a record has these values."""
    assert {name: record.get(name) for name in wanted} == wanted


def test_004_01_all_agents_are_there_and_alive(story):
    rows = story.neutron("agent-list").rows
    assert list(rows[0]) == ["id", "agent_type", "host", "alive", "admin_state_up", "binary"]
    for (kind, binary), hosts in AGENTS.items():
        of_kind = [row for row in rows if row["agent_type"] == kind]
        assert sorted(row["host"] for row in of_kind) == hosts
        assert {(row["binary"], row["alive"], row["admin_state_up"]) for row in of_kind} == {(binary, ":-)", "True")}
    listed = story.openstack("network agent list")
    assert {(one["ID"], one["Host"], one["Binary"], one["Alive"], one["State"]) for one in listed} == {
        (row["id"], row["host"], row["binary"], True, True) for row in rows
    }


def test_004_02_the_external_network_is_flat(story):
    kind = "--provider:physical_network external --provider:network_type flat"
    said = story.neutron(f"net-create ext-net --router:external True {kind}")
    assert said.heading == "Created a new network:"
    shows(
        story.remember("network", said.record),
        {
            "admin_state_up": "True",
            "name": "ext-net",
            "provider:network_type": "flat",
            "provider:physical_network": "external",
            "provider:segmentation_id": "",
            "router:external": "True",
            "shared": "False",
            "status": "ACTIVE",
            "subnets": "",
            "tenant_id": story.openstack("project show admin")["id"],
        },
    )


def test_004_03_its_subnet_has_a_pool_and_no_dhcp(story):
    pool = "--allocation-pool start=203.0.113.101,end=203.0.113.200"
    said = story.neutron(
        f"subnet-create ext-net 203.0.113.0/24 --name ext-subnet {pool} --disable-dhcp --gateway 203.0.113.1"
    )
    assert said.heading == "Created a new subnet:"
    shows(
        said.record,
        {
            "allocation_pools": '{"start": "203.0.113.101", "end": "203.0.113.200"}',
            "cidr": "203.0.113.0/24",
            "dns_nameservers": "",
            "enable_dhcp": "False",
            "gateway_ip": "203.0.113.1",
            "host_routes": "",
            "id": story.openstack("subnet show ext-subnet")["id"],
            "ip_version": "4",
            "ipv6_address_mode": "",
            "ipv6_ra_mode": "",
            "name": "ext-subnet",
            "network_id": story.ids["ext-net"],
            "tenant_id": story.openstack("project show admin")["id"],
        },
    )


def test_004_04_a_user_gets_the_first_type_and_may_not_choose(story):
    said = story.neutron("net-create chosen --provider:network_type vxlan", user="demo", check=False)
    assert (said.code, said.text) == (1, "")
    assert "disallowed by policy" in said.errors
    assert "disallowed" in story.openstack(
        "network create --provider-network-type vxlan chosen", user="demo", check=False
    )
    assert "chosen" not in story.neutron("net-list").text
    story.remember("network", story.neutron("net-create plain", user="demo").record)
    assert story.openstack("network show plain")["provider:network_type"] == "vlan"


def test_004_05_the_project(story):
    shown = story.openstack("project show demo")
    assert (shown["description"], shown["enabled"], shown["name"]) == ("Demo Tenant", True, "demo")
    assert re.fullmatch("[0-9a-f]{32}", shown["id"])


def test_004_06_the_administrator_makes_a_vxlan_network_for_the_project(story):
    said = story.neutron(f"net-create demo-net --tenant-id {story.demo} --provider:network_type vxlan")
    assert said.heading == "Created a new network:"
    shows(
        story.remember("network", said.record),
        {
            "admin_state_up": "True",
            "name": "demo-net",
            "provider:network_type": "vxlan",
            "provider:physical_network": "",
            "provider:segmentation_id": "1",
            "router:external": "False",
            "shared": "False",
            "status": "ACTIVE",
            "subnets": "",
            "tenant_id": story.demo,
        },
    )


def test_004_07_the_user_gives_it_a_subnet(story):
    said = story.neutron("subnet-create demo-net 192.168.1.0/24 --name demo-subnet --gateway 192.168.1.1", user="demo")
    assert said.heading == "Created a new subnet:"
    shows(
        said.record,
        {
            "allocation_pools": '{"start": "192.168.1.2", "end": "192.168.1.254"}',
            "cidr": "192.168.1.0/24",
            "dns_nameservers": "",
            "enable_dhcp": "True",
            "gateway_ip": "192.168.1.1",
            "host_routes": "",
            "ip_version": "4",
            "ipv6_address_mode": "",
            "ipv6_ra_mode": "",
            "name": "demo-subnet",
            "network_id": story.ids["demo-net"],
            "tenant_id": story.demo,
        },
    )


def test_004_08_the_users_router_is_highly_available_and_only_the_administrator_sees_and_says_so(story):
    said = story.neutron("router-create demo-router", user="demo")
    assert said.heading == "Created a new router:"
    shows(
        story.remember("router", said.record),
        {
            "admin_state_up": "True",
            "external_gateway_info": "",
            "name": "demo-router",
            "routes": "",
            "status": "ACTIVE",
            "tenant_id": story.demo,
        },
    )
    assert "ha" not in said.record
    shows(story.neutron("router-show demo-router").record, {"distributed": "False", "ha": "True"})
    shown = story.openstack("router show demo-router")
    assert (shown["distributed"], shown["ha"]) == (False, True)
    refused = story.neutron("router-create --ha False mine", user="demo", check=False)
    assert refused.code == 1
    assert "disallowed by policy" in refused.errors
    assert "disallowed" in story.openstack("router create --no-ha mine", user="demo", check=False)


def test_004_09_the_subnet_becomes_an_interface(story):
    said = story.neutron("router-interface-add demo-router demo-subnet", user="demo")
    found = re.fullmatch(r"Added interface ([0-9a-f-]{36}) to router demo-router\.", said.text.strip())
    assert found
    story.ids["interface"] = found[1]
    (port,) = story.openstack("port list --router demo-router --network demo-net")
    assert port["ID"] == found[1]


def test_004_10_the_external_network_becomes_the_gateway(story):
    said = story.neutron("router-gateway-set demo-router ext-net", user="demo")
    assert said.text.strip() == "Set gateway for router demo-router"


def test_004_11_the_administrator_sees_the_hidden_network(story):
    said = story.neutron("net-list")
    assert said.columns == ["id", "name", "subnets"]
    found = {row["name"]: row for row in said.rows}
    for name, prefix in {
        "ext-net": "203.0.113.0/24",
        f"HA network tenant {story.demo}": "169.254.192.0/18",
        "demo-net": "192.168.1.0/24",
    }.items():
        assert re.fullmatch(rf"[0-9a-f-]{{36}} {re.escape(prefix)}", found[name]["subnets"])
    listed = {network["Name"]: network["ID"] for network in story.openstack("network list")}
    assert listed == {name: row["id"] for name, row in found.items()}
    story.ids["hidden"] = found[f"HA network tenant {story.demo}"]["id"]


def test_004_12_the_user_does_not_see_it_and_its_type_is_the_first(story):
    assert {row["name"] for row in story.neutron("net-list", user="demo").rows} == {"ext-net", "plain", "demo-net"}
    listed = {network["Name"] for network in story.openstack("network list", user="demo")}
    assert listed == {"ext-net", "plain", "demo-net"}
    hidden = story.neutron(f"net-show {story.ids['hidden']}").record
    shows(hidden, {"provider:network_type": "vlan", "provider:physical_network": "vlan", "tenant_id": ""})


def test_004_13_one_network_node_is_active_and_one_stands_by(story):
    eventually(lambda: sorted(story.election.states().values()) == ["active", "standby"], what="one active router")
    said = story.neutron("l3-agent-list-hosting-router demo-router")
    assert said.columns == ["id", "host", "admin_state_up", "alive", "ha_state"]
    assert sorted(row["host"] for row in said.rows) == NETWORK_NODES
    assert sorted(row["ha_state"] for row in said.rows) == ["active", "standby"]
    assert {(row["admin_state_up"], row["alive"]) for row in said.rows} == {("True", ":-)")}
    listed = story.openstack("network agent list --router demo-router --long")
    assert {one["Host"]: one["HA State"] for one in listed} == {row["host"]: row["ha_state"] for row in said.rows}


def test_004_14_the_router_has_two_more_ports_for_it(story):
    said = story.neutron("router-port-list demo-router")
    assert said.columns == ["id", "name", "mac_address", "fixed_ips"]
    ports = [(row["name"], json.loads(row["fixed_ips"])["ip_address"]) for row in said.rows]
    name = f"HA port tenant {story.demo}"
    assert sorted(ports) == [
        ("", "192.168.1.1"),
        ("", "203.0.113.101"),
        (name, "169.254.192.1"),
        (name, "169.254.192.2"),
    ]
    listed = story.openstack("port list --router demo-router")
    assert {(port["ID"], port["Name"], port["MAC Address"]) for port in listed} == {
        (row["id"], row["name"], row["mac_address"]) for row in said.rows
    }
    for row, (_, address) in zip(said.rows, ports, strict=True):
        story.ids[address], story.ids[f"MAC of {address}"] = row["id"], row["mac_address"]


def test_004_15_both_network_nodes_have_the_routers_namespace(story):
    for host in NETWORK_NODES:
        assert f"qrouter-{story.ids['demo-router']}" in story.cloud.on(host).run("ip", "netns").stdout
    for host in COMPUTE_NODES:
        assert "qrouter" not in story.cloud.on(host).run("ip", "netns").stdout


def test_004_16_the_active_one_has_the_addresses(story):
    election = story.election
    active = election.active()
    own = own_address(story, active)
    shown = election.shown(active)
    for device, address, broadcast, mac in (
        (story.device("ha", own), f"{own}/18", "brd 169.254.255.255 ", story.ids[f"MAC of {own}"]),
        (story.device("qr", "192.168.1.1"), "192.168.1.1/24", "", story.ids["MAC of 192.168.1.1"]),
        (story.device("qg", GATEWAY), f"{GATEWAY}/24", "", story.ids[f"MAC of {GATEWAY}"]),
    ):
        text = shown[device]
        assert f"link/ether {mac} " in text
        assert re.search(r"<\S*\bUP,LOWER_UP>", text)
        assert f"inet {address} {broadcast}scope global {device}" in text
        assert f"inet6 {link_local(mac)}/64 scope link" in text


def test_004_17_the_standby_one_has_the_same_devices_without_addresses(story):
    election = story.election
    (standby,) = election.standing_by()
    own = own_address(story, standby)
    assert own != own_address(story, election.active())
    shown = election.shown(standby)
    own_device = shown[story.device("ha", own)]
    assert f"inet {own}/18 brd 169.254.255.255 scope global" in own_device
    assert f"link/ether {story.ids[f'MAC of {own}']} " in own_device
    for prefix, address in (("qr", "192.168.1.1"), ("qg", GATEWAY)):
        text = shown[story.device(prefix, address)]
        assert f"link/ether {story.ids[f'MAC of {address}']} " in text
        assert re.search(r"<\S*\bUP,LOWER_UP>", text)
        assert "inet " not in text


def test_004_18_both_nodes_see_the_advertisements_of_the_active_one_alone(story):
    active = own_address(story, story.election.active())
    for host in NETWORK_NODES:
        device = next(f"eth{number}" for number, _, _ in story.lab.layout.links(story.lab.layout.hosts[host], "vlan"))
        argv = ("timeout", "10", "tcpdump", "-lnpi", device, "-c", "8", "vlan and ip proto 112")
        lines = story.cloud.on(host).run(*argv).stdout.splitlines()
        assert len(lines) == 8
        assert {line.partition(" ")[2] for line in lines} == {
            f"IP {active} > 224.0.0.18: VRRPv3, Advertisement, vrid 1, prio 50, intvl 7cs, length 12"
        }


def test_004_19_20_the_gateways_address_is_the_lowest_and_answers_outside(story):
    gateway = story.openstack("router show demo-router")["external_gateway_info"]["external_fixed_ips"]
    assert [one["ip_address"] for one in gateway] == [GATEWAY]
    assert outside_pings(story, GATEWAY).count("ttl=64") == 4


def test_004_21_22_the_users_security_group_lets_the_world_in(story):
    for words, row in {
        "icmp -1 -1": ("icmp", "-1", "-1"),
        "tcp 22 22": ("tcp", "22", "22"),
    }.items():
        said = story.nova(f"secgroup-add-rule default {words} 0.0.0.0/0", user="demo")
        assert said.columns == ["IP Protocol", "From Port", "To Port", "IP Range", "Source Group"]
        assert [tuple(one.values()) for one in said.rows] == [(*row, "0.0.0.0/0", "")]
    story.openstack(f"security group rule create --protocol tcp --dst-port {OFFICE} default", user="demo")
    assert len(story.rules()) == 3


def test_004_23_an_instance_starts(story):
    said = story.nova(
        f"boot --flavor m1.tiny --image cirros --nic net-id={story.ids['demo-net']} demo-instance1", user="demo"
    )
    image = story.openstack("image show cirros")["id"]
    assert said.columns == ["Property", "Value"]
    shown = story.remember("server", said.record)
    wanted = {
        "OS-DCF:diskConfig": "MANUAL",
        "OS-EXT-AZ:availability_zone": "nova",
        "OS-EXT-STS:power_state": "0",
        "OS-EXT-STS:task_state": "scheduling",
        "OS-EXT-STS:vm_state": "building",
        "OS-SRV-USG:launched_at": "-",
        "OS-SRV-USG:terminated_at": "-",
        "accessIPv4": "",
        "accessIPv6": "",
        "config_drive": "",
        "flavor": "m1.tiny (1)",
        "image": f"cirros ({image})",
        "metadata": "{}",
        "name": "demo-instance1",
        "os-extended-volumes:volumes_attached": "[]",
        "progress": "0",
        "security_groups": "default",
        "status": "BUILD",
        "tenant_id": story.demo,
    }
    assert {name: shown.get(name) for name in wanted} == wanted
    assert {"hostId", "id", "key_name", "user_id"} <= set(shown)
    assert len(shown["adminPass"]) == 12
    for moment in ("created", "updated"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", shown[moment])
    eventually(lambda: story.openstack(f"server show {shown['id']}")["status"] == "ACTIVE", what="an instance")
    story.world.ready(story.guest)


def test_004_24_25_the_instance_reaches_the_router_and_the_internet(story):
    for address in ("192.168.1.1", "openstack.org"):
        assert " 0% packet loss" in story.guest.run("ping", "-c", "4", "-i", "0.2", address)


def test_004_15_50_both_network_nodes_serve_dhcp(story):
    for host in NETWORK_NODES:
        assert f"qdhcp-{story.ids['demo-net']}" in story.cloud.on(host).run("ip", "netns").stdout
    rows = story.neutron("dhcp-agent-list-hosting-net demo-net").rows
    assert sorted(row["host"] for row in rows) == NETWORK_NODES


def test_004_26_a_floating_ip_is_made(story):
    said = story.neutron("floatingip-create ext-net", user="demo")
    assert said.heading == "Created a new floatingip:"
    shows(
        story.remember("floating ip", said.record),
        {
            "fixed_ip_address": "",
            "floating_ip_address": FLOATING,
            "floating_network_id": story.ids["ext-net"],
            "port_id": "",
            "router_id": "",
            "status": "DOWN",
            "tenant_id": story.demo,
        },
    )


def test_004_27_28_it_becomes_the_instances(story):
    assert story.nova(f"floating-ip-associate demo-instance1 {FLOATING}", user="demo").text == ""
    (row,) = story.nova("list", user="demo").rows
    assert list(row) == ["ID", "Name", "Status", "Task State", "Power State", "Networks"]
    networks = f"demo-net={story.guest.address()}, {FLOATING}"
    assert tuple(row.values())[1:] == ("demo-instance1", "ACTIVE", "-", "Running", networks)
    assert story.guest.address().startswith("192.168.1.")
    (listed,) = story.openstack("server list", user="demo")
    assert listed["Networks"] == {"demo-net": [story.guest.address(), FLOATING]}


def test_004_29_it_answers_outside(story):
    eventually(lambda: story.world.pings(FLOATING), what=f"an answer of {FLOATING}")
    assert outside_pings(story, FLOATING).count("ttl=63") == 4
    eventually(lambda: story.openstack(f"floating ip show {FLOATING}")["status"] == "ACTIVE", what="its status")


def test_004_31_the_instance_has_the_mtu_of_vxlan(story):
    assert "mtu 1450" in story.guest.run("ip", "link", "show", "eth0")
    assert story.openstack("network show demo-net")["mtu"] == 1450


def test_004_32_metadata_is_answered(story):
    told = story.guest.fetches("http://169.254.169.254/latest/meta-data/local-ipv4")
    assert told == story.guest.address()


def test_004_33_bridges_are_joined_by_patches(story):
    for host, bridges in {"network1": ("br-ex", "br-vlan"), "compute1": ("br-vlan",)}.items():
        machine = story.cloud.on(host)
        pairs = [("int-" + bridge, bridge, "phy-" + bridge) for bridge in bridges] + [
            ("patch-tun", "br-tun", "patch-int")
        ]
        for inner, bridge, outer in pairs:
            assert inner in machine.run("ovs-vsctl", "list-ports", "br-int").stdout.split()
            assert outer in machine.run("ovs-vsctl", "list-ports", bridge).stdout.split()
            peer = machine.run("ovs-vsctl", "get", "interface", inner, "options:peer").stdout.strip().strip('"')
            assert peer == outer


def test_004_37_one_node_forwards_all_of_a_router(story):
    election = story.election
    active, (standby,) = election.active(), election.standing_by()
    before = {host: election.forwarded(host) for host in (active, standby)}
    outside_pings(story, FLOATING)
    assert election.forwarded(active) >= before[active] + 8
    assert election.forwarded(standby) == before[standby]


def test_004_35_36_connections_survive_the_death_of_keepalived(story):
    story.guest.start(f"nc -ll -p {OFFICE} -e cat")
    election = story.election
    before, (after,) = election.active(), election.standing_by()
    with Conversation(story, FLOATING) as conversation:
        assert conversation.says("before")
        assert story.lab.kill(before, "keepalived", story.ids["demo-router"])
        assert conversation.says("meanwhile")
        eventually(lambda: election.states() == {before: "standby", after: "active"}, what="the other one active")
        assert "inet " not in election.shown(before)[story.device("qg", GATEWAY)]
        assert f"inet {FLOATING}/32 " in election.shown(after)[story.device("qg", GATEWAY)]
        assert conversation.says("afterwards")
    assert " 0% packet loss" in outside_pings(story, FLOATING)


def test_004_35_36_connections_survive_the_loss_of_a_node(story):
    election = story.election
    before, (after,) = election.active(), election.standing_by()
    with Conversation(story, FLOATING) as conversation:
        assert conversation.says("before")
        story.lab.power_off(before)
        assert conversation.says("meanwhile")
        assert " 0% packet loss" in outside_pings(story, FLOATING)
        assert story.guest.pings("openstack.org")
        eventually(lambda: election.states()[after] == "active", what="the other one active")
        eventually(lambda: not election.alive()[before], 30, what=f"the agent of {before} dead")
        story.lab.heal(before)
        eventually(lambda: election.states() == {before: "standby", after: "active"}, 40, "one active, one standing by")
        assert conversation.says("afterwards")
    assert " 0% packet loss" in outside_pings(story, FLOATING)
    story.lab.wait_ready()


def test_004_38_routers_are_spread_over_the_nodes(story):
    active: set[str] = set()
    for number in range(14):  # by chance: all on one node in one of 8192 runs
        made = story.remember("router", story.neutron(f"router-create many{number}", user="demo").record)
        election = Election(story.cloud, made["id"])
        eventually(lambda election=election: "active" in election.states().values(), what="an active one")
        active.add(election.active())
        if len(active) == 2:
            return
    raise AssertionError(f"all routers are active on {active}")


def own_address(story: Story, host: str) -> str:
    """The address of a host on the hidden network."""
    ports = story.openstack(f"port list --router demo-router --host {host} --network {story.ids['hidden']} --long")
    (address,) = (fixed["ip_address"] for port in ports for fixed in port["Fixed IP Addresses"])
    return str(address)


def link_local(mac: str) -> str:
    """The link-local address that is made of a MAC (RFC 4291 appendix A), as ``ip`` shows it."""
    octets = [int(part, 16) for part in mac.split(":")]
    octets[0] ^= 2
    groups = [octets[0] << 8 | octets[1], octets[2] << 8 | 0xFF, 0xFE00 | octets[3], octets[4] << 8 | octets[5]]
    return "fe80::" + ":".join(f"{group:x}" for group in groups)


def outside_pings(story: Story, address: str) -> str:
    """What the Internet's ping of an address says when no packet is lost."""
    said = story.cloud.outside.run("ping", "-c4", "-i0.2", "-W1", address).stdout
    assert " 0% packet loss" in said
    return said


class Conversation:
    """A TCP connection from the Internet to a service that says what it is told."""

    def __init__(self, story: Story, address: str) -> None:
        self._story, self._address = story, address

    def __enter__(self) -> "Conversation":
        with self._story.lab.host("internet").network():
            self._socket = socket.create_connection((self._address, OFFICE), 10)
        self._socket.settimeout(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def says(self, word: str) -> bool:
        """Whether it says this word, too."""
        self._socket.sendall(word.encode())
        heard = b""
        while len(heard) < len(word):
            more = self._socket.recv(100)
            if not more:
                return False
            heard += more
        return heard.decode() == word
