"""The API over real databases: SQLite in a file, and PostgreSQL where it is installed."""

import logging

import pytest
import structlog

from netloom.api.app import create_app
from netloom.api.policy import Policy
from netloom.settings.network import NetworkSettings
from netloom.store.database import Store
from netloom.store.tables import feed, loadbalancers, network  # noqa: F401  (they fill the metadata)
from netloom.store.tables.base import METADATA
from tests.api.balancing import Hosts, balancing
from tests.api.client import Api, TestClient, authenticate

structlog.configure(
    processors=[structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)],
    wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
)


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def database(request, tmp_path_factory):
    """A database for all tests of a run."""
    if request.param == "sqlite":
        store = Store(f"sqlite:///{tmp_path_factory.mktemp('database')}/netloom.db")
    else:
        url = request.getfixturevalue("postgresql")
        store = Store(url.render_as_string())
    METADATA.create_all(store.engine)
    yield store
    store.close()


@pytest.fixture
def store(database):
    """The database; the rows of the test are gone afterwards."""
    yield database
    with database.engine.begin() as connection:
        for table in reversed(METADATA.sorted_tables):
            connection.execute(table.delete())


@pytest.fixture
def settings():
    return NetworkSettings()


@pytest.fixture
def policy(tmp_path):
    return Policy(str(tmp_path / "policy.yaml"))


@pytest.fixture
def alice(store, settings, policy):
    """A member of project alpha."""
    return Api(TestClient(create_app(store, settings, authenticate, policy)), "member", "alpha")


@pytest.fixture
def bob(alice):
    """A member of project beta."""
    return alice.as_("member", "beta")


@pytest.fixture
def admin(alice):
    """An administrator, of a project of their own."""
    return alice.as_("admin", "operations")


@pytest.fixture
def subnet(alice):
    """A subnet of alice's."""
    return alice.subnet(alice.network()["id"])


@pytest.fixture
def hosts(store, settings):
    """Hosts that can carry load balancers; none is there yet."""
    return Hosts(store, settings)


@pytest.fixture
def lb(store, settings, policy, hosts):
    """The load balancer API; host one is there."""
    hosts.come("one")
    return balancing(store, settings, policy)
