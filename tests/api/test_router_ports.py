"""Ports of routers and gateways, as clients may and may not change them."""

import pytest


@pytest.fixture
def interface(alice):
    """A router's port."""
    network = alice.network()
    subnet = alice.subnet(network["id"])
    router = alice.post("routers", {"router": {}})["router"]
    done = alice.put(f"routers/{router['id']}/add_router_interface", {"subnet_id": subnet["id"]})
    return alice.get(f"ports/{done['port_id']}")["port"]


def test_a_router_port_keeps_its_address_when_only_the_subnet_is_named(alice, interface):
    fixed_ips = [{"subnet_id": interface["fixed_ips"][0]["subnet_id"]}]
    updated = alice.put(f"ports/{interface['id']}", {"port": {"fixed_ips": fixed_ips}})["port"]
    assert updated["fixed_ips"] == interface["fixed_ips"]
    assert updated["revision_number"] == interface["revision_number"]


@pytest.mark.parametrize(
    "fixed_ips",
    [[], [{"ip_address": "10.0.0.77"}], [{"ip_address": "10.0.0.1"}, {"ip_address": "10.0.0.77"}]],
)  # fmt: skip
def test_a_router_port_changes_no_address_through_the_port(alice, interface, fixed_ips):
    path = f"ports/{interface['id']}"
    alice.fails(400, "IPAddressChangeNotAllowed", "PUT", path, {"port": {"fixed_ips": fixed_ips}})
    assert alice.get(path)["port"] == interface
