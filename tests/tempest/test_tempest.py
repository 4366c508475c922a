"""OpenStack's own tests pass, but for those that are listed with a reason."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.tempest import cloud, stestr, whole
from tests.tempest.suites import SUITES, Outcomes, Suite, listed, unexplained

QUICK = {
    "api": (
        r"^tempest\.api\.network\.(admin\.test_ports"
        r"|test_(networks|ports|floating_ips|allowed_address_pair|extra_dhcp_options|subnetpools_extensions))\.",
        100,
    ),
    "plugin-api": (
        r"^neutron_tempest_plugin\.api\.(admin\.test_(ports|tag|routers_ha)\."
        r"|test_(subnetpool|trunk|(auto_allocated_topology|ports|networks|address_groups|revisions|extensions)\.))",
        200,
    ),
    "load-balancer-api": (rf"(?!.*_member_update){SUITES['load-balancer-api'].pattern}", 430),
    "compute-api": (SUITES["compute-api"].pattern, SUITES["compute-api"].least),
    "scenario": (
        r"^tempest\.scenario\.test_(network_basic_ops.*(test_network_basic_ops|test_hotplug_nic)\b"
        r"|network_v6.*test_dualnet_slaac_from_os|network_advanced_server_ops.*test_server_connectivity_rebuild"
        r"|security_groups_basic_ops.*test_multiple_security_groups)",
        5,
    ),
    "plugin-scenario": (
        r"^neutron_tempest_plugin\.scenario\.test_(basic\.|security_groups\.StatelessNetwork.*\.test_default_sec_grp_scenarios)",
        2,
    ),
}
"""Of each suite some tests of each kind, and how many pass at least; ``make tempest`` runs them all. Of load balancing
all but those that wait until haproxy knows how a member is: there is none beside a server alone."""
WORKERS = 6
"""Tests at a time that need no instances: they mostly wait."""
CHECKED = {name: SUITES[name]._replace(pattern=pattern, least=least) for name, (pattern, least) in QUICK.items()}


class Run(NamedTuple):
    """A suite that has been run."""

    suite: Suite
    outcomes: Outcomes


@pytest.fixture(scope="module")
def beside_a_server(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """What became of the tests that need no instances: a host only says that it applies things."""
    directory = tmp_path_factory.mktemp("server")
    with cloud.running(directory):
        return _all(directory, instances=False)


@pytest.fixture(scope="module")
def in_a_cloud(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """What became of the tests that need instances."""
    directory = tmp_path_factory.mktemp("cloud")
    with whole.in_sandbox() as enter:
        whole.configure(enter, directory)
        return _all(directory, enter, instances=True)


def _all(directory: Path, enter: Callable[[Sequence[str]], list[str]] = list, *, instances: bool) -> Outcomes:
    """All at once: to find the tests takes Tempest longer than many of them."""
    patterns = [suite.pattern for suite in CHECKED.values() if suite.instances == instances]
    return stestr.run(directory, "|".join(patterns), enter, workers=2 if instances else WORKERS)


@pytest.fixture(scope="module", params=CHECKED)
def run(request: pytest.FixtureRequest) -> Run:
    """Each suite in turn."""
    suite = CHECKED[request.param]
    return Run(suite, suite.own(request.getfixturevalue("in_a_cloud" if suite.instances else "beside_a_server")))


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
