"""The planned filter tables of a router: the host prints them as written, and packets go where they should."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host.netlab import Lab, root

GOLDEN = Path(__file__).parents[1] / "unit" / "plan" / "golden"
QG, QR = "qg-38c8b13d-d4", "qr-db18e68a-8a"
FLOATING, GATEWAY, OUTSIDE = "172.16.0.118", "172.16.0.117", "172.16.0.253"

pytestmark = pytest.mark.skipif(not root(), reason="needs root")


@pytest.fixture
def lab() -> Iterator[Lab]:
    lab = Lab()
    yield lab
    lab.close()


def by_table(text: str) -> dict[str, str]:
    """Texts of tables by name, without comments and counters."""
    tables: dict[str, str] = {}
    for block in text.split("COMMIT\n"):
        lines = [line for line in block.splitlines() if line and not line.startswith("#")]
        if lines:
            tables[lines[0]] = "\n".join(line.split(" [")[0] if line[0] == ":" else line for line in lines)
    return tables


@pytest.mark.parametrize("name", ["nat", "nat_inside"])
def test_the_host_prints_what_was_planned(lab: Lab, name: str) -> None:
    text = (GOLDEN / f"{name}.txt").read_text()
    namespace = lab.namespace(f"nl-{lab.id}-r")
    lab.run(namespace, "iptables-restore", stdin=text)
    assert by_table(lab.run(namespace, "iptables-save")) == by_table(text)


@pytest.fixture
def router(lab: Lab) -> str:
    """A router between a LAN of two instances (.5 with the floating IP, .6 without) and an outside host."""
    router, lan, out = (lab.namespace(f"nl-{lab.id}-{name}") for name in ("r", "lan", "out"))
    lab.ip("-n", lan, "link", "add", "br0", "type", "bridge", "forward_delay", "0")
    lab.ip("-n", lan, "link", "set", "br0", "up")
    lab.link(lan, "to-r", router, QR)
    for host in ("5", "6"):
        lab.link(lan, f"to-{host}", lab.namespace(f"nl-{lab.id}-vm{host}"), "eth0")
    for port in ("to-r", "to-5", "to-6"):
        lab.ip("-n", lan, "link", "set", port, "master", "br0")
    lab.link(out, "eth0", router, QG)
    lab.address(router, QR, "192.168.1.1/24")
    lab.address(router, QG, f"{GATEWAY}/24", f"{FLOATING}/32")
    lab.address(out, "eth0", f"{OUTSIDE}/24")
    for host in ("5", "6"):
        lab.address(f"nl-{lab.id}-vm{host}", "eth0", f"192.168.1.{host}/24")
        lab.ip("-n", f"nl-{lab.id}-vm{host}", "route", "add", "default", "via", "192.168.1.1")
    lab.ip("-n", router, "route", "add", "default", "via", OUTSIDE)
    for setting in ("ip_forward=1", "conf.all.rp_filter=0", "conf.all.send_redirects=0", "conf.all.arp_ignore=1"):
        lab.run(router, "sysctl", "-qw", f"net.ipv4.{setting}")
    lab.run(router, "iptables-restore", stdin=(GOLDEN / "nat.txt").read_text())
    return router


def test_packets_are_translated_where_they_should_be(lab: Lab, router: str) -> None:
    vm5, vm6, out = (f"nl-{lab.id}-{name}" for name in ("vm5", "vm6", "out"))

    def ping(source: str, target: str) -> str:
        return lab.run(source, "ping", "-c1", "-W2", target)

    def seen_as(source: str, target: str) -> str:
        """The source address that the other end of a ping saw: where its answer went."""
        lab.run(router, "conntrack", "-F", check=False)
        ping(source, target)
        answer = lab.run(router, "conntrack", "-L", "-p", "icmp").split("src=")[2]
        return answer.split("dst=")[1].split()[0]

    assert "ttl=63" in ping(out, FLOATING)
    assert seen_as(vm5, OUTSIDE) == FLOATING
    assert seen_as(vm6, OUTSIDE) == GATEWAY
    assert seen_as(vm6, FLOATING) == GATEWAY
    assert seen_as(vm5, FLOATING) == FLOATING
    assert seen_as(out, FLOATING) == OUTSIDE
    ping(router, FLOATING)
    # Who knows the way to a private address from outside gets through, unchanged, and is answered unchanged.
    lab.ip("-n", out, "route", "add", "192.168.1.0/24", "via", GATEWAY)
    assert seen_as(out, "192.168.1.6") == OUTSIDE


LISTEN = """
import socket, sys
with socket.create_server(("0.0.0.0", 9697)) as server:
    print("ready", flush=True)
    server.accept()[0].sendall(b"metadata")
"""
CONNECT = """
import socket, sys
try:
    print(socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=0.7).recv(100).decode())
except TimeoutError:
    print("dropped")
"""


def test_the_metadata_proxy_is_reached_by_its_own_address_alone(lab: Lab, router: str) -> None:
    argv = ["ip", "netns", "exec", router, sys.executable, "-c", LISTEN]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE)
    lab.processes.append(process)
    assert process.stdout
    assert process.stdout.readline() == b"ready\n"
    vm, out = f"nl-{lab.id}-vm6", f"nl-{lab.id}-out"
    assert lab.python(vm, CONNECT, "192.168.1.1", "9697") == "dropped\n"
    assert lab.python(out, CONNECT, GATEWAY, "9697") == "dropped\n"
    assert lab.python(vm, CONNECT, "169.254.169.254", "80") == "metadata\n"
    process.stdout.close()
