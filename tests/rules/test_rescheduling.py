"""Work leaves agents that are dead or disabled, and only those."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa

from netloom.rules import agents, rescheduling, router_ha, router_scheduling, status
from netloom.rules.context import Context
from netloom.store.tables.network import DHCP_BINDINGS, ROUTER_BINDINGS
from tests.rules.cloud import Cloud, admin, dhcp_role, l3_role, member, switch_role
from tests.statements import statements

PAIR = {"l3_ha": True, "max_l3_agents_per_router": 2}


@pytest.fixture
def cloud(cloud: Cloud) -> Cloud:
    """Two hosts carry a router that is highly available."""
    cloud.admin = admin(**PAIR)
    return cloud


@pytest.fixture
def three(cloud: Cloud) -> Cloud:
    """A cloud with three hosts of all roles."""
    for host in ("h1", "h2", "h3"):
        come(cloud, host)
    return cloud


def come(cloud: Cloud, host: str, zone: str = "nova") -> None:
    cloud.heartbeat(host, switch_role(), dhcp_role(zone), l3_role(zone))


def run(cloud: Cloud, **settings: Any) -> bool:
    with cloud.store.write() as tx:
        return rescheduling.run(tx, admin(**(PAIR | settings)))


def network(cloud: Cloud, context: Context | None = None) -> str:
    net: str = cloud.create("network", context)["id"]
    cloud.create("subnet", context, network_id=net, ip_version=4, cidr="10.0.0.0/24")
    return net


def servers(cloud: Cloud, network_id: str) -> dict[str, str]:
    """Hosts with a DHCP port, and its address; they are those that are bound."""
    filters = {"network_id": [network_id], "device_owner": ["network:dhcp"]}
    found = {port["binding:host_id"]: port["fixed_ips"][0]["ip_address"]
             for port in cloud.find("port", cloud.admin, filters=filters)}  # fmt: skip
    statement = sa.select(DHCP_BINDINGS.c.host).where(DHCP_BINDINGS.c.network_id == network_id)
    with cloud.store.read() as tx:
        assert set(tx.execute(statement).scalars()) == set(found)
    return found


def carriers(cloud: Cloud, router_id: str) -> set[str]:
    """Hosts that carry a router; if it is highly available they are those with election ports."""
    with cloud.store.read() as tx:
        hosts = set(
            tx.execute(sa.select(ROUTER_BINDINGS.c.host).where(ROUTER_BINDINGS.c.router_id == router_id)).scalars()
        )
    router = cloud.get("router", router_id, cloud.admin)
    assert router is not None
    filters = {"device_id": [router_id], "device_owner": ["network:router_ha_interface"]}
    voting = {port["binding:host_id"] for port in cloud.find("port", cloud.admin, filters=filters)}
    assert voting == (hosts if router["ha"] else set())
    return hosts


def routed(cloud: Cloud, context: Context | None = None) -> tuple[str, str]:
    """A router with a port."""
    net = cloud.create("network")["id"]
    subnet = cloud.create("subnet", network_id=net, ip_version=4, cidr="10.1.0.0/24", enable_dhcp=False)["id"]
    router: str = cloud.create("router", context)["id"]
    return router, cloud.attach(router, subnet, context)


def host_of(cloud: Cloud, port_id: str) -> str:
    port = cloud.get("port", port_id, cloud.admin)
    assert port is not None
    return str(port["binding:host_id"])


def tell(cloud: Cloud, host: str, router_id: str, state: str) -> None:
    with cloud.store.write() as tx:
        router_ha.report_states(tx, cloud.admin, host, {router_id: state})


def serve(cloud: Cloud, host: str, network_id: str) -> None:
    with cloud.store.write() as tx:
        status.report(tx, host, {f"dhcp/{network_id}": ("applied", "1", "")})


def test_a_network_leaves_a_dead_agent_with_its_address(three: Cloud) -> None:
    net = network(three)
    ((home, address),) = servers(three, net).items()
    assert run(three) is False
    assert servers(three, net) == {home: address}
    three.silence(home)
    assert run(three, allow_automatic_dhcp_failover=False) is False
    assert servers(three, net) == {home: address}
    run(three)
    ((new, same),) = servers(three, net).items()
    assert new != home
    assert same == address
    come(three, home)
    run(three)
    assert servers(three, net) == {new: address}


def test_networks_keep_as_many_servers_as_there_should_be(three: Cloud) -> None:
    two = {"dhcp_agents_per_network": 2}
    net = network(three, member(**two))
    before = servers(three, net)
    dead, kept = before
    three.silence(dead)
    run(three, **two)
    (new,) = {"h1", "h2", "h3"} - before.keys()
    assert servers(three, net) == {kept: before[kept], new: before[dead]}
    three.silence(kept)
    run(three, **two)
    assert servers(three, net).keys() == {kept, new}  # nobody else is there
    log = three.changes()
    run(three, **two)
    assert three.changes() == log
    come(three, dead)
    run(three, **two)
    assert servers(three, net).keys() == {new, dead}


def test_a_disabled_agent_serves_until_another_does(three: Cloud) -> None:
    net = network(three)
    ((home, address),) = servers(three, net).items()
    serve(three, home, net)
    three.enable(home, "DHCP agent", False)
    run(three)
    both = servers(three, net)
    assert both[home] == address
    (new,) = both.keys() - {home}
    run(three)
    assert servers(three, net) == both
    serve(three, new, net)
    run(three)
    assert servers(three, net) == {new: both[new]}
    three.enable(home, "DHCP agent", True)
    run(three)
    assert servers(three, net) == {new: both[new]}


def test_a_disabled_agent_keeps_what_nobody_else_can_take(cloud: Cloud) -> None:
    come(cloud, "h1")
    net, (router, _), (elected, _) = network(cloud), routed(cloud), routed(cloud, member(**PAIR))
    for kind in ("DHCP agent", "L3 agent"):
        cloud.enable("h1", kind, False)
    run(cloud)
    assert servers(cloud, net).keys() == carriers(cloud, router) == carriers(cloud, elected) == {"h1"}
    assert network(cloud) not in {item["id"] for item in cloud.find("port", cloud.admin)}
    come(cloud, "h2")
    run(cloud)
    assert carriers(cloud, router) == {"h2"}
    assert carriers(cloud, elected) == {"h1", "h2"}
    tell(cloud, "h2", elected, "standby")
    serve(cloud, "h2", net)
    run(cloud)
    assert carriers(cloud, elected) == servers(cloud, net).keys() == {"h2"}


@pytest.mark.parametrize("cause", ["dead", "disabled"])
def test_a_router_moves_with_its_ports(three: Cloud, cause: str) -> None:
    router, port = routed(three)
    (home,) = carriers(three, router)
    if cause == "dead":
        three.silence(home)
        run(three, allow_automatic_l3agent_failover=False)
        assert carriers(three, router) == {home}
    else:
        three.enable(home, "L3 agent", False)
    run(three)
    (new,) = carriers(three, router)
    assert new != home
    assert host_of(three, port) == new
    assert {f"router/{router}", f"port/{port}", f"host/{home}", f"host/{new}"} <= three.changes()


def test_a_dead_host_of_an_available_router_is_replaced(three: Cloud) -> None:
    router, port = routed(three, member(**PAIR))
    dead, kept = sorted(carriers(three, router))
    tell(three, dead, router, "active")
    tell(three, kept, router, "standby")
    three.silence(dead)
    tell(three, kept, router, "active")
    assert host_of(three, port) == kept
    run(three)
    (new,) = {"h1", "h2", "h3"} - {dead, kept}
    assert carriers(three, router) == {kept, new}
    assert host_of(three, port) == kept
    three.silence(new)
    run(three)
    assert carriers(three, router) == {kept, new}  # nobody else is there
    come(three, dead)
    run(three)
    assert carriers(three, router) == {kept, dead}


def test_a_dead_agent_whose_host_is_active_still_keeps_the_router(three: Cloud) -> None:
    """Its agent is gone, but the other host stands by: it hears the advertisements."""
    router, port = routed(three, member(**PAIR))
    active, standby = sorted(carriers(three, router))
    tell(three, active, router, "active")
    tell(three, standby, router, "standby")
    three.silence(active)
    run(three)
    assert carriers(three, router) == {"h1", "h2", "h3"}
    assert host_of(three, port) == active
    tell(three, standby, router, "active")
    run(three)
    assert carriers(three, router) == {"h1", "h2", "h3"} - {active}


def test_an_active_host_is_drained_when_another_stands_by(three: Cloud) -> None:
    router, port = routed(three, member(**PAIR))
    active, standby = sorted(carriers(three, router))
    (new,) = {"h1", "h2", "h3"} - {active, standby}
    tell(three, active, router, "active")
    tell(three, standby, router, "standby")
    three.enable(active, "L3 agent", False)
    run(three)
    assert carriers(three, router) == {active, standby, new}
    run(three)
    assert carriers(three, router) == {active, standby, new}  # the new one has not said anything yet
    tell(three, new, router, "standby")
    assert host_of(three, port) == active
    run(three)
    assert carriers(three, router) == {standby, new}
    assert host_of(three, port) in {standby, new}
    tell(three, standby, router, "active")
    assert host_of(three, port) == standby
    three.enable(active, "L3 agent", True)
    run(three)
    assert carriers(three, router) == {standby, new}


def test_work_stays_in_its_zones(cloud: Cloud) -> None:
    come(cloud, "h1", "east")
    come(cloud, "h2", "west")
    router = cloud.create("router", availability_zone_hints=["east"])["id"]
    net = cloud.create("network", availability_zone_hints=["east"])["id"]
    subnet = cloud.create("subnet", network_id=net, ip_version=4, cidr="10.0.0.0/24")["id"]
    cloud.attach(router, subnet)
    cloud.silence("h1")
    run(cloud)
    assert carriers(cloud, router) == servers(cloud, net).keys() == {"h1"}
    come(cloud, "h3", "east")
    run(cloud)
    assert carriers(cloud, router) == servers(cloud, net).keys() == {"h3"}


def test_without_hints_the_default_zones_count(cloud: Cloud) -> None:
    come(cloud, "h1", "east")
    come(cloud, "h2", "west")
    context = member(default_availability_zones=("west",), dhcp_agents_per_network=2, **PAIR)
    assert servers(cloud, network(cloud, context)).keys() == carriers(cloud, routed(cloud, context)[0]) == {"h2"}
    hinted = cloud.create("router", context, availability_zone_hints=["east"])["id"]
    assert carriers(cloud, hinted) == {"h1"}


def test_nothing_to_do_is_cheap(three: Cloud) -> None:
    for _ in range(3):
        network(three)
        routed(three, member(**PAIR))
    three.heartbeat("idle", l3_role())
    three.enable("idle", "L3 agent", False)
    log = three.changes()
    with statements(three.store) as quiet:
        run(three)
    assert len(quiet) <= 2
    assert three.changes() == log


def test_moving_costs_the_same_for_any_number(three: Cloud) -> None:
    def cost(count: int) -> int:
        for _ in range(count):
            network(three)
            routed(three)
            routed(three, member(**PAIR))
        three.silence("h1")
        with statements(three.store) as seen:
            run(three)
        come(three, "h1")
        return len(seen)

    cost(3)
    few = cost(3)
    assert cost(12) <= few + 3  # a host more to look at


def test_many_are_moved_in_several_transactions(three: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(router_scheduling, "BATCH", 2)
    ids = [routed(three)[0] for _ in range(15)]
    three.silence("h1")
    rounds = 1
    while run(three):
        rounds += 1
    assert rounds == 3
    assert "h1" not in {host for router in ids for host in carriers(three, router)}


def test_several_servers_move_everything_once(three: Cloud) -> None:
    nets = [network(three) for _ in range(6)]
    ids = [routed(three)[0] for _ in range(6)] + [routed(three, member(**PAIR))[0] for _ in range(6)]
    three.silence("h1")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: run(three), range(8)))
    assert [len(servers(three, net)) for net in nets] == [1] * 6
    assert [len(carriers(three, router)) for router in ids] == [1] * 6 + [2] * 6
    assert "h1" not in {host for net in nets for host in servers(three, net)}
    assert "h1" not in {host for router in ids for host in carriers(three, router)}


def test_agents_that_may_not_schedule_by_themselves_wait(cloud: Cloud) -> None:
    router, net = routed(cloud)[0], network(cloud)
    manual = admin(router_auto_schedule=False, network_auto_schedule=False)
    with cloud.store.write() as tx:
        agents.heartbeat(tx, manual, "h1", [switch_role(), dhcp_role(), l3_role()])
    assert carriers(cloud, router) == set()
    assert servers(cloud, net) == {}
    come(cloud, "h2")
    assert len(carriers(cloud, router)) == len(servers(cloud, net)) == 1
