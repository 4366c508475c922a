"""Planned load balancers with a real haproxy, real servers in namespaces, and the kernel's translation for UDP."""

import csv
import os
import signal
import ssl
import subprocess
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from netloom.feed.fragments import Certificate, HealthMonitor, L7Policy, L7Rule, SessionPersistence
from netloom.plan import haproxy
from tests import web
from tests.host.balancer_world import MEMBERS, VIP, Load, World, member
from tests.host.cluster import Cluster
from tests.host.netlab import eventually, root
from tests.unit.plan import balancer_world as lb

pytestmark = pytest.mark.skipif(not root(), reason="needs root")

QUICK = msgspec.structs.replace(lb.CHECK, delay=1, timeout=1, max_retries=1, max_retries_down=1)
BOTH = {"vm2", "vm3"}


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with Cluster() as cluster:
        yield World(cluster, ("host1",), "host1")


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A key and its certificate."""
    folder = tmp_path_factory.mktemp("tls")
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"]
    files = ["-subj", "/CN=balancer", "-keyout", str(folder / "key"), "-out", str(folder / "certificate")]
    subprocess.run([*words, *files], check=True, capture_output=True, timeout=30)
    return (folder / "key").read_text() + (folder / "certificate").read_text()


def in_turn(answers: list[str]) -> bool:
    return set(answers) == BOTH and all(a != b for a, b in pairwise(answers))


def test_clients_stay_with_their_members_also_over_a_reload(world: World) -> None:
    # The first test: where a process was before, it takes 10 s, not 5, until this one hands on.
    kinds = {1: ("SOURCE_IP", ""), 2: ("HTTP_COOKIE", ""), 3: ("APP_COOKIE", web.COOKIE)}
    pools = [lb.pool(n, persistence=SessionPersistence(*kind), monitor=QUICK) for n, kind in kinds.items()]
    by_address, *by_cookie = (80 + n for n in kinds)

    def balance(milliseconds: int) -> None:
        world.balance(*(lb.listener(n, port=80 + n, timeout_client_data=milliseconds) for n in kinds), *pools)

    balance(30000)
    eventually(lambda: world.ask(by_address) in BOTH, "it serves")
    first = world.ask(by_address)
    visitors = {}
    for port in by_cookie:
        eventually(lambda port=port: in_turn([world.ask(port) for _ in range(4)]), "without a cookie it is in turn")  # type: ignore[misc]
        for _ in MEMBERS:
            name = world.ask(port)
            visitors[port, name] = "; ".join(world.cookies)
    assert len(visitors) == 4
    eventually(lambda: handed_on(world), "a process knows only after 10 s that nobody hands on to it", 15)
    before = world.workers("host1")[0]
    balance(40000)
    successor(world, before)
    eventually(lambda: handed_on(world), "it has been told all")
    assert {world.ask(by_address) for _ in range(6)} == {first}
    for (port, name), cookies in visitors.items():
        assert {world.ask(port, Cookie=cookies) for _ in range(3)} == {name}


def test_members_serve_in_turn_and_one_that_dies_is_left_out_until_it_returns(world: World) -> None:
    world.balance(lb.listener(), lb.listener(2, port=8080, pool_id=lb.pool().id), lb.pool(monitor=QUICK))
    eventually(lambda: in_turn(world.answers()), "both members answer, strictly in turn")
    assert world.ask(8080) == "", "the VIP's security group lets no such port in"
    world.kill(3)
    assert set(world.answers()) == {"vm2"}, "a connection that is refused goes to another member at once"
    eventually(lambda: "DOWN" in state(world, 3), "its monitor has seen it")
    world.serve(3)
    eventually(lambda: in_turn(world.answers()), "it serves again")


def test_a_reload_under_load_loses_no_request_and_forgets_nothing(world: World) -> None:
    world.balance(lb.listener(), lb.pool(1, member(2), member(3), member(9), monitor=QUICK))
    eventually(lambda: "DOWN" in state(world, 9), "nobody is there")
    before = world.workers("host1")[0]
    with Load(world) as load:
        for number in range(20, 28):
            others = [member(2), member(9)] + [member(3, id=f"member-{number}")] * (number % 2)
            world.balance(lb.listener(), lb.pool(1, *others, monitor=QUICK))
            before = successor(world, before)
            assert "DOWN" in state(world, 9), "the new process knows who is down"
    assert load.answers.keys() <= BOTH, load.answers
    assert sum(load.answers.values()) > 100


@pytest.mark.parametrize("monitor", [QUICK, None], ids=["monitored", "unmonitored"])
def test_a_member_that_is_up_again_serves_again(world: World, monitor: HealthMonitor | None) -> None:
    for up in (True, False, True):
        world.balance(lb.listener(), lb.pool(1, member(2), member(3, admin_state_up=up), monitor=monitor))
        eventually(lambda up=up: set(world.answers()) == (BOTH if up else {"vm2"}), f"up: {up}")  # type: ignore[misc]


def test_the_member_with_the_fewest_connections_serves(world: World) -> None:
    pool = lb.pool(1, algorithm="LEAST_CONNECTIONS", protocol="TCP")
    world.balance(lb.listener(protocol="TCP"), pool)
    eventually(lambda: set(world.answers()) == BOTH, "both members serve")
    kept = world.connection()
    try:
        kept.request("GET", "/")
        busy = kept.getresponse().read().decode()
        (idle,) = (number for number in MEMBERS if f"vm{number}" != busy)
        for _ in range(5):
            eventually(lambda: statistics(world, idle)["scur"] == "0", "no connection to it is left")
            assert world.ask() == f"vm{idle}"
    finally:
        kept.close()


def test_the_address_of_a_client_chooses_its_member(world: World) -> None:
    world.balance(lb.listener(), lb.pool(1, algorithm="SOURCE_IP", monitor=QUICK))
    eventually(lambda: world.ask() in BOTH, "it serves")
    (chosen,) = set(world.answers(6))
    others = [member(number) for number in MEMBERS if f"vm{number}" != chosen]
    world.balance(lb.listener(), lb.pool(1, *others, algorithm="SOURCE_IP", monitor=QUICK))
    eventually(lambda: set(world.answers()) == BOTH - {chosen}, "another member has the client when that one is gone")


def test_policies_of_layer_7_choose_what_becomes_of_a_request(world: World) -> None:
    def policy(action: str, number: int, rule: L7Rule, **more: object) -> L7Policy:
        return L7Policy(id=lb.id_of(0x17, number), action=action, rules=(rule,), **more)  # type: ignore[arg-type]

    pool, other = lb.pool(1, member(2)), lb.pool(2, member(3))
    policies = (
        policy("REDIRECT_TO_POOL", 1, L7Rule("PATH", "STARTS_WITH", "/other"), pool_id=other.id),
        policy("REDIRECT_TO_POOL", 2, L7Rule("HOST_NAME", "ENDS_WITH", ".example"), pool_id=other.id),
        policy("REDIRECT_TO_URL", 3, L7Rule("FILE_TYPE", "EQUAL_TO", "jpg"), target="http://pictures/", code=301),
        policy("REDIRECT_PREFIX", 4, L7Rule("PATH", "CONTAINS", "/safe"), target="https://balancer"),
        policy("REJECT", 5, L7Rule("HEADER", "EQUAL_TO", "evil", key="X-Mind")),
    )
    world.balance(lb.listener(policies=policies), pool, other)
    eventually(lambda: world.ask() == "vm2", "it serves")
    assert world.ask(path="/other/thing") == "vm3"
    assert world.ask(Host="www.example") == "vm3"
    assert world.ask(path="/a.jpg") == "301 http://pictures/"
    assert world.ask(path="/safe?a=b") == "302 https://balancer/safe?a=b"
    assert world.ask(**{"X-Mind": "evil"}) == "403"


def test_a_member_that_answers_no_ping_is_left_out(world: World) -> None:
    ping = msgspec.structs.replace(QUICK, type="PING")
    world.balance(lb.listener(), lb.pool(1, member(2), member(9), monitor=ping))
    eventually(lambda: "UP" in state(world, 2) and "DOWN" in state(world, 9), "who is there is known")
    eventually(lambda: world.answers() == ["vm2"] * 4, "it alone serves")


def test_datagrams_reach_the_members_in_turn_and_their_monitor_sees_closed_ports(world: World) -> None:
    probe = msgspec.structs.replace(QUICK, type="UDP-CONNECT", timeout=2)
    listener = lb.listener(4, protocol="UDP", port=53)
    members = [member(number, port=53) for number in MEMBERS]
    world.balance(listener, lb.pool(4, *members, protocol="UDP", monitor=probe))
    eventually(lambda: in_turn(world.send()), "both members answer, in turn, by way of the VIP")
    world.kill(3)
    eventually(lambda: "DOWN" in state(world, 3, 4), "its monitor has seen it")
    world.serve(3)
    eventually(lambda: "UP" in state(world, 3, 4), "and that it is back")
    world.balance(listener, lb.pool(4, *members, protocol="UDP", algorithm="SOURCE_IP"))
    assert len(set(world.send())) == 1, "a client has one member"
    for number, one in zip(reversed(MEMBERS), reversed(members), strict=True):
        world.balance(listener, lb.pool(4, one, protocol="UDP"))
        assert set(world.send(port=4000)) == {f"vm{number}"}, "also for who asked another one before"


def test_tls_ends_at_the_balancer(world: World, pem: str) -> None:
    certificate = Certificate("one", pem)
    listener = lb.listener(1, protocol="TERMINATED_HTTPS", port=443, certificates=(certificate,))
    world.balance(listener, lb.pool(1, monitor=QUICK))
    trust = ssl.create_default_context(cadata=pem[pem.index("-----BEGIN CERTIFICATE") :])
    trust.check_hostname = False

    def asks() -> bool:
        try:
            with trust.wrap_socket(world._connect((VIP, 443), 2, None), server_hostname="balancer") as client:
                client.sendall(b"GET / HTTP/1.0\r\n\r\n")
                return b"".join(iter(lambda: client.recv(1000), b"")).endswith((b"vm2", b"vm3"))
        except OSError:
            return False

    eventually(asks, "a member answers through TLS")
    keys = world.cluster.nodes["host1"].layout.state_dir / "lbaas" / world.id_on("host1") / haproxy.CERTIFICATES
    assert [path.stat().st_mode & 0o777 for path in keys.iterdir()] == [0o600]


def test_a_configuration_that_haproxy_refuses_is_told_and_the_one_before_serves_on(world: World) -> None:
    world.balance(lb.listener(), lb.pool(monitor=QUICK))
    eventually(lambda: in_turn(world.answers()), "it serves")
    broken = lb.listener(2, protocol="TERMINATED_HTTPS", port=443, certificates=(Certificate("bad", "no PEM"),))
    failures = world.refused(lb.listener(), broken, lb.pool(monitor=QUICK))
    assert [failure.origin for failure in failures] == [f"loadbalancer/{world.id_on('host1')}"]
    assert "bad.pem" in failures[0].reason
    assert in_turn(world.answers())
    world.balance(lb.listener(), lb.pool(monitor=QUICK))


def test_a_killed_master_leaves_no_worker_that_serves_what_was(world: World) -> None:
    world.balance(lb.listener(), lb.pool(1, member(2), monitor=QUICK))
    eventually(lambda: world.answers() == ["vm2"] * 4, "the first member serves")
    worker = world.workers("host1")[0]
    (master,) = [int(line.split()[0]) for line in world.admin("host1", "show proc").splitlines() if " master " in line]
    os.kill(master, signal.SIGKILL)

    def serves() -> bool:  # looked at again and again, as an agent does that is told of deaths
        return not world.refused(lb.listener(), lb.pool(1, member(3), monitor=QUICK)) and world.answers() == ["vm3"] * 4

    eventually(serves, "it is started again, and only what is wanted now serves")
    eventually(lambda: not Path(f"/proc/{worker}").exists(), "its worker ends")


def test_nothing_is_left_of_one_that_goes(world: World) -> None:
    world.balance(lb.listener(), lb.pool())
    worker = world.workers("host1")[0]
    name = f"loadbalancer/{world.id_on('host1')}"
    gone = world.hosts.worlds["host1"].fragments.pop(name)
    world.apply()
    assert world.namespace("host1") not in world.cluster.lab.ip("netns")
    eventually(lambda: not Path(f"/proc/{worker}").exists(), "its process has ended")
    assert not (world.cluster.nodes["host1"].layout.state_dir / "lbaas").exists()
    world.hosts.worlds["host1"].fragments[name] = gone
    world.apply()
    eventually(lambda: in_turn(world.answers()), "it is made anew")


def test_haproxy_takes_all_that_can_be_planned(tmp_path: Path, pem: str) -> None:
    authority = pem[pem.index("-----BEGIN CERTIFICATE") :]
    balancer = lb.everything(pem, authority)
    (tmp_path / "conf").write_text(haproxy.configuration(balancer, "nobody", "nogroup"))
    for path, text, _ in haproxy.files(balancer):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    words = ["haproxy", "-c", "-C", str(tmp_path), "-f", str(tmp_path / "conf")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    known = "Can't open global server state file"
    assert [line for line in done.stderr.splitlines() if "WARNING" in line and known not in line] == []


def successor(world: World, worker: int) -> int:
    """The process that serves after another one, once it does."""
    eventually(lambda: worker not in world.workers("host1")[:1], "a new process serves")
    return world.workers("host1")[0]


def handed_on(world: World) -> bool:
    """Whether a process has been told all that the one before it knew of clients, or knows that it never will."""
    lines = world.admin("host1", "@1 show peers").splitlines()
    return any(int(line.partition("flags=")[2].split()[0], 16) & 3 == 3 for line in lines if "id=handover" in line)


def statistics(world: World, number: int, at: int = 1) -> dict[str, str]:
    """What haproxy counts of a member, by the names of its columns."""
    for row in csv.DictReader(world.admin("host1", "@1 show stat").removeprefix("# ").splitlines()):
        if row["svname"] == member(number).id and row["pxname"].endswith(lb.listener(at).id):
            return row
    return {}


def state(world: World, number: int, at: int = 1) -> str:
    """What haproxy says of a member: UP, DOWN 1/2 …"""
    return statistics(world, number, at).get("status", "")


@pytest.fixture
def pair() -> Iterator[World]:
    with Cluster() as cluster:
        yield World(cluster, ("host1", "host2"), "host3")


def test_another_host_takes_over_within_a_second(pair: World) -> None:
    pair.balance(lb.listener(), lb.pool(monitor=QUICK))
    eventually(lambda: len(pair.active()) == 1, "one of two has the VIP")
    eventually(lambda: in_turn(pair.answers()), "its members answer")
    (first,) = pair.active()
    (second,) = set(pair.carriers) - {first}
    eventually(lambda: "UP" in pair.admin(second, "@1 show stat"), "the other one examines the members, too")
    with pair.asking() as told:
        time.sleep(0.5)  # requests before it
        pair.cluster.nodes[first].switch.ip("link", "set", "u-br-eth1", "down")
        cut = time.monotonic()
        eventually(lambda: second in pair.active(), "the other one has the VIP")
        eventually(lambda: pair.ask() in BOTH, "and serves")
    requests = told()
    since, until = requests.silence()
    print(f"silent for {until - since:.3f} s; lost {len(requests.lost)} of {len(requests.all)}")
    assert until - since < 1, "seconds"
    assert [each for each in requests.lost if each.began > cut] == [], "others than those under way"
    pair.cluster.nodes[first].switch.ip("link", "set", "u-br-eth1", "up")
    eventually(lambda: len(pair.active()) == 1, "one of two has the VIP again")
    eventually(lambda: in_turn(pair.answers()), "and serves")
