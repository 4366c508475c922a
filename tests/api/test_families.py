"""One walk through each family, as clients take it: the shapes of answers, and what belongs to HTTP in them."""

import pytest


@pytest.fixture
def outside(admin):
    """An external network with a subnet."""
    network = admin.network(name="outside", **{"router:external": True})
    admin.subnet(network["id"], "203.0.113.0/24")
    return network


def test_networks_show_their_subnets_and_external_ones_are_seen_by_all(alice, bob, outside):
    network = alice.network(name="inside")
    subnet = alice.subnet(network["id"])
    assert alice.get(f"networks/{network['id']}")["network"]["subnets"] == [subnet["id"]]
    assert alice.get(f"networks/{network['id']}")["network"]["revision_number"] == 2
    assert bob.names("networks?router:external=True") == ["outside"]
    assert [item["network_id"] for item in bob.get("subnets")["subnets"]] == [outside["id"]]
    alice.delete(f"networks/{network['id']}")
    alice.fails(404, "SubnetNotFound", "GET", f"subnets/{subnet['id']}")


def test_subnets_on_foreign_networks(admin, bob, alice):
    shared = admin.network(shared=True)
    body = {"subnet": {"network_id": shared["id"], "cidr": "10.0.0.0/24", "ip_version": 4}}
    bob.fails(403, "PolicyNotAuthorized", "POST", "subnets", body)
    hidden = alice.network()
    body["subnet"]["network_id"] = hidden["id"]
    bob.fails(403, "PolicyNotAuthorized", "POST", "subnets", body)


def test_ports_are_found_by_address_group_and_device(alice):
    network = alice.network()
    subnet = alice.subnet(network["id"])
    port = alice.port(network["id"], device_id="d1", fixed_ips=[{"ip_address": "10.0.0.77"}])
    alice.port(network["id"])
    group = port["security_groups"][0]
    for query in (
        "fixed_ips=ip_address=10.0.0.77", f"fixed_ips=subnet_id={subnet['id']}&device_id=d1",
        "fixed_ips=ip_address_substr=0.77", "device_id=d1", "fixed_ips=ip_address%3D10.0.0.77&fixed_ips=unknown=x",
        f"security_groups={group}&device_id=d1", f"mac_address={port['mac_address'].upper().replace(':', '-')}",
    ):  # fmt: skip
        assert [item["id"] for item in alice.get(f"ports?{query}")["ports"]] == [port["id"]], query
    alice.fails(400, "InvalidInput", "GET", "ports?fixed_ips=10.0.0.77")
    assert alice.get("ports?fixed_ips=ip_address=10.0.0.78")["ports"] == []


def test_tags_of_a_port_may_come_with_it(alice):
    network = alice.network()
    ports = alice.post("ports", {"ports": [{"network_id": network["id"], "tags": ["b", "a"]}]})["ports"]
    assert sorted(ports[0]["tags"]) == ["a", "b"]


def test_a_router_from_gateway_to_route(alice, outside):
    network = alice.network()
    subnet = alice.subnet(network["id"])
    router = alice.post("routers", {"router": {"external_gateway_info": {"network_id": outside["id"]}}})["router"]
    path = f"routers/{router['id']}"
    assert router["external_gateway_info"]["enable_snat"] is True
    added = alice.put(f"{path}/add_router_interface.json", {"subnet_id": subnet["id"]})
    assert set(added) == {"id", "tenant_id", "project_id", "port_id", "network_id", "subnet_id", "subnet_ids"}
    assert (added["id"], added["subnet_ids"]) == (router["id"], [subnet["id"]])
    routes = [{"destination": "192.0.2.0/24", "nexthop": "10.0.0.9"}]
    shown = alice.put(f"{path}/add_extraroutes", {"router": {"routes": routes}})["router"]
    assert shown["routes"] == routes
    assert not {"distributed", "ha", "gateway_port_id", "enable_snat"} & shown.keys()
    alice.fails(409, "RouterInUse", "DELETE", path)
    assert alice.put(f"{path}/remove_extraroutes", {"router": {"routes": routes}})["router"]["routes"] == []
    alice.put(f"{path}/remove_router_interface", {"subnet_id": subnet["id"]})
    assert alice.put(path, {"router": {"external_gateway_info": {}}})["router"]["external_gateway_info"] is None
    alice.delete(path)


def test_actions_have_rules_of_their_own(alice, bob):
    path = f"routers/{alice.post('routers', {'router': {}})['router']['id']}"
    body = {"subnet_id": alice.subnet(alice.network()["id"])["id"]}
    bob.fails(404, "RouterNotFound", "PUT", f"{path}/add_router_interface", body)
    alice.as_("reader").fails(403, "PolicyNotAuthorized", "PUT", f"{path}/add_router_interface", body)
    alice.fails(405, "HTTPMethodNotAllowed", "POST", f"{path}/add_router_interface", body)
    alice.fails(404, "HTTPNotFound", "PUT", f"{path}/explode", body)


def test_a_floating_ip_from_creation_to_association(alice, outside):
    network = alice.network()
    subnet = alice.subnet(network["id"])
    router = alice.post("routers", {"router": {"external_gateway_info": {"network_id": outside["id"]}}})["router"]
    alice.put(f"routers/{router['id']}/add_router_interface", {"subnet_id": subnet["id"]})
    port = alice.port(network["id"], name="web")
    made = alice.post("floatingips", {"floatingip": {"floating_network_id": outside["id"]}})["floatingip"]
    assert (made["status"], made["port_id"], made["router_id"], made["fixed_ip_address"]) == ("DOWN", None, None, None)
    path = f"floatingips/{made['id']}"
    joined = alice.put(path, {"floatingip": {"port_id": port["id"]}})["floatingip"]
    assert (joined["router_id"], joined["fixed_ip_address"]) == (router["id"], port["fixed_ips"][0]["ip_address"])
    assert joined["port_details"]["name"] == "web"
    assert alice.get(f"floatingips?floating_ip_address={made['floating_ip_address']}")["floatingips"][0] == joined
    assert alice.put(path, {"floatingip": {"port_id": None}})["floatingip"]["router_id"] is None
    body = {"floatingip": {"floating_network_id": outside["id"], "floating_ip_address": "203.0.113.99"}}
    alice.fails(403, "PolicyNotAuthorized", "POST", "floatingips", body)
    assert alice.as_("manager").post("floatingips", body)["floatingip"]["floating_ip_address"] == "203.0.113.99"


def test_the_default_group_is_there_when_groups_are_first_listed(alice, bob):
    assert alice.names("security-groups") == ["default"]
    assert alice.names("security-groups?name=default") == ["default"]
    assert bob.names("security-groups?tenant_id=alpha") == []


def test_rules_of_security_groups(alice, bob):
    group = alice.post("security-groups", {"security_group": {"name": "web"}})["security_group"]
    body = {"security_group_id": group["id"], "direction": "ingress", "protocol": "tcp", "port_range_min": "22",
            "port_range_max": 22, "remote_ip_prefix": "0.0.0.0/0"}  # fmt: skip
    rule = alice.post("security-group-rules", {"security_group_rule": body})["security_group_rule"]
    alice.fails(409, "SecurityGroupRuleExists", "POST", "security-group-rules", {"security_group_rule": body})
    bob.fails(404, "SecurityGroupRuleNotFound", "DELETE", f"security-group-rules/{rule['id']}")
    bob.fails(403, "PolicyNotAuthorized", "POST", "security-group-rules", {"security_group_rule": body})
    found = alice.get(f"security-group-rules?security_group_id={group['id']}&port_range_min=22")
    assert [item["id"] for item in found["security_group_rules"]] == [rule["id"]]
    alice.delete(f"security-group-rules/{rule['id']}")


def test_address_groups_answer_actions_with_themselves(alice):
    group = alice.post("address-groups", {"address_group": {"addresses": ["10.0.0.0/24"]}})["address_group"]
    changed = alice.put(f"address-groups/{group['id']}/add_addresses", {"addresses": ["10.1.0.0/24"]})
    assert sorted(changed["address_group"]["addresses"]) == ["10.0.0.0/24", "10.1.0.0/24"]
    assert changed["address_group"].keys() == group.keys()


def test_pools_answer_actions_with_their_prefixes(alice):
    pool = alice.post("subnetpools", {"subnetpool": {"name": "p", "prefixes": ["10.0.0.0/16"]}})["subnetpool"]
    lengths = [pool[f"{name}_prefixlen"] for name in ("min", "default", "max")]
    assert lengths == ["8", "8", "32"], "texts, as the reference has them"
    assert alice.get("subnetpools?min_prefixlen=8")["subnetpools"] == [pool]
    changed = alice.put(f"subnetpools/{pool['id']}/add_prefixes", {"prefixes": ["10.2.0.0/16"]})
    assert changed == {"prefixes": ["10.0.0.0/16", "10.2.0.0/16"]}


def test_sharing_with_one_project(alice, bob):
    network = alice.network()
    body = {"object_type": "network", "object_id": network["id"], "action": "access_as_shared"}
    alice.fails(403, "PolicyNotAuthorized", "POST", "rbac-policies", {"rbac_policy": body | {"target_tenant": "*"}})
    target = "b" * 32
    policy = alice.post("rbac-policies", {"rbac_policy": body | {"target_tenant": target}})["rbac_policy"]
    friend = alice.as_("member", target)
    assert friend.get(f"networks/{network['id']}")["network"]["shared"] is True
    assert friend.port(network["id"])["project_id"] == target
    bob.fails(404, "NetworkNotFound", "GET", f"networks/{network['id']}")
    alice.fails(409, "RbacPolicyInUse", "DELETE", f"rbac-policies/{policy['id']}")


def test_how_many_addresses_are_used(alice, admin):
    network = admin.network(name="busy")
    admin.subnet(network["id"])
    admin.port(network["id"])
    shown = admin.get(f"network-ip-availabilities/{network['id']}")["network_ip_availability"]
    assert (shown["network_name"], shown["total_ips"], shown["used_ips"]) == ("busy", 253, 1)
    assert admin.get("network-ip-availabilities?network_name=none")["network_ip_availabilities"] == []
    assert len(admin.get("network-ip-availabilities?limit=1")["network_ip_availabilities_links"]) == 2
    assert alice.get("network-ip-availabilities")["network_ip_availabilities"] == []
    alice.fails(404, "NetworkNotFound", "GET", f"network-ip-availabilities/{network['id']}")


def test_zones_have_no_pages(alice):
    assert alice.get("availability_zones?limit=1") == {"availability_zones": []}
    assert alice.get("availability-zones?state=available")["availability_zones"] == []
