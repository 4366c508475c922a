"""A small cloud in a fresh database of each kind."""

import pytest

from netloom.store.database import Store
from tests.rules.cloud import Cloud


@pytest.fixture
def cloud(store: Store) -> Cloud:
    return Cloud(store)
