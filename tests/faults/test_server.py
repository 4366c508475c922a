"""The server dies in the middle of work, has no room to write, or is asked by somebody it must not serve."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from netloom.feed.protocol import PATH, VERSION, Hello, Update, decode_server, encode
from tests.faults.api import network_of
from tests.faults.town import Town
from tests.sandbox import eventually

PORTS, AT_ONCE = 100, 5
"""Ports of a burst, and those of each request: all of them or none."""


def test_killed_in_a_burst_it_keeps_what_it_acknowledged_and_nothing_half(town: Town) -> None:
    network = town.api.make("network", name="burst")["id"]
    town.api.make("subnet", network_id=network, ip_version=4, cidr="10.8.0.0/24")
    acknowledged: list[str] = []
    some = threading.Event()

    def create(number: int) -> None:
        ports = [{"network_id": network, "name": f"burst-{number}-{i}"} for i in range(AT_ONCE)]
        status, answer = town.api.ask("POST", "/v2.0/ports", {"ports": ports})
        assert status in (0, 201), answer
        if status == 201:
            acknowledged.extend(port["name"] for port in answer["ports"])
            if len(acknowledged) > PORTS // 4:
                some.set()

    with town.traffic() as traffic:
        with ThreadPoolExecutor(8) as pool:
            creating = [pool.submit(create, number) for number in range(PORTS // AT_ONCE)]
            assert some.wait(20)
            town.kill(town.pid("server"))
        for each in creating:
            each.result()
        assert PORTS // 4 < len(acknowledged) < PORTS
        dead = town.machine.run("netloom", "status", check=False)
        assert dead.returncode == 1
        assert "does not answer" in dead.stdout
        assert [line.split()[1] for line in dead.stdout.splitlines() if line.startswith("server ")] == ["down"]
        town.start_server()
    assert traffic.losses == {}
    ports = [port for port in town.api.all("ports", f"network_id={network}") if port["name"]]
    names = Counter(port["name"] for port in ports)
    assert set(acknowledged) <= names.keys()
    assert set(names.values()) == {1}
    assert set(Counter(name.rpartition("-")[0] for name in names).values()) == {AT_ONCE}
    assert all(len(port["fixed_ips"]) == 1 and port["security_groups"] for port in ports)
    assert len({port["fixed_ips"][0]["ip_address"] for port in ports}) == len(ports)
    eventually(lambda: town.machine.run("netloom", "status", check=False).returncode == 0, 40, "health")
    for port in ports:
        town.api.call("DELETE", f"/v2.0/ports/{port['id']}")
    town.api.call("DELETE", f"/v2.0/networks/{network}")
    town.at_rest()


def test_without_room_a_write_is_refused_and_changes_nothing(town: Town) -> None:
    before = {network["id"] for network in town.api.all("networks")}
    made: set[str] = set()
    quota = f"/v2.0/quotas/{town.api.project}"
    town.api.call("PUT", quota, {"quota": {"network": -1}})
    with town.traffic() as traffic:
        with town.no_room("/var/lib"):
            for number in range(500):  # the database's files may have some room inside
                body = {"networks": [{"name": f"room-{number}-{i}"} for i in range(20)]}
                status, answer = town.api.ask("POST", "/v2.0/networks", body)
                if status != 201:
                    break
                made |= {network["id"] for network in answer["networks"]}
            assert status == 503, answer
            assert "no room" in answer["NeutronError"]["message"]
            assert {network["id"] for network in town.api.all("networks")} == before | made
            image = {"name": "room " * 40, "disk_format": "raw", "container_format": "bare"}
            images = []
            while (told := town.api.ask("POST", "/image/v2/images", image))[0] == 201:
                images.append(told[1]["id"])
            assert told[0] == 503, told
        assert {network["id"] for network in town.api.all("networks")} == before | made
        made.add(town.api.make("network", name="room again")["id"])
    assert traffic.losses == {}
    town.api.call("DELETE", quota)
    for made_image in images:
        town.api.call("DELETE", f"/image/v2/images/{made_image}")
    for network in made:
        town.api.call("DELETE", f"/v2.0/networks/{network}")
    town.at_rest()
    with town.unchanged():
        town.restart_agent("KILL")


def update_of(town: Town, host: str, key: str) -> Update:
    """What the server tells a host at first."""
    headers = {"Authorization": f"Netloom {host}:{key}"}
    with network_of(town.machine.pid):
        connection = connect(f"ws://127.0.0.1:9696{PATH}", additional_headers=headers)
    with connection:
        connection.send(encode(Hello(VERSION, [], {})))
        frame = connection.recv(timeout=20)
    assert isinstance(frame, bytes)
    update = decode_server(frame)
    assert isinstance(update, Update)
    return update


def test_a_host_is_told_what_is_its_own_and_no_more(town: Town) -> None:
    key = town.place("/var/lib/netloom/host.key").read_text().strip()
    other = town.machine.run("netloom", "host", "add", "other-host").stdout.strip()
    for host, wrong in (("netloom-test", other), ("other-host", key), ("nobody", key), ("netloom-test", "")):
        with pytest.raises(InvalidStatus):
            update_of(town, host, wrong)
    assert update_of(town, "other-host", other).pieces == []
    assert update_of(town, "netloom-test", key).pieces != []
    town.machine.run("netloom", "host", "remove", "other-host")
    with pytest.raises(InvalidStatus):
        update_of(town, "other-host", other)
