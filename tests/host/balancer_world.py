"""A load balancer on real hosts: servers in namespaces behind it, and a client that asks them by way of the VIP."""

import contextlib
import http.client
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from netloom.feed.fragments import AddressPair, FixedIp, HaGroup, HaPort, Listener, LoadBalancer, Member, Pool, Port
from netloom.host.namespaces import inside
from netloom.host.questions import ask
from netloom.plan import loadbalancers
from netloom.state import Failure
from tests import web
from tests.host.cluster import Cluster, Guest
from tests.host.netlab import eventually
from tests.unit.plan import balancer_world as lb
from tests.unit.plan.hosts_world import Hosts
from tests.unit.plan.switching_world import EGRESS_ALL, TCP, UDP, group, id_of, network, port, rule

VIP = "10.0.0.4"
CLIENT, MEMBERS = 1, (2, 3)
OPEN = group(1, *EGRESS_ALL, rule())
WEB = group(2, *EGRESS_ALL, rule(protocol=TCP, first=80, last=443), rule(protocol=UDP, first=53, last=53))
NETWORK = msgspec.structs.replace(network(), subnets=(msgspec.structs.replace(lb.SUBNETS[0], gateway=""),))
WEB_PROGRAM = str(Path(web.__file__))


def guest_port(number: int, host: str) -> Port:
    return port(number, [OPEN.id], host=host, fixed_ips=(FixedIp("four", f"10.0.0.{number}"),))


class World:
    """Hosts, of which the last one has the guests and the first ones carry the balancer."""

    def __init__(self, cluster: Cluster, carriers: Sequence[str], home: str) -> None:
        self.cluster, self.carriers, self.home = cluster, carriers, home
        names = list(dict.fromkeys([*carriers, home]))
        cluster.build(*names)
        self.hosts = Hosts(dict.fromkeys(names, False)).put(NETWORK)
        for host in names:
            self.hosts.worlds[host].put(OPEN, WEB)
        self.servers: dict[int, subprocess.Popen[bytes]] = {}
        self.guests: dict[int, Guest] = {}
        self.cookies: list[str] = []
        """Those of the last answer."""
        for number in (CLIENT, *MEMBERS):
            self.hosts.put(guest_port(number, home))
        self.apply()
        for number in (CLIENT, *MEMBERS):
            guest = self.guests[number] = Guest(cluster, cluster.nodes[home], f"g{number}")
            guest.plug(guest_port(number, home), "eth0", NETWORK.mtu)
        for number in MEMBERS:
            self.serve(number)
        self.apply()

    def id_on(self, host: str) -> str:
        """The namespaces of all hosts are on one machine here, so the balancer has another id on each."""
        return f"{self.cluster.lab.id}-{host}"

    def namespace(self, host: str) -> str:
        return f"qlbaas-{self.id_on(host)}"

    def apply(self) -> None:
        for node in self.cluster.nodes.values():
            node.apply(self.hosts)

    def balance(self, *parts: Listener | Pool) -> None:
        """Have the balancer consist of these."""
        self.ask_for(*parts)
        self.apply()

    def refused(self, *parts: Listener | Pool) -> list[Failure]:
        """What the only host fails at when the balancer is to consist of these."""
        self.ask_for(*parts)
        node = self.cluster.nodes[self.home]
        wanted = node.plan(self.hosts)
        with inside(node.namespace):
            return node.host.apply(wanted)

    def ask_for(self, *parts: Listener | Pool) -> None:
        """Tell the hosts what the balancer is to consist of."""
        whole = _ipv4(lb.balancer(*parts))
        if len(self.carriers) > 1:
            whole = msgspec.structs.replace(whole, ha=group_of(self.carriers))
        for host in self.carriers:
            own = own_port(self.carriers, host) if whole.ha else vip_port(host)
            self.hosts.put(own).worlds[host].put(msgspec.structs.replace(whole, id=self.id_on(host)))

    def serve(self, number: int) -> None:
        """Start the server of a member."""
        words = [sys.executable, WEB_PROGRAM, "serve", f"vm{number}", f"10.0.0.{number}", "80", "53"]
        self.servers[number] = subprocess.Popen(
            ["ip", "netns", "exec", self.guests[number].namespace, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.cluster.lab.processes.append(self.servers[number])

    def kill(self, number: int) -> None:
        """End the server of a member."""
        self.servers[number].kill()
        self.servers[number].wait()

    def ask(self, at: int = 80, path: str = "/", **headers: str) -> str:
        """What the VIP answers to a request of a new connection; empty when nothing comes.

        A redirection is its status and where to.
        """
        connection = self.connection(at)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            text = answer.read().decode()
            self.cookies = [value.partition(";")[0] for value in answer.headers.get_all("Set-Cookie", [])]
            return text if answer.status == 200 else f"{answer.status} {answer.headers.get('Location', '')}".strip()
        except (OSError, http.client.HTTPException):
            return ""
        finally:
            connection.close()

    def connection(self, at: int = 80, seconds: float = 3.0) -> http.client.HTTPConnection:
        """A connection of the client, which is made by the first request."""
        connection = http.client.HTTPConnection(VIP, at, timeout=seconds)
        connection._create_connection = self._connect  # type: ignore[attr-defined]  # there is no other way in
        return connection

    def _connect(self, address: tuple[str, int], timeout: float, source: object) -> socket.socket:
        with inside(self.guests[CLIENT].namespace):
            return socket.create_connection(address, timeout)

    @contextmanager
    def asking(self) -> Iterator[Callable[[], web.Requests]]:
        """A client that asks the VIP every 10 ms during the block; what became of that is known afterwards."""
        words = [sys.executable, WEB_PROGRAM, "ask", VIP, "80"]
        client = subprocess.Popen(
            ["ip", "netns", "exec", self.guests[CLIENT].namespace, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.cluster.lab.processes.append(client)
        assert client.stdin
        assert client.stdout
        assert client.stdout.readline() == "ready\n"
        told: list[web.Requests] = []
        try:
            yield told.pop
        finally:
            client.stdin.close()
            told.append(web.requests(client.stdout.read(), *(f"vm{number}" for number in MEMBERS)))

    def answers(self, count: int = 4) -> list[str]:
        """What so many requests in a row get."""
        return [self.ask() for _ in range(count)]

    def send(self, count: int = 4, port: int = 0) -> list[str]:
        """What as many clients get back for a datagram, each from a port of its own or all from the one given."""
        found = []
        for _ in range(count):
            with inside(self.guests[CLIENT].namespace):
                client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            with client:
                client.settimeout(2)
                client.bind(("0.0.0.0", port))
                client.connect((VIP, 53))  # an answer from elsewhere is none
                client.send(b"?")
                try:
                    found.append(client.recv(100).decode())
                except OSError:
                    found.append("")
        return found

    def admin(self, host: str, question: str) -> str:
        """What haproxy says on its admin socket, after a reload if it is at one."""
        run = self.cluster.nodes[host].layout.run_dir
        path = run / "daemons" / loadbalancers.daemon(self.id_on(host)) / loadbalancers.ADMIN_SOCKET
        told: list[bytes] = []

        def answers() -> bool:
            with contextlib.suppress(ConnectionError):
                told.append(ask(path, question))
            return bool(told)

        eventually(answers, "it answers")
        return told[0].decode()

    def workers(self, host: str) -> list[int]:
        """haproxy's processes that serve, the newest first."""
        lines = self.admin(host, "show proc").splitlines()
        return [int(words[0]) for line in lines if (words := line.split()) and words[1:2] == ["worker"]]

    def active(self) -> list[str]:
        """Hosts that bear the VIP."""
        shown = {host: self.cluster.lab.ip("-n", self.namespace(host), "address") for host in self.carriers}
        return [host for host, text in shown.items() if f"{VIP}/" in text]


class Load:
    """Clients that ask without a pause, half of them by one connection each: how often each answer came."""

    def __init__(self, world: World, clients: int = 4) -> None:
        self._world = world
        self._stop = threading.Event()
        self.answers: dict[str, int] = {}
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(number % 2 == 0,)) for number in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        eventually(lambda: sum(self.answers.values()) > 20, "the load has begun")
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, keep: bool) -> None:
        connection = self._world.connection()
        while not self._stop.is_set():
            try:
                connection.request("GET", "/")
                response = connection.getresponse()
                text = response.read().decode()
                answer = text if response.status == 200 else str(response.status)
            except (OSError, http.client.HTTPException) as error:
                answer = type(error).__name__
            if not keep or answer.isalpha():
                connection.close()
            with self._lock:
                self.answers[answer] = self.answers.get(answer, 0) + 1


def vip_port(host: str) -> Port:
    own = (FixedIp("four", VIP),)
    return lb.vip_port(WEB.id, host=host, fixed_ips=own)


def group_of(carriers: Iterable[str]) -> HaGroup:
    """The hosts of one balancer, with ports 5 and following."""
    ports = [
        HaPort(host, id_of(0xB0, number), port(number).mac, f"10.0.0.{number}/24")
        for number, host in enumerate(carriers, 5)
    ]
    return HaGroup(network_id=NETWORK.id, mtu=NETWORK.mtu, vrid=9, ports=tuple(ports))


def own_port(carriers: Sequence[str], host: str) -> Port:
    number = 5 + list(carriers).index(host)
    pairs = (AddressPair(VIP, port(number).mac),)
    own = (FixedIp("four", f"10.0.0.{number}"),)
    return port(number, [WEB.id], host=host, device_owner=lb.OWNER, fixed_ips=own, address_pairs=pairs)


def member(number: int, **more: object) -> Member:
    return lb.member(number, **more)


def _ipv4(whole: LoadBalancer) -> LoadBalancer:
    vip = msgspec.structs.replace(whole.vip, addresses=(f"{VIP}/24",), subnets=("four",))
    return msgspec.structs.replace(whole, vip=vip)
