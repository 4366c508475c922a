"""Routers that several hosts carry: real keepalived and conntrackd, on hosts with their own Open vSwitch."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from netloom.host.namespaces import inside
from netloom.plan.routing import link_local
from netloom.state import Address, Daemon, File, HostState, Route, Sysctl, Veth
from tests.host.ha_world import (
    ELECTED,
    FLOATING,
    GATEWAY,
    INSIDE,
    OUTSIDE,
    QG,
    QR,
    SECOND,
    Carrier,
    World,
)
from tests.host.netlab import eventually, root
from tests.unit.plan import services as cloud

pytestmark = pytest.mark.skipif(not root(), reason="needs root")

ANSWERED = {
    f"{ELECTED}/24",
    f"{INSIDE}/24",
    "2001:db8:1::1/64",
    f"{GATEWAY}/24",
    "2001:db8:e::7/64",
    f"{FLOATING}/32",
    f"{link_local(cloud.GATEWAY.mac)}/64",
    f"{link_local(cloud.INSIDE.mac)}/64",
    "fe80::a9fe:a9fe/64",
}
FAILOVER = 2.0
"""Seconds of silence that a busy machine may take; it is a third of one on an idle one."""


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    world = World()
    try:
        world.converge()
        yield world
    finally:
        world.close()


@pytest.fixture(autouse=True)
def settled(world: World) -> None:
    world.settle()


def conntrack(world: World, carrier: Carrier, address: str) -> str:
    return "".join(
        line for line in world.lab.run(carrier.qrouter, "conntrack", "-L", check=False).splitlines() if address in line
    )


def test_the_active_host_alone_has_the_addresses(world: World) -> None:
    active = world.active()
    assert active.addresses() == ANSWERED
    assert f"default via {OUTSIDE} dev {QG}" in active.routes()
    eventually(lambda: active.state() == "active", "it says so")
    (standby,) = world.others(active)
    assert standby.addresses() == set()
    own = f"169.254.192.0/18 dev {standby.device} proto kernel scope link src 169.254.192.{standby.number}"
    assert standby.routes().strip() == own
    links = world.lab.ip("-n", standby.qrouter, "link")
    for device, mac in ((QG, cloud.GATEWAY.mac), (QR, cloud.INSIDE.mac)):
        assert re.search(rf"{device}@.*LOWER_UP.*\n.*{mac}", links)
    assert standby.state() == "standby"


def test_nothing_is_left_to_do_after_an_apply(world: World) -> None:
    for carrier in world.carriers:
        before = carrier.pids("keepalived"), carrier.pids("conntrackd")
        carrier.host.audit()
        wanted = carrier.wanted()
        assert carrier.converge(wanted) == []
        with inside(carrier.namespace):
            observed = carrier.host.observe()
        for kind in (Address, Route, Daemon, File, Sysctl, Veth):
            assert not wanted.changes(kind, observed), kind
        assert (carrier.pids("keepalived"), carrier.pids("conntrackd")) == before


@pytest.mark.parametrize("victims", [slice(0, 2), slice(0, 1), slice(1, 2)], ids=["both", "parent", "child"])
def test_a_killed_keepalived_hands_over_and_leaves_nothing_even_without_an_agent(world: World, victims: slice) -> None:
    active = world.active()
    (standby,) = world.others(active)
    with world.silence() as silence:
        for pid in active.pids("keepalived")[victims]:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: active.addresses() == set(), "nothing is left of it", 1.0)
    assert silence.longest < FAILOVER
    assert standby.addresses() == ANSWERED
    eventually(lambda: active.pids("keepalived") == [], "all of it has ended")
    eventually(lambda: standby.state() == "active", "the other is active")
    # The agent starts it again, and it stays standby.
    with world.silence() as silence:
        eventually(lambda: active.converge() == [] and active.stands(), "it runs again")
    assert silence.lost == 0
    assert world.active() is standby


def test_a_floating_ip_comes_and_goes_without_a_failover(world: World) -> None:
    active = world.active()
    (standby,) = world.others(active)
    processes = active.pids("keepalived")
    with world.silence() as silence:
        world.floating = (FLOATING, SECOND)
        world.converge()
        eventually(lambda: f"{SECOND}/32" in active.addresses(), "it is there")
    assert silence.lost == 0
    assert world.lab.run(world.out, "ping", "-n", "-c1", "-W2", SECOND)
    assert standby.addresses() == set()
    tables = {
        world.lab.run(carrier.qrouter, "iptables-save", "-t", "nat").split("*nat")[1] for carrier in world.carriers
    }
    assert len({re.sub(r"\[\d+:\d+\]|# .*", "", table) for table in tables}) == 1
    eventually(lambda: SECOND in conntrack(world, standby, SECOND), "the other host knows the connection")
    with world.silence() as silence:
        world.floating = (FLOATING,)
        world.converge()
        eventually(lambda: active.addresses() == ANSWERED, "it is gone")
    assert silence.lost == 0
    assert active.pids("keepalived") == processes
    for carrier in world.carriers:
        assert conntrack(world, carrier, SECOND) == ""


def test_a_restarted_agent_changes_nothing(world: World) -> None:
    active = world.active()
    processes = [carrier.pids("keepalived") + carrier.pids("conntrackd") for carrier in world.carriers]
    with world.silence() as silence:
        for carrier in world.carriers:
            carrier.restart()
    assert silence.lost == 0
    assert world.active() is active
    assert [carrier.pids("keepalived") + carrier.pids("conntrackd") for carrier in world.carriers] == processes
    assert [carrier.state() for carrier in (active, *world.others(active))] == ["active", "standby"]


@pytest.mark.parametrize("medium", ["ext", "lan", "ha"])
def test_a_host_that_lost_an_uplink_hands_over_and_stays_standby_when_it_is_back(world: World, medium: str) -> None:
    active = world.active()
    (standby,) = world.others(active)
    source, target = (world.vm, INSIDE) if medium == "lan" else (world.out, FLOATING)
    try:
        with world.silence(target, source) as silence:
            world.cut(active, medium)
            eventually(lambda: active.state() == "fault", "it is at fault", 1.0)
        assert silence.longest < FAILOVER
        assert active.addresses() == set()
        assert world.active() is standby
    finally:
        with world.silence() as silence:
            world.cut(active, medium, healed=True)
            eventually(lambda: active.state() == "standby", "it is fit")
    assert silence.lost == 0
    assert world.active() is standby


def test_when_all_lost_the_outside_one_still_serves_the_inside(world: World) -> None:
    try:
        for carrier in world.carriers:
            world.cut(carrier, "ext")
        within = ("ping", "-n", "-c1", "-W1", INSIDE)
        eventually(lambda: {c.state() for c in world.carriers} == {"fault", "active"}, "one stands in")
        eventually(lambda: "1 received" in world.lab.run(world.vm, *within, check=False), "it serves the inside")
        fit, other = world.carriers
        world.cut(fit, "ext", healed=True)
        eventually(lambda: (fit.state(), other.state()) == ("active", "fault"), "the first that is fit takes over")
    finally:
        for carrier in world.carriers:
            world.cut(carrier, "ext", healed=True)


SERVE = """
import socket, threading, time
def push(connection):
    number = 0
    try:
        while True:
            connection.sendall(b"%08d" % number)
            number += 1
            time.sleep(0.02)
    except OSError:
        pass
with socket.create_server(("0.0.0.0", 8000)) as server:
    print("ready", flush=True)
    while True:
        threading.Thread(target=push, args=(server.accept()[0],), daemon=True).start()
"""
READ = """
import socket, sys, time
connection = socket.create_connection((sys.argv[1], 8000), timeout=10)
print("ready", flush=True)
number, until = 0, time.monotonic() + float(sys.argv[2])
with connection.makefile("rb") as stream:
    while time.monotonic() < until:
        assert int(stream.read(8)) == number
        number += 1
print(number)
"""


def test_connections_go_on(world: World) -> None:
    """Through the floating IP, and through the gateway's address; the far end sends."""
    lab = world.lab
    lab.address(world.vm, "eth0", "192.168.1.6/24")  # has no floating IP
    programs = [(world.vm, SERVE, ()), (world.out, SERVE, ())]
    readers = [(world.out, READ, (FLOATING, "4")), (world.vm, READ, (OUTSIDE, "4", "192.168.1.6"))]
    started = []
    try:
        for namespace, program, arguments in programs + readers:
            text = program
            if len(arguments) == 3:
                text = text.replace("timeout=10", "timeout=10, source_address=(sys.argv[3], 0)")
            argv = ["ip", "netns", "exec", namespace, sys.executable, "-c", text, *arguments]
            started.append(subprocess.Popen(argv, stdout=subprocess.PIPE, text=True))
            assert started[-1].stdout.readline() == "ready\n"
        active = world.active()
        (standby,) = world.others(active)
        for address in ("192.168.1.5", "192.168.1.6"):
            eventually(
                lambda address=address: "ASSURED" in conntrack(world, standby, address), "the other host knows it"
            )
        active.kill("keepalived")
        for reader in started[2:]:
            output, _ = reader.communicate(timeout=15)
            assert int(output) > 20
        assert world.active() is standby
    finally:
        for process in started:
            process.kill()
            process.communicate()
        lab.ip("-n", world.vm, "address", "del", "192.168.1.6/24", "dev", "eth0")


def frames(world: World, carrier: Carrier, seconds: float) -> subprocess.Popen[str]:
    """Frames with the shared MACs that come out of a host."""
    match = f"ether src {cloud.GATEWAY.mac} or ether src {cloud.INSIDE.mac}"
    argv = ["timeout", str(seconds), "tcpdump", "-lnei", f"ext{carrier.number}", "-Q", "in", match]
    process = subprocess.Popen(
        ["ip", "netns", "exec", world.hub, *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    eventually(lambda: "listening" in process.stderr.readline(), "tcpdump listens")
    return process


def test_a_router_that_leaves_hands_over_first_and_comes_back_mute(world: World) -> None:
    active = world.active()
    (standby,) = world.others(active)
    with world.silence() as silence:
        assert active.converge(HostState()) == []
    assert silence.longest < FAILOVER
    assert world.active() is standby
    capture = frames(world, active, 3)
    with world.silence() as silence:
        assert active.converge() == []
        eventually(lambda: active.state() == "standby", "it stands by")
        poke = (
            f"import socket; s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind(('ext{active.number}', 0));"
        )
        echo = icmp_echo(world, cloud.GATEWAY.mac)
        for _ in range(10):  # what is flooded to it is neither answered nor passed on
            world.lab.python(world.hub, poke + f"s.send(bytes.fromhex('{echo}'))")
    output, _ = capture.communicate(timeout=10)
    assert output.strip() == ""
    assert silence.lost == 0
    assert world.active() is standby


def icmp_echo(world: World, mac: str) -> str:
    """A frame with a ping to the floating IP, in hex."""
    import struct

    def checksum(data: bytes) -> int:
        total = sum(struct.unpack(f"!{len(data) // 2}H", data))
        total = (total & 0xFFFF) + (total >> 16)
        return ~(total + (total >> 16)) & 0xFFFF

    icmp = struct.pack("!BBHHH", 8, 0, 0, 1, 1)
    icmp = icmp[:2] + struct.pack("!H", checksum(icmp)) + icmp[4:]
    ends = bytes(map(int, OUTSIDE.split("."))) + bytes(map(int, FLOATING.split(".")))
    head = struct.pack("!BBHHHBBH", 0x45, 0, 28, 1, 0, 64, 1, 0)
    head = head[:10] + struct.pack("!H", checksum(head + ends)) + ends
    return (bytes.fromhex(mac.replace(":", "")) + bytes.fromhex("fa163eeeeeee0800") + head + icmp).hex()


def test_whole_seconds_speak_the_second_version(world: World) -> None:
    active = world.active()
    try:
        world.advert_int = 1.0
        world.converge()
        argv = ("timeout", "5", "tcpdump", "-c", "2", "-lnpi", f"ha{active.number}", "-Q", "in", "ip proto 112")
        seen = world.lab.run(world.hub, *argv)
    finally:
        world.advert_int = 0.1
        world.converge()
    where = f"IP 169.254.192.{active.number} > 224.0.0.18: "
    line = where + "VRRPv2, Advertisement, vrid 7, prio 50, authtype none, intvl 1s, length 20"
    assert [text.split(" ", 1)[1] for text in seen.splitlines()] == [line] * 2
