"""Load balancing as it was typed at its time, with a client that knows nothing else: pools, members and VIPs.

One story in order: each test needs those before it.
"""

import re

import pytest

from tests.e2e.balancing import INSIDE, Site, alternating
from tests.e2e.legacy import Legacy, Said
from tests.e2e.world import World
from tests.sandbox import eventually

VIP = "172.24.17.4"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")


class Story(Site):
    """What the tests tell each other."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.client = Legacy(world.machine, "liberty")
        self.pool_name, self.vip_name = world.name("mypool"), world.name("myvip")
        self.pool = self.monitor = self.vip = self.port = ""

    def neutron(self, command: str) -> Said:
        """Run a command of the client."""
        return self.client.neutron(command)

    def statuses(self, kind: str) -> set[str]:
        """Those of all objects of a kind."""
        return {row["status"] for row in self.neutron(f"lb-{kind}-list -c id -c status").rows}

    def sweep(self) -> None:
        """Delete what is left."""
        for kind, named in (("vip", self.vip), ("pool", self.pool), ("healthmonitor", self.monitor)):
            if named:
                self.client.neutron(f"lb-{kind}-delete {named}", check=False)


@pytest.fixture(scope="module")
def story(world: World):
    made = Story(world)
    yield made
    made.sweep()


def shows(said: Said, heading: str, **wanted: str) -> None:
    """See that a client says this above a record that has these values."""
    assert said.heading == heading
    assert {name: said.record.get(name) for name in wanted} == wanted
    assert UUID.fullmatch(said.record["id"])


def test_003_11_12_a_pool_waits_for_its_vip(story):
    said = story.neutron(
        f"lb-pool-create --lb-method ROUND_ROBIN --name {story.pool_name} --protocol HTTP --subnet-id {story.subnet}"
    )
    shows(
        said, "Created a new pool:", admin_state_up="True", description="", health_monitors="", lb_method="ROUND_ROBIN",
        members="", name=story.pool_name, protocol="HTTP", status="PENDING_CREATE", subnet_id=story.subnet, vip_id="",
    )  # fmt: skip
    story.pool = said.record["id"]
    listed = story.neutron("lb-pool-list")
    assert {"id", "name", "lb_method", "protocol", "admin_state_up", "status"} <= set(listed.columns)
    assert story.statuses("pool") == {"PENDING_CREATE"}


def test_003_13_members(story):
    for address in INSIDE:
        said = story.neutron(f"lb-member-create --address {address} --protocol-port 80 {story.pool_name}")
        shows(
            said, "Created a new member:", address=address, admin_state_up="True", pool_id=story.pool,
            protocol_port="80", status="PENDING_CREATE", weight="1",
        )  # fmt: skip


def test_003_14_15_16_a_health_monitor(story):
    said = story.neutron("lb-healthmonitor-create --delay 3 --type HTTP --max-retries 3 --timeout 3")
    shows(
        said, "Created a new health_monitor:", admin_state_up="True", delay="3", expected_codes="200",
        http_method="GET", max_retries="3", status="PENDING_CREATE", timeout="3", type="HTTP", url_path="/",
    )  # fmt: skip
    story.monitor = said.record["id"]
    listed = story.neutron("lb-healthmonitor-list -c id -c type -c admin_state_up -c status")
    assert listed.rows == [{"id": story.monitor, "type": "HTTP", "admin_state_up": "True", "status": "PENDING_CREATE"}]
    said = story.neutron(f"lb-healthmonitor-associate {story.monitor} {story.pool_name}")
    assert said.text.strip() == f"Associated health monitor {story.monitor}"


def test_003_17_to_21_all_is_active_once_there_is_a_vip(story):
    said = story.neutron(
        f"lb-vip-create --name {story.vip_name} --protocol-port 80 --protocol HTTP"
        f" --subnet-id {story.subnet} {story.pool_name}"
    )
    shows(
        said, "Created a new vip:", address=VIP, admin_state_up="True", connection_limit="-1", description="",
        name=story.vip_name, pool_id=story.pool, protocol="HTTP", protocol_port="80", status="PENDING_CREATE",
        subnet_id=story.subnet,
    )  # fmt: skip
    story.vip, story.port = said.record["id"], said.record["port_id"]
    for kind in ("vip", "pool", "healthmonitor", "member"):
        eventually(lambda kind=kind: story.statuses(kind) == {"ACTIVE"}, what=f"every {kind} ACTIVE")
    (vip,) = story.neutron("lb-vip-list").rows
    assert {"id", "name", "address", "protocol", "admin_state_up", "status"} <= vip.keys()
    assert (vip["name"], vip["address"], vip["protocol"]) == (story.vip_name, VIP, "HTTP")
    members = story.neutron("lb-member-list").rows
    assert {(row["address"], row["protocol_port"]) for row in members} == {(address, "80") for address in INSIDE}


def test_003_22_haproxy_runs(story):
    folder = f"lbaas/{story.pool}"
    running = story.haproxies(story.pool)
    assert {row["user"] for row in running} == {"root", "nobody"}, "a master, and its worker without privileges"
    for row in running:
        assert re.match(rf"haproxy -f \S+/{folder}/conf -p \S+/{folder}/pid", row["command"])


def test_003_23_24_the_namespace_has_the_vip(story):
    listed = story.world.machine.run("ip", "netns").stdout
    assert {f"qlbaas-{story.pool}", f"qdhcp-{story.network}"} <= set(listed.split())
    shown = story.in_balancer(story.pool, "ip", "addr")
    tap = f"tap{story.port[:11]}"
    mac = story.openstack(f"port show {story.port}")["mac_address"]
    assert re.search(rf"{tap}\S*: <[^>]*UP", shown)
    assert f"link/ether {mac}" in shown
    assert mac.startswith("fa:16:3e:")
    assert re.search(rf"inet {VIP}/24 brd 172\.24\.17\.255 scope global {tap}", shown)
    assert "inet6 fe80::f816:3eff:fe" in shown
    assert re.search(r"lo: <LOOPBACK,UP", shown)


def test_003_25_the_servers_answer_strictly_in_turn(story):
    assert alternating(story.served(f"http://{VIP}/", 5))

    def counted() -> int:
        return int(story.neutron(f"lb-pool-stats {story.pool_name}").record["total_connections"])

    eventually(lambda: counted() == 5, what="five connections counted")


def test_a_server_that_dies_is_inactive_until_it_returns(story):
    story.neutron(f"lb-healthmonitor-update {story.monitor} --delay 1 --timeout 1 --max-retries 1")
    story.stop("vm1")
    eventually(lambda: story.statuses("member") == {"ACTIVE", "INACTIVE"}, what="one member INACTIVE")
    assert set(story.served(f"http://{VIP}/")) == {"vm2"}
    story.start("vm1")
    eventually(lambda: story.statuses("member") == {"ACTIVE"}, what="all members ACTIVE")


def test_who_carries_the_pool(story):
    agents = {row["agent_type"]: row for row in story.neutron("agent-list").rows}
    balancing = agents["Loadbalancer agent"]
    assert (balancing["alive"], balancing["admin_state_up"]) == (":-)", "True")
    (pool,) = story.neutron(f"lb-pool-list-on-agent {balancing['id']}").rows
    assert (pool["id"], pool["name"]) == (story.pool, story.pool_name)
    (agent,) = story.neutron(f"lb-agent-hosting-pool {story.pool_name}").rows
    assert (agent["id"], agent["host"], agent["alive"]) == (balancing["id"], balancing["host"], ":-)")


def test_the_picture_of_a_pool_shows_its_vip_and_servers(story):
    drawn = story.world.machine.run("netloom", "draw", story.pool_name).stdout
    drawing, _, members = drawn.partition("VIP ")
    assert f"tap{story.port[:11]}" in drawing
    rows = [line.split() for line in members.splitlines()[1:]]
    assert sorted(row[:4] for row in rows) == [
        [VIP, story.vip_name, story.pool_name, f"{address}:80"] for address in sorted(INSIDE)
    ]
    assert {row[4] for row in rows} == {story.world.name("vm1"), story.world.name("vm2")}
    assert {row[5] for row in rows} == {"ACTIVE"}


def test_all_that_was_made_goes(story):
    for kind, named in (("vip", story.vip), ("pool", story.pool)):
        assert story.neutron(f"lb-{kind}-delete {named}").text.strip() == f"Deleted {kind}: {named}"
    story.neutron(f"lb-healthmonitor-delete {story.monitor}")
    assert story.neutron("lb-member-list").rows == []
    eventually(lambda: not story.remains(story.pool), what="nothing left of the pool")
    story.pool = story.vip = story.monitor = ""
