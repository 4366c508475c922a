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
        """A new empty database."""
        server = sa.create_engine(self.url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with server.connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
        return self.url.set(database=name)


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


@pytest.fixture
def postgresql_store(postgresql: sa.URL) -> Iterator[Store]:
    """An empty PostgreSQL database."""
    name = f"test_{uuid.uuid4().hex}"
    server = sa.create_engine(postgresql, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with server.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    store = Store(postgresql.set(database=name).render_as_string())
    METADATA.create_all(store.engine)
    try:
        yield store
    finally:
        store.close()
        with server.connect() as connection:
            connection.execute(sa.text(f"DROP DATABASE {name}"))


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Iterator[Store]:
    """An empty SQLite database."""
    store = Store(f"sqlite:///{tmp_path}/netloom.db")
    METADATA.create_all(store.engine)
    yield store
    store.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> Store:
    """An empty database, of each kind in turn."""
    found: Store = request.getfixturevalue(f"{request.param}_store")
    return found
