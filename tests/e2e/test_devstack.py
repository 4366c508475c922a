"""A cloud of 2013: DevStack's localrc converted, and clients that know identity v2.0 alone.

It has a cloud of its own: its settings are what is tested. One story in order: each test needs those before it.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cloud import CONFIG, Cloud
from tests.e2e.legacy import Legacy
from tests.sandbox import Sandbox, eventually, sandbox

LOCALRC = Path(__file__).parents[1] / "unit/settings/devstack/localrc"
HOST_IP = "192.168.100.10"


@pytest.fixture(scope="module")
def machine() -> Iterator[Sandbox]:
    """A machine with the address that the localrc names."""
    with sandbox() as made:
        made.run("ip", "address", "add", f"{HOST_IP}/24", "dev", "lo")
        yield made


@pytest.fixture(scope="module")
def cloud(machine: Sandbox) -> Iterator[Cloud]:
    """A cloud with what the localrc says, and nothing else."""
    machine.run("sh", "-c", "cat > /run/localrc", text=LOCALRC.read_text())
    said = machine.run("netloom", "config", "from-devstack", "/run/localrc", "--output-directory", CONFIG)
    assert "enable_service swift: It belongs to a service that is not here." in said.stderr
    assert "The configuration is right" in machine.run("netloom", "config", "check").stdout
    made = Cloud(machine, "--bare", "--external", "10.0.0.1/24")
    yield made
    made.down()


@pytest.fixture(scope="module")
def client(cloud: Cloud) -> Legacy:
    return Legacy(cloud.machine, "newton", identity_v2=True)


@pytest.fixture(scope="module")
def private(client: Legacy) -> str:
    """Id of the network ``private`` with the range of the localrc."""
    network = client.neutron("net-create private").record
    client.neutron("subnet-create private 172.24.17.0/24 --gateway 172.24.17.254")
    return network["id"]


def test_003_40_project_networks_are_gre(cloud, client, private):
    shown = client.neutron("net-show private").record
    assert shown["provider:network_type"] == "gre"
    assert 1 <= int(shown["provider:segmentation_id"]) <= 1000
    assert {"br-int", "br-tun", "br-ex"} <= set(cloud.machine.run("ovs-vsctl", "list-br").stdout.split())


def test_003_10_subnets(client, private):
    [subnet] = client.neutron("subnet-list").rows
    assert subnet["allocation_pools"] == '{"start": "172.24.17.1", "end": "172.24.17.253"}'


def test_003_27_28_29_agents(client, private):
    agents = client.neutron("agent-list").rows
    assert {"DHCP agent", "L3 agent", "Open vSwitch agent"} <= {row["agent_type"] for row in agents}
    assert {(row["alive"], row["admin_state_up"]) for row in agents} == {(":-)", "True")}
    [hosting] = client.neutron("dhcp-agent-list-hosting-net private").rows
    assert (hosting["host"], hosting["alive"]) == (agents[0]["host"], ":-)")


def test_003_01_to_07_an_instance_is_reached_out_of_the_networks_namespace(cloud, client, private):
    for rule in ("icmp -1 -1", "tcp 22 22", "tcp 80 80"):
        client.nova(f"secgroup-add-rule default {rule} 0.0.0.0/0")
    client.nova(f"boot --flavor m1.tiny --image cirros --nic net-id={private} vm1")
    eventually(lambda: client.nova("list").rows[0]["Status"] == "ACTIVE", what="the instance ACTIVE")
    [vm] = client.nova("list").rows
    assert vm["Networks"] == "private=172.24.17.2"
    ping = ("ip", "netns", "exec", f"qdhcp-{private}", "ping", "-q", "-c", "1", "-W", "1", "172.24.17.2")
    eventually(lambda: cloud.machine.run(*ping, check=False).returncode == 0, what="an answer from the instance")


def test_all_that_was_made_goes(client, private):
    client.nova("delete vm1")
    eventually(lambda: client.nova("list").rows == [], what="no instance")
    client.neutron("net-delete private")
