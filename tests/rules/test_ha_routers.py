"""Highly available routers: their network, ports and ids, and which host is the active one."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from netloom.api.transactions import write
from netloom.model.agents import AGENT
from netloom.model.errors import BadRequest
from netloom.model.routers import ROUTER
from netloom.rules import ha_networks, ports, reading, router_ha, router_scheduling, routers, status
from netloom.rules.context import Context
from netloom.store.database import Tx
from netloom.store.tables.network import HA_NETWORKS, ROUTER_BINDINGS, ROUTERS
from tests.rules.cloud import Cloud, View, admin, l3_role, member, switch_role
from tests.statements import statements

HA = member(l3_ha=True)
APPLIED = ("applied", "1", "")


@pytest.fixture
def three(cloud: Cloud) -> Cloud:
    """A cloud with three hosts that can carry routers."""
    for host in ("h1", "h2", "h3"):
        cloud.heartbeat(host, switch_role(), l3_role())
    return cloud


def ha_network(cloud: Cloud, project: str = "alpha") -> list[View]:
    return cloud.find("network", cloud.admin, filters={"name": [f"HA network tenant {project}"]})


def ha_ports(cloud: Cloud, router_id: str) -> list[View]:
    filters = {"device_id": [router_id], "device_owner": ["network:router_ha_interface"]}
    return sorted(cloud.find("port", cloud.admin, filters=filters), key=lambda port: str(port["binding:host_id"]))


def tell(cloud: Cloud, host: str, **states: str) -> None:
    """What a host says of routers: ``r_<id>="active"``."""
    with cloud.store.write() as tx:
        router_ha.report_states(tx, cloud.admin, host, {key.removeprefix("r_"): state for key, state in states.items()})


def states(cloud: Cloud, router_id: str) -> dict[str, str]:
    with cloud.store.read() as tx:
        return {agent["host"]: agent["ha_state"] for agent in router_scheduling.agents_of(tx, cloud.admin, router_id)}


def vr_ids(cloud: Cloud, project: str = "alpha") -> list[int]:
    statement = sa.select(ROUTERS.c.ha_vr_id).where(ROUTERS.c.project_id == project, ROUTERS.c.ha_vr_id.is_not(None))
    with cloud.store.read() as tx:
        return sorted(tx.execute(statement).scalars())


def external(cloud: Cloud) -> str:
    net: str = cloud.create("network", cloud.admin, router__external=True, provider__network_type="vxlan")["id"]
    cloud.create("subnet", cloud.admin, network_id=net, ip_version=4, cidr="203.0.113.0/24", enable_dhcp=False)
    return net


def subnet(cloud: Cloud, cidr: str = "10.0.0.0/24") -> str:
    net = cloud.create("network")["id"]
    return str(cloud.create("subnet", network_id=net, ip_version=4, cidr=cidr, enable_dhcp=False)["id"])


def test_the_first_router_brings_the_projects_network(three: Cloud) -> None:
    router = three.create("router", HA)
    assert (router["ha"], router["status"]) == (True, "ACTIVE")
    (net,) = ha_network(three)
    assert (net["project_id"], net["provider:network_type"], net["shared"]) == ("", "vxlan", False)
    (inner,) = three.find("subnet", three.admin, filters={"network_id": [net["id"]]})
    assert (inner["name"], inner["cidr"]) == ("HA subnet tenant alpha", "169.254.192.0/18")
    assert (inner["gateway_ip"], inner["enable_dhcp"]) == (None, False)
    found = ha_ports(three, router["id"])
    assert [port["binding:host_id"] for port in found] == ["h1", "h2", "h3"]
    assert {port["fixed_ips"][0]["ip_address"] for port in found} == {f"169.254.192.{n}" for n in (1, 2, 3)}
    for port in found:
        assert (port["name"], port["project_id"]) == ("HA port tenant alpha", "")
        assert (port["network_id"], port["binding:vif_type"]) == (net["id"], "ovs")
    assert {f"router/{router['id']}", "host/h1", "host/h2", "host/h3"} <= three.changes()
    assert three.find("network") == []
    assert three.find("port") == []
    assert vr_ids(three) == [1]


def test_routers_of_a_project_share_the_network_and_the_last_takes_it_along(three: Cloud) -> None:
    first, second = (three.create("router", HA)["id"] for _ in range(2))
    other = three.create("router", member("beta", l3_ha=True))["id"]
    assert vr_ids(three) == [1, 2]
    assert vr_ids(three, "beta") == [1]
    assert len({port["network_id"] for router in (first, second) for port in ha_ports(three, router)}) == 1
    three.delete("router", first)
    assert ha_ports(three, first) == []
    assert len(ha_network(three)) == 1
    assert three.create("router", HA)["id"]
    assert vr_ids(three) == [1, 2]
    for router in three.find("router"):
        three.delete("router", router["id"])
    assert ha_network(three) == []
    assert len(ha_network(three, "beta")) == 1
    three.delete("router", other, member("beta"))
    assert three.find("network", three.admin) == []
    with three.store.read() as tx:
        assert tx.rows(sa.select(HA_NETWORKS)) == []


def test_a_network_that_somebody_uses_stays_for_the_next_router(three: Cloud) -> None:
    router = three.create("router", HA)["id"]
    (net,) = ha_network(three)
    port = three.create("port", three.admin, network_id=net["id"])["id"]
    three.delete("router", router)
    assert ha_network(three) == [net]
    again = three.create("router", HA)["id"]
    assert {port["network_id"] for port in ha_ports(three, again)} == {net["id"]}
    three.delete("port", port, three.admin)
    three.delete("router", again)
    assert ha_network(three) == []


def test_type_and_number_of_hosts_are_as_configured(three: Cloud) -> None:
    caller = member(l3_ha=True, l3_ha_network_type="vlan", l3_ha_network_physical_name="physnet1",
                    l3_ha_net_cidr="169.254.0.0/24", max_l3_agents_per_router=2)  # fmt: skip
    router = three.create("router", caller)["id"]
    (net,) = ha_network(three)
    assert (net["provider:network_type"], net["provider:physical_network"]) == ("vlan", "physnet1")
    assert len(ha_ports(three, router)) == 2
    everywhere = three.create("router", member(l3_ha=True, max_l3_agents_per_router=0))["id"]
    assert len(ha_ports(three, everywhere)) == 3


def test_a_router_gets_more_hosts_as_they_come(cloud: Cloud) -> None:
    router = cloud.create("router", HA)["id"]
    assert ha_ports(cloud, router) == []
    assert len(ha_network(cloud)) == 1
    for count, host in enumerate(("h1", "h2", "h3", "h4"), start=1):
        cloud.heartbeat(host, switch_role(), l3_role())
        assert len(ha_ports(cloud, router)) == min(count, 3)


def test_routers_are_spread_over_the_hosts_with_the_last_address_in_turn(three: Cloud) -> None:
    caller = member(l3_ha=True, max_l3_agents_per_router=2)
    ids = [three.create("router", caller)["id"] for _ in range(12)]
    carried = [port["binding:host_id"] for router in ids for port in ha_ports(three, router)]
    assert {host: carried.count(host) for host in set(carried)} == {"h1": 8, "h2": 8, "h3": 8}
    winners = {
        max(ha_ports(three, router), key=lambda port: int(port["fixed_ips"][0]["ip_address"].rsplit(".")[-1]))[
            "binding:host_id"
        ]
        for router in ids
    }
    assert len(winners) > 1


def test_zones_are_spread_and_hints_are_kept(cloud: Cloud) -> None:
    for host, zone in (("h1", "east"), ("h2", "east"), ("h3", "west"), ("h4", "north")):
        cloud.heartbeat(host, switch_role(), l3_role(zone))
    caller = member(l3_ha=True, max_l3_agents_per_router=2)
    hinted = cloud.create("router", caller, availability_zone_hints=["east", "west"])["id"]
    hosts = {port["binding:host_id"] for port in ha_ports(cloud, hinted)}
    assert "h3" in hosts
    assert hosts <= {"h1", "h2", "h3"}
    router = cloud.get("router", hinted)
    assert router is not None
    assert router["availability_zones"] == ["east", "west"]


def test_there_are_255_virtual_router_ids(cloud: Cloud) -> None:
    full = [{"id": f"r{number}", "project_id": "alpha", "ha": True, "enable_snat": True, "ha_vr_id": number}
            for number in range(1, 256) if number != 77]  # fmt: skip
    with cloud.store.write() as tx:
        tx.execute(ROUTERS.insert(), full)
    cloud.create("router", HA)
    assert vr_ids(cloud) == list(range(1, 256))
    with pytest.raises(ha_networks.NoVRIDAvailable):
        cloud.create("router", HA)
    cloud.create("router", member("beta", l3_ha=True))


def test_ports_are_bound_to_the_active_host(three: Cloud) -> None:
    router = three.create("router", HA, external_gateway_info={"network_id": external(three)})["id"]
    port = three.attach(router, subnet(three), HA)
    view = three.get("port", port, three.admin)
    assert view is not None
    assert view["device_owner"] == "network:ha_router_replicated_interface"
    for host in ("h1", "h2", "h3"):
        report(three, host, {f"router/{router}": APPLIED})
    tell(three, "h1", **{f"r_{router}": "standby"})
    tell(three, "h2", **{f"r_{router}": "active"})
    tell(three, "h3", **{f"r_{router}": "standby"})
    assert states(three, router) == {"h1": "standby", "h2": "active", "h3": "standby"}
    bound = three.find("port", three.admin, filters={"device_id": [router]})
    assert {item["binding:host_id"] for item in bound if "ha_interface" not in item["device_owner"]} == {"h2"}
    assert {item["status"] for item in bound} == {"ACTIVE"}
    before = three.find("port", three.admin)
    log = three.changes()
    tell(three, "h2", **{f"r_{router}": "active"})
    tell(three, "h2", r_unknown="active")
    tell(three, "h3", **{f"r_{router}": "fault"})
    assert three.find("port", three.admin) == before
    assert three.changes() == log


def report(cloud: Cloud, host: str, statuses: dict[str, tuple[str, str, str]]) -> None:
    with cloud.store.write() as tx:
        status.report(tx, host, statuses)


def test_a_failover_moves_ports_and_floating_ips_without_their_going_down(three: Cloud) -> None:
    net = external(three)
    router = three.create("router", HA, external_gateway_info={"network_id": net})["id"]
    inner = subnet(three)
    three.attach(router, inner, HA)
    network_id = three.find("subnet", filters={"id": [inner]})[0]["network_id"]
    port = three.create("port", network_id=network_id)["id"]
    floating = three.create("floatingip", floating_network_id=net, port_id=port)["id"]
    for host in ("h1", "h2"):
        report(three, host, {f"router/{router}": APPLIED})
    report(three, "h3", {f"router/{router}": ("failed", "1", "no keepalived")})
    tell(three, "h1", **{f"r_{router}": "active"})
    for other in ("h2", "h3"):
        tell(three, other, **{f"r_{router}": "standby"})

    def seen() -> tuple[set[str], set[str], str]:
        mine = three.find("port", three.admin, filters={"device_id": [router]})
        moved = [item for item in mine if item["device_owner"] != "network:router_ha_interface"]
        view = three.get("floatingip", floating)
        assert view is not None
        hosts, statuses = {item["binding:host_id"] for item in moved}, {item["status"] for item in moved}
        return hosts, statuses, view["status"]

    assert seen() == ({"h1"}, {"ACTIVE"}, "ACTIVE")
    three.silence("h1", seconds=10)
    tell(three, "h2", **{f"r_{router}": "active"})
    assert seen() == ({"h2"}, {"ACTIVE"}, "ACTIVE")
    assert states(three, router) == {"h1": "standby", "h2": "active", "h3": "standby"}
    # The first host is back, says for a moment that it is active still, and then stands by.
    three.heartbeat("h1", switch_role(), l3_role())
    tell(three, "h1", **{f"r_{router}": "active"})
    assert seen() == ({"h2"}, {"ACTIVE"}, "ACTIVE")
    assert states(three, router) == {"h1": "active", "h2": "active", "h3": "standby"}
    tell(three, "h1", **{f"r_{router}": "standby"})
    assert states(three, router) == {"h1": "standby", "h2": "active", "h3": "standby"}
    tell(three, "h3", **{f"r_{router}": "active"})
    tell(three, "h2", **{f"r_{router}": "fault"})
    assert seen() == ({"h3"}, {"ERROR"}, "ERROR")


def test_who_claimed_last_is_the_active_one_until_it_lets_go(three: Cloud) -> None:
    router = three.create("router", HA)["id"]
    port = three.attach(router, subnet(three), HA)
    for host in ("h1", "h2"):
        tell(three, host, **{f"r_{router}": "active"})

    def host() -> str:
        view = three.get("port", port, three.admin)
        assert view is not None
        return str(view["binding:host_id"])

    assert host() == "h2"
    tell(three, "h2", **{f"r_{router}": "standby"})
    assert host() == "h1"
    assert states(three, router) == {"h1": "active", "h2": "standby", "h3": "unknown"}
    three.silence("h1", "h2", "h3")
    assert set(states(three, router).values()) == {"unknown"}


def test_an_agent_takes_part_or_not_as_the_administrator_says(three: Cloud) -> None:
    caller = member(l3_ha=True, max_l3_agents_per_router=2)
    router = three.create("router", caller)["id"]
    port = three.attach(router, subnet(three), caller)
    kept, leaving = (item["binding:host_id"] for item in ha_ports(three, router))
    (new,) = {"h1", "h2", "h3"} - {kept, leaving}
    tell(three, leaving, **{f"r_{router}": "active"})
    found = {agent["host"]: agent for agent in three.find("agent", three.admin, filters={"agent_type": ["L3 agent"]})}
    with three.store.write() as tx:
        router_scheduling.add_to_agent(tx, three.admin, found[new], router)
        router_scheduling.add_to_agent(tx, three.admin, found[new], router)
    assert len(ha_ports(three, router)) == 3
    with three.store.write() as tx:
        router_scheduling.remove_from_agent(tx, three.admin, found[leaving], router)
        router_scheduling.remove_from_agent(tx, three.admin, found[leaving], router)
    assert {item["binding:host_id"] for item in ha_ports(three, router)} == {kept, new}
    view = three.get("port", port, three.admin)
    assert view is not None
    assert view["binding:host_id"] in {kept, new}


def test_ha_is_switched_while_the_router_is_down(three: Cloud) -> None:
    router = three.create("router")["id"]
    port = three.attach(router, subnet(three))
    with pytest.raises(BadRequest):
        three.update("router", router, three.admin, ha=True)
    three.update("router", router, admin_state_up=False)
    assert three.update("router", router, three.admin, ha=True)["ha"] is True
    assert len(ha_ports(three, router)) == 3
    assert vr_ids(three) == [1]
    view = three.get("port", port, three.admin)
    assert view is not None
    assert view["device_owner"] == "network:ha_router_replicated_interface"
    tell(three, "h3", **{f"r_{router}": "active"})
    after = three.update("router", router, three.admin, ha=False, admin_state_up=True)
    assert (after["ha"], after["admin_state_up"]) == (False, True)
    assert ha_ports(three, router) == []
    assert ha_network(three) == []
    assert vr_ids(three) == []
    assert states(three, router) == {"h3": None}
    view = three.get("port", port, three.admin)
    assert view is not None
    assert (view["device_owner"], view["binding:host_id"]) == ("network:router_interface", "h3")
    assert three.update("router", router, three.admin, ha=None)["ha"] is False


def test_election_ports_cannot_be_deleted(three: Cloud) -> None:
    router = three.create("router", HA)["id"]
    with pytest.raises(ports.ServicePortInUse):
        three.delete("port", ha_ports(three, router)[0]["id"], three.admin)


def test_many_make_their_first_router_at_once(three: Cloud) -> None:
    def make(_: int) -> str:
        def work(tx: Tx) -> str:
            body = {"project_id": "alpha", "name": "", "admin_state_up": True, "description": "",
                    "external_gateway_info": None, "availability_zone_hints": []}  # fmt: skip
            return str(routers.create(tx, HA, [body])[0]["id"])

        return write(three.store, work)

    with ThreadPoolExecutor(6) as pool:
        ids = list(pool.map(make, range(12)))
    assert vr_ids(three) == list(range(1, 13))
    assert len(ha_network(three)) == 1
    addresses = [port["fixed_ips"][0]["ip_address"] for router in ids for port in ha_ports(three, router)]
    assert len(set(addresses)) == 36

    def remove(router_id: str) -> None:
        def work(tx: Tx) -> None:
            current = reading.get(tx, HA, ROUTER, router_id, for_update=True)
            assert current is not None
            routers.delete(tx, HA, current)

        write(three.store, work)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(remove, ids[:-1]))
        again = pool.submit(make, 0)
        pool.submit(remove, ids[-1]).result()
    assert {port["network_id"] for port in ha_ports(three, again.result())} == {ha_network(three)[0]["id"]}


def test_statements_do_not_grow_with_hosts_and_routers(cloud: Cloud) -> None:
    def costs(context: Context) -> tuple[int, int, int, int]:
        with statements(cloud.store) as create:
            router = cloud.create("router", context)["id"]
        with cloud.store.read() as tx, statements(cloud.store) as listing:
            router_scheduling.agents_of(tx, cloud.admin, router)
        told = {item["id"]: "active" for item in cloud.find("router")}
        with cloud.store.write() as tx, statements(cloud.store) as telling:
            router_ha.report_states(tx, cloud.admin, "h1", told)
        with statements(cloud.store) as deletion:
            cloud.delete("router", router)
        return len(create), len(listing), len(telling), len(deletion)

    caller = member(l3_ha=True, max_l3_agents_per_router=0)
    cloud.heartbeat("h1", switch_role(), l3_role())
    cloud.create("router", caller)
    few = costs(caller)
    for number in range(2, 9):
        cloud.heartbeat(f"h{number}", switch_role(), l3_role())
    for _ in range(6):
        cloud.create("router", caller)
    assert costs(caller) == few
    with cloud.store.read() as tx:
        assert tx.connection.scalar(sa.select(sa.func.count()).select_from(ROUTER_BINDINGS)) == 3 + 6 * 8
    told = {item["id"]: "active" for item in cloud.find("router")}
    with cloud.store.write() as tx, statements(cloud.store) as quiet:
        router_ha.report_states(tx, cloud.admin, "h1", told)
    assert len(quiet) == 1


def test_the_default_decides_for_those_who_do_not_say(three: Cloud) -> None:
    assert three.create("router")["ha"] is False
    assert three.create("router", HA)["ha"] is True
    assert three.create("router", admin(l3_ha=True), ha=False)["ha"] is False
    assert three.create("router", three.admin, ha=True)["ha"] is True
    assert three.create("router", HA, ha=None)["ha"] is True
    with three.store.read() as tx:
        assert len(reading.find(tx, three.admin, AGENT, reading.Query())) == 6
