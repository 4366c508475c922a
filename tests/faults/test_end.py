"""At the end nothing is left, whatever happened before."""

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import leftovers
from tests.faults.plant import PATIENCE
from tests.faults.town import Town
from tests.sandbox import eventually, sandbox


@pytest.fixture
def doomed() -> Iterator[Town]:
    with sandbox() as machine:
        yield Town(machine)


def clear(town: Town) -> None:
    """Delete through the API all that was made through it."""
    api = town.api
    for server in api.servers():
        api.call("DELETE", f"{api.compute}/servers/{server['id']}")
    eventually(lambda: api.servers() == [], PATIENCE, "no instances")
    for floating in api.all("floatingips"):
        api.call("DELETE", f"/v2.0/floatingips/{floating['id']}")
    for port in api.all("ports", f"network_id={town.network}&device_id={town.router}"):
        path = f"/v2.0/routers/{town.router}/remove_router_interface"
        api.call("PUT", path, {"port_id": port["id"]})
    api.call("DELETE", f"/v2.0/routers/{town.router}")
    api.call("DELETE", f"/v2.0/networks/{town.network}")


def test_what_is_deleted_leaves_nothing(doomed: Town) -> None:
    clear(doomed)
    eventually(lambda: doomed.machine.run("ip", "netns").stdout == "", PATIENCE, "no namespaces")
    doomed.becomes(doomed.bare, "changes of the switch")
    assert list(doomed.place("/var/lib/netloom/host").rglob("*")) == []


@pytest.mark.parametrize("killed", ["netloom", ""], ids=["our processes", "all"])
def test_down_after_a_massacre_leaves_nothing(doomed: Town, killed: str) -> None:
    doomed.close()
    doomed.kill(*(pid for pid, args in doomed.processes().items() if killed in args))
    doomed.cloud.down()
    assert leftovers(doomed.cloud) == []
