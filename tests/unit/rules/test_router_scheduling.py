"""Which host carries a router."""

from concurrent.futures import ThreadPoolExecutor

from netloom.model.agents import AGENT
from netloom.model.routers import ROUTER
from netloom.rules import router_scheduling
from netloom.store.tables.network import AGENTS
from tests.statements import statements
from tests.unit.rules.callers import admin
from tests.unit.rules.test_routers import refused


def attached(world, **values):
    """A router with an interface."""
    router = world.router(**values)["id"]
    world.attach(router, subnet_id=world.subnet(world.network()))
    return router


def schedule(world, router_ids=None):
    with world.store.write() as tx:
        router_scheduling.schedule(tx, admin(), router_ids)


def agent_call(world, action, agent, *values):
    return world.act(action, agent, *values, resource=AGENT, context=admin())


def hosts_of_ports(world, router):
    return {port["binding:host_id"] for port in world.ports_of(router)}


def test_bare_router_is_nowhere(world):
    world.host("h1")
    world.router()
    schedule(world)
    assert world.bindings() == {}


def test_first_interface_or_gateway_chooses_the_host_of_all_ports(world):
    world.host("h1")
    outside, _ = world.external()
    world.changes()
    one = attached(world)
    assert world.bindings() == {one: "h1"}
    assert {("host", "h1"), ("router", one)} <= world.changes()
    world.update_router(one, external_gateway_info={"network_id": outside})
    two = world.router(external_gateway_info={"network_id": outside})["id"]
    assert world.bindings() == {one: "h1", two: "h1"}
    for router in (one, two):
        assert hosts_of_ports(world, router) == {"h1"}
        assert {port["binding:vif_type"] for port in world.ports_of(router)} == {"ovs"}


def test_interface_by_port_moves_the_port_to_the_host(world):
    world.host("h1")
    network = world.network()
    world.subnet(network)
    port = world.port(network)
    router = world.router()["id"]
    world.attach(router, port_id=port["id"])
    assert hosts_of_ports(world, router) == {"h1"}


def test_least_loaded_live_enabled_agent_is_chosen(world):
    world.host("h1", "h2", "h3")
    world.host("dead", age=76)
    world.host("off", admin_state_up=False)
    routers = [attached(world) for _ in range(6)]
    placed = [world.bindings()[router] for router in routers]
    assert sorted(placed) == ["h1", "h1", "h2", "h2", "h3", "h3"]


def test_agent_that_appears_takes_what_waits(world):
    outside, _ = world.external()
    routers = [attached(world) for _ in range(4)]
    world.update_router(routers[0], external_gateway_info={"network_id": outside})
    assert world.bindings() == {}
    assert hosts_of_ports(world, routers[0]) == {""}
    world.host("h1", "h2")
    schedule(world, routers[:1])
    assert list(world.bindings()) == routers[:1]
    world.changes()
    schedule(world)
    assert sorted(world.bindings().values()) == ["h1", "h1", "h2", "h2"]
    for router in routers:
        assert hosts_of_ports(world, router) == {world.bindings()[router]}
    assert {("host", "h1"), ("host", "h2")} <= world.changes()
    schedule(world)
    assert world.changes() == set()


def test_next_interface_takes_the_earlier_ones_along(world):
    router = attached(world)
    world.host("h1")
    world.attach(router, subnet_id=world.subnet(world.network(), "10.1.0.0/24"))
    assert hosts_of_ports(world, router) == {"h1"}


def test_zones(world):
    world.host("h1", zone="a")
    world.host("h2", zone="b")
    assert world.get(ROUTER, attached(world, availability_zone_hints=["b"]))["availability_zones"] == ["b"]
    both = [attached(world, availability_zone_hints=["a", "b"]) for _ in range(3)]
    assert {world.bindings()[router] for router in both} == {"h1", "h2"}


def test_many_agents_at_once_give_a_router_one_host(world):
    router = attached(world)
    world.host("h1", "h2")
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: schedule(world), range(12)))
    assert list(world.bindings()) == [router]


def test_scheduling_costs_the_same_for_any_number(world):
    counts = []
    world.host("h1")
    for number in (1, 8):
        for _ in range(number):
            router = world.router()["id"]
            agent_call(world, router_scheduling.remove_from_agent, "L3 agent h1", router)
            world.attach(router, subnet_id=world.subnet(world.network()))
            agent_call(world, router_scheduling.remove_from_agent, "L3 agent h1", router)
        with statements(world.store) as seen:
            schedule(world)
        counts.append(len(seen))
    assert counts[0] == counts[1] <= 16


def test_by_hand(world):
    world.host("h1")
    router = attached(world)
    one, two, switch = "L3 agent h1", world.agent("h2"), "Open vSwitch agent h1"
    agent_call(world, router_scheduling.add_to_agent, one, router)
    refused(agent_call, world, router_scheduling.add_to_agent, two, router, type="RouterHostedByL3Agent", status=409)
    with world.store.read() as tx:
        (agent,) = router_scheduling.agents_of(tx, admin(), router)
    assert (agent["id"], agent["ha_state"], agent["alive"]) == (one, None, True)
    assert [found["id"] for found in agent_call(world, router_scheduling.routers_of, one)] == [router]
    assert agent_call(world, router_scheduling.routers_of, switch) == []
    world.changes()
    agent_call(world, router_scheduling.remove_from_agent, two, router)
    assert world.bindings() == {router: "h1"}
    agent_call(world, router_scheduling.remove_from_agent, one, router)
    assert world.bindings() == {}
    assert hosts_of_ports(world, router) == {""}
    assert ("host", "h1") in world.changes()
    agent_call(world, router_scheduling.add_to_agent, two, router)
    assert world.bindings() == {router: "h2"}
    refused(agent_call, world, router_scheduling.add_to_agent, switch, router, type="InvalidL3Agent", status=404)
    off = world.agent("h4", admin_state_up=False)
    refused(agent_call, world, router_scheduling.add_to_agent, off, router, type="InvalidL3Agent", status=404)
    nowhere = "00000000-0000-0000-0000-000000000000"
    refused(agent_call, world, router_scheduling.add_to_agent, two, nowhere, type="RouterNotFound", status=404)


def test_deleted_router_is_carried_by_none(world):
    world.host("h1")
    outside, _ = world.external()
    router = world.router(external_gateway_info={"network_id": outside})["id"]
    world.changes()
    world.delete_router(router)
    assert world.bindings() == {}
    assert {("host", "h1"), ("router", router)} <= world.changes()


def test_evacuated_routers_go_to_other_hosts(world):
    world.host("h1")
    routers = [attached(world) for _ in range(3)]
    world.host("h2", "h3")
    with world.store.write() as tx:
        tx.execute(AGENTS.delete().where(AGENTS.c.id == "L3 agent h1"))
        router_scheduling.evacuate(tx, admin(), "h1")
    assert sorted(world.bindings().values()) == ["h2", "h2", "h3"]
    for router in routers:
        assert hosts_of_ports(world, router) == {world.bindings()[router]}
    assert {("host", "h1"), ("host", "h2"), ("host", "h3")} <= world.changes()
    with world.store.write() as tx:
        tx.execute(AGENTS.delete())
        router_scheduling.evacuate(tx, admin(), "h2")
    assert sorted(world.bindings().values()) == ["h3"]
    assert sum(hosts_of_ports(world, router) == {""} for router in routers) == 2
