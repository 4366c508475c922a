"""Load balancers: what their hosts are told of them, and of nobody else's."""

import pytest

from netloom.feed.fragments import Certificate, HaGroup, HaPort, HealthMonitor, L7Policy, L7Rule, RouterPort
from netloom.feed.interest import interest
from netloom.feed.render import render
from netloom.feed.topology import Topology
from netloom.store.tables.loadbalancers import (
    HEALTHMONITORS,
    L7POLICIES,
    L7RULES,
    LB_SECRETS,
    LOADBALANCERS,
    POOL_MONITORS,
)
from netloom.store.tables.network import NETWORKS, PORTS
from tests.statements import statements
from tests.unit.feed import cloud


class Town:
    """A network with the port of a VIP."""

    def __init__(self, tx):
        self.net = cloud.network(tx, provider_network_type="vlan")
        self.subnet = cloud.subnet(tx, self.net)
        self.vip = self.port(tx, "h1", "10.0.0.9", mac_address="fa:16:3e:00:00:09")

    def port(self, tx, host, address, **values):
        return cloud.port(tx, self.net, host, [(self.subnet, address)], device_owner="Octavia", **values)


def rendered(store, balancer):
    with store.read() as tx:
        return render(tx, [f"loadbalancer/{balancer}"])[f"loadbalancer/{balancer}"]


def of(store, host):
    topology = Topology()
    with store.read() as tx:
        topology.load(tx)
    return interest(topology, host)


def test_all_that_belongs_to_it(store):
    with store.write() as tx:
        town = Town(tx)
        balancer = cloud.load_balancer(tx, town.vip, town.net, [("h1", None)], generation=7)
        pool = cloud.lb_pool(tx, balancer, session_persistence={"type": "APP_COOKIE", "cookie_name": "sid"})
        members = [cloud.lb_member(tx, pool, f"10.0.0.{n}", made=n, weight=0) for n in (20, 30, 10)]
        monitor = {"id": "m", "type": "HTTP", "delay": 3, "timeout": 2, "max_retries": 4, "admin_state_up": True}
        tx.execute(HEALTHMONITORS.insert(), monitor | {"project_id": "p", "api": 2, "made": 1, "touched": 1})
        tx.execute(POOL_MONITORS.insert(), {"pool_id": pool, "healthmonitor_id": "m"})
        listener = cloud.lb_listener(
            tx, balancer, default_pool_id=pool, protocol="TERMINATED_HTTPS", project_id="p",
            default_tls_container_ref="https://secrets/v1/secrets/s1", sni_container_refs=["s2", "s1", "foreign"],
            insert_headers={"X-Forwarded-For": "true", "X-Forwarded-Port": "false"},
            allowed_cidrs=["10.2.0.0/16", "10.1.0.0/16"],
        )  # fmt: skip
        cloud.lb_listener(tx, balancer, admin_state_up=False)
        for key, project in (("s1", "p"), ("s2", "p"), ("foreign", "q")):
            row = {"id": key, "project_id": project, "name": key, "payload": f"PEM {key}", "created_at": ""}
            tx.execute(LB_SECRETS.insert(), row)
        policy = {"listener_id": listener, "action": "REJECT", "admin_state_up": True, "made": 1, "touched": 1}
        tx.execute(L7POLICIES.insert(), [policy | {"id": key, "position": at} for key, at in (("b", 1), ("a", 2))])
        rule = {
            "l7policy_id": "a",
            "type": "HEADER",
            "compare_type": "EQUAL_TO",
            "key": "X",
            "value": "1",
            "invert": True,
        }
        tx.execute(L7RULES.insert(), rule | {"id": "r", "admin_state_up": True, "made": 1, "touched": 1})
    found = rendered(store, balancer)
    assert (found.revision, found.ha, found.admin_state_up) == (7, None, True)
    assert found.vip == RouterPort(
        town.vip, town.net, "fa:16:3e:00:00:09", 1450, ("10.0.0.9/24",), (town.subnet,)
    )  # fmt: skip
    (front,) = found.listeners
    assert (front.id, front.pool_id, front.insert_headers) == (listener, pool, ("X-Forwarded-For",))
    assert front.allowed_cidrs == ("10.1.0.0/16", "10.2.0.0/16")
    assert front.certificates == (Certificate("s1", "PEM s1"), Certificate("s2", "PEM s2"))
    assert "PEM" not in repr(found)
    assert front.policies == (
        L7Policy("b", "REJECT", ()), L7Policy("a", "REJECT", (L7Rule("HEADER", "EQUAL_TO", "1", "X", True),))
    )  # fmt: skip
    (back,) = found.pools
    assert [member.id for member in back.members] == [members[2], *members[:2]], "in the order of their creation"
    assert {member.weight for member in back.members} == {0}
    assert back.monitor == HealthMonitor("m", "HTTP", 3, 2, 4)
    assert (back.persistence.type, back.persistence.cookie_name) == ("APP_COOKIE", "sid")


def test_two_hosts_elect_by_ports_of_their_own(store):
    with store.write() as tx:
        town = Town(tx)
        vip = town.port(tx, "", "10.0.0.10")
        ports = {
            host: town.port(tx, host, f"10.0.0.1{host[1]}", mac_address=f"fa:16:3e:00:00:0{host[1]}")
            for host in ("h3", "h2")
        }
        balancer = cloud.load_balancer(tx, vip, town.net, ports.items(), vrid=9)
        waiting = cloud.load_balancer(tx, None, town.net, [("h2", None)])
    assert rendered(store, balancer).ha == HaGroup(
        town.net, 1450, 9,
        (
            HaPort("h2", ports["h2"], "fa:16:3e:00:00:02", "10.0.0.12/24"),
            HaPort("h3", ports["h3"], "fa:16:3e:00:00:03", "10.0.0.13/24"),
        ),
    )  # fmt: skip
    assert rendered(store, waiting) is None, "there is nothing to do without a VIP"
    assert of(store, "h2") == {f"loadbalancer/{balancer}", f"port/{ports['h2']}", f"network/{town.net}"}
    assert of(store, "h3") == {f"loadbalancer/{balancer}", f"port/{ports['h3']}", f"network/{town.net}"}
    assert of(store, "h1") == {f"port/{town.vip}", f"network/{town.net}"}


def test_number_of_statements_does_not_grow(store):
    counts = []
    for times in (1, 20):
        with store.write() as tx:
            names = []
            for n in range(times):
                town = Town(tx)
                balancer = cloud.load_balancer(tx, town.vip, town.net, [("h1", None)])
                for _ in range(times):
                    pool = cloud.lb_pool(tx, balancer)
                    cloud.lb_listener(tx, balancer, default_pool_id=pool, default_tls_container_ref="s")
                    cloud.lb_member(tx, pool, f"10.0.0.{n}")
                names.append(f"loadbalancer/{balancer}")
        with statements(store) as seen, store.read() as tx:
            render(tx, names)
        counts.append(len(seen))
    assert counts == [11, 11]


@pytest.mark.parametrize("what", ["port", "network", "loadbalancer"])
def test_what_changes_is_told(store, what):
    with store.write() as tx:
        town = Town(tx)
        balancer = cloud.load_balancer(tx, town.vip, town.net, [("h1", None)])
    topology = Topology()
    with store.read() as tx:
        topology.load(tx)
    changes = {
        "port": (PORTS, town.vip, {"mac_address": "fa:16:3e:00:00:10"}),
        "network": (NETWORKS, town.net, {"mtu": 1400}),
        "loadbalancer": (LOADBALANCERS, balancer, {"generation": 2}),
    }
    table, key, values = changes[what]
    before = rendered(store, balancer)
    with store.write() as tx:
        tx.execute(table.update().where(table.c.id == key).values(values))
    with store.read() as tx:
        touched = topology.refresh(tx, [(what, key)])
    assert f"loadbalancer/{balancer}" in touched.names
    assert rendered(store, balancer) != before


def test_what_it_leaves_is_told(store):
    with store.write() as tx:
        town = Town(tx)
        balancer = cloud.load_balancer(tx, town.vip, town.net, [("h1", None)])
    topology = Topology()
    with store.read() as tx:
        topology.load(tx)
    with store.write() as tx:
        tx.execute(LOADBALANCERS.delete().where(LOADBALANCERS.c.id == balancer))
    with store.read() as tx:
        assert "h1" in topology.refresh(tx, [("loadbalancer", balancer)]).hosts
    assert f"loadbalancer/{balancer}" not in interest(topology, "h1")
