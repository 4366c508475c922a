"""Which instances are virtual machines, and what they say on their consoles."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from netloom.feed import keys
from netloom.feed.client import Mirror, Stream
from netloom.feed.fragments import Server
from netloom.feed.render import render
from tests.standalone.world import Host, World

SPEC = "capabilities:hypervisor_type"


@pytest.fixture(scope="module")
def world(server: World) -> World:
    return server


@pytest.fixture(scope="module")
def host(world: World) -> Host:
    return Host(world, "host1")


@pytest.fixture(scope="module")
def net(world: World, host: Host) -> dict:
    return world.network("net1", "10.1.0.0/24")


def image(world: World, **properties: str) -> str:
    body = {"name": "debian", "disk_format": "raw", "container_format": "bare"} | properties
    made = world.ask("POST", "/image/v2/images", body).body["id"]
    octets = {"Content-Type": "application/octet-stream"}
    assert world.ask("PUT", f"/image/v2/images/{made}/file", content=b"any", headers=octets).status == 204
    return str(made)


def flavor(world: World, name: str, ram: int, **specs: str) -> str:
    body = {"flavor": {"name": name, "ram": ram, "vcpus": 1, "disk": 0, "id": name}}
    assert world.compute("POST", "/flavors", body, "admin").status == 200
    assert world.compute("POST", f"/flavors/{name}/os-extra_specs", {"extra_specs": specs}, "admin").status == 200
    return name


def kind(world: World, server_id: str) -> str:
    """What the host is told to make of an instance."""
    with world.store.read() as tx:
        fragment = render(tx, {f"server/{server_id}"})[f"server/{server_id}"]
    assert isinstance(fragment, Server)
    return fragment.hypervisor_type


def test_image_or_flavor_asks_for_a_machine(world, host, net):
    emulated, plain = image(world, hypervisor_type="qemu"), image(world)
    usual, kvm = flavor(world, "usual", 128), flavor(world, "kvm", 128, **{SPEC: "KVM"})
    lxc = flavor(world, "lxc", 64, **{SPEC: "lxc"})
    for image_id, flavor_id, expected in (
        (plain, usual, "container"),
        (plain, lxc, "container"),
        (emulated, usual, "qemu"),
        (plain, kvm, "qemu"),
        (emulated, kvm, "qemu"),
    ):
        made = world.boot("vm", [{"uuid": net["id"]}], imageRef=image_id, flavorRef=flavor_id)
        assert made.status == 202, made.content
        server_id = made.body["server"]["id"]
        assert kind(world, server_id) == expected
        host.apply()
        world.compute("DELETE", f"/servers/{server_id}")
        host.apply()


def test_what_can_be_no_machine_is_refused(world, host, net):
    emulated, odd = image(world, hypervisor_type="qemu"), image(world, hypervisor_type="vax")
    small, container = flavor(world, "small", 64), flavor(world, "container", 128, **{SPEC: "container"})
    for image_id, flavor_id, expected in (
        (emulated, small, "Flavor's memory is too small for a virtual machine: it needs 128 MiB."),
        (emulated, container, "The flavor asks for hypervisor type container, the image for qemu."),
        (
            odd,
            container,
            "Invalid image property hypervisor_type: 'vax'. It must be one of container, kvm, lxc, qemu.",
        ),
    ):
        refused = world.boot("vm", [{"uuid": net["id"]}], imageRef=image_id, flavorRef=flavor_id)
        assert (refused.status, refused.body["badRequest"]["message"]) == (400, expected)
    assert world.compute("GET", "/servers").body["servers"] == []


@pytest.fixture
def connected(world: World, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The consoles of a host that is connected as agents are."""
    said: dict[str, str] = {}
    with world.store.write() as tx:
        key = keys.issue(tx, "host1")
    heard = threading.Event()
    stream = Stream(
        [world.url.replace("http", "ws")], "host1", key, Mirror(tmp_path / "mirror"), list, 60, heard.set, said.get
    )
    stream.start()
    try:
        assert heard.wait(10)
        yield said
    finally:
        stream.stop()


def test_a_console_log_comes_from_the_host(world, host, net, connected):
    server_id = world.boot("vm", [{"uuid": net["id"]}]).body["server"]["id"]
    log = f"/servers/{server_id}/action"
    assert world.compute("POST", log, {"os-getConsoleOutput": {}}).status == 409  # it is being built
    host.apply()
    assert world.compute("POST", log, {"os-getConsoleOutput": {}}).status == 404
    connected[server_id] = "one\ntwo\nthree\n"
    assert world.compute("POST", log, {"os-getConsoleOutput": {}}).body == {"output": "one\ntwo\nthree\n"}
    assert world.compute("POST", log, {"os-getConsoleOutput": {"length": 2}}).body == {"output": "two\nthree\n"}
    world.compute("DELETE", f"/servers/{server_id}")
    host.apply()
