"""What ``bench.loadbalancers`` runs inside its private machine; prints a line ``[what, value]`` for each measurement.

The members are ports of one haproxy that answers by itself, in a namespace with a card on the network; ``wrk`` asks
from another one. The balancer has a haproxy beside it in the same namespace, which a few lines configure by hand, and
another one has plain cables between clients and members where the balancer has the switch.
"""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import inside
from bench.inside import CONFIG, Plugs, Port, tell
from bench.inside_trunks import Caller
from bench.loadbalancers import ALONE, CABLES, FAILED, THROUGH
from netloom.host.namespaces import inside as namespace

BALANCERS, POOLS = "/load-balancer/v2.0/lbaas/loadbalancers", "/load-balancer/v2.0/lbaas/pools"
MEMBERS, FIRST, CHANGES = 2, 8001, 100
"""Members to begin with, the port of the first one, and how many come and go."""
HTTP, OTHER = 80, 8080
"""Ports of the balancer, and of the haproxy beside it."""
ROUNDS, SECONDS, CLIENTS = 5, 4, 16
"""Of the rates: how often, how long each, and the connections."""
CREATIONS = 10
MTU = "1450"
DEFAULTS = """
global
    maxconn 8192
defaults
    mode http
    timeout connect 5s
    timeout client 50s
    timeout server 50s
"""
WEB = (
    DEFAULTS
    + f"""
frontend web
    bind :{FIRST}-{FIRST + MEMBERS + CHANGES}
    http-request return status 200 content-type text/plain string answer
"""
)
PROXY = (
    DEFAULTS
    + """
frontend front
    bind :{port}
    default_backend back
backend back
    balance roundrobin
{servers}
"""
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What ``wrk`` tells."""

    rate: float
    requests: int
    failed: int


def main() -> None:
    """Measure everything."""
    share = 5 if "--quick" in sys.argv else 1
    subprocess.run(["netloom", "up"], check=True, stdout=subprocess.DEVNULL)
    client = Caller(CONFIG / "clouds.yaml", "netloom-admin")
    unlimited = {"quota": dict.fromkeys(("load_balancer", "member"), -1)}
    client._expect(202, "PUT", f"/load-balancer/v2.0/lbaas/quotas/{client.project_id}", unlimited)
    network = client.post("/v2.0/networks", {"network": {"name": "bench"}})["network"]["id"]
    subnet = {"network_id": network, "cidr": "10.0.0.0/24", "ip_version": 4}
    site = Site(client, network, client.post("/v2.0/subnets", {"subnet": subnet})["subnet"]["id"])
    with web_servers("members"):
        for _ in range(CREATIONS // share):
            site.delete(site.create())
        balancer = site.create()
        rates(site, balancer, ROUNDS // share)
        change(site, balancer, CHANGES // share)


class Site:
    """The network with its clients and members, and the balancers between them."""

    def __init__(self, client: Caller, network: str, subnet: str) -> None:
        self.client, self._network, self._subnet = client, network, subnet
        self._plugs = Plugs()
        self._card("clients")
        self.members = self._card("members")

    def _card(self, name: str) -> str:
        """A namespace with a card on the network; its address."""
        wish = inside.body(self._network) | {"port_security_enabled": False, "security_groups": []}
        port: Port = self.client.post("/v2.0/ports", {"port": wish})["port"]
        address = str(port["fixed_ips"][0]["ip_address"])
        _ip(f"netns add {name}")
        _ip(f"link add {name}0 type veth peer name eth0 address {port['mac_address']} netns {name}")
        _cable(name, "eth0", f"{name}0", f"{address}/24")
        self._plugs.plug([(f"{name}0", port)])
        inside.eventually(inside.active(self.client, port))
        return address

    def create(self) -> Port:
        """A balancer; how long it took until ACTIVE, and until it served."""
        members = [{"address": self.members, "protocol_port": FIRST + number} for number in range(MEMBERS)]
        pool = {"protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "members": members}
        listener = {"protocol": "HTTP", "protocol_port": HTTP, "default_pool": pool}
        body = {"vip_subnet_id": self._subnet, "listeners": [listener]}
        began = time.monotonic()
        made: Port = self.client.post(BALANCERS, {"loadbalancer": body})["loadbalancer"]
        served = self._await_answer(made) - began
        tell("create to ACTIVE", self.await_active(made) - began)
        tell("create to the first answer", served)
        return made

    def _await_answer(self, balancer: Port) -> float:
        """When it answered. Its MAC is known beforehand: a kernel that asks for it in vain pauses for a second."""
        mac = self.client.get(f"/v2.0/ports/{balancer['vip_port_id']}")["port"]["mac_address"]
        _ip(f"-n clients neigh replace {balancer['vip_address']} lladdr {mac} dev eth0 nud permanent")
        inside.eventually(lambda: _answers(str(balancer["vip_address"])), 0.005)
        return time.monotonic()

    def await_active(self, balancer: Port) -> float:
        """When it was ACTIVE."""
        path = f"{BALANCERS}/{balancer['id']}?fields=provisioning_status"
        inside.eventually(lambda: self.client.get(path)["loadbalancer"]["provisioning_status"] == "ACTIVE")
        return time.monotonic()

    def delete(self, balancer: Port) -> None:
        """Delete it, and wait until nothing of it is left."""
        self.client.remove(f"{BALANCERS}/{balancer['id']}?cascade=true")
        inside.eventually(lambda: not Path(f"/run/netns/qlbaas-{balancer['id']}").exists())


def rates(site: Site, balancer: Port, rounds: int) -> None:
    """Requests per second by three ways, each in each round."""
    vip, room = str(balancer["vip_address"]), f"qlbaas-{balancer['id']}"
    _plain_cables()
    with proxy(room, OTHER, site.members), web_servers("far"), proxy("middle", HTTP, "192.0.2.130"):
        ways = {THROUGH: (vip, HTTP, "clients"), ALONE: (vip, OTHER, "clients"), CABLES: ("192.0.2.1", HTTP, "near")}
        for _ in range(rounds):
            for way, (address, port, place) in ways.items():
                _wrk(place, address, port, 1).communicate()  # the switch learns its flows
                asked = _told(_wrk(place, address, port, SECONDS).communicate()[0])
                if asked.failed:
                    raise RuntimeError(f"{way}: {asked.failed} of {asked.requests} requests failed")
                tell(way, asked.rate)


def change(site: Site, balancer: Port, count: int) -> None:
    """Members come one by one and go again, while requests come without a pause."""
    (pool,) = site.client.get(POOLS)["pools"]
    members = f"{POOLS}/{pool['id']}/members"
    asking = _wrk("clients", str(balancer["vip_address"]), HTTP, 3600)
    added = []

    def timed(act: Any, *words: Any) -> Any:
        began = time.monotonic()
        answer = act(*words)
        tell("change", site.await_active(balancer) - began)
        return answer

    for number in range(MEMBERS, MEMBERS + count):
        member = {"address": site.members, "protocol_port": FIRST + number}
        added.append(timed(site.client.post, members, {"member": member})["member"]["id"])
    for id in added:
        timed(site.client.remove, f"{members}/{id}")
    asking.send_signal(signal.SIGINT)  # it tells, then
    asked = _told(asking.communicate()[0])
    tell("requests", asked.requests)
    tell(FAILED, asked.failed)


# Clients and servers


def _answers(address: str) -> bool:
    try:
        with namespace("clients"), socket.create_connection((address, HTTP), 0.05) as connection:
            connection.settimeout(1)
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return connection.recv(100).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def _wrk(place: str, address: str, port: int, seconds: int) -> "subprocess.Popen[str]":
    words = ["wrk", "-t", "1", "-c", str(CLIENTS), "-d", f"{seconds}s", "--timeout", "30s", f"http://{address}:{port}/"]
    return subprocess.Popen(["ip", "netns", "exec", place, *words], stdout=subprocess.PIPE, text=True)


def _told(text: str) -> Wanted:
    """What ``wrk`` told; errors of connections, and answers that are no success, are failures."""
    errors = re.search(r"connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    wrong = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    failed = sum(map(int, errors.groups())) if errors else 0
    requests, rate = re.search(r"(\d+) requests in", text), re.search(r"Requests/sec:\s+([\d.]+)", text)
    if not requests or not rate:
        raise RuntimeError(f"wrk tells nothing that is known: {text}")
    return Wanted(float(rate[1]), int(requests[1]), failed + (int(wrong[1]) if wrong else 0))


def web_servers(place: str) -> "contextlib.AbstractContextManager[None]":
    """All members, in a namespace."""
    return _haproxy(place, "web", WEB)


def proxy(place: str, port: int, address: str) -> "contextlib.AbstractContextManager[None]":
    """A haproxy in front of the first members, in a namespace."""
    lines = [f"    server s{number} {address}:{FIRST + number}" for number in range(MEMBERS)]
    return _haproxy(place, "proxy", PROXY.format(port=port, servers="\n".join(lines)))


@contextmanager
def _haproxy(place: str, name: str, text: str) -> Iterator[None]:
    path = Path(f"/run/{name}-{place}.cfg")
    path.write_text(text)
    process = subprocess.Popen(["ip", "netns", "exec", place, "haproxy", "-db", "-f", str(path)])
    try:
        time.sleep(0.5)
        yield
    finally:
        process.terminate()
        process.wait()


def _plain_cables() -> None:
    """Clients, a haproxy and members, each in a namespace, with a cable from one to the next."""
    for name in ("near", "middle", "far"):
        _ip(f"netns add {name}")
    _ip("link add eth0 netns near type veth peer name eth0 netns middle")
    _ip("link add eth1 netns middle type veth peer name eth0 netns far")
    ends = (("near", "eth0", "192.0.2.2"), ("middle", "eth0", "192.0.2.1"))
    for place, device, address in (*ends, ("middle", "eth1", "192.0.2.129"), ("far", "eth0", "192.0.2.130")):
        _cable(place, device, "", f"{address}/25")


def _cable(place: str, device: str, outer: str, cidr: str) -> None:
    """Address and MTU of a device; checksums are computed, as a switch in userspace needs them."""
    lines: Sequence[str] = (f"-n {place} address add {cidr} dev {device}", f"-n {place} link set {device} up mtu {MTU}")
    for line in (*lines, *([f"link set {outer} up"] if outer else [])):
        _ip(line)
    offload = ["ip", "netns", "exec", place, "ethtool", "-K", device, "tx", "off"]
    subprocess.run(offload, check=True, stdout=subprocess.DEVNULL)


def _ip(line: str) -> None:
    subprocess.run(["ip", *line.split()], check=True)


if __name__ == "__main__":
    os.environ.setdefault("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
    main()
