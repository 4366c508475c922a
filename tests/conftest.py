"""For all tests: an end asked for politely is an interruption, so that fixtures clean up."""

import signal
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.lab.cloud import LabCloud

pytest_plugins = ("tests.databases",)


def pytest_configure() -> None:
    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


@pytest.fixture(scope="session")
def lab() -> "Iterator[LabCloud]":
    """The shipped layout with two network and two compute nodes, for all tests that leave it as they found it."""
    from tests.lab.cloud import lab_cloud

    with lab_cloud("ha") as made:
        yield made
