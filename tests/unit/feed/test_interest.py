"""What a host must have, and what it must not see."""

from netloom.feed.interest import interest
from tests.statements import statements
from tests.unit.feed import cloud
from tests.unit.feed.test_render import populate


def of(store, host):
    with store.read() as tx:
        return interest(tx, host)


def test_ports_with_their_networks_groups_and_remote_sets(store):
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


def test_served_networks_with_all_their_ports(store):
    with store.write() as tx:
        net, empty, other = cloud.network(tx), cloud.network(tx), cloud.network(tx)
        ports = [cloud.port(tx, net, "h2"), cloud.port(tx, net)]
        for served in (net, empty):
            cloud.serve_dhcp(tx, served, "h1")
        cloud.serve_dhcp(tx, other, "h2")
    expected = {f"{kind}/{key}" for kind in ("dhcp", "network") for key in (net, empty)}
    assert of(store, "h1") == expected | {f"port/{key}" for key in ports}


def test_carried_routers_with_the_ports_of_their_networks_but_not_of_the_external_one(store):
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


def test_groups_of_ports_on_other_hosts_stay_there(store):
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
    assert counts == [5, 5]


def test_instances_that_are_ready_for_their_host(store):
    with store.write() as tx:
        mine = cloud.server(tx, "h1")
        cloud.server(tx, "h2")
        cloud.server(tx, "h1", prepared=False)
        cloud.server(tx, "h1", task_state="deleting")
    assert of(store, "h1") == {f"server/{mine}"}
