"""Status is what the hosts have applied."""

import pytest
import sqlalchemy as sa

from netloom.feed.render import encode, render
from netloom.rules import explanation, ports, status
from netloom.store.tables.feed import APPLIED
from netloom.store.tables.network import FLOATINGIPS, PORTS, ROUTER_BINDINGS, ROUTERS
from tests.rules.cloud import Cloud, View
from tests.statements import statements

APPLIED_NOW = ("applied", "1", "")


def report(cloud: Cloud, host: str, statuses: dict[str, tuple[str, str, str]], *gone: str) -> None:
    with cloud.store.write() as tx:
        status.report(tx, host, statuses, gone)


def shown(cloud: Cloud, port_id: str) -> str:
    port = cloud.get("port", port_id, cloud.admin)
    assert port is not None
    return str(port["status"])


def fragment(cloud: Cloud, name: str) -> bytes:
    with cloud.store.read() as tx:
        found = render(tx, [name])[name]
    assert found is not None
    return encode(found)


@pytest.fixture
def bound(cloud: Cloud) -> list[View]:
    """Two ports that are bound to h1."""
    cloud.heartbeat("h1")
    net = cloud.create("network")
    cloud.create("subnet", network_id=net["id"], ip_version=4, cidr="10.0.0.0/24", enable_dhcp=False)
    return cloud.create_many("port", [{"network_id": net["id"], "binding__host_id": "h1"}] * 2)


def test_a_port_is_active_when_its_host_has_it(cloud: Cloud, bound: list[View]) -> None:
    port = bound[0]["id"]
    before = cloud.changes()
    report(cloud, "h2", {f"port/{port}": APPLIED_NOW})
    assert shown(cloud, port) == "DOWN"
    report(cloud, "h1", {f"port/{port}": ("waiting", "1", "no tap yet")})
    assert shown(cloud, port) == "DOWN"
    report(cloud, "h1", {f"port/{port}": APPLIED_NOW})
    assert shown(cloud, port) == "ACTIVE"
    report(cloud, "h1", {f"port/{port}": ("failed", "2", "broken")})
    assert shown(cloud, port) == "ERROR"
    report(cloud, "h1", {f"port/{port}": ("applied", "2", "")})
    report(cloud, "h1", {}, f"port/{port}")
    assert shown(cloud, port) == "DOWN"
    assert cloud.changes() == before
    after = cloud.get("port", port)
    assert after is not None
    assert (after["revision_number"], after["updated_at"]) == (1, bound[0]["updated_at"])
    assert shown(cloud, bound[1]["id"]) == "DOWN"


@pytest.mark.parametrize(
    ("change", "back"),
    [
        ({"binding__host_id": ""}, {"binding__host_id": "h1"}),
        ({"binding__host_id": "h2"}, {"binding__host_id": "h1"}),
        ({"admin_state_up": False}, {"admin_state_up": True}),
    ],
)
def test_a_port_whose_status_begins_anew_is_told_anew(
    cloud: Cloud, bound: list[View], change: View, back: View
) -> None:
    """Its host, which may hear of both changes at once, would have nothing to tell else."""
    name = f"port/{bound[0]['id']}"
    report(cloud, "h1", {name: APPLIED_NOW})
    before = fragment(cloud, name)
    cloud.update("port", bound[0]["id"], **change)
    assert cloud.update("port", bound[0]["id"], **back)["status"] == "DOWN"
    assert fragment(cloud, name) != before


def test_a_port_that_is_turned_off_or_moves_is_down(cloud: Cloud, bound: list[View]) -> None:
    port = bound[0]["id"]
    report(cloud, "h1", {f"port/{port}": APPLIED_NOW})
    assert cloud.update("port", port, admin_state_up=False)["status"] == "DOWN"
    report(cloud, "h1", {f"port/{port}": ("applied", "2", "")})
    assert shown(cloud, port) == "DOWN"
    cloud.update("port", port, admin_state_up=True)
    report(cloud, "h1", {f"port/{port}": ("applied", "3", "")})
    assert shown(cloud, port) == "ACTIVE"
    assert cloud.update("port", port, binding__host_id="")["status"] == "DOWN"


def test_reports_cost_the_same_for_any_number_of_ports(cloud: Cloud, bound: list[View]) -> None:
    many = cloud.create_many("port", [{"network_id": bound[0]["network_id"], "binding__host_id": "h1"}] * 60)
    with statements(cloud.store) as one:
        report(cloud, "h1", {f"port/{bound[0]['id']}": APPLIED_NOW})
    all_of_them = {f"port/{port['id']}": APPLIED_NOW for port in many}
    with statements(cloud.store) as sixty:
        report(cloud, "h1", all_of_them)
    assert len(sixty) == len(one)
    assert {shown(cloud, port["id"]) for port in many} == {"ACTIVE"}
    with statements(cloud.store) as again:
        report(cloud, "h1", all_of_them)
    assert len(again) == 1


def test_dhcp_ports_follow_their_network(cloud: Cloud) -> None:
    cloud.heartbeat("h1")
    net = cloud.create("network")["id"]
    cloud.create("subnet", network_id=net, ip_version=4, cidr="10.0.0.0/24")
    (port,) = cloud.find("port")
    report(cloud, "h1", {f"port/{port['id']}": APPLIED_NOW})
    assert shown(cloud, port["id"]) == "DOWN"
    report(cloud, "h1", {f"dhcp/{net}": APPLIED_NOW})
    assert shown(cloud, port["id"]) == "ACTIVE"


def test_router_ports_and_floating_ips_follow_their_router(cloud: Cloud, bound: list[View]) -> None:
    router = "11111111-1111-1111-1111-111111111111"
    body = {
        "network_id": bound[0]["network_id"], "project_id": "alpha", "device_id": router,
        "device_owner": "network:router_gateway", "binding:host_id": "h1",
    }  # fmt: skip
    with cloud.store.write() as tx:
        (port,) = ports.create_internal(tx, cloud.admin, [body])
        tx.execute(ROUTERS.insert().values(id=router, project_id="alpha", enable_snat=True, gateway_port_id=port["id"]))
        tx.execute(ROUTER_BINDINGS.insert().values(router_id=router, host="h1"))
        tx.execute(FLOATINGIPS.insert().values(id="fip", router_id=router, status="DOWN", port_id=bound[0]["id"]))
    report(cloud, "h1", {f"router/{router}": APPLIED_NOW})
    assert shown(cloud, port["id"]) == "ACTIVE"
    floating = sa.select(FLOATINGIPS.c.status)
    with cloud.store.read() as tx:
        assert tx.connection.scalar(floating) == "ACTIVE"
    report(cloud, "h1", {}, f"router/{router}")
    assert shown(cloud, port["id"]) == "DOWN"
    with cloud.store.read() as tx:
        assert tx.connection.scalar(floating) == "DOWN"
        assert tx.rows(sa.select(APPLIED)) == []
        assert tx.connection.scalar(sa.select(PORTS.c.revision_number).where(PORTS.c.id == port["id"])) == 1


def explained(cloud: Cloud, port_id: str) -> tuple[str, str, str]:
    with cloud.store.read() as tx:
        found = explanation.explain(tx, cloud.admin, port_id)
    return found.status, found.host, found.reason


def test_the_status_of_a_port_is_explained(cloud: Cloud, bound: list[View]) -> None:
    port, other = (view["id"] for view in bound)
    assert explained(cloud, port) == ("DOWN", "h1", "h1 has not reported on it yet")
    report(cloud, "h1", {f"port/{port}": ("failed", "1", "no bridge")})
    assert explained(cloud, port) == ("ERROR", "h1", "failed: no bridge")
    report(cloud, "h1", {f"port/{port}": APPLIED_NOW})
    assert explained(cloud, port) == ("ACTIVE", "h1", "h1 has applied it")
    cloud.update("port", port, admin_state_up=False)
    assert "administratively down" in explained(cloud, port)[2]
    cloud.update("port", other, binding__host_id="nowhere")
    assert "nowhere had no live" in explained(cloud, other)[2]
    cloud.update("port", other, binding__host_id="")
    assert explained(cloud, other)[1:] == ("", "it is bound to no host: nothing uses it")


def test_ports_are_found_by_id_and_by_device(cloud: Cloud, bound: list[View]) -> None:
    port = bound[0]["id"]
    with cloud.store.read() as tx:
        for text in (port, port[:11], f"tap{port[:11]}", f"qr-{port[:11]}", f"qvo{port[:11]}", f"spi-{port[:10]}"):
            assert explanation.find(tx, text) == [port]
        assert explanation.find(tx, "tap%") == []
