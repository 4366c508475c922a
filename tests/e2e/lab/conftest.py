"""What each module makes in the lab that all modules share (the session's ``lab``)."""

from collections.abc import Iterator

import pytest

from tests.lab.cloud import LabCloud
from tests.lab.world import LabWorld


@pytest.fixture(scope="module")
def lab_world(lab: LabCloud) -> Iterator[LabWorld]:
    """The lab with an external network "public"; what a module makes is deleted after it."""
    made = LabWorld(lab)
    try:
        yield made
    finally:
        made.sweep()
