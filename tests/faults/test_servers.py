"""Two servers on one PostgreSQL database: one cloud, whichever is asked, and whatever dies meanwhile."""

import multiprocessing
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from netloom.settings.load import read, server_settings
from netloom.standalone import cloud
from netloom.store.database import Store
from netloom.store.migrate import HEAD, migrate
from netloom.store.tables.feed import CHANGES
from netloom.store.tables.identity import TOKEN_KEYS, USERS
from netloom.store.tables.network import IP_ALLOCATIONS, NETWORKS, PORTS, SEGMENT_ALLOCATIONS
from tests.databases import PostgreSQL, postgresql_at_will
from tests.faults.servers import Client, Cluster, Server, frozen
from tests.sandbox import eventually

OUTAGES = {"fast": 12.0, "immediate": 6.0}
"""Seconds without a database, by how it is stopped: longer than any wait in the code for a connection."""
PATIENCE = 3.0
"""Seconds within which a server says that its database is away."""
BURST, CLIENTS = 200, 8


@pytest.fixture(scope="module")
def postgresql_server() -> Iterator[PostgreSQL]:
    with postgresql_at_will() as server:
        yield server


@pytest.fixture(scope="module")
def cluster(postgresql_server: PostgreSQL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(postgresql_server, tmp_path_factory.mktemp("cluster"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def client(cluster: Cluster) -> Client:
    return Client(cluster.servers[0])


@pytest.fixture
def network(cluster: Cluster, client: Client) -> Iterator[str]:
    """A network with a subnet, and nothing of it left afterwards."""
    first = cluster.servers[0]
    made = client.make(first, "network", name="net")["id"]
    client.make(first, "subnet", network_id=made, ip_version=4, cidr="10.8.0.0/22")
    yield made
    left = next(server for server in cluster.servers if server.alive)
    for port in client.all(left, "ports", f"network_id={made}"):
        client.ask(left, "DELETE", f"/v2.0/ports/{port['id']}")
    assert client.ask(left, "DELETE", f"/v2.0/networks/{made}")[0] == 204


def test_started_at_once_on_an_empty_database_they_made_one_cloud(cluster: Cluster):
    with cluster.store.read() as tx:
        assert tx.execute(sa.text("SELECT version_num FROM alembic_version")).scalars().all() == [HEAD]
        assert len(tx.rows(sa.select(TOKEN_KEYS))) == 1
    for server in cluster.servers:
        assert "Traceback" not in (server.directory / "log").read_text()


def test_a_database_is_migrated_and_furnished_by_many_at_once(postgresql_server: PostgreSQL, cluster: Cluster):
    url = postgresql_server.create("furnished").render_as_string()
    settings = server_settings(read([cluster.servers[0].file]))
    fork = multiprocessing.get_context("fork")
    together = fork.Barrier(4)

    def begin(number: int) -> None:
        store = Store(url)
        together.wait(20)
        migrate(store)
        cloud.bootstrap(store, settings, dict.fromkeys(("admin", "demo", "netloom"), f"password-{number}"))

    processes = [fork.Process(target=begin, args=(number,)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0] * 4
    store = Store(url)
    with store.read() as tx:
        names = tx.execute(sa.select(USERS.c.name)).scalars().all()
    store.close()
    assert sorted(names) == ["admin", "demo", "netloom"]


def test_a_server_starts_on_the_schema_of_a_newer_one(postgresql_server: PostgreSQL):
    store = Store(postgresql_server.create("newer").render_as_string())
    migrate(store)
    with store.write() as tx:
        tx.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    migrate(store)
    with store.read() as tx:
        assert tx.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one() == "9999"
    store.close()


def test_a_token_of_one_is_valid_at_the_other(cluster: Cluster):
    for there, here in (cluster.servers, cluster.servers[::-1]):
        assert Client(there).ask(here, "GET", "/v2.0/networks")[0] == 200
        assert Client(there).ask(here, "GET", "/identity/v3/projects")[0] == 200


def test_what_one_has_written_the_other_reads_at_once(cluster: Cluster, client: Client):
    here, there = cluster.servers
    for number in range(30):
        here, there = there, here
        made = client.make(here, "network", name=f"round-{number}")
        path = f"/v2.0/networks/{made['id']}"
        status, read_there = client.ask(there, "GET", path)
        assert (status, read_there) == (200, {"network": made})
        assert client.ask(there, "PUT", path, {"network": {"name": "new"}})[0] == 200
        assert client.ask(here, "GET", path)[1]["network"]["name"] == "new"
        assert client.ask(here, "DELETE", path)[0] == 204
        assert client.ask(there, "GET", path)[0] == 404


def test_numbers_are_given_once_by_all_servers(cluster: Cluster, client: Client, network: str):
    def create(number: int) -> tuple[int, str]:
        server = cluster.servers[number % 2]
        made = client.make(server, "network", name=f"many-{number}")
        port = client.make(server, "port", network_id=network)
        assert client.ask(cluster.servers[1 - number % 2], "DELETE", f"/v2.0/networks/{made['id']}")[0] == 204
        return made["provider:segmentation_id"], port["fixed_ips"][0]["ip_address"]

    with ThreadPoolExecutor(CLIENTS) as pool:
        given = list(pool.map(create, range(60)))
    assert len({address for _, address in given}) == 60
    made = [client.make(cluster.servers[number % 2], "network") for number in range(10)]
    assert len({one["provider:segmentation_id"] for one in made}) == 10
    for one in made:
        client.ask(cluster.servers[0], "DELETE", f"/v2.0/networks/{one['id']}")


def test_a_quota_holds_whoever_is_asked(cluster: Cluster, client: Client):
    first = cluster.servers[0]
    quota = f"/v2.0/quotas/{client.project}"
    limit = len(client.all(first, "networks")) + 5
    assert client.ask(first, "PUT", quota, {"quota": {"network": limit}})[0] == 200

    def create(number: int) -> int:
        return client.ask(cluster.servers[number % 2], "POST", "/v2.0/networks", {"network": {"name": "quota"}})[0]

    with ThreadPoolExecutor(CLIENTS) as pool:
        assert Counter(pool.map(create, range(20))) == {201: 5, 409: 15}
    client.ask(first, "DELETE", quota)
    for made in client.all(first, "networks", "name=quota"):
        assert client.ask(first, "DELETE", f"/v2.0/networks/{made['id']}")[0] == 204


def test_a_change_through_one_reaches_the_host_of_the_other(cluster: Cluster, client: Client, network: str):
    here, there = cluster.servers
    with cluster.host("far", there).running() as host:
        for number in range(5):
            port = bound_port(client, here, network, host.name, f"far-{number}")
            eventually(lambda port=port: f"port/{port}" in host.fragments, 5, "the other server's host knows the port")
            eventually(lambda port=port: status_of(client, here, port) == "ACTIVE", 5, "the port is ACTIVE")


@pytest.mark.parametrize("way", OUTAGES)
def test_without_a_database_they_say_so_and_afterwards_go_on(cluster: Cluster, client: Client, network: str, way: str):
    here, there = cluster.servers
    with cluster.host("patient", there, here).running() as host:
        before = bound_port(client, here, network, host.name, "before")
        eventually(lambda: status_of(client, here, before) == "ACTIVE", 10, "the port is ACTIVE")
        known, networks = host.fragments, ids(client, here, "networks")
        cluster.postgresql.stop(way)
        try:
            until = time.monotonic() + OUTAGES[way]
            while time.monotonic() < until:
                refused(client, here, "GET", "/v2.0/networks", neutron=True)
                refused(client, there, "POST", "/v2.0/networks", {"network": {"name": "lost"}}, neutron=True)
                refused(client, here, "GET", "/healthcheck")
                refused(client, there, "GET", "/identity/v3/projects")
                assert host.fragments == known
                time.sleep(0.2)
        finally:
            cluster.postgresql.start()
        for server in cluster.servers:
            eventually(server.healthy, 5, "the server has its database again")
            assert client.ask(server, "GET", "/v2.0/networks")[0] == 200
        assert ids(client, there, "networks") == networks
        after = bound_port(client, here, network, host.name, "after")
        eventually(lambda: status_of(client, there, after) == "ACTIVE", 15, "the host goes on")
        assert known <= host.fragments
    assert all(server.alive for server in cluster.servers)
    whole(cluster)


def test_while_the_database_is_frozen_nothing_is_lost(cluster: Cluster, client: Client, network: str):
    """Nothing is refused by anybody then: requests wait, and are answered, or told that too many wait."""
    here, there = cluster.servers

    def create(number: int) -> tuple[int, str]:
        name = f"cold-{number}"
        status, answer = client.ask(cluster.servers[number % 2], "POST", "/v2.0/ports", port_body(network, name))
        assert status in (201, 503), answer
        return status, name

    with ThreadPoolExecutor(CLIENTS) as pool:
        with frozen(cluster.postgresql):
            answers = [pool.submit(create, number) for number in range(CLIENTS)]
            time.sleep(2)  # the time that it is frozen
            assert not any(answer.done() and answer.result()[0] == 201 for answer in answers)
        created = {name for status, name in (answer.result() for answer in answers) if status == 201}
    assert created <= {port["name"] for port in client.all(there, "ports", f"network_id={network}")}
    assert client.ask(here, "GET", "/v2.0/networks")[0] == 200
    whole(cluster)


def test_a_server_killed_in_a_burst_loses_nothing_and_doubles_nothing(cluster: Cluster, client: Client, network: str):
    victim, other = cluster.servers
    acknowledged: dict[str, str] = {}
    unanswered: set[str] = set()
    some = threading.Event()

    def create(number: int) -> None:
        """As a client does: it asks a server, and the other one when there is no answer."""
        name = f"burst-{number}"
        for server in random.sample([victim, other], 2):
            status, answer = client.ask(server, "POST", "/v2.0/ports", port_body(network, name, host.name))
            if status == 201:
                acknowledged[name] = answer["port"]["id"]
                break
            assert status == 0, answer
            unanswered.add(name)
        if len(acknowledged) > BURST // 4:
            some.set()

    with cluster.host("steady", victim, other).running() as host:
        with ThreadPoolExecutor(CLIENTS) as pool:
            creating = [pool.submit(create, number) for number in range(BURST)]
            assert some.wait(30)
            victim.kill()
            for each in creating:
                each.result()
        assert unanswered, "the server was killed too late to be noticed"
        assert len(acknowledged) == BURST
        ports = client.all(other, "ports", f"network_id={network}")
        named = Counter(port["name"] for port in ports if port["name"])
        assert {name for name, count in named.items() if count > 1} <= unanswered  # made, but the answer was lost
        assert set(acknowledged.values()) <= {port["id"] for port in ports}
        assert all(len(port["fixed_ips"]) == 1 and port["security_groups"] for port in ports)
        whole(cluster)
        ours = f"network_id={network}&binding%3Ahost_id={host.name}"
        assert {port["binding:vif_type"] for port in client.all(other, "ports", ours)} == {"ovs"}
        eventually(
            lambda: {port["status"] for port in client.all(other, "ports", ours)} == {"ACTIVE"}, 30, "all are ACTIVE"
        )
    victim.start()
    eventually(victim.healthy, 30, "the server is back")
    assert ids(client, victim, "ports") == ids(client, other, "ports")


def port_body(network: str, name: str, host: str = "") -> dict[str, object]:
    port = {"network_id": network, "name": name, "device_owner": "compute:nova", "binding:host_id": host}
    return {"port": port}


def bound_port(client: Client, server: Server, network: str, host: str, name: str) -> str:
    status, answer = client.ask(server, "POST", "/v2.0/ports", port_body(network, name, host))
    assert status == 201, answer
    return str(answer["port"]["id"])


def status_of(client: Client, server: Server, port: str) -> str:
    status, answer = client.ask(server, "GET", f"/v2.0/ports/{port}")
    return str(answer["port"]["status"]) if status == 200 else str(status)


def ids(client: Client, server: Server, collection: str) -> set[str]:
    return {one["id"] for one in client.all(server, collection)}


def refused(
    client: Client, server: Server, method: str, path: str, body: object = None, *, neutron: bool = False
) -> None:
    """The answer is 503, soon, in the form of the API."""
    began = time.monotonic()
    status, answer = client.ask(server, method, path, body)
    assert status == 503, answer
    assert time.monotonic() - began < PATIENCE
    if neutron:
        assert answer["NeutronError"]["type"] == "DatabaseUnavailable"
        assert "Try again" in answer["NeutronError"]["message"]


def whole(cluster: Cluster) -> None:
    """What the database's own constraints do not hold: every address and segment has its object, and vice versa."""
    with cluster.store.read() as tx:
        allocated = tx.execute(sa.select(IP_ALLOCATIONS.c.subnet_id, IP_ALLOCATIONS.c.ip_address)).all()
        assert len(set(allocated)) == len(allocated)
        addressed = set(tx.execute(sa.select(IP_ALLOCATIONS.c.port_id)).scalars())
        assert addressed == set(tx.execute(sa.select(PORTS.c.id)).scalars())
        segments = tx.execute(sa.select(SEGMENT_ALLOCATIONS.c.network_id)).scalars().all()
        assert sorted(segments) == sorted(tx.execute(sa.select(NETWORKS.c.id)).scalars())
        macs = tx.execute(sa.select(PORTS.c.network_id, PORTS.c.mac_address)).all()
        assert len(set(macs)) == len(macs)
        logged = set(tx.execute(sa.select(CHANGES.c.object_id).where(CHANGES.c.kind == "port")).scalars())
        assert addressed <= logged
