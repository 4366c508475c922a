"""One look at the change log for all hosts: what it costs, and what happens when it fails."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from netloom.feed.view import Slice, View
from netloom.settings.network import NetworkSettings
from netloom.store.tables.network import PORTS, ROUTER_BINDINGS, SECURITY_GROUP_RULES
from tests.statements import statements
from tests.unit.feed import cloud
from tests.unit.feed.test_render import one


def follow(store, view, slices):
    with store.read() as tx:
        updates = view.follow(tx, slices)
    return {each.host: (sorted(p.name for p in update.pieces), update.removed) for each, update in updates.items()}


def fleet(store, size):
    """Hosts with a port each on one network and of one group, and a view that has told all of them."""
    with store.write() as tx:
        net, group = cloud.network(tx), cloud.group(tx)
        ports = {f"h{number}": cloud.port(tx, net, f"h{number}", groups=[group]) for number in range(size)}
        rule = cloud.rule(tx, group)
    view, slices = View(NetworkSettings()), [Slice(host, {}) for host in ports]
    assert len(follow(store, view, slices)) == size
    assert follow(store, view, slices) == {}
    return view, slices, net, group, ports, rule


def change_rule(store, group, rule):
    with store.write() as tx:
        tx.execute(SECURITY_GROUP_RULES.update().where(SECURITY_GROUP_RULES.c.id == rule).values(protocol="tcp"))
        tx.changed("security_group", group)


def move_port(store, port, host):
    with store.write() as tx:
        tx.execute(PORTS.update().where(PORTS.c.id == port).values(binding_host_id=host))
        tx.changed("port", port)


@pytest.mark.parametrize("size", [3, 40])
def test_a_change_is_read_and_rendered_once_for_all_hosts(store, size):
    view, slices, _, group, ports, rule = fleet(store, size)
    change_rule(store, group, rule)
    with statements(store) as seen:
        told = follow(store, view, slices)
    assert told == {host: ([f"security_group/{group}"], []) for host in ports}
    assert len(seen) == 4  # the log, the rules' remote sets, the group and its rules
    move_port(store, ports["h0"], "h1")
    with statements(store) as seen:
        told = follow(store, view, slices)
    assert len(told) == size
    assert len(seen) == 9


def test_a_host_that_gets_its_first_port_gets_all_neighbours_and_loses_them_with_the_last(store):
    view, slices, net, _, ports, _ = fleet(store, 3)
    late = Slice("late", {})
    slices.append(late)
    assert follow(store, view, slices) == {"late": ([], [])}
    move_port(store, ports["h0"], "late")
    told = follow(store, view, slices)
    others = [f"neighbour/{ports[host]}" for host in ("h1", "h2")]
    assert {*others, f"network/{net}", f"port/{ports['h0']}"} < set(told["late"][0])
    assert not any(name.startswith("peer") for name in told["late"][0])  # no agent has told of tunnels
    assert {*others, f"network/{net}", f"port/{ports['h0']}"} < set(told["h0"][1])
    assert told["h1"] == ([f"neighbour/{ports['h0']}"], [])  # it is elsewhere
    move_port(store, ports["h0"], "h0")
    assert set(follow(store, view, slices)["late"][1]) == set(told["late"][0])


def test_hosts_of_a_router_are_told_of_each_other(store):
    view, slices, net, _, _, _ = fleet(store, 2)
    with store.write() as tx:
        router = cloud.router(tx, "h0", ha_vr_id=1)
        port = cloud.port(tx, net, "h0", device_owner="network:ha_router_replicated_interface", device_id=router)
        tx.changed("router", router)
        tx.changed("port", port)
        cloud.agent(tx, "h1", tunneling_ip="10.0.1.1", tunnel_types=["vxlan"])
        tx.changed("peer", "h1")
    told = follow(store, view, slices)
    assert f"neighbour/{port}" in told["h1"][0]
    assert f"neighbour/{port}" not in told["h0"][0]
    with store.write() as tx:
        tx.execute(ROUTER_BINDINGS.insert(), {"router_id": router, "host": "h1"})
        tx.changed("host", "h1")
        tx.changed("router", router)
    told = follow(store, view, slices)
    assert f"neighbour/{port}" in told["h0"][0]
    assert {f"neighbour/{port}", f"port/{port}", f"router/{router}"} < set(told["h1"][0])
    assert one(store, f"neighbour/{port}").hosts == ("h0", "h1")


@contextmanager
def failing(store, number: int) -> Iterator[None]:
    """The statement of this number fails."""
    left = [number]

    def fail(*_):
        left[0] -= 1
        if left[0] < 0:
            raise OSError("the network is gone")

    sa.event.listen(store.engine, "before_cursor_execute", fail)
    try:
        yield
    finally:
        sa.event.remove(store.engine, "before_cursor_execute", fail)


def test_a_failure_at_any_statement_delays_but_loses_nothing(store):
    view, slices, _, group, ports, rule = fleet(store, 3)
    for number in range(9):
        target = f"h{number % 2 + 1}"
        move_port(store, ports["h0"], "h0")
        follow(store, view, slices)
        move_port(store, ports["h0"], target)
        with failing(store, number), pytest.raises(OSError, match="network is gone"):
            follow(store, view, slices)
        told = follow(store, view, slices)
        assert f"port/{ports['h0']}" in told[target][0]
        assert f"port/{ports['h0']}" in told["h0"][1]
    move_port(store, ports["h0"], "h0")
    follow(store, view, slices)
    change_rule(store, group, rule)
    with failing(store, 2), pytest.raises(OSError, match="network is gone"):
        follow(store, view, slices)
    assert set(follow(store, view, slices)) == set(ports)


def test_fragments_that_come_and_go_as_a_whole(store):
    """A network is served as soon as its port is there, and no longer."""
    view, slices, net, _, _, _ = fleet(store, 2)
    with store.write() as tx:
        cloud.serve_dhcp(tx, net, "h0")
        tx.changed("dhcp", net)
    assert f"dhcp/{net}" not in follow(store, view, slices)["h0"][0]
    with store.write() as tx:
        port = cloud.port(tx, net, "h0", device_owner="network:dhcp")
        tx.changed("port", port)
        tx.changed("dhcp", net)
    assert f"dhcp/{net}" in follow(store, view, slices)["h0"][0]
    with store.write() as tx:
        tx.execute(PORTS.delete().where(PORTS.c.id == port))
        tx.changed("port", port)
        tx.changed("dhcp", net)
    assert f"dhcp/{net}" in follow(store, view, slices)["h0"][1]
