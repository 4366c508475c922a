"""The metadata chain with a real haproxy: instance, namespace, proxy, responder, and a server that plays Nova."""

import contextlib
import hmac
import json
import os
import pwd
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from netloom.agent.metadata import NovaMetadata, Responder
from netloom.feed.fragments import DhcpNetwork, DhcpServer, FixedIp, Fragment, Network, Port, Subnet
from netloom.host.namespaces import Namespaces
from netloom.plan import dhcp, metadata
from netloom.plan.intent import Intent
from netloom.plan.settings import PlanSettings
from netloom.state import Address, Daemon, Facts, HostState
from tests.host.netlab import Lab, eventually, only, root

pytestmark = pytest.mark.skipif(not root(), reason="needs root")

SETTINGS = PlanSettings(host="host1")
ASK = """
import http.client, json, sys
connection = http.client.HTTPConnection(sys.argv[1], 80, timeout=5)
connection.request("GET", "/latest/meta-data", headers=json.loads(sys.argv[2]))
answer = connection.getresponse()
print(answer.status, answer.read().decode())
"""
ASK_OFTEN = """
import collections, http.client, json, select, sys, time
told = collections.Counter()
while not select.select([sys.stdin], [], [], 0.01)[0]:
    try:
        connection = http.client.HTTPConnection("169.254.169.254", 80, timeout=20)
        connection.request("GET", "/latest/meta-data")
        answer = connection.getresponse()
        told[f"{answer.status} {answer.read().decode()}"] += 1
        connection.close()
    except Exception as error:
        told[repr(error)] += 1
    if told.total() % 10 == 0:
        print(told.total(), flush=True)
print(json.dumps(told))
"""
ASK_AT_ONCE = """
import concurrent.futures, http.client, json, sys, threading
addresses = json.loads(sys.argv[1])
together = threading.Barrier(len(addresses) + 1)
def ask(address):
    connection = http.client.HTTPConnection("169.254.169.254", 80, timeout=20, source_address=(address, 0))
    together.wait()
    try:
        connection.request("GET", "/latest/meta-data")
        answer = connection.getresponse()
        return f"{answer.status} {answer.read().decode()}"
    except Exception as error:
        return repr(error)
with concurrent.futures.ThreadPoolExecutor(len(addresses)) as threads:
    asked = [threads.submit(ask, address) for address in addresses]
    print("ready", flush=True)
    sys.stdin.readline()
    together.wait()
    print(json.dumps(dict(zip(addresses, (one.result() for one in asked)))))
"""
SECRET = b"s"


class Nova(BaseHTTPRequestHandler):
    """Says whom it was asked for, if that is signed with its secret."""

    secret = SECRET

    def do_GET(self) -> None:
        instance = self.headers["X-Instance-ID"]
        signature = hmac.digest(self.secret, instance.encode(), "sha256").hex()
        self.send_response(200 if signature == self.headers["X-Instance-ID-Signature"] else 403)
        self.end_headers()
        self.wfile.write(f"{instance} at {self.headers['X-Forwarded-For']}".encode())

    def log_message(self, *args: object) -> None:
        pass


class Cloud:
    """Isolated networks, all with the same addresses, each with one instance."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.fragments: dict[str, Fragment] = {}

    @property
    def intent(self) -> Intent:
        return Intent(dict(self.fragments))

    def plan(self) -> HostState:
        state = self.planned()
        self.lab.write(state)
        return state

    def planned(self) -> HostState:
        facts = Facts(namespaces=Namespaces.inodes())
        return HostState(metadata.plan(self.intent, facts, SETTINGS, {}))

    def reload(self, master: subprocess.Popen[bytes]) -> None:
        """As the agent does when the plan of its configuration has changed."""
        before = (self.lab.folder / "metadata/haproxy.cfg").read_text()
        self.plan()
        assert (self.lab.folder / "metadata/haproxy.cfg").read_text() != before
        master.send_signal(signal.SIGUSR2)

    def add(self, name: str) -> str:
        """A network with its DHCP namespace and an instance in a namespace, whose name is returned."""
        network = f"{self.lab.id}-{name}"
        subnets = (subnet("s4", "10.0.0.0/24"), subnet("s6", "2001:db8::/64"))
        for fragment in (
            Network(
                id=network,
                project_id="demo",
                mtu=1500,
                network_type="local",
                physical_network="",
                segmentation_id=0,
                admin_state_up=True,
                external=False,
                subnets=subnets,
            ),
            port(f"{network}-dhcp", network, "fa:16:3e:00:00:02", "2", ""),
            port(f"{network}-vm", network, "fa:16:3e:00:00:05", "5", f"instance-{name}"),
            DhcpNetwork(id=network, servers=(DhcpServer("host1", f"{network}-dhcp"),), isolated_subnets=("s4", "s6")),
        ):
            self.fragments[fragment.name] = fragment
        self.connect(network)
        return f"nl-{network}-vm"

    def connect(self, network: str) -> None:
        vm = f"nl-{network}-vm"
        if vm not in self.lab.namespaces:
            self.lab.namespace(vm)
        (service,) = (s for s in dhcp.services(self.intent, SETTINGS) if s.network.id == network)
        self.lab.namespace(service.namespace)
        self.lab.link(service.namespace, service.device, vm, "eth0", mac="fa:16:3e:00:00:05")
        self.lab.address(service.namespace, service.device, "10.0.0.2/24")
        self.lab.address(vm, "eth0", "10.0.0.5/24")
        self.lab.ip("-n", vm, "route", "add", "169.254.169.254", "via", "10.0.0.2")
        for address in self.planned().of(Address).values():
            if address.namespace == service.namespace:
                self.lab.address(service.namespace, service.device, address.cidr)

    def disconnect(self, network: str) -> None:
        """Remove the namespace; the proxy's sockets hold what is inside until it reloads."""
        self.lab.remove_namespace(f"qdhcp-{network}")

    def ask(self, instance: str, address: str = "169.254.169.254", **headers: str) -> str:
        return self.lab.run(instance, "python3", "-c", ASK, address, json.dumps(headers), check=False).strip()


def subnet(id: str, cidr: str) -> Subnet:
    return Subnet(
        id=id,
        cidr=cidr,
        ip_version=6 if ":" in cidr else 4,
        gateway="",
        enable_dhcp=True,
        dns_nameservers=(),
        host_routes=(),
        ra_mode="",
        address_mode="",
        pools=(),
    )


def port(id: str, network: str, mac: str, number: str, device: str) -> Port:
    return Port(
        id=id,
        network_id=network,
        mac=mac,
        project_id="demo",
        device_id=device,
        device_owner="compute:nova" if device else "network:dhcp",
        host="host1",
        admin_state_up=True,
        port_security=True,
        fixed_ips=(
            FixedIp(subnet_id="s4", address=f"10.0.0.{number}"),
            FixedIp(subnet_id="s6", address=f"2001:db8::{number}"),
        ),
        address_pairs=(),
        security_groups=(),
        dhcp_options=(),
    )


@pytest.fixture
def nova() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Nova)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def cloud(nova: int) -> Iterator[Cloud]:
    lab = Lab()
    cloud = Cloud(lab)
    user = pwd.getpwnam(SETTINGS.metadata_proxy_user)
    responder = Responder(
        lab.folder / metadata.SOCKET,
        lambda: cloud.intent,
        NovaMetadata(url=f"http://127.0.0.1:{nova}", shared_secret=SECRET.decode()),
        owner=user.pw_uid,
    )
    responder.start()
    yield cloud
    lab.close()
    responder.stop()


def test_instances_of_one_address_are_told_apart_and_namespaces_come_and_go(cloud: Cloud) -> None:
    one = cloud.add("one")
    daemon = only(cloud.plan(), Daemon)
    master = cloud.lab.start(daemon)
    eventually(lambda: cloud.ask(one) == "200 instance-one at 10.0.0.5", "the first instance is answered")

    two = cloud.add("two")
    cloud.reload(master)
    eventually(lambda: cloud.ask(two) == "200 instance-two at 10.0.0.5", "the second, of the same address, is answered")
    by_mac = "200 instance-one at fe80::f816:3eff:fe00:5"
    eventually(lambda: cloud.ask(one, "fe80::a9fe:a9fe%eth0") == by_mac, "and by IPv6, once its address may be used")

    network = f"{cloud.lab.id}-two"
    cloud.disconnect(network)
    isolated = cloud.fragments.pop(f"dhcp/{network}")
    cloud.reload(master)
    eventually(lambda: "eth0" not in cloud.lab.ip("-n", two, "link"), "nothing holds the old namespace any more")
    assert cloud.ask(one) == "200 instance-one at 10.0.0.5"

    cloud.fragments[f"dhcp/{network}"] = isolated
    cloud.connect(network)
    cloud.reload(master)
    eventually(lambda: cloud.ask(two) == "200 instance-two at 10.0.0.5", "a namespace that came back is served")
    assert master.poll() is None, cloud.lab.output(daemon).read_text()


def test_who_says_itself_who_it_is_gets_refused(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    one = cloud.add("one")
    cloud.add("two")
    cloud.lab.start(only(cloud.plan(), Daemon))
    honest = "200 instance-one at 10.0.0.5"
    eventually(lambda: cloud.ask(one) == honest, "the instance is answered")
    signature = hmac.digest(SECRET, b"instance-two", "sha256").hex()  # even if it knew the secret
    said = {"X-Instance-ID": "instance-two", "X-Instance-ID-Signature": signature, "X-Tenant-ID": "demo"}
    said |= {"X-Neutron-Network-ID": f"{cloud.lab.id}-two", "X-Neutron-Router-ID": "another"}
    for name, value in said.items():
        assert cloud.ask(one, **{name: value}).startswith("403"), name
        assert cloud.ask(one, **{name.lower(): ""}).startswith("403"), name
    assert cloud.ask(one, **{"X-Forwarded-For": "10.0.0.99"}) == honest, "as a web proxy of its own would say"
    assert cloud.ask(one, **{"X_Instance_ID": "instance-two"}) == honest, "nothing but its own headers goes to Nova"
    monkeypatch.setattr(Nova, "secret", b"another")
    assert cloud.ask(one) == "403 403 Forbidden", "Nova does not believe this host"


def test_a_namespace_that_is_made_anew_is_served_after_a_reload(cloud: Cloud) -> None:
    one, two = cloud.add("one"), cloud.add("two")
    master = cloud.lab.start(only(cloud.plan(), Daemon))
    for instance in (one, two):
        eventually(lambda instance=instance: cloud.ask(instance).startswith("200"), "both are answered")
    network = f"{cloud.lab.id}-two"
    for _ in range(2):  # the number of the first may come again
        cloud.disconnect(network)
        cloud.lab.remove_namespace(two)
        cloud.connect(network)
        assert not cloud.ask(two)
        cloud.reload(master)
        eventually(lambda: cloud.ask(two) == "200 instance-two at 10.0.0.5", "the new namespace is served")
        assert cloud.ask(one) == "200 instance-one at 10.0.0.5"
    assert master.poll() is None


def test_no_request_is_lost_while_the_proxy_reloads(cloud: Cloud) -> None:
    one, _ = cloud.add("one"), cloud.add("two")
    network = f"dhcp/{cloud.lab.id}-two"
    master = cloud.lab.start(only(cloud.plan(), Daemon))
    eventually(lambda: cloud.ask(one).startswith("200"), "the instance is answered")
    words = ["ip", "netns", "exec", one, sys.executable, "-c", ASK_OFTEN]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdin
        assert asking.stdout
        asking.stdout.readline()
        for _ in range(3):
            isolated = cloud.fragments.pop(network)
            cloud.reload(master)
            asking.stdout.readline()
            cloud.fragments[network] = isolated
            cloud.reload(master)
            asking.stdout.readline()
        asking.stdin.close()
        *_, last = asking.stdout.read().splitlines()
    answers = json.loads(last)
    assert set(answers) == {"200 instance-one at 10.0.0.5"}
    assert answers.popitem()[1] >= 60


def test_200_instances_that_ask_at_once_are_all_told_about_themselves_at_the_first_try(cloud: Cloud) -> None:
    """Fifty on each of four networks, with the same fifty addresses; each connects once."""
    crowds = {network: cloud.add(network) for network in ("one", "two", "three", "four")}
    numbers = range(10, 60)
    for network, namespace in crowds.items():
        for number in numbers:
            id = f"{cloud.lab.id}-{network}"
            mac, device = f"fa:16:3e:00:01:{number:02x}", f"{network}-{number}"
            made = port(f"{id}-{number}", id, mac, str(number), device)
            cloud.fragments[made.name] = made
        lines = "".join(f"address add 10.0.0.{number}/24 dev eth0\n" for number in numbers)
        cloud.lab.run("", "ip", "-n", namespace, "-batch", "-", stdin=lines)
    cloud.lab.start(only(cloud.plan(), Daemon))
    for namespace in crowds.values():
        eventually(lambda namespace=namespace: cloud.ask(namespace).startswith("200"), "the proxy answers")
    words = json.dumps([f"10.0.0.{number}" for number in numbers])
    with contextlib.ExitStack() as stack:
        asking = {}
        for network, namespace in crowds.items():
            argv = ["ip", "netns", "exec", namespace, sys.executable, "-c", ASK_AT_ONCE, words]
            started = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            asking[network] = stack.enter_context(started)
        for each in asking.values():
            assert each.stdout.readline() == "ready\n"
        for each in asking.values():
            each.stdin.write("\n")
            each.stdin.flush()
        told = {network: json.loads(each.stdout.readline()) for network, each in asking.items()}
    assert told == {
        network: {f"10.0.0.{number}": f"200 {network}-{number} at 10.0.0.{number}" for number in numbers}
        for network in crowds
    }


def test_who_reads_requests_is_not_root(cloud: Cloud) -> None:
    one = cloud.add("one")
    daemon = only(cloud.plan(), Daemon)
    master = cloud.lab.start(daemon)
    eventually(lambda: cloud.ask(one).startswith("200"), "the instance is answered")
    children = Path(f"/proc/{master.pid}/task/{master.pid}/children").read_text().split()
    assert children
    expected = pwd.getpwnam(SETTINGS.metadata_proxy_user).pw_uid
    assert {os.stat(f"/proc/{child}").st_uid for child in children} == {expected}
