"""SQL statements per request, counted at the database driver; transaction control excepted."""

import json
from pathlib import Path

from bench.results import Result
from netloom.api.app import create_app
from netloom.api.policy import Policy
from netloom.cli.terminal import step
from netloom.settings.network import NetworkSettings
from netloom.store.database import Store
from netloom.store.migrate import migrate
from tests.api.client import Api, TestClient, authenticate  # type: ignore[attr-defined]
from tests.statements import statements

GROUP = "statements"


def measure(directory: Path) -> list[Result]:
    """Statements of the requests that the other groups time; the same with any number of objects (tests hold it)."""
    store = Store(f"sqlite:///{directory}/statements.db")
    migrate(store)
    client = TestClient(create_app(store, NetworkSettings(), authenticate, Policy(str(directory / "policy.yaml"))))
    api = Api(client, "admin", "bench")
    try:
        with step("statements"):
            return [Result(GROUP, what, count, "statements") for what, count in _counts(api, store).items()]
    finally:
        store.close()


def _counts(api: Api, store: Store) -> dict[str, int]:
    network = api.network()["id"]
    subnet = api.subnet(network)["id"]
    port = api.port(network)["id"]
    router = api.post("routers", {"router": {"name": "bench"}})["router"]["id"]
    requests = {
        "port create": ("POST", "ports", {"port": {"network_id": network}}),
        "100 ports in one request": ("POST", "ports", {"ports": [{"network_id": network}] * 100}),
        "port show": ("GET", f"ports/{port}", None),
        "port list": ("GET", "ports", None),
        "port update": ("PUT", f"ports/{port}", {"port": {"name": "changed"}}),
        "port delete": ("DELETE", f"ports/{port}", None),
        "add router interface": ("PUT", f"routers/{router}/add_router_interface", {"subnet_id": subnet}),
    }
    counts = {}
    for what, (method, path, body) in requests.items():
        with statements(store) as seen:
            answer = api.ask(method, path, body)
        assert answer.status_code < 300, json.dumps(answer.json())
        counts[what] = len(seen)
    return counts
