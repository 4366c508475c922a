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
from netloom.store.tables import compute, feed, network  # noqa: F401 - their tables
from netloom.store.tables.base import METADATA


def _postgres_program(name: str) -> str:
    known = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = shutil.which(name) or (str(known[-1]) if known else None)
    if found is None:
        pytest.fail(f"{name} is not installed: apt-get install postgresql")
    return found


@contextmanager
def postgresql_server(directory: Path | None = None, fsync: bool = False) -> Iterator[sa.URL]:
    """A throw-away PostgreSQL server, on a socket of its own; the URL of its maintenance database."""
    folder = Path(mkdtemp(prefix="netloom-postgres-", dir=directory))
    # PostgreSQL refuses to run as root.
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if as_user:
        shutil.chown(folder, "postgres", "postgres")
    data = folder / "data"
    options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync={'on' if fsync else 'off'}"
    control = [*as_user, _postgres_program("pg_ctl"), "-D", str(data), "-w", "-s"]

    def run(*command: str) -> None:
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)

    try:
        run(*as_user, _postgres_program("initdb"), "-D", str(data), "-A", "trust", "-U", "netloom", "--no-sync")
        run(*control, "-o", f"{options} -c max_connections=200", "-l", str(folder / "log"), "start")
        try:
            yield sa.URL.create("postgresql+psycopg", "netloom", database="postgres", query={"host": str(folder)})
        finally:
            run(*control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


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
