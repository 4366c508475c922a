"""A whole server of a cloud on this machine, without agents: the tests tell what a host would."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import uvicorn

from netloom.cli.compose import compose
from netloom.settings.load import read, server_settings
from netloom.standalone import cloud
from netloom.store.database import Store
from netloom.store.migrate import migrate
from tests.standalone.embedded_identity import Identity
from tests.standalone.world import PASSWORDS, World


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A running server with an empty database of its own."""
    folder: Path = tmp_path_factory.mktemp("cloud")
    database = f"sqlite:///{folder}/netloom.db"
    if request.param == "postgresql":
        database = _database(request)
    listener = socket.create_server(("127.0.0.1", 0))
    settings = replace(
        server_settings(read()),
        database=database,
        listen=("127.0.0.1", listener.getsockname()[1]),
        standalone=True,
        state_dir=folder,
        run_dir=folder,
        metadata_secret="shared",
        metadata_port=0,
    )
    store = Store(database)
    migrate(store)
    projects = cloud.bootstrap(store, settings, PASSWORDS)
    running = uvicorn.Server(uvicorn.Config(compose(settings).api, log_level="warning", access_log=False))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
    thread.start()
    world = World(store, settings, projects)
    try:
        world.wait_until_up()
        yield world
    finally:
        running.should_exit = True
        thread.join(10)
        world.close()
        store.close()


@pytest.fixture
def identity(tmp_path: Path) -> Iterator[Identity]:
    """An embedded identity service with an empty database of its own."""
    made = Identity(tmp_path)
    yield made
    made.store.close()


def _database(request: pytest.FixtureRequest) -> str:
    import uuid

    import sqlalchemy as sa

    url: sa.URL = request.getfixturevalue("postgresql")
    name = f"cloud_{uuid.uuid4().hex}"
    maintenance = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with maintenance.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    return url.set(database=name).render_as_string()
