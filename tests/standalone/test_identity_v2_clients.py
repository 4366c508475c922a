"""Unmodified clients of 2015 and 2016, told of identity v2.0 alone: their tokens of it open every service."""

import subprocess

import pytest

from tests.e2e.legacy import Said
from tests.sandbox import ROOT, environment
from tests.standalone.world import PASSWORDS, Host, World

pytestmark = pytest.mark.parametrize("server", ["sqlite"], indirect=True)
"""What is asked of the database is the same for v3: one is enough."""


@pytest.fixture(scope="module")
def world(server: World) -> World:
    Host(server, "ubuntu")
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
    assert [(row["agent_type"], row["host"], row["alive"]) for row in agents.rows] == [
        ("Open vSwitch agent", "ubuntu", ":-)")
    ], agents.errors


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
