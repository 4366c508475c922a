"""The host's own stack does not hear what comes in by the outer ends of pairs."""

from netloom.host import isolation
from netloom.host.veths import Veths
from netloom.state import Veth

from .sandbox import changes, namespaces, run

MAC = "fa:16:3e:00:00:01"


def test_outer_ends_are_deaf_until_the_rules_go(sandbox):
    namespaces(sandbox, 1)
    veths = Veths(sandbox.layout)
    pair = Veth(name=sandbox.device(), namespace=sandbox.router(), mac=MAC, mtu=1450)
    assert veths.create(changes(Veth, [pair])) + veths.bring_up() == []
    run("ip", "address", "add", "203.0.113.1/32", "dev", "lo")
    run("ip", "route", "add", "203.0.113.2", "dev", sandbox.device())
    run("ip", "-n", sandbox.router(), "address", "add", "203.0.113.2/24", "dev", sandbox.device())
    ping = f"ip netns exec {sandbox.router()} ping -c 1 203.0.113.1 -W "
    for _ in range(2):  # twice is as good as once
        isolation.ensure(sandbox.layout)
    assert " 0 received" in run("sh", "-c", f"{ping} 1 || true")
    isolation.remove(sandbox.layout)
    assert " 1 received" in run("sh", "-c", f"{ping} 5 || true")  # neighbours are asked for once a second
    assert run("nft", "list", "tables") == ""
