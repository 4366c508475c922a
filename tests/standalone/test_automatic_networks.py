"""Instances on the network that the cloud makes for a project, and instances without any."""

import pytest
from structlog.testing import capture_logs

from tests.standalone.world import Host, World

AMBIGUOUS = "Multiple possible networks found, use a Network ID to be more specific."


@pytest.fixture(scope="module")
def world(server: World) -> World:
    return server


@pytest.fixture(scope="module")
def host(world: World) -> Host:
    return Host(world, "host1")


@pytest.fixture
def ready(world: World, host: Host):
    """A cloud that can make networks for projects; as it was at the end."""
    outside = world.network("external", "203.0.113.0/24", "admin", **{"router:external": True, "is_default": True})
    pool = {"name": "default", "prefixes": ["10.0.0.0/20"], "default_prefixlen": 24, "is_default": True, "shared": True}
    made = world.ask("POST", "/v2.0/subnetpools", {"subnetpool": pool}, "admin").body["subnetpool"]
    yield
    for server in world.compute("GET", "/servers").body["servers"]:
        world.compute("DELETE", f"/servers/{server['id']}")
    host.apply()
    for user, path in (
        ("demo", "auto-allocated-topology/None"),
        ("admin", f"networks/{outside['id']}"),
        ("admin", f"subnetpools/{made['id']}"),
    ):
        assert world.ask("DELETE", f"/v2.0/{path}", user=user).status == 204


def refusal(answer) -> tuple[int, str]:
    [(_, error)] = answer.body.items()
    return answer.status, error["message"]


def own(world: World, kind: str) -> list[str]:
    """The names of what the project has."""
    project = world.projects["demo"]
    return sorted(item["name"] for item in world.ask("GET", f"/v2.0/{kind}?project_id={project}").body[kind])


def active(world: World, host: Host, answer) -> dict:
    assert answer.status == 202, answer.content
    host.apply()
    server = world.server(answer.body["server"]["id"])
    assert (server["status"], server["OS-EXT-STS:task_state"], server["OS-EXT-STS:power_state"]) == ("ACTIVE", None, 1)
    return server


def test_none_can_be_made(world, host):
    project = world.projects["demo"]
    with capture_logs() as logs:
        answer = world.boot("vm1", "auto", minor=37)
    unable = f"Unable to automatically allocate a network for project {project}"
    assert answer.body == {"badRequest": {"code": 400, "message": unable}}
    assert answer.headers["x-compute-request-id"].startswith("req-")
    reason = "Deployment error: No default router:external network."
    body = f'{{"NeutronError": {{"message": "{reason}", "type": "AutoAllocationFailure", "detail": ""}}}}'
    told = [entry for entry in logs if entry["log_level"] == "warning"]
    assert [entry["event"] for entry in told] == [
        f"Error message: {body}",
        f"Unable to auto-allocate networks. {reason}",
    ]
    assert {entry["request_id"] for entry in told} == {answer.headers["x-compute-request-id"]}
    assert world.compute("GET", "/servers").body["servers"] == []
    assert own(world, "networks") == []


def test_one_is_made_and_used_again(world, host, ready):
    first = active(world, host, world.boot("vm1", "auto", minor=37))
    [address] = first["addresses"]["auto_allocated_network"]
    assert address["addr"].startswith("10.0.")
    second = active(world, host, world.boot("vm2", "auto"))
    assert list(second["addresses"]) == ["auto_allocated_network"]
    assert own(world, "networks") == ["auto_allocated_network"]
    assert own(world, "routers") == ["auto_allocated_router"]
    busy = world.ask("DELETE", "/v2.0/auto-allocated-topology/None")
    assert (busy.status, busy.body["NeutronError"]["type"]) == (409, "NetworkInUse")


def test_several_instances_share_one(world, host, ready):
    assert world.boot("many", "auto", min_count=3, max_count=3).status == 202
    host.apply()
    shown = world.compute("GET", "/servers/detail").body["servers"]
    assert [list(server["addresses"]) for server in shown] == [["auto_allocated_network"]] * 3


def test_a_network_that_is_there_is_used(world, host, ready):
    net = world.network("mine", "10.5.0.0/24")
    server = active(world, host, world.boot("vm1", "auto"))
    assert list(server["addresses"]) == ["mine"]
    other = world.network("other", "10.6.0.0/24")
    assert refusal(world.boot("vm2", "auto")) == (409, AMBIGUOUS)
    down = {"network": {"admin_state_up": False}}
    assert world.ask("PUT", f"/v2.0/networks/{other['id']}", down).status == 200
    assert list(active(world, host, world.boot("vm2", "auto"))["addresses"]) == ["mine"]
    assert own(world, "routers") == []
    for found in world.compute("GET", "/servers").body["servers"]:
        world.compute("DELETE", f"/servers/{found['id']}")
    host.apply()
    for each in (net, other):
        assert world.ask("DELETE", f"/v2.0/networks/{each['id']}").status == 204


def test_a_shared_network_counts_and_an_external_one_does_not(world, host, ready):
    """The administrator owns an external network."""
    shared = world.network("everybodys", "10.7.0.0/24", "admin", shared=True)
    server = active(world, host, world.boot("vm1", "auto"))
    assert list(server["addresses"]) == ["everybodys"]
    world.compute("DELETE", f"/servers/{server['id']}")
    host.apply()
    assert world.ask("DELETE", f"/v2.0/networks/{shared['id']}", user="admin").status == 204
    made = world.boot("vm2", "auto", "admin").body["server"]["id"]
    host.apply()
    assert list(world.server(made, "admin")["addresses"]) == ["auto_allocated_network"]
    assert world.compute("DELETE", f"/servers/{made}", user="admin").status == 204
    host.apply()
    assert world.ask("DELETE", "/v2.0/auto-allocated-topology/None", user="admin").status == 204


def test_what_is_refused_later_allocates_nothing(world, host, ready):
    assert world.boot("many", "auto", min_count=11, max_count=11).status == 403
    assert world.boot("lost", "auto", key_name="nobodys").status == 400
    assert own(world, "networks") == []


def test_one_that_cannot_be_made_after_all_is_told_by_the_fault(world, host, ready):
    project = world.projects["demo"]
    world.ask("PUT", f"/v2.0/quotas/{project}", {"quota": {"router": 0}}, "admin")
    answer = world.boot("vm1", "auto")
    world.ask("DELETE", f"/v2.0/quotas/{project}", user="admin")
    assert answer.status == 202
    server = world.server(answer.body["server"]["id"])
    assert server["status"] == "ERROR"
    assert server["fault"]["message"].endswith(f"Unable to automatically allocate a network for project {project}")
    assert own(world, "networks") == []


def test_an_instance_without_a_network(world, host):
    server = active(world, host, world.boot("vm2", "none", minor=37))
    assert server["addresses"] == {}
    ports = world.ask("GET", f"/v2.0/ports?device_id={server['id']}", user="admin")
    assert ports.body["ports"] == []
    assert world.compute("GET", f"/servers/{server['id']}/os-interface").body["interfaceAttachments"] == []
    assert world.compute("DELETE", f"/servers/{server['id']}").status == 204
    host.apply()
    assert world.compute("GET", f"/servers/{server['id']}").status == 404


@pytest.mark.parametrize("word", ["auto", "none"])
def test_the_words_came_with_a_version(world, host, word):
    status, message = refusal(world.boot("old", word, minor=36))
    assert status == 400
    assert message == f"Invalid input for field/attribute networks. Value: {word}. '{word}' is not of type 'array'"
    status, message = refusal(world.boot("new", None, minor=37))
    assert (status, "'networks' is a required property" in message) == (400, True)
