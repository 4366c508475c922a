"""What a host must have, and what it must not see."""

import pytest

from netloom.feed.interest import interest
from netloom.feed.topology import Topology
from tests.statements import statements
from tests.unit.feed import cloud
from tests.unit.feed.test_render import populate


def of(store, host):
    topology = Topology()
    with store.read() as tx:
        topology.load(tx)
    return interest(topology, host)


@pytest.fixture
def plain(monkeypatch):
    """Networks without tunnels: nothing but what a host does itself matters to it."""
    monkeypatch.setattr(cloud, "NETWORK_TYPE", "vlan")


def test_ports_with_their_networks_groups_and_remote_sets(store, plain):
    with store.write() as tx:
        net, other = cloud.network(tx), cloud.network(tx)
        group, remote, addresses, unused = cloud.group(tx), cloud.group(tx), cloud.address_group(tx), cloud.group(tx)
        cloud.rule(tx, group, remote_group_id=remote)
        cloud.rule(tx, group, remote_address_group_id=addresses)
        cloud.rule(tx, remote, remote_group_id=unused)
        bare = cloud.group(tx)
        mine = cloud.port(tx, net, "h1", groups=[group, bare])
        cloud.port(tx, net, "h2", groups=[unused])
        cloud.port(tx, other, "h2")
    assert of(store, "h1") == {
        f"port/{mine}", f"network/{net}", f"security_group/{group}", f"security_group/{bare}", f"addresses/{remote}",
        f"addresses/{addresses}",
    }  # fmt: skip
    assert of(store, "nobody") == set()


def test_served_networks_with_all_their_ports(store, plain):
    with store.write() as tx:
        net, empty, other = cloud.network(tx), cloud.network(tx), cloud.network(tx)
        ports = [cloud.port(tx, net, "h2"), cloud.port(tx, net)]
        for served in (net, empty):
            cloud.serve_dhcp(tx, served, "h1")
        cloud.serve_dhcp(tx, other, "h2")
    expected = {f"{kind}/{key}" for kind in ("dhcp", "network") for key in (net, empty)}
    assert of(store, "h1") == expected | {f"port/{key}" for key in ports}


def test_carried_routers_with_the_ports_of_their_networks_but_not_of_the_external_one(store, plain):
    with store.write() as tx:
        outside, inside = cloud.network(tx, router_external=True), cloud.network(tx)
        router, foreign = cloud.router(tx, "h1"), cloud.router(tx, "h2")
        gateway = cloud.port(tx, outside, "h1", device_owner="network:router_gateway", device_id=router)
        interface = cloud.port(tx, inside, "h1", device_owner="network:router_interface", device_id=router)
        instance = cloud.port(tx, inside, "h2")
        cloud.port(tx, outside, "h2", device_owner="network:router_gateway", device_id=foreign)
    assert of(store, "h1") == {
        f"router/{router}", f"network/{outside}", f"network/{inside}", f"port/{gateway}", f"port/{interface}",
        f"port/{instance}",
    }  # fmt: skip


def test_groups_of_ports_on_other_hosts_stay_there(store, plain):
    with store.write() as tx:
        net, group = cloud.network(tx), cloud.group(tx)
        cloud.serve_dhcp(tx, net, "h1")
        cloud.port(tx, net, "h2", groups=[group])
    assert f"security_group/{group}" not in of(store, "h1")
    assert f"security_group/{group}" in of(store, "h2")


def test_number_of_statements_does_not_grow(store):
    counts = []
    for times in (1, 30):
        with store.write() as tx:
            populate(tx, times)
        with statements(store) as seen:
            of(store, "h1")
        counts.append(len(seen))
    assert counts == [8, 8]


def test_instances_that_are_ready_for_their_host(store):
    with store.write() as tx:
        mine = cloud.server(tx, "h1")
        cloud.server(tx, "h2")
        cloud.server(tx, "h1", prepared=False)
        cloud.server(tx, "h1", task_state="deleting")
    assert of(store, "h1") == {f"server/{mine}"}


def test_a_trunk_goes_where_its_parent_can_be_plugged(store, plain):
    with store.write() as tx:
        net = cloud.network(tx)
        parents = [cloud.port(tx, net, "h1"), cloud.port(tx, net, "h2", binding_vif_type="binding_failed")]
        sub = cloud.port(tx, net, "h3")
        trunks = [cloud.trunk(tx, parent) for parent in [*parents, cloud.port(tx, net)]]
        cloud.trunk(tx, cloud.port(tx, net), (sub, 7))
    assert of(store, "h1") == {f"trunk/{trunks[0]}", f"port/{parents[0]}", f"network/{net}"}
    assert not any(name.startswith("trunk") for name in of(store, "h2") | of(store, "h3"))


def neighbours(ports, *hosts):
    return {f"neighbour/{port}" for port in ports} | {f"peer/{host}" for host in hosts}


def test_neighbours_on_shared_overlay_networks_and_their_hosts(store):
    with store.write() as tx:
        net, elsewhere = cloud.network(tx), cloud.network(tx)
        mine, other = cloud.port(tx, net, "h1"), [cloud.port(tx, net, "h2"), cloud.port(tx, net, "h3")]
        cloud.port(tx, elsewhere, "h4")
        cloud.port(tx, net, "h5", binding_vif_type="binding_failed")
        cloud.port(tx, net)
    assert of(store, "h1") == {f"port/{mine}", f"network/{net}"} | neighbours(other, "h2", "h3")
    assert neighbours([mine, other[1]], "h1", "h3") < of(store, "h2")
    assert f"neighbour/{other[0]}" not in of(store, "h2")
    assert not any(name.startswith(("neighbour", "peer")) for name in of(store, "h4") | of(store, "h5"))


@pytest.mark.parametrize("kind", ["vlan", "flat", "local"])
def test_no_neighbours_without_tunnels(store, kind):
    with store.write() as tx:
        net = cloud.network(tx, provider_network_type=kind)
        cloud.port(tx, net, "h1")
        cloud.port(tx, net, "h2")
    assert not any(name.startswith(("neighbour", "peer")) for name in of(store, "h1"))


def test_routers_on_several_hosts(store):
    """Each host that carries one must know all of it, whichever host its ports are bound to."""
    with store.write() as tx:
        outside = cloud.network(tx, router_external=True, provider_network_type="flat")
        inside, election = cloud.network(tx), cloud.network(tx)
        router = cloud.router(tx, "h1", "h2", ha_vr_id=1)
        owned = {"device_id": router}
        gateway = cloud.port(tx, outside, "h1", device_owner="network:router_gateway", **owned)
        interface = cloud.port(tx, inside, "h1", device_owner="network:ha_router_replicated_interface", **owned)
        ha = [
            cloud.port(tx, election, host, device_owner="network:router_ha_interface", **owned) for host in ("h1", "h2")
        ]
        instance = cloud.port(tx, inside, "h3")
    for host, peer, own, other in (("h1", "h2", ha[0], ha[1]), ("h2", "h1", ha[1], ha[0])):
        names = of(store, host)
        assert {f"port/{port}" for port in (gateway, interface, instance, own)} < names
        assert {f"network/{network}" for network in (outside, inside, election)} | {f"router/{router}"} < names
        assert {name for name in names if name.startswith(("neighbour", "peer"))} == neighbours(
            [interface, instance, other], peer, "h3"
        )
    assert of(store, "h3") == {f"port/{instance}", f"network/{inside}"} | neighbours([interface], "h1", "h2")


def test_router_on_one_host_is_no_neighbour_of_itself(store):
    with store.write() as tx:
        inside = cloud.network(tx)
        router = cloud.router(tx, "h1", ha_vr_id=1)
        cloud.port(tx, inside, "h1", device_owner="network:ha_router_replicated_interface", device_id=router)
    assert not any(name.startswith(("neighbour", "peer")) for name in of(store, "h1"))
