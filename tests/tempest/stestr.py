"""Running tests of the Tempest environment, and what became of each."""

import json
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

BIN = Path(__file__).parents[2] / ".cache/clients/tempest/bin"
OUTCOMES = Path(__file__).with_name("outcomes.py")
CONFIGURATION = """\
[DEFAULT]
test_path={discovery}
top_dir={top}
group_regex=([^\\.]*\\.)*
"""


class Outcome(NamedTuple):
    """What became of a test."""

    status: str
    """``success``, ``failure`` or ``skip``."""
    reason: str
    """Why it was skipped, or how it failed."""


def run(
    directory: Path,
    pattern: str,
    enter: Callable[[Sequence[str]], list[str]] = list,
    *,
    progress: bool = False,
    workers: int = 2,
) -> dict[str, Outcome]:
    """Run the tests that match, some at a time, with ``tempest.conf`` in ``directory``.

    Args:
        directory: for Tempest's files; made when missing.
        pattern: regular expression of the tests' names.
        enter: makes of a command the one that runs it on the machine where the cloud is.
        progress: tell each test's result on standard output as it comes.
        workers: how many tests run at a time.

    Returns:
        The outcomes by name. A class that could not be set up appears as ``setUpClass (its name)``.
    """
    assert (BIN / "stestr").exists(), "Tempest is not installed: make clients"
    (packages,) = BIN.parent.glob("lib/python*/site-packages")
    discovery = packages / "tempest/test_discover"
    (directory / ".stestr.conf").write_text(CONFIGURATION.format(discovery=discovery, top=packages))
    environment = os.environ | {
        "TEMPEST_CONFIG_DIR": str(directory),
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "PYTHON": str(BIN / "python"),
    }
    stestr = ["env", f"--chdir={directory}", str(BIN / "stestr")]
    with subprocess.Popen(
        enter([*stestr, "run", "--concurrency", str(workers), pattern]),
        env=environment,
        stdout=None if progress else subprocess.DEVNULL,
        stderr=None if progress else subprocess.PIPE,
    ) as running:
        _, errors = running.communicate()
    stream = subprocess.run([*stestr, "last", "--subunit"], env=environment, stdout=subprocess.PIPE, check=False).stdout
    if not stream:
        raise AssertionError(f"no test of {pattern} has run: {(errors or b'').decode()}")
    told = subprocess.run([BIN / "python", OUTCOMES], input=stream, stdout=subprocess.PIPE, check=True).stdout
    return {name: Outcome(*each) for name, each in json.loads(told).items()}
