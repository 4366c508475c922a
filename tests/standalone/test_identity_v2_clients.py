"""Unmodified clients of 2015 and 2016, told of identity v2.0 alone: their tokens of it open every service."""

import subprocess

import pytest

from tests.e2e.legacy import Said
from tests.sandbox import ROOT, environment
from tests.standalone.world import PASSWORDS, Host, World

pytestmark = pytest.mark.parametrize("server", ["sqlite"], indirect=True)
"""What is asked of the database is the same for v3: one is enough."""


@pytest.fixture(scope="module")
def host(server: World) -> Host:
    return Host(server, "ubuntu", roles=("switch", "dhcp", "l3", "loadbalancer", "compute"))


@pytest.fixture(scope="module")
def world(server: World, host: Host) -> World:
    server.network("private", "172.24.17.0/24")
    return server


def run(world: World, release: str, line: str, user: str = "demo", password: str = "") -> Said:
    """Run a client of a release."""
    program, *words = line.split()
    variables = {
        "OS_AUTH_URL": f"{world.url}/identity/v2.0",
        "OS_USERNAME": user,
        "OS_PASSWORD": password or PASSWORDS[user],
        "OS_TENANT_NAME": user,
        "OS_REGION_NAME": "RegionOne",
    }
    argv = [str(ROOT / ".cache/clients" / release / "bin" / program), *words]
    done = subprocess.run(argv, env=environment(variables), capture_output=True, text=True, check=False, timeout=60)
    return Said(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("release", ["liberty", "newton"])
def test_networks_and_agents(world, release):
    listed = run(world, release, "neutron net-list")
    assert [row["name"] for row in listed.rows] == ["private"], listed.errors
    agents = run(world, release, "neutron agent-list", "admin")
    types = {"Open vSwitch agent", "DHCP agent", "L3 agent", "Loadbalancer agent"}
    assert {row["agent_type"] for row in agents.rows} == types, agents.errors
    assert {(row["host"], row["alive"], row["admin_state_up"]) for row in agents.rows} == {("ubuntu", ":-)", "True")}


def test_security_groups_instances_and_images(world):
    added = run(world, "newton", "nova secgroup-add-rule default tcp 80 80 0.0.0.0/0")
    assert added.columns == ["IP Protocol", "From Port", "To Port", "IP Range", "Source Group"], added.errors
    listed = run(world, "newton", "nova secgroup-list-rules default").text
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in listed.splitlines() if line.startswith("|")]
    assert sorted(cells[1:]) == [
        ["", "-1", "-1", "", "default"],
        ["", "-1", "-1", "", "default"],
        ["tcp", "80", "80", "0.0.0.0/0", ""],
    ]
    assert run(world, "newton", "nova list").code == 0
    images = run(world, "newton", "glance image-list")
    assert [row["Name"] for row in images.rows] == ["cirros"], images.errors


def test_a_wrong_password_is_refused(world):
    said = run(world, "newton", "neutron net-list", password="wrong")
    assert said.code != 0
    assert "requires authentication" in said.text + said.errors


def test_003_11_to_21_load_balancing(world, host):
    def neutron(line: str) -> Said:
        said = run(world, "newton", f"neutron {line}")
        assert said.code == 0, said.errors
        return said

    subnet = neutron("subnet-list").rows[0]["id"]
    made = neutron(f"lb-pool-create --lb-method ROUND_ROBIN --name mypool --protocol HTTP --subnet-id {subnet}")
    assert made.heading == "Created a new pool:"
    pool = made.record
    assert (pool["status"], pool["vip_id"], pool["members"], pool["subnet_id"]) == ("PENDING_CREATE", "", "", subnet)
    member = neutron("lb-member-create --address 172.24.17.2 --protocol-port 80 mypool").record
    assert (member["protocol_port"], member["weight"], member["status"]) == ("80", "1", "PENDING_CREATE")
    monitor = neutron("lb-healthmonitor-create --delay 3 --type HTTP --max-retries 3 --timeout 3").record
    assert (monitor["http_method"], monitor["url_path"], monitor["expected_codes"]) == ("GET", "/", "200")
    said = neutron(f"lb-healthmonitor-associate {monitor['id']} mypool").text.strip()
    assert said == f"Associated health monitor {monitor['id']}"
    vip = neutron(f"lb-vip-create --name myvip --protocol-port 80 --protocol HTTP --subnet-id {subnet} mypool").record
    assert (vip["pool_id"], vip["connection_limit"], vip["name"]) == (pool["id"], "-1", "myvip")
    host.apply()
    columns = {
        "lb-vip-list": {"id", "name", "address", "protocol", "admin_state_up", "status"},
        "lb-pool-list": {"id", "name", "lb_method", "protocol", "admin_state_up", "status"},
        "lb-member-list": {"id", "address", "protocol_port", "admin_state_up", "status"},
        "lb-healthmonitor-list": {"id", "type", "admin_state_up"},
    }
    for line, shown in columns.items():
        [row] = neutron(line).rows
        assert shown <= set(row), line
        assert row.get("status", "ACTIVE") == "ACTIVE", line
    assert neutron("lb-pool-stats mypool").record["total_connections"] == "0"


def test_003_26_the_commands_of_the_schedulers(world):
    def neutron(line: str) -> Said:
        said = run(world, "newton", f"neutron {line}", "admin")
        assert said.code == 0, said.errors
        return said

    agents = {row["agent_type"]: row["id"] for row in neutron("agent-list").rows}
    dhcp, l3 = agents["DHCP agent"], agents["L3 agent"]
    neutron("router-create r1")
    assert neutron(f"agent-show {dhcp}").record["binary"] == "neutron-dhcp-agent"
    assert [row["id"] for row in neutron("dhcp-agent-list-hosting-net private").rows] == [dhcp]
    said = neutron(f"dhcp-agent-network-remove {dhcp} private").text.strip()
    assert said == "Removed network private from DHCP agent"
    assert neutron("dhcp-agent-list-hosting-net private").rows == []
    assert neutron(f"dhcp-agent-network-add {dhcp} private").text.strip() == "Added network private to DHCP agent"
    assert [row["name"] for row in neutron(f"net-list-on-dhcp-agent {dhcp}").rows] == ["private"]
    assert neutron(f"l3-agent-router-add {l3} r1").text.strip() == "Added router r1 to L3 agent"
    [row] = neutron("l3-agent-list-hosting-router r1").rows
    assert (row["id"], row["host"], row["admin_state_up"], row["alive"]) == (l3, "ubuntu", "True", ":-)")
    assert [row["name"] for row in neutron(f"router-list-on-l3-agent {l3}").rows] == ["r1"]
    assert neutron(f"l3-agent-router-remove {l3} r1").text.strip() == "Removed router r1 from L3 agent"
    assert neutron(f"agent-update {dhcp} --admin-state-down").text.strip() == f"Updated agent: {dhcp}"
    assert neutron(f"agent-delete {dhcp}").text.strip().startswith("Deleted agent")
    assert dhcp not in {row["id"] for row in neutron("agent-list").rows}
