"""The tutorials do what they say, one after the other in a cloud of their own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e import tutorial
from tests.e2e.cloud import Cloud
from tests.sandbox import ROOT, sandbox

PAGES = ROOT / "docs/tutorials"
Shell = Callable[[str], tuple[int, str]]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Where the reader is."""
    return tmp_path_factory.mktemp("reader")


@pytest.fixture(scope="module")
def shell(place: Path) -> Iterator[Shell]:
    with sandbox() as machine:
        cloud = Cloud(machine)

        def run(script: str) -> tuple[int, str]:
            text = f"cd {place}\n{script}"
            done = machine.run(
                "timeout", "110", "bash", "-s", env=cloud.environment("demo"), text=text, check=False, timeout=115
            )
            return done.returncode, done.stdout

        yield run
        cloud.down()


def test_first_cloud(shell):
    tutorial.run(PAGES / "first-cloud.md", shell)


def test_get_me_a_network(shell):
    tutorial.run(PAGES / "get-me-a-network.md", shell)
