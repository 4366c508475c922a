"""The walk-through of a first cloud: networks, a router, an instance, a floating IP, ssh, and what the host shows.

One story in order: each test needs those before it.
"""

import re
import uuid

import pytest

from tests.e2e.first_cloud import FLOATING, GATEWAY, HOST, INTERNET, OUTSIDE, place
from tests.sandbox import eventually


@pytest.fixture(scope="module")
def story():
    with place() as made:
        yield made


def test_images_are_listed_by_id_and_name(story):
    for name in ("Ubuntu14.4", "Ubuntu16.04"):
        story.machine.run("sh", "-c", "echo boots the built-in guest > /run/image")
        formats = "--disk-format qcow2 --container-format bare"
        story.cloud.openstack(f"image create {formats} --property os_admin_user=ubuntu --file /run/image {name}")
    images = story.cloud.openstack("image list -c ID -c Name")
    assert [sorted(image) for image in images] == [["ID", "Name"]] * 3
    assert {image["Name"] for image in images} == {"cirros", "Ubuntu14.4", "Ubuntu16.04"}
    assert all(uuid.UUID(image["ID"]) for image in images)


def test_projects_have_ids_of_32_hex_digits(story):
    projects = story.cloud.openstack("project list")
    assert {"admin", "services"} <= {project["Name"] for project in projects}
    assert all(re.fullmatch("[0-9a-f]{32}", project["ID"]) for project in projects)


def test_before_anything_is_made_the_host_has_the_bridges_and_no_instance(story):
    eventually(lambda: "br-int" in story.machine.run("ovs-vsctl", "list-br").stdout)
    bridges = story.machine.run("ovs-vsctl", "list-br").stdout.split()
    assert {"br-int", "br-ex", "br-tun"} <= set(bridges)
    assert story.namespaces() == set()
    assert story.machine.run("ovs-vsctl", "port-to-br", "ens160").stdout.strip() == "br-ex"
    addresses = story.machine.run("ip", "-o", "address", "show", "br-ex").stdout
    assert f"{HOST}/24" in addresses
    assert story.mac("br-ex") == story.mac("ens160")
    assert not re.search(r"(tap|qvo|qvb|qbr)\w{8}-", story.machine.run("ip", "-o", "link").stdout)


def test_networks_and_subnets_are_made(story):
    openstack = story.cloud.openstack
    story.ids["router"] = openstack("router create router1")["id"]
    public = openstack("network create public --external --project admin")
    demo = openstack("network create demo-net --share --project services")
    assert (public["router:external"], demo["shared"], demo["mtu"]) == (True, True, 1450)
    story.ids["demo-net"] = demo["id"]
    subnet = openstack(
        "subnet create public_subnet --network public --subnet-range 172.16.0.0/24 --no-dhcp"
        f" --allocation-pool start=172.16.0.115,end=172.16.0.119 --gateway {GATEWAY}"
    )
    assert subnet["allocation_pools"] == [{"start": "172.16.0.115", "end": "172.16.0.119"}]
    assert (subnet["enable_dhcp"], subnet["gateway_ip"]) == (False, GATEWAY)
    subnet = openstack(
        "subnet create demo-net_subnet --network demo-net --subnet-range 192.168.1.0/24 --dhcp"
        " --allocation-pool start=192.168.1.100,end=192.168.1.254 --gateway 192.168.1.1 --dns-nameserver 8.8.8.8"
    )
    assert subnet["dns_nameservers"] == ["8.8.8.8"]


def test_the_router_joins_them(story):
    story.cloud.openstack("router set --external-gateway public router1")
    story.cloud.openstack("router add subnet router1 demo-net_subnet")
    router = story.cloud.openstack("router show router1")
    address = router["external_gateway_info"]["external_fixed_ips"][0]["ip_address"]
    assert 115 <= int(address.split(".")[-1]) <= 119
    story.ids["gateway"] = address


def test_namespaces_are_there_for_the_router_and_for_networks_with_dhcp(story):
    expected = {story.router, f"qdhcp-{story.ids['demo-net']}"}
    eventually(lambda: story.namespaces() == expected, what=f"the namespaces {expected}")


def test_the_router_has_its_routes(story):
    qg = story.device("qg-", "network:router_gateway")
    qr = story.device("qr-", "network:router_interface")
    eventually(lambda: "default" in story.in_router("ip", "r") and qr in story.in_router("ip", "r"))
    routes = [line.strip() for line in story.in_router("ip", "r").splitlines()]
    assert routes == [
        f"default via {GATEWAY} dev {qg}",
        f"172.16.0.0/24 dev {qg} proto kernel scope link src {story.ids['gateway']}",
        f"192.168.1.0/24 dev {qr} proto kernel scope link src 192.168.1.1",
    ]


def test_the_router_pings_its_addresses_and_the_internet(story):
    qg = story.device("qg-", "network:router_gateway")
    qr = story.device("qr-", "network:router_interface")
    for device, address in ((qg, story.ids["gateway"]), (qr, "192.168.1.1"), (qg, INTERNET)):
        assert " 0% packet loss" in story.in_router("ping", "-c", "3", "-i", "0.2", "-I", device, address)


def test_an_instance_starts_with_an_address_of_the_pool(story):
    story.cloud.openstack(f"keypair create --public-key {story.make_key()} openstack")
    server = story.cloud.openstack(
        "server create --image Ubuntu14.4 --flavor m1.small --key-name openstack --network demo-net --wait web1"
    )
    assert server["status"] == "ACTIVE"
    address = server["addresses"]["demo-net"][0]
    assert 100 <= int(address.split(".")[-1]) <= 254
    story.ids["address"] = address


def test_the_floating_ip_of_our_choice(story):
    made = story.cloud.openstack(f"floating ip create public --floating-ip-address {FLOATING}")
    assert (made["floating_ip_address"], made["status"], made["port_id"]) == (FLOATING, "DOWN", None)
    story.cloud.openstack(f"server add floating ip web1 {FLOATING}")
    for protocol in ("icmp", "tcp --dst-port 22"):
        story.cloud.openstack(f"security group rule create --protocol {protocol} {story.default_group()}")
    eventually(lambda: story.machine.run("ping", "-c1", "-W1", FLOATING, check=False).returncode == 0, what="ping")
    eventually(lambda: story.cloud.openstack(f"floating ip show {FLOATING}")["status"] == "ACTIVE")
    (addresses,) = (server["Networks"] for server in story.cloud.openstack("server list"))
    assert addresses == {"demo-net": [story.ids["address"], FLOATING]}


def test_the_key_alone_opens_a_shell(story):
    assert story.ssh("hostname").strip() == "web1"
    assert story.ssh("id", "-un").strip() == "ubuntu"


def test_traffic_to_the_outside_works_from_the_instance(story):
    assert " 0% packet loss" in story.ssh("ping", "-c", "3", INTERNET)
    outside = ("ip", "netns", "exec", OUTSIDE)
    server = story.machine.popen(
        *outside, "python3", "-m", "http.server", "--bind", INTERNET, "80", "--directory", "/run"
    )
    try:
        asked = (*outside, "curl", "-s", f"http://{INTERNET}/")
        eventually(lambda: story.machine.run(*asked, check=False).returncode == 0)
        assert "<html" in story.ssh("sudo", "wget", "-q", "-O", "-", f"http://{INTERNET}/").lower()
    finally:
        server.kill()
        server.wait()


def test_the_host_shows_the_tap_with_the_networks_mtu_in_br_int(story):
    (port,) = story.cloud.openstack("port list --server web1")
    tap = f"tap{port['ID'][:11]}"
    link = story.machine.run("ip", "-o", "link", "show", tap).stdout
    assert "mtu 1450" in link
    assert "UP" in link
    assert story.mac(tap) == "fe" + port["MAC Address"][2:]
    assert story.machine.run("ovs-vsctl", "port-to-br", tap).stdout.strip() == "br-int"
    assert (
        story.machine.run("ovs-vsctl", "get", "interface", tap, "external_ids:iface-id").stdout.strip('"\n')
        == port["ID"]
    )


def test_bridges_have_the_mtu_of_what_is_in_them(story):
    shown = {
        name: story.machine.run("cat", f"/sys/class/net/{name}/mtu").stdout.strip()
        for name in ("br-int", "br-ex", "br-tun")
    }
    assert shown == {"br-int": "1450", "br-ex": "1500", "br-tun": "1500"}


def test_host_monitoring_sees_the_load(story):
    (port,) = story.cloud.openstack("port list --server web1")
    path = f"/sys/class/net/tap{port['ID'][:11]}/statistics/rx_packets"

    def seen() -> int:
        return int(story.machine.run("cat", path).stdout)

    before = seen()
    story.cloud.inside("web1", "ping", "-c", "5", "-i", "0.2", INTERNET)
    assert seen() >= before + 5


def test_all_that_was_made_goes_and_the_host_is_as_before(story):
    openstack = story.cloud.openstack
    openstack("server delete --wait web1")
    openstack(f"floating ip delete {FLOATING}")
    openstack("router unset --external-gateway router1")
    openstack("router remove subnet router1 demo-net_subnet")
    openstack("router delete router1")
    openstack("network delete demo-net public")
    eventually(lambda: story.namespaces() == set(), what="no namespaces")
    links = story.machine.run("ip", "-o", "link").stdout
    assert not re.search(r"(tap|qr-|qg-)", links)
    assert story.machine.run("ls", "/var/lib/netloom/host/instances", check=False).stdout == ""
