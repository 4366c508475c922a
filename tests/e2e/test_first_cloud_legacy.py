"""The walk-through of a first cloud as it was typed at its time: the clients of 2016, and the plug of its host.

``test_first_cloud`` is the same with the commands of today. One story in order: each test needs those before it.
"""

import re
import uuid

import pytest

from tests.e2e.first_cloud import FLOATING, GATEWAY, INTERNET, Story, place
from tests.e2e.legacy import Legacy
from tests.sandbox import eventually

CONFIGURATION = """\
[DEFAULT]
metadata_proxy_shared_secret = a secret of the tests
[netloom]
standalone = true
roles = openvswitch, l3, dhcp, metadata, compute
[ovs]
bridge_mappings = public:br-ex
local_ip = 127.0.0.1
[agent]
tunnel_types = vxlan
[ml2]
external_network_type = flat
[ml2_type_flat]
flat_networks = public
[securitygroup]
firewall_driver = neutron.agent.linux.iptables_firewall.OVSHybridIptablesFirewallDriver
"""
POOL = "start=172.16.0.115,end=172.16.0.119"


@pytest.fixture(scope="module")
def story():
    with place(CONFIGURATION) as made:
        yield made


@pytest.fixture(scope="module")
def client(story: Story) -> Legacy:
    return Legacy(story.machine, "newton")


def shows(record: dict[str, str], **wanted: str) -> None:
    """See that a record has these values."""
    assert {name: record.get(name) for name in wanted} == wanted


def test_000_01_images_are_listed_by_id_and_name(story, client):
    story.machine.run("sh", "-c", "echo boots the built-in guest > /run/image")
    for name in ("Ubuntu14.4", "Ubuntu16.04"):
        formats = "--disk-format qcow2 --container-format bare --property os_admin_user=ubuntu --file /run/image"
        assert client.glance(f"image-create --name {name} {formats}").record["name"] == name
    said = client.glance("image-list")
    assert said.columns == ["ID", "Name"]
    assert {row["Name"] for row in said.rows} == {"cirros", "Ubuntu14.4", "Ubuntu16.04"}
    assert all(uuid.UUID(row["ID"]) for row in said.rows)


def test_000_05_a_router(story, client):
    said = client.neutron("router-create router1")
    assert said.heading == "Created a new router:"
    shows(said.record, name="router1", status="ACTIVE", admin_state_up="True", external_gateway_info="")
    story.ids["router"] = said.record["id"]


def test_000_06_07_08_networks_of_projects(story, client):
    projects = {project["Name"]: project["ID"] for project in story.cloud.openstack("project list")}
    said = client.neutron(f"net-create public --router:external --tenant-id {projects['admin']}")
    assert said.heading == "Created a new network:"
    shows(said.record, name="public", shared="False", status="ACTIVE", tenant_id=projects["admin"])
    assert said.record["router:external"] == "True"
    said = client.neutron(f"net-create demo-net --shared --tenant-id {projects['services']}")
    shows(said.record, name="demo-net", shared="True", mtu="1450", tenant_id=projects["services"])
    assert said.record["router:external"] == "False"
    story.ids["demo-net"] = said.record["id"]


def test_000_09_10_subnets_with_options_that_the_client_only_passes_on(client):
    said = client.neutron(
        f"subnet-create --name public_subnet --enable_dhcp=False --allocation-pool={POOL} --gateway={GATEWAY}"
        " public 172.16.0.0/24"
    )
    assert said.heading == "Created a new subnet:"
    shows(said.record, name="public_subnet", enable_dhcp="False", gateway_ip=GATEWAY, cidr="172.16.0.0/24")
    assert said.record["allocation_pools"] == '{"start": "172.16.0.115", "end": "172.16.0.119"}'
    said = client.neutron(
        "subnet-create --name demo-net_subnet --enable_dhcp=True"
        " --allocation-pool=start=192.168.1.100,end=192.168.1.254 --gateway=192.168.1.1"
        " --dns-nameserver 8.8.8.8 demo-net 192.168.1.0/24"
    )
    shows(said.record, name="demo-net_subnet", enable_dhcp="True", dns_nameservers="8.8.8.8", gateway_ip="192.168.1.1")
    assert said.record["allocation_pools"] == '{"start": "192.168.1.100", "end": "192.168.1.254"}'


def test_000_11_12_the_router_joins_them(story, client):
    assert client.neutron("router-gateway-set router1 public").text.strip() == "Set gateway for router router1"
    said = client.neutron("router-interface-add router1 subnet=demo-net_subnet").text.strip()
    found = re.fullmatch(r"Added interface ([0-9a-f-]{36}) to router router1\.", said)
    assert found
    story.ids["interface"] = found[1]
    rows = client.neutron("router-port-list router1").rows
    assert {"id", "name", "mac_address", "fixed_ips"} <= set(rows[0])
    assert found[1] in {row["id"] for row in rows}
    (gateway,) = re.findall(
        r"172\.16\.0\.11[5-9]", client.neutron("router-show router1").record["external_gateway_info"]
    )
    story.ids["gateway"] = gateway


def test_000_13_to_19_the_router_has_its_routes_and_reaches_the_world(story):
    expected = {story.router, f"qdhcp-{story.ids['demo-net']}"}
    eventually(lambda: story.namespaces() == expected, what=f"the namespaces {expected}")
    qg, qr = story.device("qg-", "network:router_gateway"), f"qr-{story.ids['interface'][:11]}"
    eventually(lambda: "default" in story.in_router("ip", "r") and qr in story.in_router("ip", "r"))
    assert [line.strip() for line in story.in_router("ip", "r").splitlines()] == [
        f"default via {GATEWAY} dev {qg}",
        f"172.16.0.0/24 dev {qg} proto kernel scope link src {story.ids['gateway']}",
        f"192.168.1.0/24 dev {qr} proto kernel scope link src 192.168.1.1",
    ]
    for device, address in ((qg, story.ids["gateway"]), (qr, "192.168.1.1"), (qg, INTERNET)):
        assert " 0% packet loss" in story.in_router("ping", "-c", "3", "-i", "0.2", "-I", device, address)


def test_000_20_an_instance(story, client):
    client.nova(f"keypair-add openstack --pub-key {story.make_key()}")
    said = client.nova(
        f"boot --flavor m1.small --image Ubuntu14.4 --key-name openstack --nic net-id={story.ids['demo-net']} web1"
    )
    shows(said.record, name="web1", status="BUILD", key_name="openstack")
    eventually(lambda: listed(client)["Status"] == "ACTIVE", what="the instance ACTIVE")
    row = listed(client)
    assert list(row) == ["ID", "Name", "Status", "Task State", "Power State", "Networks"]
    assert (row["Task State"], row["Power State"]) == ("-", "Running")
    found = re.fullmatch(r"demo-net=(192\.168\.1\.(\d+))", row["Networks"])
    assert found
    assert 100 <= int(found[2]) <= 254
    story.ids |= {"server": row["ID"], "address": found[1]}


def listed(client: Legacy) -> dict[str, str]:
    (row,) = client.nova("list").rows
    return row


def test_000_21_the_floating_ip_of_our_choice(story, client):
    said = client.neutron(f"floatingip-create public --floating-ip-address {FLOATING}")
    assert said.heading == "Created a new floatingip:"
    shows(said.record, floating_ip_address=FLOATING, status="DOWN", port_id="")
    client.nova(f"floating-ip-associate web1 {FLOATING}")
    for protocol in ("icmp", "tcp --port-range-min 22 --port-range-max 22"):
        group = f"security-group-rule-create {story.default_group()} --direction ingress --remote-ip-prefix 0.0.0.0/0"
        assert client.neutron(f"{group} --protocol {protocol}").heading == "Created a new security_group_rule:"
    eventually(lambda: story.machine.run("ping", "-c1", "-W1", FLOATING, check=False).returncode == 0, what="ping")
    assert listed(client)["Networks"] == f"demo-net={story.ids['address']}, {FLOATING}"


def test_000_22_23_the_key_opens_a_shell_that_reaches_out(story):
    eventually(lambda: "login:" in story.cloud.openstack("console log show web1"), what="the instance up")
    assert story.ssh("hostname").strip() == "web1"
    assert story.ssh("id", "-un").strip() == "ubuntu"
    assert " 0% packet loss" in story.ssh("ping", "-c", "3", INTERNET)


@pytest.fixture
def plug(story: Story) -> dict[str, str]:
    """Names of the devices of the instance's card by their prefixes, and its MAC."""
    (port,) = story.cloud.openstack("port list --server web1")
    found = {prefix: prefix + port["ID"][:11] for prefix in ("tap", "qbr", "qvb", "qvo")}
    return found | {"mac": port["MAC Address"]}


def test_000_24_25_26_the_host_has_the_hybrid_plug(story, plug):
    for prefix in ("tap", "qbr", "qvb", "qvo"):
        link = story.machine.run("ip", "-o", "link", "show", plug[prefix]).stdout
        assert "mtu 1450" in link
        assert ",UP" in link
    for one, other in (("qvo", "qvb"), ("qvb", "qvo")):
        link = story.machine.run("ip", "-o", "link", "show", plug[one]).stdout
        assert f"{plug[one]}@{plug[other]}:" in link
        assert "PROMISC" in link
    assert story.machine.run("ovs-vsctl", "port-to-br", plug["qvo"]).stdout.strip() == "br-int"
    for slave in ("qvb", "tap"):
        assert f"master {plug['qbr']} " in story.machine.run("ip", "-o", "link", "show", plug[slave]).stdout


def test_000_27_28_macs_of_the_plug(story, plug):
    assert story.mac(plug["tap"]) == "fe" + plug["mac"][2:]
    assert story.mac(plug["qbr"]) == story.mac(plug["qvb"])


def test_000_30_link_local_addresses_of_the_plug(story, plug):
    for prefix, has in {"qvo": True, "qvb": True, "tap": True, "qbr": False}.items():
        found = story.machine.run("ip", "-6", "-o", "address", "show", plug[prefix]).stdout
        assert ("inet6 fe80::" in found) == has, plug[prefix]


def test_000_29_31_host_monitoring_sees_the_load_under_the_names_of_devices(story, plug):
    def seen() -> list[int]:
        files = [f"{plug[prefix]}/statistics/{way}_packets" for prefix in ("tap", "qvo") for way in ("rx", "tx")]
        counts = [
            int(text) for text in story.machine.run("cat", *(f"/sys/class/net/{file}" for file in files)).stdout.split()
        ]
        words = ("get", "interface", plug["qvo"], "statistics:rx_packets")
        return [*counts, int(story.machine.run("ovs-vsctl", *words).stdout)]

    before = seen()
    story.ssh("ping", "-c", "5", "-i", "0.2", INTERNET)
    eventually(lambda: all(now >= then + 5 for now, then in zip(seen(), before, strict=True)), what="the load")


def test_all_that_was_made_goes(story, client, plug):
    assert "delete server web1" in client.nova("delete web1").text
    eventually(lambda: client.nova("list").rows == [], what="no instance")
    floating = client.neutron("floatingip-list").rows[0]["id"]
    assert client.neutron(f"floatingip-delete {floating}").text.strip().startswith("Deleted floatingip")
    assert client.neutron("router-gateway-clear router1").text.strip() == "Removed gateway from router router1"
    said = client.neutron("router-interface-delete router1 subnet=demo-net_subnet").text.strip()
    assert said == "Removed interface from router router1."
    client.neutron("router-delete router1")
    for network in ("demo-net", "public"):
        client.neutron(f"net-delete {network}")
    eventually(lambda: story.namespaces() == set(), what="no namespaces")
    gone = "|".join(plug[prefix] for prefix in ("tap", "qbr", "qvb", "qvo"))
    eventually(lambda: not re.search(gone, story.machine.run("ip", "-o", "link").stdout), what="no devices of the plug")
