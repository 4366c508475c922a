"""Agents and several real servers on one PostgreSQL database."""

import signal
import statistics
import time
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from netloom.feed.protocol import PATH, VERSION, Hello, Refused, Status, Traffic, Update, decode_server, encode
from tests.api.feed_world import Cluster, Server, until


@pytest.fixture(scope="module")
def database(postgresql: sa.URL) -> Iterator[str]:
    server = sa.create_engine(postgresql, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with server.connect() as connection:
        connection.execute(sa.text("CREATE DATABASE streams"))
    yield postgresql.set(database="streams").render_as_string()
    with server.connect() as connection:
        connection.execute(sa.text("DROP DATABASE streams WITH (FORCE)"))


@pytest.fixture(scope="module")
def cluster(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster"), database, servers=2, down_time=3) as made:
        yield made


@pytest.fixture
def servers(cluster: Cluster) -> list[Server]:
    for server in cluster.servers:
        if server.process is None:
            server.start()
    return cluster.servers


def network(server: Server) -> str:
    return str(server.make("network")["id"])


def port(server: Server, network_id: str, host: str) -> str:
    made = server.make("port", network_id=network_id, **{"binding:host_id": host, "device_owner": "compute:nova"})
    assert made["binding:vif_type"] == "ovs"
    return str(made["id"])


def test_changes_made_at_another_server_come_at_once(cluster, servers):
    here, there = servers
    host = cluster.host("across", [there])
    net = network(here)
    took = []
    for _ in range(15):
        began = time.monotonic()
        name = f"port/{port(here, net, 'across')}"
        answered = time.monotonic()
        until(lambda name=name: name in host.holds)
        took.append(time.monotonic() - answered)
        assert time.monotonic() - began < 5
    print(
        f"other server's change to host: median {statistics.median(took) * 1000:.1f} ms, worst {max(took) * 1000:.0f}"
    )
    assert statistics.median(took) < 0.2  # by looking now and then it would be half a second


def test_applied_ports_become_active_and_their_neighbours_are_told(cluster, servers):
    here, there = servers
    first, second = cluster.host("first", [here]), cluster.host("second", [there])
    net = network(here)
    mine, other = port(here, net, "first"), port(there, net, "second")
    until(lambda: {f"port/{mine}", f"neighbour/{other}", "peer/second"} <= first.holds)
    until(lambda: {f"port/{other}", f"neighbour/{mine}", "peer/first"} <= second.holds)
    until(lambda: {here.get(f"ports/{each}")["port"]["status"] for each in (mine, other)} == {"ACTIVE"})
    assert here.ask("DELETE", f"/v2.0/ports/{other}")[0] == 204
    until(lambda: not {f"neighbour/{other}", "peer/second"} & first.holds)
    until(lambda: not any(name.startswith(("neighbour", "peer", "port")) for name in second.holds))


def test_tunnel_ends_move(cluster, servers):
    """A host with another address is told of as such, also when it kept its agent's row."""
    first, second = cluster.host("moving", servers[:1]), cluster.host("staying", servers[1:])
    net = network(servers[0])
    for host in ("moving", "staying"):
        port(servers[0], net, host)
    until(lambda: "peer/moving" in second.holds)
    before = second.version("peer/moving")
    first.address = "10.0.2.99"
    until(lambda: second.version("peer/moving") != before)
    assert second.mirror.snapshot()[0]["peer/moving"].address == "10.0.2.99"


def test_agents_of_a_lost_server_move_at_once_and_are_told_differences_only(cluster, servers):
    here, there = servers
    host = cluster.host("orphan", servers)
    net = network(there)
    ports = [port(there, net, "orphan") for _ in range(5)]
    until(lambda: {f"port/{each}" for each in ports} <= host.holds)
    # Whichever of both it has chosen is the one to die.
    assert _serves(here, "orphan") != _serves(there, "orphan")
    dying, heir = (here, there) if _serves(here, "orphan") else (there, here)
    host.mirror.told.clear()
    dying.end(signal.SIGKILL)
    assert until(lambda: any(update.complete for update in host.mirror.told)) < 3
    assert [piece.name for update in host.mirror.told for piece in update.pieces] == []
    new = port(heir, net, "orphan")
    until(lambda: f"port/{new}" in host.holds)
    assert heir.alive("orphan") == {True}


def _serves(server: Server, host: str) -> bool:
    """Whether an agent is connected to a server, as that one's log tells."""
    lines = (server.directory / "log").read_text().splitlines()
    return any("an agent is connected" in line and f"'{host}'" in line for line in lines)


def test_agents_die_and_come_back(cluster, servers):
    """False soon after the configured time of silence, true at once after the return."""
    host = cluster.host("mortal", servers, interval=0.5)
    time.sleep(3.5)  # longer than agents may be silent
    assert servers[0].alive("mortal") == {True}
    host.stream.stop()
    assert 1.5 < until(lambda: servers[0].alive("mortal") == {False}) < 6
    assert until(lambda: cluster.host("mortal", servers) and servers[0].alive("mortal") == {True}) < 3


def test_router_states_are_told(cluster, servers):
    carriers = [cluster.host(name, servers, interval=0.5) for name in ("edge1", "edge2")]
    net = network(servers[0])
    subnet = servers[0].make("subnet", network_id=net, cidr="10.0.0.0/24", ip_version=4)
    router = servers[0].make("router", ha=True)["id"]
    path = f"/v2.0/routers/{router}/add_router_interface"
    assert servers[0].ask("PUT", path, {"subnet_id": subnet["id"]})[0] == 200
    until(lambda: any(f"router/{router}" in each.holds for each in cluster.hosts.values()))

    def told() -> dict[str, str]:
        agents = servers[1].get(f"routers/{router}/l3-agents")["agents"]
        return {agent["host"]: agent["ha_state"] for agent in agents}

    hosts = {name: cluster.hosts[name] for name in told()}
    assert len(hosts) >= 2
    active, *others = sorted(hosts)
    for name, host in hosts.items():
        host.stream.router_states({router: "active" if name == active else "standby", "unknown": "active"})
    until(lambda: told() == dict.fromkeys(others, "standby") | {active: "active"})
    hosts[active].stream.router_states({router: "fault", "unknown": "active"})
    until(lambda: told()[active] != "active")
    assert carriers


class Balancer:
    """A load balancer with a listener, a pool and a member, as one server shows it."""

    def __init__(self, server: Server) -> None:
        self.server, self.id = server, ""
        subnet = server.make("subnet", network_id=network(server), cidr="10.0.0.0/24", ip_version=4)
        self.id = self._make("loadbalancer", vip_subnet_id=subnet["id"])
        common = {"loadbalancer_id": self.id, "protocol": "HTTP"}
        self.listener = self._make("listener", protocol_port=80, **common)
        self.pool = self._make("pool", lb_algorithm="ROUND_ROBIN", listener_id=self.listener, protocol="HTTP")
        self.member = self._make("member", f"pools/{self.pool}/members", address="10.0.0.50", protocol_port=80)

    def get(self, path: str) -> dict:
        status, answer = self.server.ask("GET", f"/load-balancer/v2.0/lbaas/{path}")
        assert status == 200, answer
        return next(iter(answer.values()))

    def provisioning(self) -> str:
        return str(self.get(f"loadbalancers/{self.id}")["provisioning_status"])

    def operating(self) -> tuple[str, str, str]:
        """Of the balancer, the pool and the member."""
        paths = (f"loadbalancers/{self.id}", f"pools/{self.pool}", f"pools/{self.pool}/members/{self.member}")
        first, second, third = (str(self.get(path)["operating_status"]) for path in paths)
        return first, second, third

    def _make(self, kind: str, path: str = "", **values: object) -> str:
        status, answer = self.server.ask("POST", f"/load-balancer/v2.0/lbaas/{path or kind + 's'}", {kind: values})
        assert status == 201, answer
        self.id = self.id or answer[kind]["id"]
        until(lambda: self.provisioning() == "ACTIVE")
        return str(answer[kind]["id"])


def test_load_balancers_are_told_of(cluster, servers):
    here, there = servers
    host = cluster.host("balancing", [there], balancing=True)
    balancer = Balancer(here)
    until(lambda: f"loadbalancer/{balancer.id}" in host.holds)
    until(lambda: balancer.operating() == ("ONLINE", "ONLINE", "NO_MONITOR"))
    for state, shown in (("down", ("ERROR", "ERROR", "ERROR")), ("up", ("ONLINE",) * 3)):
        host.stream.member_states({balancer.id: {balancer.member: state}, "unknown": None})
        assert until(lambda shown=shown: balancer.operating() == shown) < 2
    for worker, octets in (("1.1", 100), ("1.1", 150), ("2.2", 30)):
        counts = Traffic(bytes_in=octets, total_connections=1)
        assert host.stream.traffic({balancer.listener: {worker: counts}, "unknown": {"1.1": counts}})
    until(lambda: balancer.get(f"loadbalancers/{balancer.id}/stats")["bytes_in"] == 180)
    assert here.ask("DELETE", f"/load-balancer/v2.0/lbaas/loadbalancers/{balancer.id}?cascade=true")[0] == 204
    until(lambda: f"loadbalancer/{balancer.id}" not in host.holds)


class TestSlices:
    """With the key of one host there is no way to the fragments of another."""

    @pytest.fixture
    def secret(self, cluster: Cluster, servers: list[Server]) -> str:
        """Name of a fragment of the host ``victim``."""
        cluster.host("victim", servers)
        return f"port/{port(servers[0], network(servers[0]), 'victim')}"

    def first(self, server: Server, header: str, holds: dict[str, str], more: list[bytes] | None = None) -> Update:
        """What a server tells first."""
        url = f"ws://127.0.0.1:{server.port}{PATH}"
        with connect(url, additional_headers={"Authorization": header}) as stream:
            stream.send(encode(Hello(VERSION, [], holds)))
            message = decode_server(stream.recv(timeout=10))
            for frame in more or ():
                stream.send(frame)
            if more:
                stream.recv(timeout=10)
        assert isinstance(message, Update)
        return message

    @pytest.mark.parametrize("version", ["", "0", "0123456789abcdef"])
    def test_names_of_others_are_only_taken_away(self, cluster, servers, secret, version):
        key = cluster.key("thief")
        told = self.first(servers[0], f"Netloom thief:{key}", {secret: version, "host/victim": "", "port/": "x"})
        assert told.pieces == []
        assert set(told.removed) == {secret, "host/victim", "port/"}

    def test_a_wrong_key_opens_nothing(self, cluster, servers, secret):
        key = cluster.key("thief")
        for header in (
            f"Netloom victim:{key}", "Netloom victim:", "Netloom :", f"Bearer victim:{key}", "",
            f"Netloom nobody:{key}", f"Netloom thief:{key}0", f"Netloom victim:thief:{key}",
        ):  # fmt: skip
            with pytest.raises(InvalidStatus) as refused:
                self.first(servers[0], header, {})
            assert refused.value.response.status_code == 403

    def test_a_replaced_key_opens_nothing(self, cluster, servers):
        old = cluster.key("rekeyed")
        cluster.key("rekeyed")
        with pytest.raises(InvalidStatus):
            self.first(servers[0], f"Netloom rekeyed:{old}", {})

    def test_reports_on_others_change_nothing(self, cluster, servers, secret):
        """A host speaks for itself only."""
        until(lambda: servers[0].get(f"ports/{secret[5:]}")["port"]["status"] == "ACTIVE")
        thief = cluster.host("liar", servers)
        thief.stream.report({secret: Status(secret, "1", "failed", "lies")})
        mine = port(servers[0], network(servers[0]), "liar")
        until(lambda: servers[0].get(f"ports/{mine}")["port"]["status"] == "ACTIVE")
        assert servers[0].get(f"ports/{secret[5:]}")["port"]["status"] == "ACTIVE"

    def test_another_protocol_is_refused(self, cluster, servers):
        url = f"ws://127.0.0.1:{servers[0].port}{PATH}"
        header = {"Authorization": f"Netloom thief:{cluster.key('thief')}"}
        with connect(url, additional_headers=header) as stream:
            stream.send(encode(Hello(VERSION + 1, [], {})))
            assert isinstance(decode_server(stream.recv(timeout=10)), Refused)
