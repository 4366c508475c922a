"""Get me a network: a project's topology, all of it or nothing."""

import pytest

from netloom.model.errors import InvalidInput
from netloom.rules import auto_allocation, networks, router_interfaces
from netloom.rules.auto_allocation import AutoAllocationFailure
from netloom.rules.floatingips import create as create_floating
from netloom.store.tables.network import AUTO_ALLOCATED_TOPOLOGIES
from tests.rules.cloud import Cloud, View, admin, dhcp_role, l3_role, member, switch_role

NO_EXTERNAL = "Deployment error: No default router:external network."
NO_POOLS = "Deployment error: No default subnetpools defined."
KINDS = ("network", "subnet", "router", "port")


def external(cloud: Cloud, **values: object) -> View:
    net = cloud.create("network", cloud.admin, router__external=True, is_default=True, **values)
    cloud.create("subnet", cloud.admin, network_id=net["id"], ip_version=4, cidr="203.0.113.0/24")
    return net


def pool(cloud: Cloud, prefix: str = "10.0.0.0/20", **values: object) -> View:
    lengths = {"default_prefixlen": 24} if ":" not in prefix else {}
    shared = {"name": "default", "prefixes": [prefix], "is_default": True, "shared": True} | lengths
    return cloud.create("subnetpool", cloud.admin, **shared | values)


def ensure(cloud: Cloud, project: str = "alpha", context=None) -> str:
    with cloud.store.write() as tx:
        return auto_allocation.ensure(tx, context or cloud.member, project)


def remove(cloud: Cloud, project: str = "alpha") -> None:
    with cloud.store.write() as tx:
        auto_allocation.delete(tx, cloud.member, project)


def check(cloud: Cloud, context=None) -> None:
    with cloud.store.read() as tx:
        auto_allocation.check(tx, context or cloud.member, (context or cloud.member).project_id)


def counts(cloud: Cloud) -> list[int]:
    return [len(cloud.find(kind, cloud.admin)) for kind in KINDS]


def test_what_is_missing_is_told_the_external_network_first(cloud: Cloud) -> None:
    for attempt in (check, ensure):
        with pytest.raises(AutoAllocationFailure) as error:
            attempt(cloud)
        assert str(error.value) == NO_EXTERNAL
    pool(cloud)
    net = cloud.create("network", cloud.admin, router__external=True)
    with pytest.raises(AutoAllocationFailure, match="No default router:external network"):
        check(cloud)  # external, but not the default
    cloud.update("network", net["id"], cloud.admin, is_default=True)
    check(cloud)


def test_pools_that_a_project_does_not_see_do_not_count(cloud: Cloud) -> None:
    external(cloud)
    pool(cloud, shared=False)
    with pytest.raises(AutoAllocationFailure) as error:
        check(cloud)
    assert str(error.value) == NO_POOLS
    with pytest.raises(AutoAllocationFailure):
        ensure(cloud, context=cloud.admin)  # for the project, whoever asks
    check(cloud, cloud.admin)  # the pool is its own project's


def test_a_whole_topology(cloud: Cloud) -> None:
    out = external(cloud)
    pools = [pool(cloud), pool(cloud, "2001:db8::/48")]
    key = ensure(cloud)
    net = cloud.get("network", key)
    assert net is not None
    assert (net["name"], net["project_id"], net["admin_state_up"], net["revision_number"]) == (
        "auto_allocated_network", "alpha", True, 1,
    )  # fmt: skip
    subnets = sorted(cloud.find("subnet", filters={"network_id": [key]}), key=lambda item: item["ip_version"])
    assert [(item["name"], item["cidr"], item["subnetpool_id"], item["ipv6_ra_mode"]) for item in subnets] == [
        ("auto_allocated_subnet_v4", "10.0.0.0/24", pools[0]["id"], None),
        ("auto_allocated_subnet_v6", "2001:db8::/64", pools[1]["id"], "slaac"),
    ]
    (router,) = cloud.find("router")
    assert (router["name"], router["project_id"]) == ("auto_allocated_router", "alpha")
    assert router["external_gateway_info"]["network_id"] == out["id"]
    ports = cloud.find("port", filters={"device_id": [router["id"]], "network_id": [key]})
    assert {place["ip_address"] for port in ports for place in port["fixed_ips"]} == {"10.0.0.1", "2001:db8::1"}


def test_it_is_made_once_for_each_project(cloud: Cloud) -> None:
    external(cloud)
    pool(cloud)
    key = ensure(cloud)
    before = counts(cloud)
    assert ensure(cloud) == key
    assert counts(cloud) == before
    other = ensure(cloud, "beta", member("beta"))
    assert other != key
    assert ensure(cloud, "alpha", cloud.admin) == key
    found = cloud.find("subnet", member("beta"), filters={"network_id": [other]})
    assert [item["cidr"] for item in found] == ["10.0.1.0/24"]


def test_without_ipv4_and_with_prefixes_too_long_for_slaac(cloud: Cloud) -> None:
    external(cloud)
    pool(cloud, "2001:db8::/48", default_prefixlen=80)
    ensure(cloud)
    (subnet,) = [item for item in cloud.find("subnet") if item["name"].startswith("auto")]
    assert (subnet["name"], subnet["cidr"], subnet["ipv6_address_mode"]) == (
        "auto_allocated_subnet_v6", "2001:db8::/80", None,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["network", "subnet", "router"])
def test_what_fails_on_the_way_leaves_nothing(cloud: Cloud, kind: str) -> None:
    external(cloud)
    pool(cloud)
    before = counts(cloud)
    poor = member(quotas={kind: 0})
    with pytest.raises(AutoAllocationFailure) as error:
        ensure(cloud, context=poor)
    assert str(error.value) == f"Deployment error: Quota exceeded for resources: ['{kind}']."
    assert counts(cloud) == before
    ensure(cloud)


def test_a_pool_without_room(cloud: Cloud) -> None:
    external(cloud)
    pool(cloud, "10.0.0.0/24")
    ensure(cloud)
    before = counts(cloud)
    with pytest.raises(AutoAllocationFailure, match="Insufficient prefix space"):
        ensure(cloud, "beta", member("beta"))
    assert counts(cloud) == before


def test_removal_takes_all_of_it_and_can_be_repeated(cloud: Cloud) -> None:
    external(cloud)
    pool(cloud)
    pool(cloud, "2001:db8::/48")
    before = counts(cloud)
    first = ensure(cloud)
    remove(cloud)
    assert counts(cloud) == before
    remove(cloud)
    remove(cloud, "beta")
    assert ensure(cloud) != first


def test_a_highly_available_router(cloud: Cloud) -> None:
    """With its hosts, ports of elections and hidden network; all of it goes."""
    for host in ("h1", "h2"):
        cloud.heartbeat(host, switch_role(), dhcp_role(), l3_role())
    external(cloud)
    pool(cloud)
    before = counts(cloud)
    ensure(cloud, context=member(l3_ha=True))
    (router,) = cloud.find("router", cloud.admin)
    assert router["ha"] is True
    remove(cloud)
    assert counts(cloud) == before


def test_what_is_in_use_stays_whole(cloud: Cloud) -> None:
    external(cloud)
    pool(cloud)
    key = ensure(cloud)
    port = cloud.create("port", network_id=key)
    before = counts(cloud)
    with pytest.raises(networks.NetworkInUse):
        remove(cloud)
    assert counts(cloud) == before
    assert ensure(cloud) == key
    (out,) = cloud.find("network", filters={"router:external": [True]})
    with cloud.store.write() as tx:
        body = {"floating_network_id": out["id"], "port_id": port["id"], "project_id": "alpha", "description": ""}
        create_floating(tx, cloud.member, [body])
    with pytest.raises(router_interfaces.RouterInterfaceInUseByFloatingIP):
        remove(cloud)
    assert counts(cloud)[:3] == before[:3]


def test_parts_that_somebody_removed(cloud: Cloud) -> None:
    external(cloud)
    pool(cloud)
    key = ensure(cloud)
    (router,) = cloud.find("router")
    subnet = cloud.find("subnet", filters={"network_id": [key]})[0]
    with cloud.store.write() as tx:
        router_interfaces.remove_router_interface(tx, cloud.member, router, {"subnet_id": subnet["id"]})
    cloud.delete("router", router["id"])
    assert ensure(cloud) == key  # what is left of it is still the project's
    remove(cloud)
    assert cloud.get("network", key) is None
    again = ensure(cloud)
    (router,) = cloud.find("router")
    subnet = cloud.find("subnet", filters={"network_id": [again]})[0]
    with cloud.store.write() as tx:
        router_interfaces.remove_router_interface(tx, cloud.member, router, {"subnet_id": subnet["id"]})
    cloud.delete("network", again)
    with cloud.store.read() as tx:
        assert tx.rows(AUTO_ALLOCATED_TOPOLOGIES.select()) == []
    assert ensure(cloud) != again  # a new one, beside the router that is left


def test_one_default_pool_for_each_family(cloud: Cloud) -> None:
    first = pool(cloud)
    pool(cloud, "2001:db8::/48")
    with pytest.raises(InvalidInput) as error:
        pool(cloud, "10.1.0.0/16")
    assert str(error.value) == (
        "Invalid input for operation: A default subnetpool for this IP family has already been set. Only one default "
        "may exist per IP family."
    )
    cloud.update("subnetpool", first["id"], cloud.admin, is_default=False)
    pool(cloud, "10.1.0.0/16")
    with pytest.raises(InvalidInput):
        cloud.update("subnetpool", first["id"], cloud.admin, is_default=True)


def test_a_network_that_is_external_no_longer_is_not_the_default(cloud: Cloud) -> None:
    net = external(cloud)
    cloud.update("network", net["id"], cloud.admin, router__external=False)
    with pytest.raises(AutoAllocationFailure, match="No default router:external network"):
        check(cloud)
    other = cloud.create("network", cloud.admin, router__external=True, is_default=True)
    with pytest.raises(networks.DefaultExternalNetworkExists) as error:
        cloud.update("network", net["id"], cloud.admin, router__external=True, is_default=True)
    assert str(error.value) == f"A default external network already exists: {other['id']}."


def test_an_administrator_without_a_project_of_the_name(cloud: Cloud) -> None:
    external(cloud)
    pool(cloud)
    key = ensure(cloud, "gamma", admin("ops"))
    assert cloud.get("network", key, member("gamma")) is not None
