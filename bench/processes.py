"""What measurements start: a server on a database of its own, and small processes; all end with their block."""

import contextlib
import http.client
import json
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.load import Ask, Target, ask
from netloom.settings.load import read, server_settings
from netloom.standalone import cloud
from netloom.store.database import Store
from netloom.store.migrate import migrate

START_SECONDS = 30.0
CONFIGURATION = """\
[DEFAULT]
bind_port = {port}
nova_metadata_port = {metadata_port}
state_path = {directory}/state
[netloom]
standalone = true
run_path = {directory}/run
config_path = {directory}/etc
[database]
connection = {database}
[quotas]
{quotas}
"""
QUOTAS = ("network", "subnet", "port", "router")


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def process(argv: Sequence[str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process for a block, with its output in ``log``."""
    with log.open("ab") as output:
        running = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        yield running
    finally:
        running.terminate()
        try:
            running.wait(timeout=10)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def first_answer(port: int, path: str, running: "subprocess.Popen[bytes]", log: Path) -> float:
    """Seconds until 127.0.0.1 answers on ``port``.

    Raises:
        RuntimeError: the process ended, or took too long.
    """
    began = time.perf_counter()
    while time.perf_counter() - began < START_SECONDS and running.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with contextlib.suppress(OSError, http.client.HTTPException):
            ask(connection, Target(port), ("GET", path, b""))
            return time.perf_counter() - began
        connection.close()
        time.sleep(0.005)
    raise RuntimeError(f"no answer on port {port}; the log says: {log.read_text()[-2000:]}")


def resident_mib(pid: int) -> float:
    """Resident memory of a process, MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@dataclass(frozen=True, slots=True)
class Server:
    """An all-in-one server without an agent, prepared but not started."""

    directory: Path
    port: int
    password: str

    @property
    def log(self) -> Path:
        """What the process printed."""
        return self.directory / "server.log"

    @contextlib.contextmanager
    def running(self) -> Iterator[tuple["subprocess.Popen[bytes]", float]]:
        """The server's process, and the seconds from its start to its first answer."""
        argv = [sys.executable, "-m", "netloom.cli.main", "--config-file", str(self.directory / "conf"), "server"]
        with process(argv, self.log) as running:
            yield running, first_answer(self.port, "/healthcheck", running, self.log)

    def signed_in(self) -> Target:
        """The running server, as its administrator."""
        domain = {"name": "Default"}
        user = {"name": "admin", "password": self.password, "domain": domain}
        identity = {"methods": ["password"], "password": {"user": user}}
        body = {"auth": {"identity": identity, "scope": {"project": {"name": "admin", "domain": domain}}}}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("POST", "/identity/v3/auth/tokens", json.dumps(body))
        answer = connection.getresponse()
        answer.read()
        return Target(self.port, {"X-Auth-Token": answer.headers["X-Subject-Token"]})


def prepare(directory: Path, database: str) -> Server:
    """A server's files and its database, with all that ``netloom up`` puts there."""
    server = Server(directory, free_port(), secrets.token_urlsafe(12))
    values = {
        "port": server.port,
        "metadata_port": free_port(),
        "directory": directory,
        "database": database,
        "quotas": "\n".join(f"quota_{name} = -1" for name in QUOTAS),
    }
    path = directory / "conf"
    path.write_text(CONFIGURATION.format(**values))
    settings = server_settings(read([path]))
    for each in (settings.state_dir, settings.run_dir):
        each.mkdir(parents=True, exist_ok=True)
    store = Store(settings.database)
    migrate(store)
    cloud.bootstrap(store, settings, dict.fromkeys(("admin", "demo", "netloom"), server.password))
    store.close()
    return server


def make(target: Target, collection: str, resource: str, /, **values: object) -> str:
    """Make one object; returns its id."""
    request: Ask = ("POST", f"/v2.0/{collection}", json.dumps({resource: values}).encode())
    connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=30)
    made = json.loads(ask(connection, target, request))
    connection.close()
    return str(made[resource]["id"])
