"""The migrations make what the tables say, on both databases."""

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from netloom.store.migrate import HEAD, migrate
from netloom.store.tables import compute, feed, identity, images, loadbalancers, network  # noqa: F401 - their tables
from netloom.store.tables.base import METADATA
from tests.databases import postgresql, postgresql_store, sqlite_store, store  # noqa: F401 - fixtures


@pytest.fixture
def migrated(store):  # noqa: F811 - the fixture above
    METADATA.drop_all(store.engine)
    migrate(store)
    return store


def test_a_migrated_database_has_the_tables_as_declared(migrated):
    with migrated.engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT version_num FROM alembic_version")) == HEAD
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_migrating_again_changes_nothing(migrated):
    migrate(migrated)
    with migrated.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
