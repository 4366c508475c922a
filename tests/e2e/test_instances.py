"""Instances: how they are made, their network cards, their life, and that nothing stays behind."""

from types import SimpleNamespace

import pytest

from tests.e2e.world import Guest, World
from tests.sandbox import eventually


@pytest.fixture(scope="module")
def site(world: World):
    """Two networks, and an instance with a card on each."""
    for number in (1, 2):
        world.network(f"n{number}", f"10.64.{number}.0/24")
    group = world.open_group()
    both = f"--network {world.name('n1')} --network {world.name('n2')} --security-group {group}"
    guest, peer = world.boot(both, "two-cards"), world.boot(both, "peer")
    for one in (guest, peer):
        world.ready(one)
    return SimpleNamespace(world=world, group=group, guest=guest, peer=peer)


def show(site, id: str) -> dict:
    return site.world.openstack(f"server show {id}")


def taps(site, *ports: str) -> list[str]:
    there = site.world.machine.run("ovs-vsctl", "list-ports", "br-int").stdout.split()
    return [port for port in ports if f"tap{port[:11]}" in there]


def test_building_is_told_until_it_is_done(site):
    options = f"--image cirros --flavor m1.tiny --network {site.world.name('n1')}"
    told = site.world.openstack(f"server create {options}", site.world.name("told"))
    site.world.made("server", told["id"])
    assert (told["status"], told["OS-EXT-STS:vm_state"], told["OS-EXT-STS:task_state"]) == (
        "BUILD", "building", "scheduling",
    )  # fmt: skip
    assert (told["OS-DCF:diskConfig"], told["OS-EXT-STS:power_state"]) == ("MANUAL", None)
    assert len(told["adminPass"]) == 12
    assert told["security_groups"] == [{"name": "default"}]
    eventually(lambda: show(site, told["id"])["status"] == "ACTIVE", what="ACTIVE")
    shown = show(site, told["id"])
    assert (shown["OS-EXT-STS:vm_state"], shown["OS-EXT-STS:task_state"]) == ("active", None)
    listed = site.world.openstack("server list --name", site.world.name("told"))
    assert listed[0]["Networks"] == shown["addresses"]


def test_addresses_are_given_lowest_first(world, site):
    world.network(
        "private", "172.24.17.0/24 --gateway 172.24.17.254 --allocation-pool start=172.24.17.1,end=172.24.17.253"
    )
    first, second = world.guests(f"--nic net-id={world.name('private')}", "vm1", "vm2")
    assert [first.address(), second.address()] == ["172.24.17.2", "172.24.17.3"], "the first is that of DHCP"
    network = world.openstack(f"network show {world.name('private')}")["id"]
    for address in (first.address(), second.address()):
        group = world.port_of(first)["security_group_ids"][0]
        if address == first.address():
            rule = world.openstack(f"security group rule create --protocol icmp {group}")["id"]
        eventually(lambda address=address: "1 received, 0%" in world.namespace(
            f"qdhcp-{network}", "ping", "-q", "-c", "1", "-W", "1", address, check=False), what=address)  # fmt: skip
    world.openstack(f"security group rule delete {rule}")


def test_every_card_is_on_its_network(site):
    assert site.guest.address(0).startswith("10.64.1.")
    eventually(lambda: site.guest.address(1).startswith("10.64.2."), what="the second card's address")
    eventually(lambda: site.peer.address(1), what="the peer's second address")
    for card in (0, 1):
        assert site.guest.pings(site.peer.address(card))


def test_a_port_and_an_address_of_our_choice(world, site):
    options = f"--network {world.name('n1')} --fixed-ip ip-address=10.64.1.77 --security-group {site.group}"
    port = world.create("port", options, "chosen")
    guest = world.ready(world.boot(f"--nic port-id={port['id']}", "by-port"))
    other = world.boot(f"--nic net-id={world.name('n1')},v4-fixed-ip=10.64.1.78", "by-address")
    assert guest.address() == "10.64.1.77"
    assert port["mac_address"] in guest.run("ip", "link", "show", "eth0")
    assert site.peer.pings("10.64.1.77")
    world.ready(other)
    assert other.address() == "10.64.1.78"
    world.openstack(f"server delete --wait {guest.id}")
    kept = world.openstack(f"port show {port['id']}")
    assert (kept["device_id"], kept["status"]) == ("", "DOWN"), "a port that was given outlives the instance"
    assert not taps(site, port["id"])


def test_cards_come_and_go_while_it_runs(world, site):
    guest = world.ready(world.boot(f"--network {world.name('n1')} --security-group {site.group}", "plugged"))
    port = world.create("port", f"--network {world.name('n2')} --security-group {site.group}", "late")
    pid = guest.process
    world.openstack(f"server add port {guest.id} {port['id']}")
    eventually(lambda: guest.address(1), what="the new card's address")
    assert guest.address(1) == port["fixed_ips"][0]["ip_address"]
    assert guest.pings(site.peer.address(1))
    assert world.openstack(f"port show {port['id']}")["status"] == "ACTIVE"
    world.openstack(f"server remove port {guest.id} {port['id']}")
    eventually(lambda: "eth1" not in guest.run("ip", "link"), what="the card's end")
    eventually(lambda: world.openstack(f"port show {port['id']}")["status"] == "DOWN", what="DOWN")
    world.openstack(f"server add network {guest.id} {world.name('n2')}")
    eventually(lambda: guest.address(1), what="a card on a network")
    made = [one["ID"] for one in world.openstack(f"port list --server {guest.id}")]
    world.openstack(f"server remove network {guest.id} {world.name('n2')}")
    eventually(lambda: len(world.openstack(f"port list --server {guest.id}")) == 1, what="the end of its port")
    eventually(lambda: len(taps(site, *made)) == 1, what="the end of its tap")
    assert guest.process == pid, "it never stopped"


def test_it_stops_starts_and_reboots(world, site):
    guest, port = site.guest, world.port_of(site.guest)
    guest.sh("echo kept > /root/note; echo lost > /tmp/note")
    world.openstack(f"server stop {guest.id}")
    eventually(lambda: show(site, guest.id)["status"] == "SHUTOFF", what="SHUTOFF")
    eventually(lambda: world.openstack(f"port show {port['id']}")["status"] == "DOWN", what="the port DOWN")
    assert not site.peer.pings(port["fixed_ips"][0]["ip_address"])
    world.openstack(f"server start {guest.id}")
    eventually(lambda: show(site, guest.id)["status"] == "ACTIVE", what="ACTIVE")
    world.ready(guest)
    before = guest.process
    world.openstack(f"server reboot --hard {guest.id}")
    eventually(lambda: guest.process not in (0, before), what="another process")
    eventually(lambda: show(site, guest.id)["status"] == "ACTIVE", what="ACTIVE")
    world.ready(guest)
    assert guest.sh("cat /root/note; cat /tmp/note", check=False).split() == ["kept"]
    eventually(lambda: site.peer.pings(guest.address()), what="its network")


def test_its_console_and_a_command_inside(world, site):
    log = world.openstack(f"console log show {site.peer.id}")
    assert "netloom: eth0 has 10.64.1." in log
    eventually(lambda: f"{site.peer.name} login:" in world.openstack(f"console log show {site.peer.id}"))
    assert world.cloud.inside(site.peer.name, "hostname").strip() == site.peer.name
    failed = world.machine.run("netloom", "exec", site.peer.name, "--", "sh", "-c", "exit 7", check=False)
    assert failed.returncode == 7
    missing = world.machine.run("netloom", "exec", "nobody-here", "--", "true", check=False)
    assert missing.returncode == 1
    assert "there is no such instance" in missing.stderr


def test_groups_of_an_instance_are_changed_as_a_whole(world, site):
    (guest,) = world.guests(f"--network {world.name('n1')}", "grouped")
    assert not site.peer.pings(guest.address())
    world.openstack(f"server add security group {guest.id} {site.group}")
    eventually(lambda: site.peer.pings(guest.address()), what="the group's effect")
    world.openstack(f"server remove security group {guest.id} {site.group}")
    eventually(lambda: not site.peer.pings(guest.address()), what="the end of it")


def test_the_administrator_names_zone_and_host(world, site):
    host = world.machine.run("hostname").stdout.strip()
    named = world.boot(f"--network {world.name('n1')} --availability-zone nova:{host}", "placed")
    eventually(lambda: show(site, named.id)["status"] == "ACTIVE", what="ACTIVE")
    assert show(site, named.id)["OS-EXT-SRV-ATTR:host"] == host


@pytest.mark.parametrize("zone", ["atlantis", "nova:nobody"])
def test_a_zone_that_is_not_there_is_refused(world, zone):
    options = f"--image cirros --flavor m1.tiny --network {world.name('n1')} --availability-zone {zone}"
    said = world.openstack(f"server create {options} nowhere", check=False)
    assert "The requested availability zone is not available" in said
    assert "HTTP 400" in said or "400" in said
    assert world.openstack("server list --name nowhere") == []


def test_a_flavor_beyond_every_host_finds_none(world, site):
    flavor = world.name("vast")
    world.openstack(f"flavor create --ram 99999999 --vcpus 4096 --disk 1 {flavor}")
    try:
        made = world.openstack(
            f"server create --image cirros --flavor {flavor} --network {world.name('n1')}", world.name("vast")
        )
        world.made("server", made["id"])
        eventually(lambda: show(site, made["id"])["status"] == "ERROR", what="ERROR")
        shown = show(site, made["id"])
        assert shown["fault"]["message"].startswith("No valid host was found.")
        assert world.openstack(f"port list --server {made['id']}") == []
    finally:
        world.openstack(f"flavor delete {flavor}")


def test_nothing_of_a_deleted_instance_stays(world, site):
    guest: Guest = world.ready(world.boot(f"--network {world.name('n1')} --network {world.name('n2')}", "brief"))
    ports = [port["ID"] for port in world.openstack(f"port list --server {guest.id}")]
    pid, machine = guest.process, world.machine
    assert taps(site, *ports) == ports
    world.openstack(f"server delete --wait {guest.id}")
    assert taps(site, *ports) == []
    links = machine.run("ip", "-o", "link").stdout
    assert not [port for port in ports if port[:11] in links]
    assert machine.run("ls", "/var/lib/netloom/host/instances").stdout.find(guest.id) < 0
    assert machine.run("kill", "-0", str(pid), check=False).returncode != 0
    assert machine.run("sh", "-c", f"ovs-ofctl dump-flows br-int | grep -c {ports[0][:8]}", check=False).stdout == "0\n"
    assert [port for port in ports if port in {one["ID"] for one in world.openstack("port list")}] == []
