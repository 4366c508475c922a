"""Get me a network, as clients ask for it."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import urllib3
import uvicorn

from netloom.api.app import create_app
from netloom.store.database import Store
from tests.api.client import Api, authenticate
from tests.statements import statements

PATH = "auto-allocated-topology"
AT_ONCE = 50
MOST = 100
"""A bound for the statements of a topology with both families."""


@pytest.fixture
def ready(admin: Api) -> Api:
    """A cloud with a default external network and default pools that all may use."""
    out = admin.network(**{"router:external": True, "is_default": True})
    admin.subnet(out["id"], "203.0.113.0/24")
    for prefix, length in (("10.0.0.0/16", 24), ("2001:db8::/48", 64)):
        pool = {"name": "p", "prefixes": [prefix], "default_prefixlen": length, "is_default": True, "shared": True}
        admin.post("subnetpools", {"subnetpool": pool})
    return admin


def topology(api: Api, project: str = "None") -> dict:
    return api.get(f"{PATH}/{project}")["auto_allocated_topology"]


def left(api: Api) -> list[str]:
    """What there is by the names of topologies' parts."""
    lists = (api.get(path) for path in ("networks", "subnets", "routers"))
    return sorted(
        item["name"] for found in lists for items in found.values() for item in items if "auto" in item["name"]
    )


WHOLE = ["auto_allocated_network", "auto_allocated_router", "auto_allocated_subnet_v4", "auto_allocated_subnet_v6"]


def test_a_topology_comes_and_goes(alice: Api, ready: Api) -> None:
    made = topology(alice)
    assert made == {"id": made["id"], "project_id": "alpha", "tenant_id": "alpha"}
    assert topology(alice, "alpha") == topology(alice, "alpha.json") == topology(ready, "alpha") == made
    assert alice.get("auto_allocated_topology/None.json")["auto_allocated_topology"] == made
    assert alice.get(f"networks/{made['id']}")["network"]["admin_state_up"] is True
    assert left(alice) == WHOLE
    alice.delete(f"{PATH}/None.json")
    alice.delete(f"{PATH}/alpha")
    assert left(alice) == []
    topology(alice)
    ready.delete(f"{PATH}/alpha")
    assert left(alice) == []


def test_whether_one_could_be_made(alice: Api, admin: Api) -> None:
    def fails() -> str:
        return alice.fails(409, "AutoAllocationFailure", "GET", f"{PATH}/alpha?fields=dry-run")

    assert fails() == "Deployment error: No default router:external network."
    assert alice.fails(409, "AutoAllocationFailure", "GET", f"{PATH}/alpha") == fails()
    admin.network(**{"router:external": True, "is_default": True})
    assert fails() == "Deployment error: No default subnetpools defined."
    pool = {"name": "p", "prefixes": ["10.0.0.0/16"], "is_default": True}
    own = admin.post("subnetpools", {"subnetpool": pool})["subnetpool"]["id"]
    assert fails() == "Deployment error: No default subnetpools defined."
    share = {"object_type": "subnetpool", "object_id": own, "action": "access_as_shared", "target_tenant": "*"}
    admin.post("rbac-policies", {"rbac_policy": share})
    passed = {"id": "dry-run=pass", "project_id": "alpha", "tenant_id": "alpha"}
    assert alice.get(f"{PATH}/alpha?fields=dry-run")["auto_allocated_topology"] == passed
    assert left(admin) == []


def test_who_may_ask_and_for_what(alice: Api, bob: Api, ready: Api) -> None:
    for verb, rule in (("GET", "get"), ("DELETE", "delete")):
        message = bob.fails(403, "PolicyNotAuthorized", verb, f"{PATH}/alpha")
        assert message == f"rule:{rule}_auto_allocated_topology is disallowed by policy"
    topology(alice)
    reader = alice.as_("reader")
    topology(reader)
    reader.fails(403, "PolicyNotAuthorized", "DELETE", f"{PATH}/alpha")
    assert left(alice) == WHOLE


@pytest.mark.parametrize(
    ("status", "kind", "method", "path"),
    [
        (400, "BadRequest", "GET", f"{PATH}/alpha?fields=id"),
        (400, "BadRequest", "GET", f"{PATH}/alpha?fields=dry-run&fields=id"),
        (405, "HTTPMethodNotAllowed", "GET", PATH),
        (405, "HTTPMethodNotAllowed", "POST", PATH),
        (405, "HTTPMethodNotAllowed", "PUT", f"{PATH}/alpha"),
        (404, "HTTPNotFound", "GET", f"{PATH}/alpha/tags"),
        (400, "HTTPBadRequest", "GET", f"{PATH}/{'a' * 65}"),
    ],
)
def test_what_is_not_offered(ready: Api, status: int, kind: str, method: str, path: str) -> None:
    ready.fails(status, kind, method, path)
    assert left(ready) == []


def test_one_that_is_used_is_not_removed(alice: Api, ready: Api) -> None:
    port = alice.port(topology(alice)["id"])
    message = alice.fails(409, "NetworkInUse", "DELETE", f"{PATH}/None")
    assert port["id"] in message
    assert left(alice) == WHOLE
    alice.delete(f"ports/{port['id']}")
    alice.delete(f"{PATH}/None")


def test_statements(alice: Api, ready: Api, store: Store) -> None:
    """As many for the tenth project as for the first, and one for a topology that is there."""
    counts = []
    for number in range(10):
        api = alice.as_("member", f"project{number}")
        verbs = []
        for request in (lambda api=api: topology(api), lambda api=api: api.delete(f"{PATH}/None")):
            with statements(store) as seen:
                request()
            verbs.append(len(seen))
        topology(api)
        with statements(store) as seen:
            topology(api)
        counts.append((*verbs, len(seen)))
    assert set(counts) == {counts[0]}
    assert max(counts[0][:2]) <= MOST
    assert counts[0][2] == 1


@contextmanager
def serving(store: Store, settings, policy):
    """The address of a server of its own."""
    config = uvicorn.Config(create_app(store, settings, authenticate, policy), port=0, log_config=None)
    server = uvicorn.Server(config)
    sockets = [config.bind_socket()]
    sockets[0].listen()
    thread = threading.Thread(target=server.run, kwargs={"sockets": sockets})
    thread.start()
    try:
        yield f"http://127.0.0.1:{sockets[0].getsockname()[1]}/v2.0"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def servers(store: Store, settings, policy):
    """The addresses of two servers of one cloud; SQLite is for one process, so both share its store there."""
    own = store.engine.dialect.name == "postgresql"
    second = Store(store.engine.url.render_as_string(hide_password=False)) if own else store
    with serving(store, settings, policy) as one, serving(second, settings, policy) as two:
        yield one, two
    if own:
        second.close()


def at_once(servers, method: str, projects: list[str]) -> list[tuple[int, bytes]]:
    pool = urllib3.PoolManager(maxsize=AT_ONCE, block=True)

    def send(item: tuple[int, str]) -> tuple[int, bytes]:
        number, project = item
        headers = {"X-Auth-Token": f"member:{project}"}
        url = f"{servers[number % 2]}/{PATH}/None.json"
        answer = pool.request(method, url, headers=headers, retries=False, timeout=60)
        return answer.status, answer.data

    with ThreadPoolExecutor(AT_ONCE) as executor:
        return list(executor.map(send, enumerate(projects)))


def test_many_at_once_make_one(servers, alice: Api, ready: Api) -> None:
    answers = at_once(servers, "GET", ["alpha"] * AT_ONCE)
    assert Counter(status for status, _ in answers) == {200: AT_ONCE}
    assert len({content for _, content in answers}) == 1
    assert left(ready) == WHOLE
    routers = alice.get("routers")["routers"]
    ports = {port["device_id"] for port in ready.get("ports")["ports"] if port["device_owner"].startswith("network:r")}
    assert ports == {router["id"] for router in routers}
    assert Counter(status for status, _ in at_once(servers, "DELETE", ["alpha"] * AT_ONCE)) == {204: AT_ONCE}
    assert left(ready) == []


def test_many_projects_at_once(servers, ready: Api) -> None:
    """Each gets its own, of prefixes of its own."""
    projects = [f"project{number % 10}" for number in range(AT_ONCE)]
    answers = at_once(servers, "GET", projects)
    assert Counter(status for status, _ in answers) == {200: AT_ONCE}
    assert len({content for _, content in answers}) == 10
    assert left(ready) == sorted(WHOLE * 10)
    subnets = [item for item in ready.get("subnets")["subnets"] if item["name"].startswith("auto")]
    assert len({item["cidr"] for item in subnets}) == 20


def test_made_and_removed_at_once(servers, ready: Api) -> None:
    """All of it or nothing is left, and nobody is told of a fault."""
    with ThreadPoolExecutor(2) as both:
        made = both.submit(at_once, servers, "GET", ["alpha"] * 20)
        removed = both.submit(at_once, servers, "DELETE", ["alpha"] * 20)
    assert {status for status, _ in made.result()} == {200}
    assert {status for status, _ in removed.result()} == {204}
    assert left(ready) in ([], WHOLE)
