"""What a real haproxy tells of its members and listeners, and what of that is passed on."""

import signal
import socket
import subprocess
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from netloom.agent import loadbalancers
from netloom.agent.loadbalancers import Observer, look, unserved
from netloom.feed.fragments import HaGroup, HaPort, Listener, LoadBalancer, RouterPort
from netloom.plan.intent import Intent
from netloom.plan.loadbalancers import ADMIN_SOCKET, daemon
from netloom.plan.settings import PlanSettings
from tests.sandbox import eventually

CONFIGURATION = """\
global
    hard-stop-after 10s
defaults
    mode tcp
    timeout connect 1s
    timeout client 5s
    timeout server 5s
frontend front
    bind unix@{root}/front
    default_backend pool:front
backend pool:front
    server well unix@{root}/well check inter 100ms rise 1 fall 1
    server ill unix@{root}/ill check inter 100ms rise 1 fall 1
    server idle unix@{root}/well check inter 100ms rise 1 fall 1 weight 0
    server trusted unix@{root}/well backup
    server off unix@{root}/well check disabled
"""


@dataclass
class Told:
    """What an observer passed on."""

    members: list[dict] = field(default_factory=list)
    traffic: list[dict] = field(default_factory=list)
    arrives: bool = True
    wakes: int = 0

    def take_traffic(self, told) -> bool:
        self.traffic.append(told)
        return self.arrives

    def wake(self) -> None:
        self.wakes += 1


class Proxy:
    """A haproxy where the agent looks for that of a balancer."""

    def __init__(self, root: Path) -> None:
        self.root, self.balancer = root, str(uuid.uuid4())
        self.socket = root / "daemons" / daemon(self.balancer) / ADMIN_SOCKET
        self.socket.parent.mkdir(parents=True)
        (root / "conf").write_text(CONFIGURATION.format(root=root))
        self._member = socket.socket(socket.AF_UNIX)
        self._member.bind(str(root / "well"))
        self._member.listen(50)
        threading.Thread(target=self._serve, daemon=True).start()

    def start(self) -> None:
        argv = ["/usr/sbin/haproxy", "-W", "-f", f"{self.root}/conf", "-S", f"{self.socket},mode,600"]
        self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        eventually(lambda: self.states().get("ill") == "down")

    def states(self) -> dict[str, str]:
        try:
            return dict(look(self.socket).members)
        except OSError:
            return {}

    def connect(self) -> socket.socket:
        """A connection that has sent 4 octets and got 6."""
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(self.root / "front"))
        connection.sendall(b"ping")
        assert connection.recv(10) == b"answer"
        return connection

    def counts(self) -> list[tuple[int, int, int, int]]:
        """Of each worker: octets in and out, connections that are and were; none while the master reloads."""
        try:
            found = look(self.socket).traffic
        except OSError:
            return []
        return sorted(
            (one.bytes_in, one.bytes_out, one.active_connections, one.total_connections) for one in found.values()
        )

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(15)

    def close(self) -> None:
        self.stop()
        self._member.close()

    def _serve(self) -> None:
        kept = []
        while True:
            try:
                connection, _ = self._member.accept()
            except OSError:
                return
            kept.append(connection)
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    @staticmethod
    def _answer(connection: socket.socket) -> None:
        with connection:
            while connection.recv(100):
                connection.sendall(b"answer")


@pytest.fixture
def proxy():
    # Addresses of sockets have 107 characters at most.
    with tempfile.TemporaryDirectory(prefix="lb") as root:
        found = Proxy(Path(root))
        try:
            found.start()
            yield found
        finally:
            found.close()


def fragment(balancer: str, ha: HaGroup | None = None, protocol: str = "TCP") -> LoadBalancer:
    vip = RouterPort("port", "net", "fa:16:3e:00:00:01", 1450, ("10.0.0.9/24",), ("sub",))
    return LoadBalancer(balancer, "p", True, vip, (Listener("front", protocol, 80),), (), ha)


def observer(proxy: Proxy, told: Told, balancer: LoadBalancer, interval: float = 0.0) -> Observer:
    balancers = {balancer.id: balancer}
    return Observer(proxy.root, lambda: balancers, told.members.append, told.take_traffic, interval, told.wake)


def test_members_as_haproxy_finds_them(proxy):
    assert proxy.states() == {
        "well": "up", "ill": "down", "idle": "draining", "trusted": "unchecked", "off": "off",
    }  # fmt: skip


def test_a_replaced_process_is_counted_until_its_last_connection_ends(proxy):
    proxy.connect().close()
    with proxy.connect():
        proxy.process.send_signal(signal.SIGUSR2)
        # Octets are counted when a connection ends.
        eventually(lambda: proxy.counts() == [(0, 0, 0, 0), (4, 6, 1, 2)])
        proxy.connect().close()
        eventually(lambda: proxy.counts() == [(4, 6, 0, 1), (4, 6, 1, 2)])
    eventually(lambda: proxy.counts() == [(4, 6, 0, 1)])


def test_counts_of_what_has_ended_are_told_until_they_arrive(proxy):
    told = Told(arrives=False)
    watcher = observer(proxy, told, fragment(proxy.balancer))
    proxy.connect().close()
    eventually(lambda: proxy.counts() == [(4, 6, 0, 1)])
    watcher.look({})
    proxy.stop()
    watcher.look({})
    proxy.start()
    watcher.look({})
    assert [len(each["front"]) for each in told.traffic] == [1, 1, 2]
    told.arrives = True
    watcher.look({})
    assert sum(one.bytes_in for one in told.traffic[-1]["front"].values()) == 4
    watcher.look({})
    assert [one.bytes_in for one in told.traffic[-1]["front"].values()] == [0], "the server knows of the other"


def test_silence_is_told_after_a_while(proxy, monkeypatch):
    told = Told()
    watcher = observer(proxy, told, fragment(proxy.balancer))
    watcher.look({})
    assert told.members[-1][proxy.balancer]["ill"] == "down"
    proxy.stop()
    watcher.look({})
    assert told.members[-1] == told.members[-2], "it may be about to come back"
    assert told.wakes == 1
    monkeypatch.setattr(loadbalancers, "PATIENCE", 0.0)
    watcher.look({})
    assert told.members[-1] == {proxy.balancer: None}
    proxy.start()
    watcher.look({})
    assert told.members[-1][proxy.balancer]["well"] == "up"


def test_only_the_active_host_speaks_for_the_members(proxy):
    told = Told()
    group = HaGroup("net", 1450, 1, (HaPort("h1", "own", "fa:16:3e:00:00:02", "10.0.0.2/24"),))
    watcher = observer(proxy, told, fragment(proxy.balancer, group))
    for state in ("standby", "active", "fault"):
        watcher.look({proxy.balancer: state})
    assert [set(each) for each in told.members] == [set(), {proxy.balancer}, set()]


def test_members_of_udp_listeners_that_fail_are_for_the_plan(proxy):
    told = Told()
    watcher = observer(proxy, told, fragment(proxy.balancer, protocol="UDP"))
    watcher.look({})
    watcher.look({})
    assert (watcher.failing, told.wakes) == ({"ill"}, 1)


def test_a_haproxy_that_hangs_delays_nobody_for_long(tmp_path):
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(tmp_path / "deaf"))
        deaf.listen(1)
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            look(tmp_path / "deaf")
    assert time.monotonic() - began < 2 * loadbalancers.TIMEOUT


def test_what_cannot_be_here_has_a_reason():
    balancer = fragment("b")
    (failure,) = unserved(Intent({balancer.name: balancer}), PlanSettings(host="h1"))
    assert failure.origin == "loadbalancer/b"
    assert "port port is not bound here" in failure.reason
