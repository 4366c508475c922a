"""Heartbeats: who lives, who came back, and what is then given to do."""

import time

from netloom.feed.protocol import Role
from netloom.rules import agents
from tests.rules.cloud import Cloud, View, dhcp_role, l3_role, switch_role
from tests.statements import statements

SWITCH, DHCP, L3 = "Open vSwitch agent", "DHCP agent", "L3 agent"
ALL = (SWITCH, DHCP, L3)


def come(cloud: Cloud, *hosts: str) -> None:
    for host in hosts:
        cloud.heartbeat(host, switch_role(), dhcp_role(), l3_role())


def beat(cloud: Cloud, hosts: tuple[str, ...], at: float | None = None, kinds: tuple[str, ...] = ALL) -> set[str]:
    when = time.time() if at is None else at
    with cloud.store.write() as tx:
        return agents.beat(tx, cloud.admin, {(host, kind): when for host in hosts for kind in kinds})


def alive(cloud: Cloud) -> dict[tuple[str, str], bool]:
    return {(view["host"], view["agent_type"]): view["alive"] for view in cloud.find("agent", cloud.admin)}


def networks_of(cloud: Cloud, host: str) -> list[View]:
    return cloud.find("port", cloud.admin, filters={"device_owner": ["network:dhcp"], "binding:host_id": [host]})


def test_many_heartbeats_are_noted_at_once(cloud: Cloud) -> None:
    hosts = tuple(f"h{number}" for number in range(12))
    come(cloud, *hosts)
    with statements(cloud.store) as few:
        assert beat(cloud, hosts[:2]) == set()
    before = {view["id"]: view["heartbeat_timestamp"] for view in cloud.find("agent", cloud.admin)}
    log = cloud.changes()
    with statements(cloud.store) as many:
        assert beat(cloud, hosts) == set()
    assert len(many) == len(few) == 2
    assert cloud.changes() == log
    after = {view["id"]: view["heartbeat_timestamp"] for view in cloud.find("agent", cloud.admin)}
    assert all(after[key] > before[key] for key in before)


def test_only_those_that_were_heard_live_on(cloud: Cloud) -> None:
    come(cloud, "h1", "h2")
    cloud.silence("h1", "h2")
    assert set(alive(cloud).values()) == {False}
    beat(cloud, ("h1",), kinds=(SWITCH,))
    assert [role for role, living in alive(cloud).items() if living] == [("h1", SWITCH)]


def test_old_news_do_not_make_an_agent_older(cloud: Cloud) -> None:
    come(cloud, "h1")
    beat(cloud, ("h1",), time.time() - 1000)
    assert set(alive(cloud).values()) == {True}
    cloud.silence("h1")
    beat(cloud, ("h1",), time.time() - 1000)
    assert set(alive(cloud).values()) == {False}


def test_unknown_roles_are_told(cloud: Cloud) -> None:
    come(cloud, "h1")
    assert beat(cloud, ("h1", "h2")) == {"h2"}
    assert beat(cloud, ("h1",), kinds=("Metadata agent",)) == {"h1"}
    assert beat(cloud, ()) == set()


def test_those_who_are_back_get_what_waits(cloud: Cloud) -> None:
    come(cloud, "h1")
    cloud.silence("h1")
    net = cloud.create("network")["id"]
    subnet = cloud.create("subnet", network_id=net, ip_version=4, cidr="10.0.0.0/24")["id"]
    failed = cloud.create("port", network_id=net, binding__host_id="h1")["id"]
    router = cloud.create("router", cloud.admin, ha=True)["id"]
    waiting = cloud.attach(router, subnet, cloud.admin)

    def hosts(port_id: str) -> tuple[str, str]:
        view = cloud.get("port", port_id, cloud.admin)
        assert view is not None
        return view["binding:host_id"], view["binding:vif_type"]

    assert networks_of(cloud, "h1") == []
    assert hosts(failed) == ("h1", "binding_failed")
    assert hosts(waiting) == ("", "unbound")
    beat(cloud, ("h1",))
    assert len(networks_of(cloud, "h1")) == 1
    assert hosts(failed) == ("h1", "ovs")
    assert hosts(waiting) == ("h1", "ovs")


def test_an_agent_that_is_forgotten_comes_back_with_its_next_heartbeat(cloud: Cloud) -> None:
    come(cloud, "h1", "h2")
    router = cloud.create("router", cloud.admin, ha=True)["id"]
    (agent,) = cloud.find("agent", cloud.admin, filters={"host": ["h1"], "agent_type": [L3]})
    with cloud.store.write() as tx:
        agents.delete(tx, cloud.admin, agent)
    filters = {"device_id": [router], "device_owner": ["network:router_ha_interface"]}
    assert [port["binding:host_id"] for port in cloud.find("port", cloud.admin, filters=filters)] == ["h2"]
    assert beat(cloud, ("h1",)) == {"h1"}
    cloud.heartbeat("h1", switch_role(), dhcp_role(), Role(L3, "neutron-l3-agent", "l3_agent", {}, "moon"))
    assert len(cloud.find("port", cloud.admin, filters=filters)) == 2
