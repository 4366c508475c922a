"""The sets of OpenStack's own tests that are run, and what is known of those that cannot pass or do not apply."""

import fnmatch
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from netloom.standalone.identity.catalog import SERVICES
from tests.tempest.stestr import Outcome

FOLDER = Path(__file__).parent
Outcomes = Mapping[str, Outcome]


def listed(name: str) -> dict[str, str]:
    """What a list of this folder says of each of its entries: one a line, then " # " and why."""
    lines = [line.strip() for line in (FOLDER / name).read_text().splitlines()]
    entries = [line.partition(" # ") for line in lines if line and not line.startswith("#")]
    return {entry.strip(): why.strip() for entry, _, why in entries}


class Suite(NamedTuple):
    """A set of tests."""

    pattern: str
    """Regular expression of their names."""
    failures: str
    """The list of those that cannot pass, by name."""
    least: int
    """How many tests pass at least: a run that skips everything proves nothing."""
    whole: Mapping[str, int] = MappingProxyType({})
    """Groups of which no test may fail, by a part of their names, and how many pass at least."""
    instances: bool = False
    """They need instances that run."""
    service: str = "network"
    """Type of the service that they need, in the catalog."""

    def own(self, outcomes: Outcomes) -> Outcomes:
        """Those of this suite."""
        return {name: outcome for name, outcome in outcomes.items() if self._has(name)}

    def unexpected(self, outcomes: Outcomes) -> dict[str, str]:
        """What failed and is not listed, and how."""
        known = listed(self.failures)
        failed = {name: each.reason for name, each in outcomes.items() if each.status == "failure"}
        return {name: failed[name] for name in sorted(failed) if name not in known}

    def stale(self, outcomes: Outcomes) -> list[str]:
        """What is listed, and passed, was skipped or does not exist."""
        names = [name for name in listed(self.failures) if self._has(name)]
        return [name for name in names if name not in outcomes or outcomes[name].status != "failure"]

    def _has(self, name: str) -> bool:
        """Whether a test is of this suite, or what comes before or after a class of it."""
        return re.search(self.pattern, name.removeprefix("setUpClass (").removeprefix("tearDownClass (")) is not None


def unexplained(outcomes: Outcomes) -> dict[str, str]:
    """What was skipped for a reason that is not listed."""
    known = listed("skips.txt")
    skipped = {name: " ".join(each.reason.split()) for name, each in outcomes.items() if each.status == "skip"}
    return {
        name: reason
        for name, reason in skipped.items()
        if not any(fnmatch.fnmatchcase(reason, pattern) for pattern in known)
    }


_ALL = {
    "api": Suite(r"^tempest\.api\.network", "tempest_failures.txt", 240, {"admin.test_ports": 8}),
    "plugin-api": Suite(
        r"^neutron_tempest_plugin\.api",
        "plugin_failures.txt",
        440,
        {"test_auto_allocated_topology": 3, "test_subnetpool": 55, "test_trunk": 50, "admin.test_ports": 2},
    ),
    "load-balancer-api": Suite(
        r"^octavia_tempest_plugin\.tests\.api\.v2\.(?!test_amphora)",
        "load_balancer_failures.txt",
        100,
        service="load-balancer",
    ),
    "compute-api": Suite(
        r"^tempest\.api\.compute\.servers\.test_create_server\.", "compute_failures.txt", 6, instances=True
    ),
    "scenario": Suite(
        r"^tempest\.scenario\.test_"
        r"(network_basic_ops|network_advanced_server_ops|network_v6|security_groups_basic_ops)\.",
        "scenario_failures.txt",
        20,
        instances=True,
    ),
    "plugin-scenario": Suite(
        r"^neutron_tempest_plugin\.scenario\.(admin\.)?test_"
        r"(allowed_address_pairs|basic|connectivity|dhcp|floatingip|internal_dns|ipv6|metadata|mtu|multicast"
        r"|port_forwardings|ports|portsecurity|security_groups|trunk)\.",
        "plugin_scenario_failures.txt",
        20,
        instances=True,
    ),
}
"""By the names that ``make tempest`` knows them by. Tests of Octavia's virtual machines (amphorae) are left out: there
are none; and those of the plugin's scenarios that are for other networks: DVR, OVN, BGP, QoS, migration."""
SUITES = {name: suite for name, suite in _ALL.items() if suite.service in {service for service, *_ in SERVICES}}
"""Those of services that there are."""
