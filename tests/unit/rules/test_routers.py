"""Routers: gateways, interfaces, routes."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from netloom.model.errors import ApiError, BadRequest, OverQuota
from netloom.model.ports import PORT
from netloom.model.routers import ROUTER
from netloom.rules import extraroutes, reading
from tests.statements import statements
from tests.unit.rules.callers import DEMO, OTHER, admin, member


def refused(call, *values, type, status, **named):
    with pytest.raises(ApiError) as caught:
        call(*values, **named)
    assert (caught.value.type, caught.value.status) == (type, status), str(caught.value)


def test_plain_router(world):
    router = world.router(name="r1")
    assert (router["status"], router["external_gateway_info"], router["routes"]) == ("ACTIVE", None, [])
    assert (router["ha"], router["distributed"], router["revision_number"]) == (False, False, 1)
    changed = world.update_router(router["id"], name="r2", admin_state_up=False)
    assert (changed["name"], changed["admin_state_up"], changed["revision_number"]) == ("r2", False, 2)
    assert world.changes() == {("router", router["id"])}
    assert world.update_router(router["id"], name="r2")["revision_number"] == 2
    world.delete_router(router["id"])
    assert world.get(ROUTER, router["id"]) is None


def test_routers_are_not_distributed_and_zones_must_be_known(world):
    assert world.router(ha=None, distributed=False)["ha"] is False
    refused(world.router, type="InvalidInput", status=400, distributed=True)
    refused(world.router, type="AvailabilityZoneNotFound", status=404, availability_zone_hints=["nowhere"])


def test_quota(world):
    for _ in range(10):
        world.router()
    with pytest.raises(OverQuota):
        world.router()


def test_gateway_comes_and_goes(world):
    outside, subnet = world.external()
    router = world.router(external_gateway_info={"network_id": outside})
    (port,) = world.ports_of(router["id"])
    (place,) = port["fixed_ips"]
    assert router["external_gateway_info"] == {
        "network_id": outside, "enable_snat": True, "external_fixed_ips": [place],
    }  # fmt: skip
    assert (port["device_owner"], port["project_id"], port["network_id"]) == ("network:router_gateway", "", outside)
    assert router["revision_number"] == 1
    world.changes()
    cleared = world.update_router(router["id"], external_gateway_info={})
    assert (cleared["external_gateway_info"], cleared["revision_number"]) == (None, 2)
    assert world.ports_of(router["id"]) == []
    assert world.changes() >= {("router", router["id"]), ("port", port["id"])}
    assert world.update_router(router["id"], external_gateway_info=None)["revision_number"] == 2
    again = world.update_router(router["id"], external_gateway_info={"network_id": outside}, name="x")
    assert again["external_gateway_info"]["external_fixed_ips"][0]["subnet_id"] == subnet
    assert again["revision_number"] == 3
    world.delete_router(router["id"])
    assert world.ports_of(router["id"]) == []


def test_gateway_keeps_its_port_when_addresses_or_snat_change(world):
    outside, subnet = world.external()
    router = world.router(external_gateway_info={"network_id": outside})["id"]
    (before,) = world.ports_of(router)
    place = {"subnet_id": subnet, "ip_address": "203.0.113.77"}
    info = {"external_fixed_ips": [place], "enable_snat": False}
    found = world.update_router(router, external_gateway_info=info)
    assert found["external_gateway_info"] == {"network_id": outside, **info}
    (after,) = world.ports_of(router)
    assert (after["id"], after["fixed_ips"]) == (before["id"], [place])
    revision = found["revision_number"]
    assert world.update_router(router, external_gateway_info=info)["revision_number"] == revision


def test_gateway_moves_to_another_network(world):
    (one, _), (two, _) = world.external(), world.external("198.51.100.0/24")
    router = world.router(external_gateway_info={"network_id": one})["id"]
    found = world.update_router(router, external_gateway_info={"network_id": two})
    assert found["external_gateway_info"]["network_id"] == two
    (port,) = world.ports_of(router)
    assert port["network_id"] == two


def test_gateway_without_subnets(world):
    outside = world.network("operator", router__external=True)
    router = world.router(external_gateway_info={"network_id": outside})
    assert router["external_gateway_info"]["external_fixed_ips"] == []


def test_refused_gateways_change_nothing(world):
    outside, subnet = world.external()
    inside = world.network()
    router = world.router(external_gateway_info={"network_id": outside})["id"]
    before = world.get(ROUTER, router)

    def attempt(type, status, **info):
        refused(world.update_router, router, type=type, status=status, external_gateway_info=info)
        assert world.get(ROUTER, router) == before

    attempt("BadRequest", 400, network_id=inside)
    attempt("NetworkNotFound", 404, network_id="00000000-0000-0000-0000-000000000000")
    attempt("BadRequest", 400, external_fixed_ips=[{"subnet_id": subnet, "ip_address": "203.0.113.1"}])
    attempt("SubnetNotFound", 404, external_fixed_ips=[{"subnet_id": "00000000-0000-0000-0000-000000000000"}])
    foreign = world.network(OTHER)
    attempt("NetworkNotFound", 404, network_id=foreign)
    other = world.router()["id"]
    refused(world.update_router, other, type="BadRequest", status=400, external_gateway_info={"enable_snat": True})


def test_gateway_stays_when_the_new_network_is_full(world):
    outside, _ = world.external()
    full = world.network("operator", router__external=True)
    world.subnet(full, "198.51.100.0/24", allocation_pools=[{"start": "198.51.100.2", "end": "198.51.100.2"}])
    world.router(external_gateway_info={"network_id": full})
    router = world.router(external_gateway_info={"network_id": outside})["id"]
    before = world.get(ROUTER, router)
    refused(
        world.update_router, router, type="IpAddressGenerationFailure", status=409,
        external_gateway_info={"network_id": full},
    )  # fmt: skip
    assert world.get(ROUTER, router) == before


def test_overlapping_subnets_are_refused(world):
    outside, _ = world.external("10.0.0.0/16")
    inside, other = world.network(), world.network()
    near, over = world.subnet(inside, "10.0.7.0/24"), world.subnet(other, "10.0.7.128/25")
    router = world.router()["id"]
    world.attach(router, subnet_id=near)
    refused(world.attach, router, type="BadRequest", status=400, subnet_id=over)
    refused(world.attach, router, type="BadRequest", status=400, subnet_id=near)
    refused(
        world.update_router, router, type="BadRequest", status=400,
        external_gateway_info={"network_id": outside},
    )  # fmt: skip
    assert len(world.ports_of(router)) == 1


def test_interface_by_subnet(world):
    network = world.network()
    subnet = world.subnet(network)
    router = world.router()["id"]
    world.changes()
    answer = world.attach(router, subnet_id=subnet)
    (port,) = world.ports_of(router)
    assert answer == {
        "id": router, "project_id": DEMO, "tenant_id": DEMO, "port_id": port["id"], "network_id": network,
        "subnet_id": subnet, "subnet_ids": [subnet],
    }  # fmt: skip
    assert port["fixed_ips"] == [{"subnet_id": subnet, "ip_address": "10.0.0.1"}]
    assert (port["device_owner"], port["project_id"]) == ("network:router_interface", DEMO)
    assert (port["security_groups"], port["port_security_enabled"]) == ([], False)
    assert world.get(ROUTER, router)["revision_number"] == 2
    assert world.changes() == {("router", router), ("port", port["id"]), ("dhcp", network)}
    assert world.detach(router, subnet_id=subnet) == answer
    assert world.ports_of(router) == []
    assert world.get(ROUTER, router)["revision_number"] == 3


def test_ipv6_subnets_of_a_network_share_a_port(world):
    network = world.network()
    four = world.subnet(network)
    six = [world.subnet(network, f"2001:db8:{n}::/64", ipv6_ra_mode="slaac", ipv6_address_mode="slaac") for n in (1, 2)]
    router = world.router()["id"]
    first = world.attach(router, subnet_id=six[0])
    second = world.attach(router, subnet_id=six[1])
    third = world.attach(router, subnet_id=four)
    assert first["port_id"] == second["port_id"] != third["port_id"]
    assert second["subnet_ids"] == [six[1]]
    places = {place["subnet_id"]: place["ip_address"] for place in world.get(PORT, first["port_id"])["fixed_ips"]}
    assert places == {six[0]: "2001:db8:1::1", six[1]: "2001:db8:2::1"}
    assert world.detach(router, subnet_id=six[0])["subnet_ids"] == [six[0]]
    assert [place["subnet_id"] for place in world.get(PORT, first["port_id"])["fixed_ips"]] == [six[1]]
    world.detach(router, subnet_id=six[1])
    assert [port["id"] for port in world.ports_of(router)] == [third["port_id"]]


def test_interface_by_port(world):
    network = world.network()
    subnet = world.subnet(network)
    port = world.port(network, (subnet, "10.0.0.55"))
    router = world.router()["id"]
    answer = world.attach(router, port_id=port["id"])
    assert (answer["port_id"], answer["subnet_id"]) == (port["id"], subnet)
    attached = world.get(PORT, port["id"])
    assert (attached["device_id"], attached["device_owner"]) == (router, "network:router_interface")
    assert attached["fixed_ips"] == port["fixed_ips"]
    other = world.router()["id"]
    refused(world.attach, other, type="PortInUse", status=409, port_id=port["id"])
    refused(
        world.detach, router, type="SubnetMismatchForPort", status=400, port_id=port["id"],
        subnet_id=world.subnet(network, "10.1.0.0/24"),
    )  # fmt: skip
    world.detach(router, port_id=port["id"], subnet_id=subnet)
    assert world.get(PORT, port["id"]) is None


def test_refused_interfaces(world):
    network, nowhere = world.network(), "00000000-0000-0000-0000-000000000000"
    bare = world.subnet(network, "10.2.0.0/24", gateway_ip=None)
    one, two = world.subnet(network), world.subnet(network, "10.1.0.0/24")
    router = world.router()["id"]
    refused(world.attach, router, type="BadRequest", status=400)
    refused(world.attach, router, type="BadRequest", status=400, subnet_id=one, port_id=nowhere)
    refused(world.attach, router, type="HTTPBadRequest", status=400, subnet_id="x")
    refused(world.attach, router, type="HTTPBadRequest", status=400, port_id=["x"])
    refused(world.attach, router, type="SubnetNotFound", status=404, subnet_id=nowhere)
    refused(world.attach, router, type="PortNotFound", status=404, port_id=nowhere)
    refused(world.attach, router, type="BadRequest", status=400, subnet_id=bare)
    both = world.port(network, (one, "10.0.0.9"), (two, "10.1.0.9"))
    refused(world.attach, router, type="BadRequest", status=400, port_id=both["id"])
    empty = world.port(world.network())
    refused(world.attach, router, type="BadRequest", status=400, port_id=empty["id"])
    refused(world.detach, router, type="RouterInterfaceNotFoundForSubnet", status=404, subnet_id=one)
    refused(world.detach, router, type="RouterInterfaceNotFound", status=404, port_id=both["id"])
    refused(world.detach, router, type="SubnetNotFound", status=404, subnet_id=nowhere)
    refused(world.detach, router, type="BadRequest", status=400)
    assert world.ports_of(router) == []
    assert world.get(ROUTER, router)["revision_number"] == 1


def test_whose_subnets_one_may_attach(world):
    _, external = world.external()
    shared = world.network(OTHER, shared=True)
    common = world.subnet(shared, "10.5.0.0/24", project_id=OTHER)
    private = world.subnet(world.network(OTHER), "10.6.0.0/24", project_id=OTHER)
    router = world.router()["id"]
    refused(world.attach, router, type="BadRequest", status=400, subnet_id=external)
    refused(world.attach, router, type="SubnetNotFound", status=404, subnet_id=private)
    world.attach(router, subnet_id=common)
    world.attach(router, admin(), subnet_id=private)
    assert len(world.ports_of(router)) == 2


def test_gateway_address_that_is_taken(world):
    network = world.network()
    subnet = world.subnet(network)
    world.port(network, (subnet, "10.0.0.1"))
    router = world.router()["id"]
    refused(world.attach, router, type="IpAddressAlreadyAllocated", status=409, subnet_id=subnet)


def test_router_in_use_stays(world):
    subnet = world.subnet(world.network())
    outside, _ = world.external()
    router = world.router(external_gateway_info={"network_id": outside})["id"]
    world.attach(router, subnet_id=subnet)
    before = world.get(ROUTER, router)
    refused(world.delete_router, router, type="RouterInUse", status=409)
    assert world.get(ROUTER, router) == before
    world.detach(router, subnet_id=subnet)
    world.delete_router(router)
    assert world.ports_of(router) == []


def route(destination, nexthop):
    return {"destination": destination, "nexthop": nexthop}


def test_routes(world):
    subnet = world.subnet(world.network())
    outside, _ = world.external()
    router = world.router(external_gateway_info={"network_id": outside})["id"]
    world.attach(router, subnet_id=subnet)
    world.changes()
    inner, outer = route("10.9.0.0/24", "10.0.0.5"), route("10.8.0.0/24", "203.0.113.200")
    found = world.update_router(router, routes=[inner, outer])
    assert found["routes"] == [inner, outer]
    assert world.changes() == {("router", router)}
    assert world.update_router(router, routes=[inner, outer])["revision_number"] == found["revision_number"]
    for wrong in ("10.77.0.1", "10.0.0.1"):
        refused(world.update_router, router, type="InvalidRoutes", status=400, routes=[route("10.7.0.0/24", wrong)])
    refused(world.detach, router, type="RouterInterfaceInUseByRoute", status=409, subnet_id=subnet)
    many = [route(f"10.7.{number}.0/24", "10.0.0.5") for number in range(31)]
    refused(world.update_router, router, type="OverQuota", status=409, routes=many)
    assert world.update_router(router, routes=None)["routes"] == []
    world.detach(router, subnet_id=subnet)


def test_extra_routes_are_added_and_removed(world):
    router = world.router()["id"]
    world.attach(router, subnet_id=world.subnet(world.network()))
    one, two = route("10.9.0.0/24", "10.0.0.5"), route("10.8.0.0/24", "10.0.0.6")

    def add(*routes):
        return world.act(extraroutes.add_extraroutes, router, {"router": {"routes": list(routes)}})["router"]["routes"]

    def remove(*routes):
        return world.act(extraroutes.remove_extraroutes, router, {"router": {"routes": list(routes)}})["router"][
            "routes"
        ]

    assert add(one) == [one]
    assert add(one, two) == [one, two]
    assert remove(one, route("10.7.0.0/24", "10.0.0.5")) == [two]
    for broken in ({}, {"router": {}}, {"router": []}, {"router": {"routes": "x"}}, {"router": {"routes": [{}]}}, None):
        refused(world.act, extraroutes.add_extraroutes, router, broken, type="HTTPBadRequest", status=400)


def test_many_extra_routes_at_once_are_all_kept(world):
    router = world.router()["id"]
    world.attach(router, subnet_id=world.subnet(world.network()))

    def add(number):
        routes = [route(f"10.9.{number}.0/24", "10.0.0.5")]
        world.act(extraroutes.add_extraroutes, router, {"router": {"routes": routes}})

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(add, range(12)))
    assert len(world.get(ROUTER, router)["routes"]) == 12


def test_same_subnet_many_times_at_once_is_attached_once(world):
    subnet = world.subnet(world.network())
    router = world.router()["id"]

    def attempt(_):
        try:
            world.attach(router, subnet_id=subnet)
        except BadRequest:
            return 0
        return 1

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(attempt, range(8))) == 1


def test_number_of_statements_does_not_grow(world):
    outside, _ = world.external()
    world.host("h1")
    counts = []
    for size in (0, 8):
        network = world.network()
        subnet = world.subnet(network, f"10.{100 + size}.0.0/24")
        router = world.router(external_gateway_info={"network_id": outside})["id"]
        for number in range(size):
            world.attach(router, subnet_id=world.subnet(world.network(), f"10.{number}.0.0/24"))
            world.port(network)
        costs = []
        for call in (
            lambda: world.attach(router, subnet_id=subnet),  # noqa: B023
            lambda: world.update_router(router, external_gateway_info={}),  # noqa: B023
            lambda: world.update_router(router, external_gateway_info={"network_id": outside}),  # noqa: B023
            lambda: world.detach(router, subnet_id=subnet),  # noqa: B023
        ):
            with statements(world.store) as seen:
                call()
            costs.append(len(seen))
        counts.append(costs)
    assert counts[0] == counts[1]
    assert counts[0][0] <= 21
    assert max(counts[0]) <= 36


def test_member_is_not_shown_the_gateway_port(world):
    outside, _ = world.external()
    router = world.router(external_gateway_info={"network_id": outside})
    with world.store.read() as tx:
        query = reading.Query(filters={"device_id": [router["id"]]})
        assert reading.find(tx, member(), PORT, query) == []
