"""The rules are tested on both databases."""

import pytest

from netloom.store.database import Store
from tests.unit.rules.world import World


@pytest.fixture
def world(store: Store) -> World:
    """An empty cloud."""
    return World(store)
