"""The metadata service, as instances see it: through a router, and on networks that have none."""

import json
from types import SimpleNamespace

import pytest

from tests.e2e.world import Guest, World
from tests.sandbox import eventually

SERVICE = "http://169.254.169.254"
VERSIONS = [
    "1.0", "2007-01-19", "2007-03-01", "2007-08-29", "2007-10-10", "2007-12-15", "2008-02-01", "2008-09-01",
    "2009-04-04", "latest",
]  # fmt: skip
"""``latest`` is the last line, which does not end: the document's author saw his shell's prompt behind it."""
EC2 = (
    "ami-id ami-launch-index ami-manifest-path block-device-mapping/ hostname instance-action instance-id instance-type"
    " kernel-id local-hostname local-ipv4 placement/ public-hostname public-ipv4 ramdisk-id reservation-id"
    " security-groups"
)
"""Here too."""
ASK6 = """
import http.client, sys
connection = http.client.HTTPConnection("fe80::a9fe:a9fe%" + sys.argv[1], 80, timeout=5)
try:
    connection.request("GET", "/openstack/latest/meta_data.json")
    print(connection.getresponse().read().decode())
except OSError as error:
    print(error)
"""
ADDRESS = "10.63.1.20"
"""Of an instance on each of three networks."""


@pytest.fixture(scope="module")
def site(world: World):
    """One prefix on three networks: two behind routers of their own, one without; a guest of one address on each."""
    for name in ("left", "right", "alone"):
        six = ["fd00:63:1::/64 --ipv6-ra-mode slaac --ipv6-address-mode slaac"] if name != "left" else []
        world.network(name, "10.63.1.0/24", *six)
    routers = [world.router(f"r-{name}", name, gateway=False)["id"] for name in ("left", "right")]
    world.openstack(f"router add subnet {routers[1]} {world.name('right-1')}")
    world.machine.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "tests", "-f", "/run/metadata-key")
    script = "#!/bin/sh\necho $(hostname) > /root/user-data-ran\n"
    world.machine.run("sh", "-c", "cat > /run/user-data", text=script)
    world.create("keypair", "--public-key /run/metadata-key.pub", "key")
    extra = {"left": f"--key-name {world.name('key')} --user-data /run/user-data"}
    boots = {
        name: world.boot(f"--nic net-id={world.name(name)},v4-fixed-ip={ADDRESS} {extra.get(name, '')}", name)
        for name in ("left", "right", "alone")
    }
    for guest in boots.values():
        world.ready(guest)
    return SimpleNamespace(world=world, **boots)


def tree(guest: Guest, path: str = "") -> str:
    return guest.fetches(f"{SERVICE}{path}")


def test_003_32_to_36_the_ec2_tree_is_told_by_versions(site):
    eventually(lambda: tree(site.right), what="the service")
    assert tree(site.right).split() == VERSIONS
    assert tree(site.right, "/2009-04-04").split() == ["meta-data/"]
    assert tree(site.right, "/2009-04-04/meta-data/").split() == EC2.split()
    assert tree(site.right, "/2009-04-04/meta-data/placement/").split() == ["availability-zone"]
    assert tree(site.right, "/2009-04-04/meta-data/placement/availability-zone") == "nova"
    assert tree(site.right, "/2009-04-04/meta-data/local-ipv4") == ADDRESS
    assert tree(site.right, "/latest/meta-data/instance-type") == "m1.tiny"


def test_003_37_instances_of_one_address_are_each_told_about_themselves(site):
    for guest in (site.left, site.right, site.alone):
        eventually(lambda guest=guest: tree(guest), what=f"the service for {guest.name}")
        told = json.loads(tree(guest, "/openstack/latest/meta_data.json"))
        assert (told["uuid"], told["name"]) == (guest.id, guest.name)


def test_ipv6_leads_there_through_a_router_and_without_one(site):
    def ask(guest: Guest) -> str:
        return guest.on_its_cards("python3", "-c", ASK6, guest.card(0))

    for guest in (site.right, site.alone):
        eventually(lambda guest=guest: guest.id in ask(guest), what=f"the service at its IPv6 address for {guest.name}")
        assert json.loads(ask(guest))["uuid"] == guest.id


def test_the_openstack_tree_is_told_by_documents(site):
    documents = "meta_data.json user_data password vendor_data.json network_data.json vendor_data2.json"
    assert tree(site.left, "/openstack/latest/").split() == documents.split()
    assert tree(site.left, "/openstack/latest/user_data").startswith("#!/bin/sh\n")
    assert "cloud-init" in json.loads(tree(site.left, "/openstack/latest/vendor_data.json"))
    assert json.loads(tree(site.left, "/openstack/latest/vendor_data2.json")) == {}
    told = json.loads(tree(site.left, "/openstack/latest/network_data.json"))
    (link,), (network,) = told["links"], told["networks"]
    port = site.world.port_of(site.left)
    assert (link["ethernet_mac_address"], link["mtu"]) == (port["mac_address"], 1450)
    assert network["network_id"] == port["network_id"]


def test_a_guest_takes_name_key_and_user_data(site):
    public = site.world.machine.run("cat", "/run/metadata-key.pub").stdout.strip()
    eventually(lambda: site.left.sh("cat /root/user-data-ran", check=False), what="the user data's run")
    assert site.left.sh("cat /root/user-data-ran").strip() == site.left.name
    assert public in site.left.sh("cat /root/.ssh/authorized_keys").splitlines()
    assert tree(site.left, "/latest/meta-data/public-keys/0/openssh-key").strip() == public
    assert tree(site.left, "/latest/user-data").startswith("#!/bin/sh\n")
    assert site.right.run("hostname").strip() == site.right.name


def test_003_38_the_way_there_is_the_router_or_dhcp(site):
    """Nothing was configured by hand."""
    assert "169.254.169.254" not in site.left.run("ip", "route")
    assert "169.254.169.254" in site.alone.run("ip", "route")


def test_an_instance_that_says_itself_who_it_is_gets_refused(site):
    other = site.world.port_of(site.right)
    forged = {
        "X-Instance-ID": site.right.id,
        "X-Instance-ID-Signature": "0" * 64,
        "X-Tenant-ID": other["project_id"],
        "X-Neutron-Network-ID": other["network_id"],
    }
    url = f"{SERVICE}/openstack/latest/meta_data.json"
    for name, value in forged.items():
        said = site.left.run("sh", "-c", f"wget -O - --header '{name}: {value}' {url} 2>&1", check=False)
        assert "403" in said, name
        assert "uuid" not in said
    told = site.left.run("wget", "-q", "-O", "-", "--header", "X-Forwarded-For: 10.63.1.1", url)
    assert json.loads(told)["uuid"] == site.left.id


def test_an_address_that_is_nobodys_gets_nothing(site):
    """With port security off, so that the question arrives."""
    port = site.world.port_of(site.alone)["id"]
    site.world.openstack(f"port set --disable-port-security --no-security-group {port}")
    guest = site.alone
    guest.sh(
        "way=$(ip route | grep ^169.254.169.254); ip address flush dev eth0; ip address add 10.63.1.99/24 dev eth0;"
        " ip route add $way"
    )
    said = guest.sh(f"timeout 3 wget -O - {SERVICE}/openstack/latest/meta_data.json 2>&1", check=False)
    assert "404" in said
    assert guest.id not in said


def test_a_password_is_posted_once(site):
    path = f"{SERVICE}/openstack/latest/password"
    assert site.left.fetches(path) == ""
    site.left.run("wget", "-q", "-O", "-", "--post-data", "sesame", path)
    assert site.left.fetches(path) == "sesame"
    assert not site.left.succeeds("wget", "-q", "-O", "-", "--post-data", "another", path)
    assert site.left.fetches(path) == "sesame"
    assert site.right.fetches(path) == ""
