"""Clouds with a small town in each, for all tests that leave it as they found it."""

from collections.abc import Iterator

import pytest

from tests.faults.lab_town import LabTown
from tests.faults.town import Town
from tests.lab.cloud import LabCloud
from tests.sandbox import sandbox


@pytest.fixture(scope="session")
def town() -> Iterator[Town]:
    with sandbox() as machine:
        made = Town(machine)
        yield made
        made.close()


@pytest.fixture(scope="session")
def lab_town(lab: LabCloud) -> Iterator[LabTown]:
    made = LabTown(lab)
    yield made
    made.close()
