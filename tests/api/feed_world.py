"""Real server processes on one database, and agents without a data plane: the real stream, its client, and reports."""

import http.client
import json
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from netloom.feed import keys
from netloom.feed.client import Mirror, Stream
from netloom.feed.protocol import Role, Status, Update
from netloom.store.database import Store
from netloom.store.migrate import migrate

CONFIGURATION = """\
[DEFAULT]
bind_port = {port}
auth_strategy = noauth
state_path = {directory}/state
agent_down_time = {down_time}
dhcp_agents_per_network = 2
[netloom]
run_path = {directory}/run
config_path = {directory}/etc
[agent]
report_interval = 1
[database]
connection = {database}
"""


def until(condition: Callable[[], Any], seconds: float = 10.0) -> float:
    """Wait until something is so; returns how long it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "it did not come true"
        time.sleep(0.002)
    return time.monotonic() - began


class Server:
    """A server process."""

    def __init__(self, directory: Path, database: str, down_time: int = 75) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.port: int = free.getsockname()[1]
        self.directory = directory
        directory.mkdir()
        for name in ("state", "run"):
            (directory / name).mkdir()
        (directory / "conf").write_text(
            CONFIGURATION.format(port=self.port, directory=directory, database=database, down_time=down_time)
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        argv = [sys.executable, "-m", "netloom.cli.main", "--config-file", str(self.directory / "conf"), "server"]
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until(self._answers, 30)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.directory / "log").read_text()[-2000:]
        try:
            return self.ask("GET", "/healthcheck")[0] == 200
        except OSError:
            return False

    def end(self, number: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(15)
            self.process = None

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and body of an answer to an administrator."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            headers = {"X-Project-Id": "alpha", "X-User-Id": "root", "X-Roles": "admin"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            content = answer.read()
        return answer.status, json.loads(content) if content and content[:1] in b"{[" else content

    def make(self, collection: str, **values: Any) -> dict[str, Any]:
        status, answer = self.ask("POST", f"/v2.0/{collection}s", {collection.replace("-", "_"): values})
        assert status == 201, answer
        made: dict[str, Any] = answer[collection.replace("-", "_")]
        return made

    def get(self, path: str) -> Any:
        status, answer = self.ask("GET", f"/v2.0/{path}")
        assert status == 200, answer
        return answer

    def alive(self, host: str) -> set[bool]:
        return {agent["alive"] for agent in self.get(f"agents?host={host}")["agents"]}


class Remembering(Mirror):
    """A mirror that remembers what it was told."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.told: list[Update] = []

    def update(self, update: Update) -> None:
        self.told.append(update)  # first: who sees what it brings finds it here
        super().update(update)


class Host:
    """A host whose agent applies everything at once; ``balancing``: load balancers, too."""

    def __init__(
        self, name: str, key: str, servers: list[Server], directory: Path, interval: float = 0.5,
        balancing: bool = False,
    ) -> None:  # fmt: skip
        self.name, self.balancing = name, balancing
        self.mirror = Remembering(directory / f"{name}.fragments")
        urls = [f"ws://127.0.0.1:{server.port}" for server in servers]
        self.address = f"10.0.1.{secrets.randbelow(250) + 1}"
        self.stream = Stream(urls, name, key, self.mirror, self.roles, interval, self._apply)

    def roles(self) -> list[Role]:
        tunnels = {"tunnel_types": ["vxlan"], "tunneling_ip": self.address, "bridge_mappings": {}}
        more = [Role("Loadbalancer agent", "neutron-lbaas-agent", "n-lbaas_agent", {})] if self.balancing else []
        return [
            *more,
            Role("Open vSwitch agent", "neutron-openvswitch-agent", "N/A", tunnels),
            Role("L3 agent", "neutron-l3-agent", "l3_agent", {"agent_mode": "legacy"}),
            Role("DHCP agent", "neutron-dhcp-agent", "dhcp_agent", {}),
        ]

    def _apply(self) -> None:
        fragments, versions = self.mirror.snapshot()
        revisions = {name: getattr(fragment, "revision", 0) for name, fragment in fragments.items()}
        self.stream.report(
            {name: Status(name, version, "applied", "", revisions[name]) for name, version in versions.items()}
        )

    @property
    def holds(self) -> set[str]:
        return set(self.mirror.snapshot()[0])

    def version(self, name: str) -> str | None:
        return self.mirror.snapshot()[1].get(name)


class Cluster:
    """Servers and hosts on one database, gone at the end."""

    def __init__(self, directory: Path, database: str, servers: int, down_time: int = 75) -> None:
        self.directory = directory
        self.store = Store(database)
        migrate(self.store)
        self.servers = [Server(directory / f"server{number}", database, down_time) for number in range(servers)]
        self.hosts: dict[str, Host] = {}
        self._ending = ExitStack()

    def __enter__(self) -> "Cluster":
        self._ending.callback(self.store.close)
        for server in self.servers:
            self._ending.callback(server.end)
            server.start()
        return self

    def __exit__(self, *_: object) -> None:
        for host in self.hosts.values():
            host.stream.stop()
        self._ending.close()

    def key(self, host: str) -> str:
        with self.store.write() as tx:
            return keys.issue(tx, host)

    def host(self, name: str, servers: list[Server] | None = None, **values: Any) -> Host:
        """A host that is connected and has got its slice."""
        host = Host(name, self.key(name), servers or self.servers, self.directory, **values)
        self.hosts[name] = host
        host.stream.start()
        until(lambda: any(update.complete for update in host.mirror.told))
        until(lambda: len((servers or self.servers)[0].get(f"agents?host={name}")["agents"]) == len(host.roles()))
        return host
