"""Tempest's own tests of the network API pass, but for those that are listed with a reason."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pytest

from tests.tempest import cloud, config, stestr


class Suite(NamedTuple):
    """A set of tests."""

    pattern: str
    expected_failures: Path
    """One test a line, its name, then " # " and why it cannot pass."""
    least: int
    """How many tests pass at least: a run that skips everything proves nothing."""
    aliases: tuple[str, ...] = ()
    """Names by which these tests still look for extensions that are listed under newer ones."""
    whole: Mapping[str, int] = MappingProxyType({})
    """Groups of which no test may fail, by a part of their names, and how many pass at least."""

    def reasons(self) -> dict[str, str]:
        """Why each listed test cannot pass, by name."""
        lines = [line.strip() for line in self.expected_failures.read_text().splitlines()]
        entries = [line.partition(" # ") for line in lines if line and not line.startswith("#")]
        return {name.strip(): reason.strip() for name, _, reason in entries}


FOLDER = Path(__file__).parent
SUITES = {
    "tempest": Suite(
        r"^tempest\.api\.network", FOLDER / "tempest_failures.txt", 240, ("tag",), {"admin.test_ports": 8}
    ),
    "plugin": Suite(
        r"^neutron_tempest_plugin\.api",
        FOLDER / "plugin_failures.txt",
        440,
        whole={"test_auto_allocated_topology": 3, "test_subnetpool": 55, "test_trunk": 50, "admin.test_ports": 2},
    ),
}


class Run(NamedTuple):
    """A suite that has been run."""

    suite: Suite
    directory: Path
    results: dict[str, str]
    """``success``, ``failure`` or ``skip`` by the tests' names."""


@pytest.fixture(scope="module", params=SUITES)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Each suite in turn, against a cloud of its own."""
    suite, directory = SUITES[request.param], tmp_path_factory.mktemp(request.param)
    with cloud.running(directory) as made:
        extensions = [*made.extensions, *suite.aliases]
        file = directory / "tempest.conf"
        config.write(file, f"{made.url}/identity/v3", made.password, made.public_network, extensions)
        return Run(suite, directory, stestr.run(directory, suite.pattern))


@pytest.mark.timeout(600)
def test_what_fails_is_listed(run: Run) -> None:
    """All that fails is listed, and most tests did run and pass."""
    listed = run.suite.reasons()
    unexpected = sorted(name for name, result in run.results.items() if result == "failure" and name not in listed)
    assert not unexpected, "\n".join(["failures that are not listed:", *unexpected, stestr.failures(run.directory)])
    counts = Counter(run.results.values())
    assert counts["success"] >= run.suite.least, counts


def test_whole_groups_pass(run: Run) -> None:
    """Nothing of them fails, listed or not, and no more is skipped than needs what Netloom does not offer."""
    for group, least in run.suite.whole.items():
        results = {name: result for name, result in run.results.items() if group in name}
        counts = Counter(results.values())
        assert counts["failure"] == 0, results
        assert counts["success"] >= least, results


def test_what_is_listed_fails(run: Run) -> None:
    """The list holds no test that passes, is skipped or does not exist, and has a reason for each."""
    listed = run.suite.reasons()
    stale = [name for name in listed if run.results.get(name) != "failure"]
    file = run.suite.expected_failures.name
    assert not stale, "\n".join([f"remove from {file}, as they do not fail:", *stale])
    assert all(listed.values()), f"a reason is missing in {file}"
