"""A small cloud in a fresh database of each kind."""

import pytest

from netloom.store.database import Store
from tests.databases import postgresql, postgresql_store, sqlite_store, store  # noqa: F401 - fixtures
from tests.rules.cloud import Cloud


@pytest.fixture
def cloud(store: Store) -> Cloud:  # noqa: F811 - the fixture
    return Cloud(store)
