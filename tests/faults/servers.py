"""Several ``netloom server`` processes on one PostgreSQL database, clients of theirs, and a host that applies all."""

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import urllib3

from netloom.feed import keys
from netloom.feed.client import Mirror, Stream
from netloom.feed.protocol import Role, Status
from netloom.settings.load import read, server_settings
from netloom.standalone import cloud
from netloom.store.database import Store
from netloom.store.tables.network import AGENTS
from tests.databases import PostgreSQL
from tests.sandbox import eventually

CONFIGURATION = """\
[DEFAULT]
bind_port = {port}
nova_metadata_port = {metadata_port}
state_path = {directory}/state
agent_down_time = 12
dhcp_agents_per_network = 1

[agent]
report_interval = 2

[netloom]
standalone = true
run_path = {directory}/run
config_path = {directory}/etc

[database]
connection = {database}

[ml2]
tenant_network_types = vxlan

[quotas]
quota_port = -1
quota_network = -1
quota_subnet = -1
"""
PASSWORD = secrets.token_urlsafe(12)
SWITCH = Role(
    "Open vSwitch agent", "neutron-openvswitch-agent", "N/A", {"tunnel_types": ["vxlan"], "tunneling_ip": "192.0.2.1"}
)


class Server:
    """One server process; its files are its own."""

    def __init__(self, directory: Path, database: sa.URL) -> None:
        """Write its configuration."""
        directory.mkdir()
        self.directory = directory
        self.file = directory / "netloom.conf"
        self.port, metadata_port = free_ports(2)
        self.url = f"http://127.0.0.1:{self.port}"
        values = {"port": self.port, "metadata_port": metadata_port, "directory": directory}
        self.file.write_text(CONFIGURATION.format(**values, database=database.render_as_string(hide_password=False)))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it answers soon."""
        argv = [sys.executable, "-m", "netloom.cli.main", "--config-file", str(self.file), "server"]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    @property
    def alive(self) -> bool:
        """Whether the process that was started runs still."""
        return self._process is not None and self._process.poll() is None

    def healthy(self) -> bool:
        """Whether it and its database answer."""
        assert self.alive, (self.directory / "log").read_text()
        try:
            return urllib3.request("GET", f"{self.url}/healthcheck", timeout=5.0, retries=False).status == 200
        except urllib3.exceptions.HTTPError:
            return False

    def kill(self) -> None:
        """As if the machine lost its power."""
        self.end(signal.SIGKILL)

    def end(self, number: int = signal.SIGTERM) -> None:
        """End the process, if it runs."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(20)


class Client:
    """A user of the API who is signed in as admin, and may ask any server."""

    def __init__(self, server: Server) -> None:
        """Sign in at a server."""
        self._pool = urllib3.PoolManager(maxsize=16, timeout=urllib3.Timeout(30.0), retries=False)
        user = {"name": "admin", "password": PASSWORD, "domain": {"id": "default"}}
        scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
        auth = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
        self.headers = {"Content-Type": "application/json"}
        answer = self._pool.request(
            "POST", f"{server.url}/identity/v3/auth/tokens", body=json.dumps(auth), headers=self.headers
        )
        assert answer.status == 201, answer.data
        self.headers["X-Auth-Token"] = answer.headers["X-Subject-Token"]
        self.project: str = answer.json()["token"]["project"]["id"]

    def ask(self, server: Server, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and body of the answer; status 0 when there is none."""
        try:
            content = None if body is None else json.dumps(body)
            answer = self._pool.request(method, server.url + path, body=content, headers=self.headers)
        except urllib3.exceptions.HTTPError as error:
            return 0, str(error)
        return answer.status, json.loads(answer.data) if answer.data[:1] == b"{" else answer.data

    def make(self, server: Server, kind: str, **attributes: Any) -> dict[str, Any]:
        """Create a networking object."""
        status, answer = self.ask(server, "POST", f"/v2.0/{kind}s", {kind: attributes})
        assert status == 201, answer
        made: dict[str, Any] = answer[kind]
        return made

    def all(self, server: Server, collection: str, query: str = "") -> list[dict[str, Any]]:
        """A list of networking objects."""
        status, answer = self.ask(server, "GET", f"/v2.0/{collection}?{query}")
        assert status == 200, answer
        found: list[dict[str, Any]] = answer[collection]
        return found


class Host:
    """A host that takes what it is told as an agent does, and says at once that it is applied."""

    def __init__(self, name: str, servers: list[Server], store: Store, directory: Path) -> None:
        """With a key for ``name``; the first of ``servers`` is asked first."""
        self.name = name
        self._store = store
        self.mirror = Mirror(directory / f"{name}.fragments")
        with store.write() as tx:
            key = keys.issue(tx, name)
        addresses = [f"ws://127.0.0.1:{server.port}" for server in servers]
        self._stream = Stream(addresses, name, key, self.mirror, lambda: [SWITCH], 1.0, self._applied)

    def _applied(self) -> None:
        versions = self.mirror.snapshot()[1]
        self._stream.report({name: Status(name, version, "applied") for name, version in versions.items()})

    @property
    def _known(self) -> bool:
        """Whether ports can be bound to it: its agent has been noted."""
        with self._store.read() as tx:
            return tx.row(sa.select(AGENTS.c.id).where(AGENTS.c.host == self.name)) is not None

    @property
    def fragments(self) -> set[str]:
        """Names of what it was told."""
        return set(self.mirror.snapshot()[0])

    @contextlib.contextmanager
    def running(self) -> Iterator["Host"]:
        """For as long as a test needs it."""
        self._stream.start()
        try:
            eventually(lambda: self.mirror.complete and self._known, 20, "the host is known")
            yield self
        finally:
            self._stream.stop()


class Cluster:
    """Servers on one database."""

    def __init__(self, postgresql: PostgreSQL, directory: Path, count: int = 2) -> None:
        """Start ``count`` servers at once on a new database, and make its first users."""
        self.postgresql = postgresql
        self.directory = directory
        database = postgresql.create(f"cluster_{secrets.token_hex(4)}")
        self.servers = [Server(directory / f"server{number}", database) for number in range(count)]
        self.store = Store(database.render_as_string(hide_password=False))
        try:
            for server in self.servers:
                server.start()
            for server in self.servers:
                eventually(server.healthy, 60, "a server is healthy")
            passwords = {"admin": PASSWORD, "demo": PASSWORD, "netloom": PASSWORD}
            cloud.bootstrap(self.store, server_settings(read([self.servers[0].file])), passwords)
        except BaseException:
            self.close()
            raise

    def host(self, name: str, *servers: Server) -> Host:
        """A host of the cloud that connects to ``servers``."""
        return Host(name, list(servers), self.store, self.directory)

    def close(self) -> None:
        """End the servers."""
        for server in self.servers:
            server.end()
        self.store.close()


@contextlib.contextmanager
def frozen(postgresql: PostgreSQL) -> Iterator[None]:
    """PostgreSQL with all its processes stopped in the middle of what they do: nothing is refused, nothing answers."""
    first = int((postgresql.folder / "data" / "postmaster.pid").read_text().split()[0])
    family = [first, *_children(first)]
    for pid in family:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in family:
            os.kill(pid, signal.SIGCONT)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def free_ports(count: int) -> list[int]:
    """TCP ports of this machine that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
