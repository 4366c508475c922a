"""OpenStack's own tests pass, but for those that are listed with a reason."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.tempest import cloud, stestr, whole
from tests.tempest.suites import SUITES, Outcomes, Suite, listed, unexplained

QUICK = {
    "scenario": (
        r"^tempest\.scenario\.test_(network_basic_ops.*(test_network_basic_ops|test_hotplug_nic)\b"
        r"|network_v6.*test_dualnet_slaac_from_os|network_advanced_server_ops.*test_server_connectivity_rebuild"
        r"|security_groups_basic_ops.*test_port_security_disable_security_group)",
        5,
    ),
    "load-balancer-api": (r"^octavia_tempest_plugin\.tests\.api\.v2\.test_(load_balancer|provider|l7rule)\.", 15),
}
"""Of long suites some tests of each kind, and how many pass; ``make tempest`` runs them all."""
CHECKED = {
    name: suite._replace(pattern=QUICK[name][0], least=QUICK[name][1]) if name in QUICK else suite
    for name, suite in SUITES.items()
    if name != "plugin-scenario"  # like the other scenarios, and slower
}


class Run(NamedTuple):
    """A suite that has been run."""

    suite: Suite
    outcomes: Outcomes


@contextlib.contextmanager
def place(suite: Suite, directory: Path) -> Iterator[whole.Enter]:
    """A cloud such as the suite needs, with its ``tempest.conf`` in ``directory``."""
    if suite.instances:
        with whole.in_sandbox() as enter:
            whole.configure(enter, directory)
            yield enter
    else:
        with cloud.running(directory):
            yield list


@pytest.fixture(scope="module", params=CHECKED)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Each suite in turn, against a cloud of its own."""
    suite, directory = CHECKED[request.param], tmp_path_factory.mktemp(request.param)
    with place(suite, directory) as enter:
        return Run(suite, stestr.run(directory, suite.pattern, enter))


@pytest.mark.timeout(600)
def test_what_fails_is_listed(run: Run) -> None:
    """All that fails is listed, and most tests did run and pass."""
    unexpected = [f"{name}\n{error}" for name, error in run.suite.unexpected(run.outcomes).items()]
    assert not unexpected, "\n".join(["failures that are not listed:", *unexpected])
    counts = Counter(outcome.status for outcome in run.outcomes.values())
    assert counts["success"] >= run.suite.least, counts


def test_what_is_skipped_is_listed(run: Run) -> None:
    """All reasons for which tests are skipped are listed."""
    reasons = sorted(set(unexplained(run.outcomes).values()))
    assert not reasons, "\n".join(["reasons that skips.txt does not list:", *reasons])


def test_whole_groups_pass(run: Run) -> None:
    """Nothing of them fails, listed or not, and no more is skipped than needs what Netloom does not offer."""
    for group, least in run.suite.whole.items():
        outcomes = {name: outcome for name, outcome in run.outcomes.items() if group in name}
        counts = Counter(outcome.status for outcome in outcomes.values())
        assert counts["failure"] == 0, outcomes
        assert counts["success"] >= least, outcomes


def test_what_is_listed_fails(run: Run) -> None:
    """The list holds no test that passes, is skipped or does not exist, and has a reason for each."""
    stale, file = run.suite.stale(run.outcomes), run.suite.failures
    assert not stale, "\n".join([f"remove from {file}, as they do not fail:", *stale])
    assert all(listed(file).values()), f"a reason is missing in {file}"
