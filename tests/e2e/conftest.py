"""One cloud for all end-to-end tests of a run."""

from collections.abc import Iterator

import pytest

from tests.e2e.cloud import Cloud
from tests.sandbox import sandbox


@pytest.fixture(scope="session")
def cloud() -> Iterator[Cloud]:
    with sandbox() as machine:
        machine.run("ip", "address", "add", "8.8.8.8/32", "dev", "lo")  # an address of the Internet
        made = Cloud(machine)
        yield made
        made.down()
        assert leftovers(made) == []


def leftovers(cloud: Cloud) -> list[str]:
    """What a cloud that is down has left on its machine."""
    machine = cloud.machine
    namespaces = machine.run("ip", "netns", "list").stdout.split()
    links = [line.split(":")[1].strip() for line in machine.run("ip", "-o", "link").stdout.splitlines()]
    processes = machine.run("ps", "--ppid", "1", "-o", "args=", check=False).stdout.splitlines()
    ours = [
        line for line in processes if any(word in line for word in ("netloom", "dnsmasq", "haproxy", "ovs", "radvd"))
    ]
    files = machine.run("find", "/run/netloom", "/var/lib/netloom", "/etc/netloom", check=False).stdout.split()
    rules = machine.run("nft", "list", "ruleset").stdout.split()
    return [*namespaces, *(link for link in links if link not in ("lo",)), *ours, *files, *rules]
