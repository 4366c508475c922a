"""Who may do what: roles, attributes, 404 or 403, and the operator's own rules."""

import os

import pytest


def test_a_reader_may_look_but_not_touch(alice):
    network = alice.network(name="net")
    reader = alice.as_("reader")
    assert reader.get(f"networks/{network['id']}")["network"]["name"] == "net"
    reader.fails(403, "PolicyNotAuthorized", "POST", "networks", {"network": {}})
    reader.fails(403, "PolicyNotAuthorized", "PUT", f"networks/{network['id']}", {"network": {"name": "x"}})
    reader.fails(403, "PolicyNotAuthorized", "DELETE", f"networks/{network['id']}")
    alice.as_("nobody").fails(403, "PolicyNotAuthorized", "POST", "networks", {"network": {}})
    assert alice.as_("nobody").get("networks")["networks"] == []


def test_what_is_invisible_is_not_there(alice, bob):
    network = alice.network()
    path = f"networks/{network['id']}"
    bob.fails(404, "NetworkNotFound", "GET", path)
    bob.fails(404, "NetworkNotFound", "PUT", path, {"network": {"name": "x"}})
    bob.fails(404, "NetworkNotFound", "DELETE", path)


def test_what_is_visible_but_not_ones_own_is_forbidden(admin, bob):
    path = f"networks/{admin.network(shared=True)['id']}"
    assert bob.get(path)["network"]["shared"] is True
    message = bob.fails(403, "PolicyNotAuthorized", "PUT", path, {"network": {"name": "x"}})
    assert message == "rule:update_network is disallowed by policy"
    bob.fails(403, "PolicyNotAuthorized", "DELETE", path)


def test_guarded_attributes_count_only_when_they_differ_from_the_default(alice):
    assert alice.network(shared=False, **{"router:external": False})["shared"] is False
    for values in ({"shared": True}, {"router:external": True}, {"provider:network_type": "vxlan"}):
        alice.fails(403, "PolicyNotAuthorized", "POST", "networks", {"network": values})


def test_attributes_that_are_not_for_everybody_are_not_shown(alice, admin):
    network = alice.network()
    assert "provider:network_type" not in network
    assert admin.get(f"networks/{network['id']}")["network"]["provider:network_type"] == "vxlan"
    assert "provider:network_type" not in alice.get("networks")["networks"][0]


def test_agents_are_not_there_for_members(alice):
    assert alice.get("agents") == {"agents": []}
    alice.fails(404, "AgentNotFound", "GET", "agents/x")


def test_ports_on_foreign_networks(alice, bob, admin):
    own = alice.network()
    bob.fails(403, "PolicyNotAuthorized", "POST", "ports", {"port": {"network_id": own["id"]}})
    missing = "11111111-1111-1111-1111-111111111111"
    bob.fails(404, "NetworkNotFound", "POST", "ports", {"port": {"network_id": missing}})
    shared = admin.network(shared=True)
    port = bob.port(shared["id"])
    assert port["project_id"] == "beta"
    for values in (
        {"mac_address": "fa:16:3e:11:22:33"},
        {"port_security_enabled": False},
        {"device_owner": "network:dhcp"},
        {"binding:host_id": "h"},
        {"binding:profile": {"a": 1}},
    ):
        bob.fails(403, "PolicyNotAuthorized", "POST", "ports", {"port": {"network_id": shared["id"]} | values})


def test_addresses_of_ports_on_foreign_networks(admin, bob):
    network = admin.network(shared=True)
    subnet = admin.subnet(network["id"])
    by_subnet = bob.port(network["id"], fixed_ips=[{"subnet_id": subnet["id"]}])
    assert len(by_subnet["fixed_ips"]) == 1
    body = {"port": {"network_id": network["id"], "fixed_ips": [{"ip_address": "10.0.0.9"}]}}
    bob.fails(403, "PolicyNotAuthorized", "POST", "ports", body)


def test_the_owner_of_a_network_sees_and_deletes_the_ports_on_it(alice, admin):
    network = alice.network()
    port = admin.port(network["id"], tenant_id="beta")
    assert [item["id"] for item in alice.get("ports")["ports"]] == [port["id"]]
    alice.fails(403, "PolicyNotAuthorized", "PUT", f"ports/{port['id']}", {"port": {"name": "x"}})
    alice.delete(f"ports/{port['id']}")


def test_ports_of_instances_are_deleted_by_services_only(alice, admin):
    port = alice.port(alice.network()["id"], device_owner="compute:nova")
    path = f"ports/{port['id']}"
    alice.fails(403, "PolicyNotAuthorized", "DELETE", path)
    alice.delete(path, headers={"X-Service-Token": "service:services"})


def test_binding_profiles_are_for_services(admin):
    network = admin.network()
    body = {"port": {"network_id": network["id"], "binding:profile": {"a": "b"}}}
    admin.fails(403, "PolicyNotAuthorized", "POST", "ports", body)
    port = admin.as_("admin+service", "services").post("ports", body)["port"]
    assert port["binding:profile"] == {"a": "b"}


def test_bindings_are_not_shown_to_members(alice, admin):
    port = alice.port(alice.network()["id"])
    assert not {"binding:host_id", "binding:profile", "binding:vif_type", "binding:vif_details"} & port.keys()
    assert port["binding:vnic_type"] == "normal"
    assert admin.get(f"ports/{port['id']}")["port"]["binding:vif_type"] == "unbound"


def test_gateways_with_details_are_for_administrators(alice, admin):
    network = admin.network(**{"router:external": True})
    admin.subnet(network["id"], "203.0.113.0/24")
    for details in ({"enable_snat": False}, {"external_fixed_ips": [{"ip_address": "203.0.113.9"}]}):
        gateway = {"network_id": network["id"]} | details
        alice.fails(403, "PolicyNotAuthorized", "POST", "routers", {"router": {"external_gateway_info": gateway}})
    plain = {"external_gateway_info": {"network_id": network["id"]}}
    router = alice.post("routers", {"router": plain})["router"]
    assert "distributed" not in router
    assert "ha" not in router


@pytest.fixture
def rules(policy, tmp_path):
    """Replaces the operator's file; the policy looks at it at once."""

    def write(text):
        file = tmp_path / "policy.yaml"
        file.write_text(text)
        write.stamp += 10
        os.utime(file, (write.stamp, write.stamp))
        policy._looked = float("-inf")

    write.stamp = 1_000_000
    return write


def test_the_operator_overrides_rules_while_we_run(alice, rules):
    rules('"create_network": "role:netmaker"\n"get_network:mtu": "rule:admin_only"\n')
    alice.fails(403, "PolicyNotAuthorized", "POST", "networks", {"network": {}})
    rules('"get_network:mtu": "rule:admin_only"\n"create_network:shared": "role:member"\n')
    network = alice.network(shared=True)
    assert network["shared"] is True
    assert "mtu" not in network


def test_a_broken_file_changes_nothing_but_fails_safe(alice, rules):
    rules('"create_network": "role:netmaker"\n')
    alice.fails(403, "PolicyNotAuthorized", "POST", "networks", {"network": {}})
    for text in ("{ this is : no : yaml", "- create_network", '"create_network": true'):
        rules(text)
        alice.fails(403, "PolicyNotAuthorized", "POST", "networks", {"network": {}})
    rules('"create_network": "and or not"\n')
    alice.fails(403, "PolicyNotAuthorized", "POST", "networks", {"network": {}})
