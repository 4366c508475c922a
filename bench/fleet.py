"""A fleet: many agents, two servers, one PostgreSQL database. How soon a change is everywhere, and what it costs."""

import contextlib
import http.client
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import sqlalchemy as sa

from bench.agents import Agents
from bench.load import Target, ask
from bench.population import PORTS_OF_A_HOST, SPAN, Population, populate
from bench.processes import first_answer, free_port, resident_mib
from bench.results import Result, percentile
from netloom.cli.terminal import step
from netloom.store.database import Store
from netloom.store.migrate import migrate

GROUP = "fleet"
SERVERS = 2
HEARTBEAT = 10.0
"""Seconds between heartbeats of an agent: the default of ``[agent] report_interval``."""
PATIENCE = 180.0
IDLE = 30.0
CONFIGURATION = """\
[DEFAULT]
bind_port = {port}
auth_strategy = noauth
state_path = {directory}/state
[netloom]
run_path = {directory}/run
config_path = {directory}/etc
[ml2_type_vxlan]
vni_ranges = 1:100000
[database]
connection = {database}
"""


class Server:
    """One of the servers."""

    def __init__(self, directory: Path, database: str) -> None:
        self.port = free_port()
        self.directory = directory
        for each in (directory / "state", directory / "run"):
            each.mkdir(parents=True)
        (directory / "conf").write_text(CONFIGURATION.format(port=self.port, directory=directory, database=database))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of its process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, without waiting."""
        argv = [sys.executable, "-m", "netloom.cli.main", "--config-file", str(self.directory / "conf"), "server"]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def wait(self) -> None:
        """Wait until it answers."""
        assert self._process is not None
        first_answer(self.port, "/healthcheck", self._process, self.directory / "log")

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def cpu(self) -> float:
        """Seconds of processor time that it has used."""
        return _cpu(self.pid)


def measure(directory: Path, database: sa.URL, quick: bool) -> list[Result]:
    """All of it; ``database`` is a PostgreSQL database of its own. ``quick``: a tenth of the hosts."""
    hosts = 100 if quick else 1000
    store = Store(database.render_as_string())
    migrate(store)
    began = time.monotonic()
    with step(f"fleet: {hosts} hosts with {hosts * SPAN * PORTS_OF_A_HOST:,} ports are made"):
        population = populate(store, hosts)
    results = [Result(GROUP, f"{len(population.ports):,} ports made by the rules", time.monotonic() - began, "s")]
    store.close()
    with _servers(directory, database) as servers, _agents(population, servers) as agents:
        with step("fleet: agents come for the first time"):
            results += _first(agents, servers)
        with step("fleet: a rule of the group of all ports"):
            results += _rules(agents, servers, population, 3 if quick else 10)
        with step("fleet: addresses of ports"):
            results += _addresses(agents, servers, population, 10 if quick else 50)
        with step(f"fleet: {IDLE:.0f} seconds of idling"):
            results += _idle(servers, database)
        with step("fleet: both servers restart, agents warm"):
            results += _restart(agents, servers, "warm", below=10.0)
        with step("fleet: both servers restart, agents cold"):
            results += _restart(agents, servers, "cold")
        results += [
            Result(GROUP, f"memory of server {n} (RSS)", resident_mib(s.pid), "MiB") for n, s in _named(servers)
        ]
    return results


@contextlib.contextmanager
def _servers(directory: Path, database: sa.URL) -> Iterator[Sequence[Server]]:
    servers = [Server(directory / f"server{number}", database.render_as_string()) for number in range(SERVERS)]
    try:
        for server in servers:
            server.start()
        for server in servers:
            server.wait()
        yield servers
    finally:
        for server in servers:
            server.kill()


@contextlib.contextmanager
def _agents(population: Population, servers: Sequence[Server]) -> Iterator[Agents]:
    urls = [f"ws://127.0.0.1:{server.port}" for server in servers]
    agents = Agents(population.identities, urls, HEARTBEAT, processes=2)
    try:
        yield agents
    finally:
        agents.stop()


def _first(agents: Agents, servers: Sequence[Server]) -> list[Result]:
    began = time.monotonic()
    last, states = agents.wait_until_current(PATIENCE)
    _settle(servers)
    return [
        Result(GROUP, "agents come for the first time, all current", last - began, "s"),
        Result(GROUP, "fragments of one host", sum(state.names for state in states) / agents.count, ""),
    ]


def _rules(agents: Agents, servers: Sequence[Server], population: Population, times: int) -> list[Result]:
    name = f"security_group/{population.group}"
    took: list[float] = []
    used = [server.cpu() for server in servers]
    for number in range(times):
        rule = {"direction": "ingress", "protocol": "tcp", "port_range_min": 1000 + number, "port_range_max": 2000}
        body = {"security_group_rule": rule | {"security_group_id": population.group}}
        took += _change(agents, servers[number % SERVERS], ("POST", "security-group-rules", body), [name], agents.count)
    spent = [(server.cpu() - before) / times for server, before in zip(servers, used, strict=True)]
    return [
        Result(GROUP, f"shared rule to {agents.count} hosts, p50", statistics.median(took), "s"),
        Result(GROUP, f"shared rule to {agents.count} hosts, p99", percentile(took, 0.99), "s", below=1.0),
        Result(GROUP, "processor time of both servers for one shared rule", sum(spent), "s"),
    ]


def _addresses(agents: Agents, servers: Sequence[Server], population: Population, times: int) -> list[Result]:
    took: list[float] = []
    for number, port in enumerate(random.Random(2).sample(population.ports, times)):
        names = [f"port/{port['id']}", f"neighbour/{port['id']}"]
        hosts = len(population.hosts[port["network_id"]])
        body = {"port": {"fixed_ips": [{"ip_address": f"10.0.0.{200 + number % 50}"}]}}
        took += _change(agents, servers[number % SERVERS], ("PUT", f"ports/{port['id']}", body), names, hosts)
    return [
        Result(GROUP, f"port's address to its {SPAN} hosts, p50", statistics.median(took), "s"),
        Result(GROUP, f"port's address to its {SPAN} hosts, p99", percentile(took, 0.99), "s"),
    ]


def _change(
    agents: Agents, server: Server, request: tuple[str, str, object], names: Sequence[str], count: int
) -> list[float]:
    """Seconds from a request to the arrival of what it changes at each of ``count`` hosts or more."""
    agents.ask("watch", names)
    method, path, body = request
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    began = time.monotonic()
    ask(connection, Target(server.port), (method, f"/v2.0/{path}", json.dumps(body).encode()))
    connection.close()
    arrived = agents.arrivals(names, count, 30)
    if len(arrived) < count:
        raise RuntimeError(f"{method} {path}: only {len(arrived)} of {count} hosts were told within 30 s")
    time.sleep(0.3)  # for the reports
    return [when - began for when in arrived]


def _idle(servers: Sequence[Server], database: sa.URL) -> list[Result]:
    _settle(servers)
    folder = str(database.query["host"])
    before, of_database = [server.cpu() for server in servers], _database_cpu(folder)
    time.sleep(IDLE)
    shares = [(server.cpu() - used) / IDLE * 100 for server, used in zip(servers, before, strict=True)]
    return [
        *(
            Result(GROUP, f"idle server {number}", share, "% of a core", below=5.0)
            for number, share in enumerate(shares, 1)
        ),
        Result(GROUP, "idle database", (_database_cpu(folder) - of_database) / IDLE * 100, "% of a core"),
    ]


def _restart(agents: Agents, servers: Sequence[Server], how: str, below: float | None = None) -> list[Result]:
    """From the start of the servers to the moment when the last agent holds what it should."""
    _settle(servers)
    for server in servers:
        server.kill()
    time.sleep(1)
    before = sum(state.received for state in agents.ask("state"))
    if how == "cold":
        agents.ask("forget")
    began = time.monotonic()
    for server in servers:
        server.start()
    last, states = agents.wait_until_current(PATIENCE)
    used = sum(server.cpu() for server in servers)
    return [
        Result(GROUP, f"servers restart, agents {how}, all current", last - began, "s", below),
        Result(GROUP, f"fragments sent to {how} agents", sum(state.received for state in states) - before, ""),
        Result(GROUP, f"processor time of both servers until {how} agents are current", used, "s"),
        *(Result(GROUP, f"memory of server {n} then (RSS)", resident_mib(s.pid), "MiB") for n, s in _named(servers)),
    ]


def _named(servers: Sequence[Server]) -> Iterator[tuple[int, Server]]:
    return enumerate(servers, 1)


def _settle(servers: Sequence[Server]) -> None:
    """Wait until the servers have nothing to do, for example with reports."""
    for _ in range(60):
        before = sum(server.cpu() for server in servers)
        time.sleep(1)
        if sum(server.cpu() for server in servers) - before < 0.2:
            return


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _database_cpu(folder: str) -> float:
    """Of all processes of the database server that has its socket in ``folder``."""
    postmaster = int((Path(folder) / "data" / "postmaster.pid").read_text().split()[0])
    used = 0.0
    for each in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            stat = (each / "stat").read_text().rpartition(")")[2].split()
            if postmaster in (int(each.name), int(stat[1])):
                used += _cpu(int(each.name))
    return used
