"""Floating IPs."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from netloom.model.errors import ApiError, OverQuota
from netloom.model.networks import NETWORK
from netloom.model.ports import PORT
from netloom.model.routers import FLOATINGIP
from netloom.rules import floatingips, networks, ports, reading
from netloom.store.tables.network import FLOATINGIPS, PORTS
from tests.statements import statements
from tests.unit.rules.callers import DEMO, OTHER, admin, member
from tests.unit.rules.test_routers import refused, route

NOWHERE = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def routed(world):
    """An external network, a network behind a router, and a port on it."""
    outside, pool = world.external()
    network = world.network()
    subnet = world.subnet(network)
    router = world.router(external_gateway_info={"network_id": outside})["id"]
    world.attach(router, subnet_id=subnet)
    port = world.port(network, (subnet, "10.0.0.9"))
    world.changes()
    return {
        "outside": outside, "pool": pool, "network": network, "subnet": subnet, "router": router, "port": port["id"]
    }  # fmt: skip


def backing(world, floating):
    with world.store.read() as tx:
        return tx.row(
            sa.select(PORTS)
            .join(FLOATINGIPS, FLOATINGIPS.c.floating_port_id == PORTS.c.id)
            .where(FLOATINGIPS.c.id == floating["id"])
        )


def test_created_free(world, routed):
    made = world.floating(routed["outside"])
    assert (made["status"], made["port_id"], made["router_id"], made["fixed_ip_address"]) == ("DOWN", None, None, None)
    assert (made["port_details"], made["revision_number"], made["project_id"]) == (None, 1, DEMO)
    port = backing(world, made)
    assert (port["device_owner"], port["device_id"], port["project_id"]) == ("network:floatingip", made["id"], "")
    assert port["status"] == "N/A"
    assert world.get(PORT, port["id"])["fixed_ips"] == [
        {"subnet_id": routed["pool"], "ip_address": made["floating_ip_address"]}
    ]


def test_associate_and_disassociate(world, routed):
    made = world.floating(routed["outside"])
    world.changes()
    found = world.update_floating(made["id"], port_id=routed["port"])
    assert (found["port_id"], found["fixed_ip_address"], found["router_id"]) == (
        routed["port"], "10.0.0.9", routed["router"],
    )  # fmt: skip
    assert (found["port_details"]["network_id"], found["revision_number"]) == (routed["network"], 2)
    assert world.changes() == {("router", routed["router"])}
    assert world.update_floating(made["id"], description="kept")["port_id"] == routed["port"]
    assert world.update_floating(made["id"], port_id=routed["port"])["revision_number"] == 3
    assert world.changes() == set()
    freed = world.update_floating(made["id"], port_id=None)
    assert (freed["port_id"], freed["router_id"], freed["fixed_ip_address"]) == (None, None, None)
    assert world.changes() == {("router", routed["router"])}


def test_created_for_a_port(world, routed):
    made = world.floating(routed["outside"], port_id=routed["port"], fixed_ip_address="10.0.0.9")
    assert (made["router_id"], made["fixed_ip_address"], made["revision_number"]) == (routed["router"], "10.0.0.9", 1)
    other = world.floating(routed["outside"])
    refused(
        world.update_floating, other["id"], type="FloatingIPPortAlreadyAssociated", status=409,
        port_id=routed["port"],
    )  # fmt: skip
    second = world.port(routed["network"])
    assert world.update_floating(made["id"], port_id=second["id"])["port_id"] == second["id"]
    assert world.update_floating(made["id"])["port_id"] is None
    assert world.changes() >= {("router", routed["router"])}


def test_wanted_addresses(world, routed):
    outside, pool = routed["outside"], routed["pool"]
    exact = world.floating(outside, admin(), floating_ip_address="203.0.113.77")
    assert exact["floating_ip_address"] == "203.0.113.77"
    refused(
        world.floating, outside, admin(), type="IpAddressAlreadyAllocated", status=409,
        floating_ip_address="203.0.113.77",
    )  # fmt: skip
    for wrong in ("192.0.2.1", "2001:db8::1"):
        refused(world.floating, outside, admin(), type="InvalidIpForNetwork", status=400, floating_ip_address=wrong)
    assert world.floating(outside, subnet_id=pool)["floating_ip_address"].startswith("203.0.113.")
    refused(world.floating, outside, type="BadRequest", status=400, subnet_id=routed["subnet"])


def test_networks_that_have_none(world, routed):
    refused(world.floating, routed["network"], type="BadRequest", status=400)
    refused(world.floating, NOWHERE, type="NetworkNotFound", status=404)
    refused(world.floating, world.network(OTHER), type="NetworkNotFound", status=404)
    empty = world.network("operator", router__external=True)
    refused(world.floating, empty, type="BadRequest", status=400)
    world.subnet(empty, "2001:db8::/64", project_id="operator")
    refused(world.floating, empty, type="BadRequest", status=400)
    small = world.network("operator", router__external=True)
    world.subnet(small, "198.51.100.0/24", allocation_pools=[{"start": "198.51.100.9", "end": "198.51.100.9"}])
    world.floating(small)
    refused(world.floating, small, type="IpAddressGenerationFailure", status=409)


def test_refused_associations_change_nothing(world, routed):
    made = world.floating(routed["outside"])
    before = world.get(FLOATINGIP, made["id"])

    def attempt(type, status, **changes):
        refused(world.update_floating, made["id"], type=type, status=status, **changes)
        assert world.get(FLOATINGIP, made["id"]) == before

    attempt("PortNotFound", 404, port_id=NOWHERE)
    attempt("PortNotFound", 404, port_id=world.port(world.network(OTHER), context=member(OTHER))["id"])
    attempt("BadRequest", 400, fixed_ip_address="10.0.0.9")
    attempt("BadRequest", 400, port_id=routed["port"], fixed_ip_address="10.0.0.10")
    lonely = world.network()
    subnet = world.subnet(lonely, "10.3.0.0/24")
    attempt("ExternalGatewayForFloatingIPNotFound", 404, port_id=world.port(lonely, (subnet, "10.3.0.9"))["id"])
    attempt("BadRequest", 400, port_id=world.port(world.network())["id"])
    double = world.port(routed["network"], (routed["subnet"], "10.0.0.20"), (routed["subnet"], "10.0.0.21"))
    attempt("BadRequest", 400, port_id=double["id"])
    found = world.update_floating(made["id"], port_id=double["id"], fixed_ip_address="10.0.0.21")
    assert found["fixed_ip_address"] == "10.0.0.21"


def test_port_of_another_project_on_a_shared_network(world, routed):
    foreign = world.port(routed["network"], context=admin(OTHER))
    made = world.floating(routed["outside"])
    refused(world.update_floating, made["id"], type="BadRequest", status=400, port_id=foreign["id"])
    found = world.act(floatingips.update, made["id"], {"port_id": foreign["id"]}, resource=FLOATINGIP, context=admin())
    assert found["port_id"] == foreign["id"]


def test_router_with_another_gateway_does_not_do(world, routed):
    other, _ = world.external("198.51.100.0/24")
    made = world.floating(other)
    refused(
        world.update_floating, made["id"], type="ExternalGatewayForFloatingIPNotFound", status=404,
        port_id=routed["port"],
    )  # fmt: skip


def test_association_holds_gateway_interface_and_router(world, routed):
    made = world.floating(routed["outside"], port_id=routed["port"])
    router = routed["router"]
    for info in ({}, {"network_id": world.external("198.51.100.0/24")[0]}):
        refused(
            world.update_router, router, type="RouterExternalGatewayInUseByFloatingIp", status=409,
            external_gateway_info=info,
        )  # fmt: skip
    refused(world.detach, router, type="RouterInterfaceInUseByFloatingIP", status=409, subnet_id=routed["subnet"])
    refused(world.delete_router, router, type="RouterExternalGatewayInUseByFloatingIp", status=409)
    world.update_router(router, external_gateway_info={"enable_snat": False}, routes=[route("10.9.0.0/24", "10.0.0.5")])
    world.act(floatingips.delete, made["id"], resource=FLOATINGIP)
    world.update_router(router, routes=[])
    world.detach(router, subnet_id=routed["subnet"])
    world.delete_router(router)


def test_deleting_gives_the_address_back(world, routed):
    made = world.floating(routed["outside"], port_id=routed["port"])
    port = backing(world, made)["id"]
    refused(world.act, ports.delete, port, type="ServicePortInUse", status=409, resource=PORT, context=admin())
    world.changes()
    world.act(floatingips.delete, made["id"], resource=FLOATINGIP)
    assert world.get(FLOATINGIP, made["id"]) is None
    assert world.get(PORT, port) is None
    assert ("router", routed["router"]) in world.changes()


def test_port_that_goes_leaves_the_floating_ip_free(world, routed):
    made = world.floating(routed["outside"], port_id=routed["port"])
    world.changes()
    world.act(ports.delete, routed["port"], resource=PORT)
    found = world.get(FLOATINGIP, made["id"])
    assert (found["port_id"], found["router_id"], found["status"], found["revision_number"]) == (None, None, "DOWN", 2)
    assert ("router", routed["router"]) in world.changes()


def test_address_that_leaves_its_port_leaves_the_floating_ip_free(world, routed):
    made = world.floating(routed["outside"], port_id=routed["port"])
    places = [{"subnet_id": routed["subnet"], "ip_address": "10.0.0.10"}]
    world.act(ports.update, routed["port"], {"fixed_ips": places}, resource=PORT)
    assert world.get(FLOATINGIP, made["id"])["port_id"] is None


def test_network_takes_its_free_floating_ips_along_and_stays_for_others(world, routed):
    outside, _ = world.external("198.51.100.0/24")
    free = world.floating(outside)
    world.act(networks.delete, outside, resource=NETWORK, context=admin())
    assert world.get(FLOATINGIP, free["id"]) is None
    used = world.floating(routed["outside"], port_id=routed["port"])
    refused(
        world.act, networks.delete, routed["outside"], type="NetworkInUse", status=409, resource=NETWORK,
        context=admin(),
    )  # fmt: skip
    assert world.get(FLOATINGIP, used["id"])["port_id"] == routed["port"]


def test_quota(world, routed):
    context = member(quotas={"floatingip": 2})
    world.floating(routed["outside"], context)
    world.floating(routed["outside"], context)
    with pytest.raises(OverQuota):
        world.floating(routed["outside"], context)


def test_many_at_once_for_one_port_and_one_wins(world, routed):
    made = [world.floating(routed["outside"])["id"] for _ in range(8)]

    def attempt(key):
        try:
            world.update_floating(key, port_id=routed["port"])
        except ApiError as error:
            return error.type
        return "done"

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(attempt, made)) == ["FloatingIPPortAlreadyAssociated"] * 7 + ["done"]
    with world.store.read() as tx:
        query = reading.Query(filters={"port_id": [routed["port"]]})
        assert len(reading.find(tx, admin(), FLOATINGIP, query)) == 1


def test_many_at_once_have_different_addresses(world, routed):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: world.floating(routed["outside"])["floating_ip_address"], range(24)))
    assert len(set(made)) == 24


def test_number_of_statements_does_not_grow(world, routed):
    counts = []
    for number in range(2):
        made = world.floating(routed["outside"])
        costs = []
        for call in (
            lambda: world.floating(routed["outside"], port_id=routed["port"]),
            lambda: world.update_floating(made["id"], description=str(number)),  # noqa: B023
            lambda: world.act(floatingips.delete, made["id"], resource=FLOATINGIP),  # noqa: B023
        ):
            with statements(world.store) as seen:
                last = call()
            costs.append(len(seen))
            if last:
                world.update_floating(last["id"], port_id=None)
        counts.append(costs)
        for _ in range(10):
            world.port(routed["network"])
            world.floating(routed["outside"])
    assert counts[0] == counts[1]
    assert max(counts[0]) <= 30
