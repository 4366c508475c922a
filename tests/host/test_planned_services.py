"""Planned routers, DHCP servers and the metadata proxy on a real host: applied, looked at, and taken away again."""

from collections.abc import Iterator

import msgspec
import pytest

from netloom.feed.fragments import AnyFragment, Fragment
from netloom.host.host import Host
from netloom.host.layout import Layout
from netloom.host.namespaces import inside
from netloom.plan import Intent, PlanSettings, plan
from netloom.state import (
    Address,
    Daemon,
    File,
    HostState,
    Namespace,
    Route,
    SwitchPort,
    Sysctl,
    Veth,
)
from tests.host.netlab import Lab, eventually, root
from tests.host.switch import Switch, switch
from tests.unit.plan import services as cloud

__all__ = ["switch"]

pytestmark = pytest.mark.skipif(not root(), reason="needs root")

KINDS = (Namespace, Veth, Address, Route, Sysctl, SwitchPort, File, Daemon)

ASK = """
import http.client
connection = http.client.HTTPConnection("169.254.169.254", timeout=5)
connection.request("GET", "/")
print(connection.getresponse().status)
"""


@pytest.fixture
def lab() -> Iterator[Lab]:
    lab = Lab()
    yield lab
    lab.close()


@pytest.fixture
def host(lab: Lab, switch: Switch) -> Iterator[Host]:
    layout = Layout(
        state_dir=lab.folder / "state",
        run_dir=lab.folder / "run",
        ovsdb=switch.vswitch.connection,
        ovs_rundir=switch.vswitch.rundir,
    )
    layout.state_dir.mkdir()
    layout.run_dir.mkdir()
    with inside(switch.namespace):
        host = Host(layout)
        try:
            yield host
        finally:
            host.apply(HostState())
            host.close()


def fragments(lab: Lab) -> list[Fragment]:
    """The example cloud under ids of this run, without its instance."""
    text = msgspec.json.encode([f for f in cloud.cloud() if f is not cloud.SERVER])
    for name in (cloud.DEMO, cloud.EXT, cloud.SIX, cloud.ROUTER):
        text = text.replace(f'"{name}"'.encode(), f'"{lab.id}-{name}"'.encode())
    return msgspec.json.decode(text, type=list[AnyFragment])  # type: ignore[return-value]


def planned(parts: list[Fragment], host: Host) -> HostState:
    intent = Intent({fragment.name: fragment for fragment in parts})
    return plan(intent, host.facts(), PlanSettings(host="host1"))


def test_services_are_as_planned_and_leave_nothing(lab: Lab, host: Host, switch: Switch) -> None:
    parts = fragments(lab)
    assert host.apply(planned(parts, host)) == []
    desired = planned(parts, host)  # the metadata proxy is told of namespaces once they are there
    assert host.apply(desired) == []
    observed = host.observe()
    for kind in KINDS:
        assert not desired.changes(kind, observed), kind
    host.audit()
    assert planned(parts, host).of(SwitchPort) == desired.of(SwitchPort)

    router = f"qrouter-{lab.id}-{cloud.ROUTER}"
    routes = lab.ip("-n", router, "route")
    assert [line.strip() for line in routes.splitlines()] == [
        "default via 172.16.0.253 dev qg-38c8b13d-d4",
        "10.9.0.0/16 via 192.168.1.77 dev qr-db18e68a-8a",
        "172.16.0.0/24 dev qg-38c8b13d-d4 proto kernel scope link src 172.16.0.117",
        "192.168.1.0/24 dev qr-db18e68a-8a proto kernel scope link src 192.168.1.1",
    ]
    # The router answers the DHCP server through the switch.
    eventually(
        lambda: "1 received" in lab.run(f"qdhcp-{lab.id}-net-demo", "ping", "-c1", "-W1", "192.168.1.1", check=False),
        "the router answers",
    )
    # Metadata of an isolated network is asked for in its namespace; no responder runs behind the proxy here.
    ask = ("python3", "-c", ASK)
    eventually(lambda: lab.run(f"qdhcp-{lab.id}-net-demo", *ask, check=False) == "503\n", "the proxy listens")
    # Also in a namespace that somebody took away, and that was made anew.
    lab.ip("netns", "del", f"qdhcp-{lab.id}-net-demo")
    host.audit()
    for _ in range(2):
        assert host.apply(planned(parts, host)) == []
    eventually(lambda: lab.run(f"qdhcp-{lab.id}-net-demo", *ask, check=False) == "503\n", "the proxy listens again")

    assert host.apply(HostState()) == []
    assert lab.id not in lab.ip("netns")
    assert switch.vsctl("list-br") == ""
