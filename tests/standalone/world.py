"""The cloud as clients and a host see it."""

import json
import time
from collections.abc import Callable
from typing import Any

import urllib3

from netloom.cli.compose import listeners
from netloom.feed.inbox import Beat
from netloom.feed.interest import interest
from netloom.feed.protocol import Report, Role, Status
from netloom.feed.render import encode, render, version
from netloom.feed.topology import Topology
from netloom.settings.server import ServerSettings
from netloom.standalone.cloud import Cloud
from netloom.store.database import Store
from netloom.store.tables.compute import COMPUTE_HOSTS

PASSWORDS = {"admin": "secret-a", "demo": "secret-d", "netloom": "secret-n"}
MODERN = {"OpenStack-API-Version": "compute 2.95"}


class Answer:
    """What came back."""

    def __init__(self, raw: urllib3.BaseHTTPResponse) -> None:
        self.status, self.headers, self.content = raw.status, raw.headers, raw.data

    @property
    def body(self) -> Any:
        return json.loads(self.content) if self.content else None


class Host:
    """A host with all roles, that does at once what it is told."""

    def __init__(
        self, world: "World", name: str, memory_mb: int = 65536, roles: tuple[str, ...] = ("switch", "compute")
    ) -> None:
        self.world, self.name, self.memory_mb, self.roles = world, name, memory_mb, roles
        self.held: set[str] = set()
        self.beat(started=True)

    def beat(self, started: bool = False) -> None:
        """A sign of life."""
        told = {"vcpus": 8, "memory_mb": self.memory_mb, "disk_gb": 100}
        tunnels = {"tunnel_types": ["vxlan"], "bridge_mappings": {}}
        known = {
            "switch": Role("Open vSwitch agent", "neutron-openvswitch-agent", "N/A", tunnels),
            "dhcp": Role("DHCP agent", "neutron-dhcp-agent", "dhcp_agent", {"dhcp_driver": "dnsmasq"}, "nova"),
            "l3": Role("L3 agent", "neutron-l3-agent", "l3_agent", {"agent_mode": "legacy"}, "nova"),
            "loadbalancer": Role(
                "Loadbalancer agent", "neutron-lbaas-agent", "n-lbaas_agent", {"instances": 0}, "nova"
            ),
            "compute": Role("Compute", "nova-compute", "compute", told, "nova"),
        }
        with self.world.store.write() as tx:
            roles = [known[name] for name in self.roles]
            self.world.listeners.present(tx, {self.name: Beat(time.time(), roles, news=True, started=started)})

    def die(self) -> None:
        """No sign of life since long ago."""
        with self.world.store.write() as tx:
            tx.execute(COMPUTE_HOSTS.update().where(COMPUTE_HOSTS.c.host == self.name).values(heartbeat=0.0))

    def apply(self, state: str = "applied", reason: str = "", only: str = "") -> None:
        """Bring the host up to date and tell so."""
        with self.world.store.read() as tx:
            topology = Topology()
            topology.load(tx)
            found = render(tx, {name for name in interest(topology, self.name) if name.startswith(only)})
        statuses = [
            Status(name, version(encode(fragment)), state, reason, getattr(fragment, "revision", 0))  # type: ignore[arg-type]
            for name, fragment in found.items()
            if fragment is not None
        ]
        now = {status.fragment for status in statuses}
        gone = [] if only else sorted(self.held - now)
        self.held = self.held | now if only else now
        with self.world.store.write() as tx:
            self.world.listeners.report(tx, {self.name: Report(statuses, gone)})


class World:
    """A server, and hosts that the tests play."""

    def __init__(self, store: Store, settings: ServerSettings, projects: dict[str, str]) -> None:
        self.store, self.settings, self.projects = store, settings, projects
        self.cloud = Cloud(store, settings, lambda _host, _instance_id: None)
        self.listeners = listeners(settings, self.cloud)
        self.url = f"http://127.0.0.1:{settings.listen[1]}"
        self._pool = urllib3.PoolManager(retries=False, timeout=30)
        self._tokens: dict[tuple[str, str], str] = {}

    def close(self) -> None:
        self._pool.clear()
        self.cloud.close()

    def wait_until_up(self) -> None:
        deadline = time.monotonic() + 20
        while True:
            try:
                if self._pool.request("GET", f"{self.url}/healthcheck").status == 200:
                    return
            except urllib3.exceptions.HTTPError:
                pass
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.05)

    def until(self, condition: Callable[[], bool], seconds: float = 10) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not come true"
            time.sleep(0.02)

    def raw(self, method: str, path: str, content: Any = None, headers: dict[str, str] | None = None) -> Answer:
        """A request without a token."""
        return Answer(self._pool.request(method, self.url + path, body=content, headers=headers or {}))

    def token(self, user: str, project: str) -> str:
        if (user, project) not in self._tokens:
            who = {"name": user, "password": PASSWORDS[user], "domain": {"name": "Default"}}
            scope = {"project": {"name": project, "domain": {"id": "default"}}}
            auth = {"identity": {"methods": ["password"], "password": {"user": who}}, "scope": scope}
            answer = self.raw("POST", "/identity/v3/auth/tokens", json.dumps({"auth": auth}))
            self._tokens[user, project] = answer.headers["X-Subject-Token"]
        return self._tokens[user, project]

    def ask(self, method: str, path: str, body: Any = None, user: str = "demo", **more: Any) -> Answer:
        """A request by a user in the project of the same name."""
        headers = {"X-Auth-Token": self.token(user, user), "Content-Type": "application/json"} | more.pop("headers", {})
        content = more.pop("content", None) or (json.dumps(body) if body is not None else None)
        return self.raw(method, path, content, headers)

    def compute(self, method: str, path: str, body: Any = None, user: str = "demo", minor: int = 95) -> Answer:
        """A request to compute, below the version and the project."""
        project = self.projects[user]
        headers = {"OpenStack-API-Version": f"compute 2.{minor}"} if minor else {}
        return self.ask(method, f"/compute/v2.1/{project}{path}", body, user, headers=headers)

    def network(self, name: str, cidr: str, user: str = "demo", **values: Any) -> dict[str, Any]:
        """A network with a subnet."""
        body = {"network": {"name": name} | values}
        network: dict[str, Any] = self.ask("POST", "/v2.0/networks", body, user).body["network"]
        subnet = {"network_id": network["id"], "ip_version": 4, "cidr": cidr, "name": f"{name}-subnet"}
        answer = self.ask("POST", "/v2.0/subnets", {"subnet": subnet}, user)
        assert answer.status == 201, answer.content
        return network

    def image_id(self) -> str:
        images = self.ask("GET", "/image/v2/images?name=cirros").body["images"]
        return str(images[0]["id"])

    def boot(self, name: str, networks: Any, user: str = "demo", minor: int = 95, **values: Any) -> Answer:
        """A request for an instance."""
        server = {"name": name, "imageRef": self.image_id(), "flavorRef": "0", "networks": networks} | values
        return self.compute("POST", "/servers", {"server": server}, user, minor)

    def server(self, server_id: str, user: str = "demo", minor: int = 95) -> dict[str, Any]:
        answer = self.compute("GET", f"/servers/{server_id}", user=user, minor=minor)
        assert answer.status == 200, answer.content
        found: dict[str, Any] = answer.body["server"]
        return found
