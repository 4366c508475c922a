"""Load: one or several clients, each a process of its own with one kept connection, as quick as answers come.

The clients are processes so that the server is the bottleneck, not they: a client needs about a tenth of the time of
the cheapest request. All the same they share the machine's cores with the server, as a real client beside it would.
"""

import http.client
import multiprocessing
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Ask = tuple[str, str, bytes]
"""Method, path and body of a request."""


@dataclass(frozen=True, slots=True)
class Target:
    """A server, and what to tell it with every request."""

    port: int
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Load:
    """What clients saw."""

    seconds: Sequence[float]
    """Of each request."""
    elapsed: float
    """Seconds from the first request to the last answer."""
    busy: float
    """Share of the time in which a client used a processor."""

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.seconds) / self.elapsed


def ask(connection: http.client.HTTPConnection, target: Target, request: Ask) -> bytes:
    """One request; returns the answer's body.

    Raises:
        RuntimeError: the server refused it.
    """
    method, path, body = request
    connection.request(method, path, body=body or None, headers=dict(target.headers))
    answer = connection.getresponse()
    content = answer.read()
    if answer.status >= 300:
        raise RuntimeError(f"{method} {path} answers {answer.status}: {content[:300].decode()}")
    return content


def one(target: Target, requests: Sequence[Ask]) -> Load:
    """One client in this process; each request once."""
    connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=60)
    durations, used, began = [], time.process_time(), time.perf_counter()
    for request in requests:
        start = time.perf_counter()
        ask(connection, target, request)
        durations.append(time.perf_counter() - start)
    elapsed = time.perf_counter() - began
    connection.close()
    return Load(durations, elapsed, (time.process_time() - used) / elapsed)


def many(target: Target, requests: Sequence[Sequence[Ask]]) -> Load:
    """Several clients at once, one for each list of requests."""
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(len(requests) + 1)
    results: multiprocessing.SimpleQueue[Load | str] = context.SimpleQueue()
    clients = [context.Process(target=_client, args=(target, mine, barrier, results)) for mine in requests]
    for client in clients:
        client.start()
    barrier.wait(timeout=30)
    began = time.perf_counter()
    loads = [results.get() for _ in clients]
    elapsed = time.perf_counter() - began
    for client in clients:
        client.join()
    failures = [load for load in loads if isinstance(load, str)]
    if failures:
        raise RuntimeError(failures[0])
    good = [load for load in loads if isinstance(load, Load)]
    return Load([s for load in good for s in load.seconds], elapsed, sum(load.busy for load in good) / len(good))


def _client(target: Target, requests: Sequence[Ask], barrier: object, results: object) -> None:
    barrier.wait(timeout=30)  # type: ignore[attr-defined]
    try:
        results.put(one(target, requests))  # type: ignore[attr-defined]
    except Exception as error:
        results.put(repr(error))  # type: ignore[attr-defined]
