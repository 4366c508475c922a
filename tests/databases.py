"""Fixtures: a fresh database of either kind, with all tables."""

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

import pytest
import sqlalchemy as sa

from netloom.store.database import Store
from netloom.store.tables import compute, feed, loadbalancers, network  # noqa: F401 - their tables
from netloom.store.tables.base import METADATA
from netloom.store.tables.feed import CHANGES


def _postgres_program(name: str) -> str:
    known = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = shutil.which(name) or (str(known[-1]) if known else None)
    if found is None:
        pytest.fail(f"{name} is not installed: apt-get install postgresql")
    return found


class PostgreSQL:
    """A throw-away PostgreSQL server, on a socket of its own, that can be stopped and started."""

    def __init__(self, folder: Path, fsync: bool = False) -> None:
        """Make its data in ``folder``."""
        self.folder = folder
        self.url = sa.URL.create("postgresql+psycopg", "netloom", database="postgres", query={"host": str(folder)})
        """Of its maintenance database."""
        # PostgreSQL refuses to run as root.
        self._as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self._as_user:
            shutil.chown(folder, "postgres", "postgres")
        self._data = folder / "data"
        self._options = (
            f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync={'on' if fsync else 'off'}"
            " -c max_connections=200"
        )
        self._run("initdb", "-A", "trust", "-U", "netloom", "--no-sync")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._run("pg_ctl", "-w", "-s", "-o", self._options, "-l", str(self.folder / "log"), "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop it: ``fast`` ends all sessions first, ``immediate`` is as if it had crashed."""
        self._run("pg_ctl", "-w", "-s", "-m", mode, "stop")

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as_user, _postgres_program(program), "-D", str(self._data), *arguments]
        subprocess.run(command, check=True, cwd=self.folder, stdout=subprocess.DEVNULL)

    @property
    def running(self) -> bool:
        """Whether it has been started."""
        return (self._data / "postmaster.pid").exists()

    def create(self, name: str) -> sa.URL:
        """A new database, without tables."""
        return create_database(self.url, name)


def create_database(maintenance: sa.URL, name: str) -> sa.URL:
    """A new database, without tables, of the server with this maintenance database."""
    server = sa.create_engine(maintenance, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with server.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    return maintenance.set(database=name)


@contextmanager
def postgresql_at_will(directory: Path | None = None, fsync: bool = False) -> Iterator[PostgreSQL]:
    """A PostgreSQL server that runs, and whose end is here."""
    folder = Path(mkdtemp(prefix="netloom-postgres-", dir=directory))
    try:
        server = PostgreSQL(folder, fsync)
        server.start()
        try:
            yield server
        finally:
            if server.running:
                server.stop()
    finally:
        shutil.rmtree(folder)


@contextmanager
def postgresql_server(directory: Path | None = None, fsync: bool = False) -> Iterator[sa.URL]:
    """A throw-away PostgreSQL server; the URL of its maintenance database."""
    with postgresql_at_will(directory, fsync) as server:
        yield server.url


@pytest.fixture(scope="session")
def postgresql() -> Iterator[sa.URL]:
    """A throw-away PostgreSQL server."""
    with postgresql_server() as url:
        yield url


@pytest.fixture(scope="session")
def postgresql_tables(postgresql: sa.URL) -> sa.URL:
    """A PostgreSQL database with all tables: making one takes a hundred times as long as emptying it."""
    url = create_database(postgresql, f"test_{uuid.uuid4().hex}")
    METADATA.create_all(sa.create_engine(url, poolclass=sa.NullPool))
    return url


def _empty(url: sa.URL) -> None:
    """Leave a PostgreSQL database as it was made."""
    # Whatever a test left open would keep its rows locked: an error then, and not a run that hangs.
    statements = ["SET LOCAL lock_timeout = '10s'", "SET LOCAL session_replication_role = replica"]
    statements += [f'DELETE FROM "{table.name}"' for table in METADATA.sorted_tables]
    statements += [f"ALTER SEQUENCE {CHANGES.name}_id_seq RESTART"]
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
        connection.exec_driver_sql(";".join(statements))


@pytest.fixture
def postgresql_store(postgresql_tables: sa.URL) -> Iterator[Store]:
    """A PostgreSQL database with empty tables."""
    store = Store(postgresql_tables.render_as_string())
    try:
        yield store
    finally:
        store.close()
        _empty(postgresql_tables)


@pytest.fixture(scope="session")
def sqlite_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite database with empty tables, to be copied."""
    file = tmp_path_factory.mktemp("tables") / "netloom.db"
    store = Store(f"sqlite:///{file}")
    METADATA.create_all(store.engine)
    store.close()
    return file


@pytest.fixture
def sqlite_store(sqlite_tables: Path, tmp_path: Path) -> Iterator[Store]:
    """An SQLite database with empty tables."""
    store = Store(f"sqlite:///{shutil.copy(sqlite_tables, tmp_path)}")
    yield store
    store.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> Store:
    """A database with empty tables, of each kind in turn."""
    found: Store = request.getfixturevalue(f"{request.param}_store")
    return found
