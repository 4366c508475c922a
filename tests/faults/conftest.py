"""One cloud with a small town in it, for all tests that leave it as they found it."""

from collections.abc import Iterator

import pytest

from tests.faults.town import Town
from tests.sandbox import sandbox


@pytest.fixture(scope="session")
def town() -> Iterator[Town]:
    with sandbox() as machine:
        made = Town(machine)
        yield made
        made.close()
