"""The rules are tested on both databases."""

import pytest

from netloom.store.database import Store
from tests.databases import postgresql, postgresql_store, sqlite_store, store
from tests.unit.rules.world import World

__all__ = ["postgresql", "postgresql_store", "sqlite_store", "store"]


@pytest.fixture
def world(store: Store) -> World:
    """An empty cloud."""
    return World(store)
