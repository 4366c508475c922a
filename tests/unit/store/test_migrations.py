"""The migrations make what the tables say, on both databases."""

import uuid

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from netloom.store.database import Store
from netloom.store.migrate import HEAD, migrate
from netloom.store.tables import compute, feed, identity, images, loadbalancers, network  # noqa: F401 - their tables
from netloom.store.tables.base import METADATA
from tests.databases import create_database


@pytest.fixture(params=["sqlite", "postgresql"])
def migrated(request, tmp_path):
    """A database whose tables the migrations have made."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/netloom.db"
    else:
        server = request.getfixturevalue("postgresql")
        url = create_database(server, f"migrated_{uuid.uuid4().hex}").render_as_string()
    store = Store(url)
    migrate(store)
    yield store
    store.close()


def test_a_migrated_database_has_the_tables_as_declared(migrated):
    with migrated.engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT version_num FROM alembic_version")) == HEAD
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_migrating_again_changes_nothing(migrated):
    migrate(migrated)
    with migrated.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
