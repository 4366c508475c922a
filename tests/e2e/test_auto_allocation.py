"""Get me a network: from a cloud that lacks what it takes to instances on a network that nobody made by hand.

One story in order, each test needs those before it: typed by the clients of 2016, and by those of today beside them.
What it takes from the shared cloud (its default external network) is given back at the end.
"""

import json
import re
from collections.abc import Iterator

import pytest

from tests.e2e.legacy import Legacy, Said
from tests.e2e.world import Guest, World
from tests.sandbox import eventually

INTERNET = "8.8.8.8"
NO_EXTERNAL = "Deployment error: No default router:external network."
NO_POOLS = "Deployment error: No default subnetpools defined."
AMBIGUOUS = "Multiple possible networks found, use a Network ID to be more specific."
TOPOLOGY = "network auto allocated topology"


class Story:
    """What the tests tell each other."""

    def __init__(self, world: World) -> None:
        self.world, self.openstack = world, world.openstack
        clients = Legacy(world.machine, "newton")
        self.neutron, self.nova = clients.neutron, clients.nova
        self.demo = str(self.openstack("project show demo")["id"])
        self.image = str(self.openstack("image show cirros")["id"])

    def remember(self, kind: str, made: dict[str, str]) -> dict[str, str]:
        """Note what was made, so that it is deleted at the end; returns it."""
        self.world.made(kind, made["id"])
        return made

    def boots(self, name: str, nic: str) -> Said:
        """Start an instance of demo's as the document does."""
        return self.nova(f"boot --flavor 1 --image {self.image} {name} --nic {nic}", user="demo", check=False)

    def active(self, name: str, nic: str) -> Guest:
        """An instance of demo's that is up, with the clients of 2016."""
        guest = Guest(self.world.cloud, self.remember("server", self.boots(name, nic).record)["id"], name)
        eventually(lambda: self.networks(name)[0] == "ACTIVE", what=f"{name} ACTIVE")
        return guest

    def networks(self, name: str) -> tuple[str, dict[str, list[str]]]:
        """Status and addresses of an instance of demo's."""
        (row,) = self.openstack(f"server list --name ^{name}$", user="demo")
        return row["Status"], row["Networks"]

    def of_demo(self, kind: str) -> list[str]:
        """Names of what demo has."""
        return sorted(row["Name"] for row in self.openstack(f"{kind} list --project {self.demo}"))


@pytest.fixture(scope="module")
def story(world: World) -> Iterator[Story]:
    made = Story(world)
    run = made.openstack
    run("network set --no-default public")
    try:
        yield made
    finally:
        if ids := [row["ID"] for row in run("server list", user="demo")]:
            run(f"server delete {' '.join(ids)}", user="demo")
        run(f"{TOPOLOGY} delete", user="demo")
        for row in run("network list --external"):
            run(f"network set --no-default {row['ID']}")
        run("network set --default public")


def test_001_40_the_extension_is_listed(story):
    listed = [row for row in story.openstack("extension list --network") if "auto" in row["Alias"]]
    assert listed == [
        {
            "Name": "Auto Allocated Topology Services",
            "Alias": "auto-allocated-topology",
            "Description": "Auto Allocated Topology Services",
        }
    ]


def test_001_41_without_what_it_takes_an_instance_is_refused(story):
    said = story.boots("vm1", "auto")
    unable = f"Unable to automatically allocate a network for project {story.demo}"
    assert said.code == 1
    printed = rf"ERROR \(BadRequest\): {unable} \(HTTP 400\) \(Request-ID: req-[0-9a-f-]{{36}}\)"
    assert re.search(f"^{printed}$", said.errors, re.MULTILINE), said.errors
    today = "server create --flavor m1.tiny --image cirros --nic auto vm1"
    assert unable in story.openstack(today, user="demo", check=False)
    assert story.openstack("server list", user="demo") == []


def test_001_42_why_is_told_by_the_network_service_and_in_the_log_of_compute(story):
    token = story.openstack("token issue", user="demo")["id"]
    endpoint = story.openstack("catalog show network")["endpoints"][0]["url"].removesuffix("/").removesuffix("/v2.0")
    run = story.world.machine.run
    url = f"{endpoint}/v2.0/auto-allocated-topology/{story.demo}"
    raw = json.loads(run("curl", "-s", "-H", f"X-Auth-Token: {token}", url).stdout)
    assert raw == {"NeutronError": {"message": NO_EXTERNAL, "type": "AutoAllocationFailure", "detail": ""}}
    said = story.neutron("auto-allocated-topology-show", user="demo", check=False)
    assert (said.code, said.errors.splitlines()[0]) == (1, NO_EXTERNAL)
    assert NO_EXTERNAL in story.openstack(f"{TOPOLOGY} create --or-show", user="demo", check=False)
    log = run("cat", "/var/lib/netloom/log/server.log").stdout
    body = f'{{"NeutronError": {{"message": "{NO_EXTERNAL}", "type": "AutoAllocationFailure", "detail": ""}}}}'
    assert f"Error message: {body}" in log
    assert f"Unable to auto-allocate networks. {NO_EXTERNAL}" in log


def test_001_43_an_external_network_becomes_the_default(story):
    said = story.neutron("net-create external --router:external --is_default")
    assert said.heading == "Created a new network:"
    made = story.remember("network", said.record)
    assert (made["is_default"], made["router:external"]) == ("True", "True")
    second = story.neutron("net-create second --router:external --is_default", check=False)
    assert second.errors.splitlines()[0] == f"A default external network already exists: {made['id']}."


def test_001_46_a_pool_that_is_not_shared_is_none_for_others(story):
    def refused() -> None:
        said = story.neutron("auto-allocated-topology-show --dry-run", user="demo", check=False)
        assert (said.code, said.errors.splitlines()[0]) == (1, NO_POOLS)

    refused()
    options = "--is_default --pool-prefix 10.0.0.0/20 --default-prefixlen 24"
    private = story.remember("subnet pool", story.neutron(f"subnetpool-create {options} private_pool").record)
    assert (private["is_default"], private["shared"]) == ("True", "False")
    assert story.openstack("subnet pool list", user="demo") == []
    refused()
    story.neutron("subnetpool-delete private_pool")


def test_001_44_a_shared_pool_becomes_the_default(story):
    options = "--is_default --shared --pool-prefix 10.0.0.0/20 --default-prefixlen 24"
    said = story.neutron(f"subnetpool-create {options} default_subnetpool")
    made = story.remember("subnet pool", said.record)
    wanted = {"is_default": "True", "shared": "True", "prefixes": "10.0.0.0/20", "default_prefixlen": "24"}
    assert {name: made[name] for name in wanted} == wanted
    second = story.neutron(f"subnetpool-create {options} second", check=False)
    assert second.errors.startswith("Invalid input for operation: A default subnetpool for this IP family has already")


def test_001_45_a_subnet_takes_its_prefix_from_the_default_pool(story):
    assert story.neutron("subnet-create external --use-default-subnetpool").record["cidr"] == "10.0.0.0/24"


def test_001_49_it_can_be_asked_whether_a_network_could_be_made(story):
    assert story.neutron("auto-allocated-topology-show --dry-run", user="demo").record == {"dry-run": "pass"}
    story.openstack(f"{TOPOLOGY} create --check-resources", user="demo")
    assert story.of_demo("network") == []


def test_001_50_who_has_several_networks_must_name_one(story):
    for base in ("one", "two"):
        story.world.network(base, "10.99.0.0/24", user="demo")
    before = story.of_demo("network")
    said = story.boots("vm1", "auto")
    assert said.code == 1
    assert said.errors.startswith(f"ERROR (Conflict): {AMBIGUOUS} (HTTP 409) (Request-ID: req-")
    assert AMBIGUOUS in story.openstack(
        "server create --flavor m1.tiny --image cirros --nic auto vm1", user="demo", check=False
    )
    assert (story.of_demo("network"), story.of_demo("router")) == (before, [])
    story.openstack(f"network delete {' '.join(before)}", user="demo")


def test_001_47_an_instance_gets_a_network(story):
    story.active("vm1", "auto")
    (row,) = story.nova("list", user="demo").rows
    assert list(row) == ["ID", "Name", "Status", "Task State", "Power State", "Networks"]
    assert (row["Name"], row["Status"], row["Task State"], row["Power State"]) == ("vm1", "ACTIVE", "-", "Running")
    assert re.fullmatch(r"auto_allocated_network=10\.0\.1\.\d+", row["Networks"])


def test_001_48_a_network_a_subnet_and_a_router_were_made(story):
    assert story.of_demo("network") == ["auto_allocated_network"]
    assert story.of_demo("subnet") == ["auto_allocated_subnet_v4"]
    assert story.of_demo("router") == ["auto_allocated_router"]
    router = story.neutron("router-show auto_allocated_router", user="demo").record
    external = story.openstack("network show external")["id"]
    assert json.loads(router["external_gateway_info"])["network_id"] == external
    (port,) = story.neutron("router-port-list auto_allocated_router", user="demo").rows
    assert json.loads(port["fixed_ips"])["ip_address"] == "10.0.1.1"
    shown = story.neutron("auto-allocated-topology-show", user="demo").record
    network = story.openstack("network show auto_allocated_network")
    assert shown == {"id": network["id"], "project_id": story.demo, "tenant_id": story.demo}
    assert story.openstack(f"{TOPOLOGY} create --or-show", user="demo")["id"] == network["id"]


def test_001_51_another_instance_is_on_the_same_network(story):
    story.active("vm3", "auto")
    status, addresses = story.networks("vm3")
    assert (status, list(addresses)) == ("ACTIVE", ["auto_allocated_network"])
    assert story.of_demo("network") == ["auto_allocated_network"]


def test_001_52_an_instance_without_a_network(story):
    guest = story.active("vm2", "none")
    row = next(row for row in story.nova("list", user="demo").rows if row["Name"] == "vm2")
    assert (row["Status"], row["Task State"], row["Power State"], row["Networks"]) == ("ACTIVE", "-", "Running", "")
    assert story.openstack(f"port list --device-id {guest.id}") == []
    eventually(lambda: guest.run("ls", "/sys/class/net").split() == ["lo"], what="a guest without cards")


def test_001_53_it_reaches_its_gateway_and_the_outside(story):
    """An instance on the external network is the provider's router, behind which the Internet is."""
    world = story.world
    place = "--network external --fixed-ip ip-address=10.0.0.1 --disable-port-security"
    provider = world.ready(world.boot(f"--port {world.create('port', place, 'provider')['id']}", "provider"))
    provider.run("ip", "address", "add", f"{INTERNET}/32", "dev", "lo")
    guest = Guest(world.cloud, story.openstack("server show vm1", user="demo")["id"], "vm1")
    eventually(lambda: guest.pings("10.0.1.1"), what="its gateway")
    eventually(lambda: guest.pings(INTERNET), what="the Internet")


def test_all_of_it_goes_when_nothing_uses_it(story):
    said = story.neutron("auto-allocated-topology-delete", user="demo", check=False)
    assert said.code == 1
    assert "There are one or more ports still in use on the network" in said.errors
    story.openstack("server delete vm1 vm2 vm3", user="demo")
    said = story.neutron("auto-allocated-topology-delete", user="demo")
    assert said.text == "Deleted topology for tenant None (i.e. yours).\n"
    assert [story.of_demo(kind) for kind in ("network", "subnet", "router")] == [[], [], []]
    story.openstack("server delete", story.world.name("provider"))
    story.openstack("port delete", story.world.name("provider"))
    story.openstack("network delete external")
    story.openstack("subnet pool delete default_subnetpool")


def test_the_same_with_todays_client(story):
    run = story.openstack
    network = story.remember("network", run("network create --external --default external"))
    assert (network["router:external"], network["is_default"]) == (True, True)
    pool = "--default --share --pool-prefix 10.0.0.0/20 --default-prefix-length 24"
    story.remember("subnet pool", run(f"subnet pool create {pool} default_subnetpool"))
    assert run("subnet create --network external --use-default-subnet-pool out")["cidr"] == "10.0.0.0/24"
    for name in ("auto", "none"):
        run(f"server create --flavor m1.tiny --image cirros --nic {name} {name}", user="demo")
        eventually(lambda name=name: story.networks(name)[0] == "ACTIVE", what=f"{name} ACTIVE")
    (address,) = story.networks("auto")[1]["auto_allocated_network"]
    assert address.startswith("10.0.1.")
    assert story.networks("none")[1] == {}
    assert "Conflict" in run(f"{TOPOLOGY} delete", user="demo", check=False)
    run("server delete auto none", user="demo")
    run(f"{TOPOLOGY} delete", user="demo")
    assert story.of_demo("network") == []
