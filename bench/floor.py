"""What nobody can go below on this machine: an empty request, and a durable commit. Measured in the same run,
so that numbers of different machines can be compared."""

import contextlib
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import sqlalchemy as sa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from bench.load import Load, Target, many, one
from bench.processes import first_answer, free_port, process
from bench.results import Result, latencies

GROUP = "floor"
COMMITS = 300
ROW = "x" * 500


async def hello(_request: Request) -> JSONResponse:
    """The cheapest answer."""
    return JSONResponse({"port": {"name": "hello"}})


app = Starlette(routes=[Route("/", hello)])


@contextlib.contextmanager
def bare_server(directory: Path) -> Iterator[Target]:
    """A bare Starlette application on uvicorn, as the server runs it."""
    port, log = free_port(), directory / "bare.log"
    argv = [sys.executable, "-m", "uvicorn", "bench.floor:app", "--port", str(port), "--loop", "uvloop",
            "--no-access-log", "--log-level", "warning"]  # fmt: skip
    with process(argv, log) as running:
        first_answer(port, "/", running, log)
        yield Target(port)


def requests(directory: Path) -> list[Result]:
    """Empty requests: one client, and 8."""
    with bare_server(directory) as target:
        ask = ("GET", "/", b"")
        alone: Load = one(target, [ask] * 1000)
        crowd = many(target, [[ask] * 500] * 8)
    rate = Result(GROUP, "bare request, 8 clients", crowd.rate, "/s")
    return [*latencies(GROUP, "bare request, 1 client", alone.seconds), rate]


def sqlite_commits(directory: Path) -> list[Result]:
    """A row inserted and committed to the disk, with the settings of the store."""
    connection = sqlite3.connect(directory / "floor.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE t (a TEXT)")

    def commit() -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO t VALUES (?)", (ROW,))
        connection.execute("COMMIT")

    durations = _timed(commit)
    connection.close()
    return latencies(GROUP, "durable commit, SQLite", durations)


def postgresql_commits(url: sa.URL) -> list[Result]:
    """The same on PostgreSQL."""
    connection = psycopg.connect(host=str(url.query["host"]), user=url.username, dbname=url.database)
    connection.execute("CREATE TABLE floor (a TEXT)")
    connection.commit()

    def commit() -> None:
        connection.execute("INSERT INTO floor VALUES (%s)", (ROW,))
        connection.commit()

    durations = _timed(commit)
    connection.close()
    return latencies(GROUP, "durable commit, PostgreSQL", durations)


def _timed(work: Callable[[], None]) -> list[float]:
    durations = []
    for _ in range(COMMITS):
        began = time.perf_counter()
        work()
        durations.append(time.perf_counter() - began)
    return durations
