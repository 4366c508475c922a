"""``python -m bench``: measure, show a table, and write the numbers down."""

import argparse
import contextlib
import json
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa
import structlog

from bench import api, dataplane, failover, fleet, floor, loadbalancers, metadata, ratios, statements
from bench.results import Result, document, machine, show
from netloom.cli.terminal import step
from tests.databases import postgresql_server

USUAL = ("floor", "sqlite", "postgresql", "statements", "dataplane")
GROUPS = (*USUAL, "fleet", "failover", "metadata", "loadbalancers")
AS_ROOT = {"dataplane", "failover", "metadata", "loadbalancers"}
EPILOG = """\
groups:
  floor       an empty request and a durable commit: what nobody can go below on this machine
  sqlite      the API on SQLite: latencies of one client, rates of 8, start, memory
  postgresql  the same on PostgreSQL (a private server with fsync on)
  statements  SQL statements per request
  fleet       1,000 simulated agents of 50 ports each, two servers, PostgreSQL; only when asked for (some minutes)
  failover    faults of the active host of a router, in a lab of many hosts (root); only when asked for (a quarter of
              an hour): how long its floating IP is silent, beside advertisements of the interval of Neutron's guide
  metadata    instances that boot at once, 200 clients that ask at once, and 500 networks, in a private machine (root);
              only when asked for (some minutes)
  loadbalancers  a load balancer from create to its first answer, requests per second beside haproxy alone, and 100
              members that come and go under load, in a private machine (root); only when asked for (two minutes)
  dataplane   a whole cloud in a private machine (root): port to ACTIVE, server to ping, agent restart, netloom up

examples:
  python -m bench                            everything but fleet, failover, metadata and loadbalancers (some minutes)
  python -m bench sqlite --quick             a first impression (half a minute)
  python -m bench --json result.json         also write the numbers to a file
  python -m bench --directory /srv/disk      put databases on the disk that matters

Run it on an idle machine: the load average is part of what it writes. Clients share the machine with the server.
The exit code is 1 when a target is missed.
"""


def main() -> int:
    """Measure what was asked for."""
    arguments = _arguments()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    start = machine()
    print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in start.items()))
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="netloom-bench-", dir=arguments.directory) as name:
        directory = Path(name)
        with _databases(arguments, directory) as databases:
            if "floor" in arguments.groups:
                results += _floors(directory, databases.get("postgresql"))
            for group, url in databases.items():
                if group in arguments.groups:
                    place = directory / group
                    place.mkdir()
                    results += api.measure(group, place, url.render_as_string(), arguments.quick)
            if "fleet" in arguments.groups:
                results += fleet.measure(directory, _fresh(databases["postgresql"], "fleet"), arguments.quick)
        if "statements" in arguments.groups:
            results += statements.measure(directory)
        if "dataplane" in arguments.groups:
            results += dataplane.measure(arguments.quick)
        if "failover" in arguments.groups:
            results += failover.measure(arguments.quick)
        if "metadata" in arguments.groups:
            results += metadata.measure(arguments.quick)
        if "loadbalancers" in arguments.groups:
            results += loadbalancers.measure(arguments.quick)
    results += ratios.measure(results)
    print()
    show(results)
    if arguments.json:
        arguments.json.write_text(json.dumps(document(results, start), indent=1) + "\n")
    return int(any(result.met is False for result in results))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure Netloom on this machine. Each measurement starts what it needs and cleans up.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "groups",
        nargs="*",
        metavar="GROUP",
        help=f"what to measure: {', '.join(GROUPS)}; default: {', '.join(USUAL)}",
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the repetitions")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to FILE, too")
    parser.add_argument("--directory", type=Path, help="where databases are put (default: the temporary directory)")
    arguments = parser.parse_args()
    unknown = set(arguments.groups) - set(GROUPS)
    if unknown:
        parser.error(f"unknown group {', '.join(sorted(unknown))}; there are: {', '.join(GROUPS)}")
    arguments.groups = arguments.groups or list(USUAL)
    if AS_ROOT & set(arguments.groups) and os.geteuid() != 0:
        parser.error("the data plane needs root; without it: python -m bench floor sqlite postgresql statements")
    return arguments


@contextlib.contextmanager
def _databases(arguments: argparse.Namespace, directory: Path) -> Iterator[dict[str, sa.URL]]:
    """URLs of the databases that are needed; PostgreSQL is started for the block."""
    sqlite = {"sqlite": sa.URL.create("sqlite", database=str(directory / "netloom.db"))}
    if not {"floor", "postgresql", "fleet"} & set(arguments.groups):
        yield sqlite
        return
    with contextlib.ExitStack() as stack:
        with step("PostgreSQL, with fsync"):
            url = stack.enter_context(postgresql_server(directory=arguments.directory, fsync=True))
        yield sqlite | {"postgresql": url}


def _fresh(server: sa.URL, name: str) -> sa.URL:
    """A database of its own on a server."""
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    return server.set(database=name)


def _floors(directory: Path, postgresql: sa.URL | None) -> list[Result]:
    with step("floor: bare requests"):
        results = floor.requests(directory)
    with step("floor: durable commits"):
        results += floor.sqlite_commits(directory)
        results += floor.postgresql_commits(postgresql) if postgresql else []
    return results


if __name__ == "__main__":
    sys.exit(main())
