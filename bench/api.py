"""The API over HTTP, with real tokens, on a server process with a database of its own."""

import http.client
import itertools
import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.load import Ask, Load, Target, ask, many, one
from bench.processes import make, prepare, resident_mib
from bench.results import Result, latencies
from netloom.cli.terminal import step

CLIENTS = 8
STARTS = 3
INTERFACES = 30
SUB_PORTS = 1000
"""On one trunk; how soon its host has wired them is measured by ``bench.dataplane``."""
SMALL, LARGE = 1000, 5000
"""Ports in the lists."""


@dataclass(slots=True)
class Run:
    """Measurements of one server."""

    group: str
    target: Target
    network: str
    results: list[Result]
    quick: bool

    def times(self, count: int) -> int:
        """How often to do something: less often when it should be quick."""
        return max(3, count // 10) if self.quick else count

    def alone(self, what: str, requests: Sequence[Ask], below: float | None = None, unit: str = "ms") -> None:
        """One client, one request after the other."""
        with step(f"{self.group}: {what}"):
            load = one(self.target, requests)
        self.results += latencies(self.group, what, load.seconds, below=below, unit=unit)

    def together(self, what: str, requests: Sequence[Sequence[Ask]], above: float | None = None) -> None:
        """Several clients at once."""
        with step(f"{self.group}: {what}, {len(requests)} clients"):
            load: Load = many(self.target, requests)
        what = f"{what}, {len(requests)} clients"
        self.results.append(Result(self.group, f"{what}, rate", load.rate, "/s", above=above))
        self.results += latencies(self.group, what, load.seconds)


def measure(group: str, directory: Path, database: str, quick: bool) -> list[Result]:
    """All measurements of the API on one database."""
    with step(f"{group}: prepare"):
        server = prepare(directory, database)
    starts = []
    with step(f"{group}: start, {STARTS} times"):
        for _ in range(STARTS):
            with server.running() as (_, seconds):
                starts.append(seconds)
    results = [Result(group, "server start to first answer", statistics.median(starts), "s", below=1.5)]
    with server.running() as (process, _):
        target = server.signed_in()
        idle = resident_mib(process.pid)
        network = make(target, "networks", "network", name="bench")
        make(target, "subnets", "subnet", network_id=network, cidr="10.0.0.0/16", ip_version=4)
        run = Run(group, target, network, results, quick)
        _one_by_one(run)
        _lists(run)
        _interfaces(run)
        _crowd(run)
        _trunk(run)
        results.append(Result(group, "server memory (RSS), idle", idle, "MiB"))
        results.append(Result(group, "server memory (RSS), after the run", resident_mib(process.pid), "MiB", below=150))
    return results


def _create(network: str) -> Ask:
    return "POST", "/v2.0/ports", json.dumps({"port": {"network_id": network}}).encode()


def _bulk(network: str, count: int) -> Ask:
    return "POST", "/v2.0/ports", json.dumps({"ports": [{"network_id": network}] * count}).encode()


def _changes(port: str) -> Iterator[Ask]:
    """Updates that each change something."""
    for number in itertools.count():
        yield "PUT", f"/v2.0/ports/{port}", json.dumps({"port": {"name": f"name {number}"}}).encode()


def _one_by_one(run: Run) -> None:
    one(run.target, [_create(run.network)] * 20)  # first requests find cold caches
    run.alone("port create", [_create(run.network)] * run.times(300), below=8)
    port = make(run.target, "ports", "port", network_id=run.network)
    run.alone("port show", [("GET", f"/v2.0/ports/{port}", b"")] * run.times(500), below=2)
    run.alone("port update", list(itertools.islice(_changes(port), run.times(300))))
    run.alone("port update (security groups)", list(itertools.islice(_groups(port), run.times(100))))


def _groups(port: str) -> Iterator[Ask]:
    """Port security on and off, as an update that hosts must be told of."""
    change: dict[str, object]
    for secured in itertools.cycle((False, True)):
        change = {"port_security_enabled": secured} | ({} if secured else {"security_groups": []})
        yield "PUT", f"/v2.0/ports/{port}", json.dumps({"port": change}).encode()


def _lists(run: Run) -> None:
    """Lists of exactly so many ports, filled up by bulk requests."""
    durations: list[float] = []
    for size, below in ((SMALL, 30), (LARGE, 150)):
        with step(f"{run.group}: ports in bulk, up to {size}"):
            present = len(json.loads(_ask(run.target, ("GET", "/v2.0/ports?fields=id", b"")))["ports"])
            for start in range(present, size, 100):
                durations += one(run.target, [_bulk(run.network, min(100, size - start))]).seconds
        run.alone(f"list of {size:,} ports", [("GET", "/v2.0/ports", b"")] * run.times(20), below=below)
    run.results += latencies(run.group, "100 ports in one request", durations, below=0.3, unit="s")


def _ask(target: Target, request: Ask) -> bytes:
    return ask(http.client.HTTPConnection("127.0.0.1", target.port), target, request)


def _interfaces(run: Run) -> None:
    router = make(run.target, "routers", "router", name="bench")
    asks: list[Ask] = []
    for number in range(run.times(INTERFACES)):
        network = make(run.target, "networks", "network", name=f"inner {number}")
        subnet = make(run.target, "subnets", "subnet", network_id=network, cidr=f"10.128.{number}.0/24", ip_version=4)
        path = f"/v2.0/routers/{router}/add_router_interface"
        asks.append(("PUT", path, json.dumps({"subnet_id": subnet}).encode()))
    run.alone("add router interface", asks, below=15)


def _crowd(run: Run) -> None:
    """With 5,000 ports there."""
    ports = [make(run.target, "ports", "port", network_id=run.network) for _ in range(CLIENTS)]
    each = run.times(100)
    run.together("port create", [[_create(run.network)] * each] * CLIENTS, above=150)
    run.together("port show", [[("GET", f"/v2.0/ports/{port}", b"")] * each * 2 for port in ports])
    run.together("port update", [list(itertools.islice(_changes(port), each)) for port in ports])
    run.together("100 ports in one request", [[_bulk(run.network, 100)] * 3] * CLIENTS)
    run.together("list of 1,000 ports", [[("GET", "/v2.0/ports?limit=1000", b"")] * run.times(20)] * CLIENTS)


def _trunk(run: Run) -> None:
    """All sub-ports of a trunk in one request, there and back."""
    parent = make(run.target, "ports", "port", network_id=run.network)
    trunk = make(run.target, "trunks", "trunk", port_id=parent)
    made = [json.loads(_ask(run.target, _bulk(run.network, 100))) for _ in range(SUB_PORTS // 100)]
    subs = [
        {"port_id": port["id"], "segmentation_type": "vlan", "segmentation_id": tag}
        for tag, port in enumerate((port for some in made for port in some["ports"]), start=1)
    ]
    body = json.dumps({"sub_ports": subs}).encode()
    seconds: dict[str, list[float]] = {"add_subports": [], "remove_subports": []}
    with step(f"{run.group}: {SUB_PORTS:,} sub-ports of one trunk"):
        for _ in range(run.times(10)):
            for action, taken in seconds.items():
                taken.extend(one(run.target, [("PUT", f"/v2.0/trunks/{trunk}/{action}", body)]).seconds)
    for action, taken in seconds.items():
        run.results += latencies(run.group, f"{action}: {SUB_PORTS:,} in one request", taken, below=0.5, unit="s")
