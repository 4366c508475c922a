"""The walk-through of highly available routers (``test_l3ha``) as it is typed today, up to the loss of a node.

One story in order: each test needs those before it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.e2e.lab.elections import Election
from tests.e2e.world import Guest
from tests.lab.cloud import LabCloud
from tests.lab.world import LabWorld
from tests.sandbox import eventually

POOL = "--allocation-pool start=203.0.113.101,end=203.0.113.200 --no-dhcp --gateway 203.0.113.1"
GATEWAY, FLOATING = "203.0.113.101", "203.0.113.102"


@dataclass
class Story:
    """What the tests tell each other."""

    cloud: LabCloud
    world: LabWorld
    ids: dict[str, str] = field(default_factory=dict)

    @property
    def election(self) -> Election:
        return Election(self.cloud, self.ids["demo-router"])


@pytest.fixture(scope="module")
def story(lab: LabCloud) -> Iterator[Story]:
    made = Story(lab, LabWorld(lab, external=False))
    try:
        yield made
    finally:
        lab.lab.heal()
        made.world.sweep()


def make(story: Story, kind: str, words: str, name: str, user: str = "admin") -> dict[str, object]:
    """Create a thing under its name in the guide; it is deleted at the end."""
    made: dict[str, object] = story.world.openstack(f"{kind} create {words} {name}", user=user)
    story.ids[name] = str(made["id"])
    story.world.made(kind, story.ids[name])
    return made


def test_004_02_03_06_07_networks_and_subnets(story):
    flat = "--external --provider-network-type flat --provider-physical-network external"
    shown = make(story, "network", flat, "ext-net")
    assert (shown["provider:segmentation_id"], shown["shared"], shown["status"]) == (None, False, "ACTIVE")
    subnet = story.world.openstack(f"subnet create --network ext-net --subnet-range 203.0.113.0/24 {POOL} ext-subnet")
    assert subnet["allocation_pools"] == [{"start": "203.0.113.101", "end": "203.0.113.200"}]
    shown = make(story, "network", "--project demo --provider-network-type vxlan", "demo-net")
    assert (shown["provider:segmentation_id"], shown["provider:physical_network"], shown["mtu"]) == (1, None, 1450)
    words = "--network demo-net --subnet-range 192.168.1.0/24 --gateway 192.168.1.1 demo-subnet"
    subnet = story.world.openstack(f"subnet create {words}", user="demo")
    assert subnet["allocation_pools"] == [{"start": "192.168.1.2", "end": "192.168.1.254"}]


def test_004_08_to_13_the_router(story):
    shown = make(story, "router", "", "demo-router", user="demo")
    assert (shown["status"], shown["external_gateway_info"], shown["routes"]) == ("ACTIVE", None, [])
    openstack = story.world.openstack
    openstack("router add subnet demo-router demo-subnet", user="demo")
    openstack("router set --external-gateway ext-net demo-router", user="demo")
    shown = openstack("router show demo-router")
    assert (shown["ha"], shown["distributed"]) == (True, False)
    assert [one["ip_address"] for one in shown["external_gateway_info"]["external_fixed_ips"]] == [GATEWAY]
    eventually(lambda: sorted(story.election.states().values()) == ["active", "standby"], what="one active router")
    agents = openstack("network agent list --router demo-router --long")
    assert {one["Host"] for one in agents} == {"network1", "network2"}
    assert {one["HA State"] for one in agents} == {"active", "standby"}


def test_004_21_to_29_an_instance_with_a_floating_ip(story):
    openstack = story.world.openstack
    group = story.world.open_group(user="demo")
    words = f"--image cirros --flavor m1.tiny --network demo-net --security-group {group}"
    shown = make(story, "server", words, "demo-instance1", user="demo")
    assert (shown["status"], shown["OS-EXT-STS:task_state"]) == ("BUILD", "scheduling")
    guest = story.world.ready(Guest(story.cloud, story.ids["demo-instance1"], "demo-instance1"))
    made = make(story, "floating ip", "", "ext-net", user="demo")
    assert (made["floating_ip_address"], made["status"], made["router_id"]) == (FLOATING, "DOWN", None)
    assert openstack(f"server add floating ip demo-instance1 {FLOATING}", user="demo") == ""
    (listed,) = openstack("server list", user="demo")
    assert (listed["Status"], listed["Networks"]) == ("ACTIVE", {"demo-net": [guest.address(), FLOATING]})
    for address in (GATEWAY, FLOATING):
        eventually(lambda address=address: story.world.pings(address), what=f"an answer of {address}")
    assert guest.pings("openstack.org")


def test_004_35_a_frozen_node_is_replaced_and_stands_by_when_it_goes_on(story):
    election = story.election
    before, (after,) = election.active(), election.standing_by()
    story.world.lab.freeze(before)
    eventually(lambda: story.world.pings(FLOATING), what=f"an answer of {FLOATING}")
    eventually(lambda: election.states()[after] == "active", what="the other one active")
    story.world.lab.heal(before)
    eventually(lambda: sorted(election.states().values()) == ["active", "standby"], what="one active, one standing by")
    eventually(lambda: sum(GATEWAY in "".join(election.shown(host).values()) for host in (before, after)) == 1)
    eventually(lambda: story.world.pings(FLOATING), what=f"an answer of {FLOATING}")
