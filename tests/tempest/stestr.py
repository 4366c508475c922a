"""Running tests of the Tempest environment, and what became of each."""

import csv
import os
import subprocess
from pathlib import Path

BIN = Path(__file__).parents[2] / ".cache/clients/tempest/bin"
CONFIGURATION = """\
[DEFAULT]
test_path={discovery}
top_dir={top}
group_regex=([^\\.]*\\.)*
"""


def run(directory: Path, pattern: str) -> dict[str, str]:
    """Run the tests that match, two at a time, with ``tempest.conf`` in ``directory``.

    Returns their results by name: ``success``, ``failure``, ``skip``. A class that could not be set up
    appears as ``setUpClass (its name)``.
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

    def call(command: list[str], stdin: bytes = b"") -> bytes:
        done = subprocess.run(command, cwd=directory, env=environment, input=stdin, capture_output=True, check=False)
        if not done.stdout:
            raise AssertionError(f"{command} printed nothing: {done.stderr.decode()}")
        return done.stdout

    call(["stestr", "run", "--concurrency", "2", pattern])
    stream = call(["stestr", "last", "--subunit"])
    rows = csv.DictReader(call(["subunit2csv", "--no-passthrough"], stream).decode().splitlines())
    return {row["test"].partition("[")[0]: row["status"] for row in rows}


def failures(directory: Path) -> str:
    """What the last run's failures looked like."""
    done = subprocess.run([BIN / "stestr", "failing"], cwd=directory, capture_output=True, text=True, check=False)
    return done.stdout
