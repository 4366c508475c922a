"""The tutorials do what they say, one after the other in a cloud of their own, and their pictures are of it."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.e2e.cloud import Cloud
from tests.e2e.docs import tutorial
from tests.e2e.doorway import doorway
from tests.sandbox import ROOT, sandbox

PAGES = ROOT / "docs/tutorials"
GROUP = "{http://www.w3.org/2000/svg}g"
Shell = Callable[[str], tuple[int, str]]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Where the reader is."""
    return tmp_path_factory.mktemp("reader")


@pytest.fixture(scope="module")
def shell(place: Path, tmp_path_factory) -> Iterator[Shell]:
    with sandbox() as machine:
        cloud = Cloud(machine)
        with doorway(cloud.client, tmp_path_factory.mktemp("bin")) as programs:

            def run(script: str) -> tuple[int, str]:
                text = f"cd {place}\nPATH={programs}:$PATH\n{script}"
                line = ("timeout", "110", "bash", "-s")
                done = machine.run(*line, env=cloud.environment("demo"), text=text, check=False, timeout=115)
                return done.returncode, done.stdout

            yield run
        cloud.down()


def test_first_cloud(shell):
    tutorial.run(PAGES / "first-cloud.md", shell)


def test_get_me_a_network(shell):
    tutorial.run(PAGES / "get-me-a-network.md", shell)


def test_vlan_aware_instances(shell, place):
    tutorial.run(PAGES / "vlan-aware-instances.md", shell)
    same_picture(place / "vlan-aware-instances.svg")


def test_load_balancer(shell, place):
    tutorial.run(PAGES / "load-balancer.md", shell)
    same_picture(place / "load-balancer.svg")


def test_iptables_firewall(shell, place):
    """The last one: the host keeps this firewall."""
    tutorial.run(PAGES / "iptables-firewall.md", shell)
    same_picture(place / "iptables-firewall.svg")


def same_picture(drawn: Path) -> None:
    """See that the page's picture is like the one that has just been drawn."""
    assert structure(drawn) == structure(PAGES / drawn.name), f"the picture is not of today: {drawn} is"


def structure(picture: Path) -> Counter[tuple[str, ...]]:
    """The places and cables of a picture, without what differs in each cloud: ids, MACs and local VLANs."""
    found: Counter[tuple[str, ...]] = Counter()
    for group in ElementTree.parse(picture).iter(GROUP):
        kind, place = group.get("class", ""), group.get("data-id")
        ends = (group.get("data-from", ""), group.get("data-to", ""), group.get("data-far-vlan", ""))
        words = (place,) if place else (*ends, "has a local VLAN" if group.get("data-vlan") else "")
        found[(kind, *map(_common, words))] += 1
    return found


def _common(name: str) -> str:
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]*|(?<=-)[0-9a-f]{8}$|([0-9a-f]{2}:){5}[0-9a-f]{2}", "…", name)
