"""Compute as its clients use it, with the Networking API of the same server."""

import pytest

from netloom.feed.render_server import servers as fragments
from netloom.store.tables.compute import SERVERS
from tests.standalone.world import Host, World

NO_ZONE = "The requested availability zone is not available"


@pytest.fixture(scope="module")
def world(server: World) -> World:
    return server


@pytest.fixture(scope="module")
def host(world: World) -> Host:
    return Host(world, "host1")


@pytest.fixture(scope="module")
def net(world: World, host: Host) -> dict:
    return world.network("net1", "10.1.0.0/24")


def ports_of(world: World, server_id: str) -> list[dict]:
    return world.ask("GET", f"/v2.0/ports?device_id={server_id}", user="admin").body["ports"]


def test_an_instance_from_build_to_active_to_gone(world, host, net):
    made = world.boot("vm 1", [{"uuid": net["id"]}])
    assert made.status == 202, made.content
    first = made.body["server"]
    assert len(first["adminPass"]) == 12
    assert first["security_groups"] == [{"name": "default"}]
    building = world.server(first["id"])
    assert (building["status"], building["OS-EXT-STS:task_state"], building["OS-EXT-STS:power_state"]) == (
        "BUILD",
        "scheduling",
        0,
    )
    host.apply()
    active = world.server(first["id"], "admin")
    assert (active["status"], active["OS-EXT-STS:power_state"], active["OS-EXT-SRV-ATTR:host"]) == (
        "ACTIVE",
        1,
        "host1",
    )
    [address] = active["addresses"]["net1"]
    assert address["OS-EXT-IPS:type"] == "fixed"
    [port] = ports_of(world, first["id"])
    assert (port["device_owner"], port["binding:host_id"], port["status"]) == ("compute:nova", "host1", "ACTIVE")
    assert address["addr"] == port["fixed_ips"][0]["ip_address"]
    assert world.compute("DELETE", f"/servers/{first['id']}").status == 204
    assert world.server(first["id"])["OS-EXT-STS:task_state"] == "deleting"
    host.apply()
    assert world.compute("GET", f"/servers/{first['id']}").status == 404
    assert ports_of(world, first["id"]) == []


def booted(world, host, net, name="vm", **values) -> str:
    answer = world.boot(name, [{"uuid": net["id"]}], **values)
    assert answer.status == 202, answer.content
    host.apply()
    server_id = answer.body["server"]["id"]
    assert world.server(server_id)["status"] == "ACTIVE"
    return server_id


@pytest.fixture
def server_id(world, host, net):
    made = booted(world, host, net)
    yield made
    world.compute("DELETE", f"/servers/{made}")
    host.apply()


def message(answer):
    [(name, error)] = answer.body.items()
    assert error["code"] == answer.status
    return name, error["message"]


def act(world, server_id, body, minor=95):
    return world.compute("POST", f"/servers/{server_id}/action", body, minor=minor)


def test_versions(world):
    found = world.raw("GET", "/compute/v2.1/")
    assert found.status == 200
    assert (found.body["version"]["min_version"], found.body["version"]["version"]) == ("2.1", "2.95")
    assert world.raw("GET", "/compute").body["versions"][0]["id"] == "v2.1"
    assert world.ask("GET", f"/compute/v2.1/{world.projects['demo']}").status == 404
    answer = world.compute("GET", "/servers", minor=37)
    assert answer.headers["OpenStack-API-Version"] == "compute 2.37"
    assert answer.headers["X-OpenStack-Nova-API-Version"] == "2.37"
    assert "OpenStack-API-Version" in answer.headers["Vary"]
    assert answer.headers["x-compute-request-id"] == answer.headers["x-openstack-request-id"]
    assert world.compute("GET", "/servers", minor=999).status == 406
    assert world.raw("GET", "/compute/v2.1/servers").status == 401
    assert world.ask("GET", "/compute/v2.1/servers").status == 200
    assert world.ask("GET", f"/compute/v2.1/{world.projects['admin']}/servers").status == 400


def test_what_is_wrong_is_refused_and_leaves_nothing(world, host, net):
    nowhere = "11111111-2222-3333-4444-555555555555"
    before = len(world.ask("GET", "/v2.0/ports", user="admin").body["ports"])
    refused = [
        (world.boot("x", [{"uuid": nowhere}]), 400, f"Network {nowhere} could not be found."),
        (world.boot("x", [{"port": nowhere}]), 400, f"Port id {nowhere} could not be found."),
        (world.boot("x", [{"uuid": net["id"]}], imageRef=nowhere), 400, f"Can not find requested image {nowhere}"),
        (world.boot("x", [{"uuid": net["id"]}], flavorRef="77"), 400, "Flavor 77 could not be found."),
        (world.boot("x", [{"uuid": net["id"]}], key_name="none"), 400, "Invalid key_name provided."),
        (world.boot("x", [{"uuid": net["id"]}], availability_zone="moon"), 400, NO_ZONE),
        (world.boot("x", [{"uuid": net["id"]}], availability_zone="nova:host1"), 403, None),
        (world.boot("x", [{"uuid": net["id"]}], user_data="%%"), 400, "User data needs to be valid base 64."),
        (world.boot("x", [{"uuid": net["id"]}], security_groups=[{"name": "no"}]), 400, None),
        (world.boot("x", [{"uuid": net["id"]}], min_count=11, max_count=11), 403, None),
        (world.boot("", [{"uuid": net["id"]}]), 400, None),
        (world.boot("x", None), 400, None),
        (world.boot("x", "maybe"), 400, None),
        (world.boot("x", [{"uuid": net["id"], "fixed_ip": "10.9.9.9"}]), 400, None),
    ]  # fmt: skip
    for answer, status, text in refused:
        assert answer.status == status, answer.content
        assert text in (None, message(answer)[1])
    assert world.compute("GET", "/servers").body["servers"] == []
    assert len(world.ask("GET", "/v2.0/ports", user="admin").body["ports"]) == before


def test_a_fixed_address_in_use_is_refused(world, host, net, server_id):
    address = world.server(server_id)["addresses"]["net1"][0]["addr"]
    answer = world.boot("x", [{"uuid": net["id"], "fixed_ip": address}])
    assert answer.status == 400
    assert "in use" in message(answer)[1]


def test_no_host_is_told_by_the_fault(world, host, net):
    world.compute(
        "POST", "/flavors", {"flavor": {"name": "huge", "ram": 40000, "vcpus": 4000, "disk": 1, "id": "h"}}, "admin"
    )
    world.compute("PUT", f"/os-quota-sets/{world.projects['demo']}", {"quota_set": {"cores": -1}}, "admin")
    answer = world.boot("big", [{"uuid": net["id"]}], flavorRef="h")
    assert answer.status == 202
    failed = world.server(answer.body["server"]["id"])
    assert failed["status"] == "ERROR"
    assert failed["fault"]["message"] == "No valid host was found. There are not enough hosts available."
    assert ports_of(world, failed["id"]) == []
    assert world.compute("DELETE", f"/servers/{failed['id']}").status == 204
    assert world.compute("GET", f"/servers/{failed['id']}").status == 404
    assert world.compute("DELETE", "/flavors/h", user="admin").status == 202


def test_a_host_that_fails_says_why(world, host, net):
    made = world.boot("bad", [{"uuid": net["id"]}]).body["server"]["id"]
    host.apply("failed", "no root file system")
    assert world.server(made)["fault"]["message"] == "no root file system"
    host.apply()
    assert world.server(made)["status"] == "ACTIVE"
    world.compute("DELETE", f"/servers/{made}")
    host.apply()


def test_a_given_port_is_used_and_outlives_the_instance(world, host, net):
    port = world.ask("POST", "/v2.0/ports", {"port": {"network_id": net["id"]}}).body["port"]
    made = world.boot("vm", [{"port": port["id"]}]).body["server"]["id"]
    again = world.boot("vm2", [{"port": port["id"]}])
    assert (again.status, message(again)) == (409, ("conflictingRequest", f"Port {port['id']} is still in use."))
    host.apply()
    [address] = world.server(made)["addresses"]["net1"]
    assert address["OS-EXT-IPS-MAC:mac_addr"] == port["mac_address"]
    world.compute("DELETE", f"/servers/{made}")
    host.apply()
    left = world.ask("GET", f"/v2.0/ports/{port['id']}", user="admin").body["port"]
    assert (left["device_id"], left["device_owner"], left["binding:host_id"]) == ("", "", "")
    world.ask("DELETE", f"/v2.0/ports/{port['id']}")


def test_power(world, host, server_id):
    assert act(world, server_id, {"os-start": None}).status == 409
    assert act(world, server_id, {"os-stop": None}).status == 202
    assert world.server(server_id)["OS-EXT-STS:task_state"] == "powering-off"
    assert act(world, server_id, {"os-stop": None}).status == 409
    host.apply()
    assert (world.server(server_id)["status"], world.server(server_id)["OS-EXT-STS:power_state"]) == ("SHUTOFF", 4)
    assert act(world, server_id, {"os-start": None}).status == 202
    host.apply()
    assert act(world, server_id, {"reboot": {"type": "SOFT"}}).status == 202
    assert world.server(server_id)["status"] == "REBOOT"
    host.apply()
    assert world.server(server_id)["status"] == "ACTIVE"
    assert act(world, server_id, {"reboot": {"type": "odd"}}).status == 400
    assert act(world, server_id, {"dance": None}).status == 400
    assert act(world, server_id, {"os-getConsoleOutput": {}}).status == 409


def test_rebuild(world, host, net, server_id):
    before = world.server(server_id)
    answer = act(world, server_id, {"rebuild": {"imageRef": world.image_id(), "metadata": {"a": "b"}}})
    assert (answer.status, answer.body["server"]["status"]) == (202, "REBUILD")
    assert answer.body["server"]["adminPass"]
    assert act(world, server_id, {"rebuild": {"imageRef": world.image_id()}}).status == 409
    with world.store.read() as tx:
        assert fragments(tx, [server_id])[server_id].life == 1
    host.apply()
    after = world.server(server_id)
    assert (after["status"], after["metadata"], after["addresses"]) == ("ACTIVE", {"a": "b"}, before["addresses"])
    assert act(world, server_id, {"rebuild": {"imageRef": "nowhere"}}).status == 400
    assert act(world, server_id, {"rebuild": {"imageRef": world.image_id(), "key_name": "mine"}}).status == 400
    assert act(world, server_id, {"rebuild": None}).status == 400
    assert world.server(server_id)["status"] == "ACTIVE"


def test_addresses_of_access_and_how_changes_are_shown(world, host, net, server_id):
    path = f"/servers/{server_id}"
    given = {"accessIPv4": "192.0.2.1", "accessIPv6": "2001:db8:0:0::1"}
    changed = world.compute("PUT", path, {"server": given}, minor=1)
    shown = changed.body["server"]
    assert (shown["accessIPv4"], shown["accessIPv6"]) == ("192.0.2.1", "2001:db8::1")
    assert "key_name" not in shown
    assert {name for [address] in shown["addresses"].values() for name in address} == {"version", "addr"}
    assert world.compute("PUT", path, {"server": {"accessIPv4": "::1"}}).status == 400
    rebuilt = act(world, server_id, {"rebuild": {"imageRef": world.image_id(), "accessIPv4": "192.0.2.2"}})
    assert "key_name" in rebuilt.body["server"]
    host.apply()
    after = world.server(server_id)
    assert (after["accessIPv4"], after["accessIPv6"]) == ("192.0.2.2", "2001:db8::1")


def test_resize(world, host, net, server_id):
    assert act(world, server_id, {"confirmResize": None}).status == 409
    assert act(world, server_id, {"resize": {"flavorRef": "0"}}).status == 400  # it is that already
    assert act(world, server_id, {"resize": {"flavorRef": "none"}}).status == 400
    assert act(world, server_id, {"resize": {}}).status == 400
    quota = {"quota_set": {"ram": 100}}
    project = world.projects["demo"]
    assert world.compute("PUT", f"/os-quota-sets/{project}", quota, user="admin").status == 200
    refused = act(world, server_id, {"resize": {"flavorRef": "1"}})
    assert (refused.status, "ram" in refused.content.decode()) == (403, True)
    world.compute("DELETE", f"/os-quota-sets/{project}", user="admin")
    for action, flavor in (("revertResize", "m1.nano"), ("confirmResize", "m1.tiny")):
        assert act(world, server_id, {"resize": {"flavorRef": "1"}}).status == 202
        assert world.server(server_id)["status"] == "RESIZE"
        host.apply()
        assert world.server(server_id)["status"] == "VERIFY_RESIZE"
        assert act(world, server_id, {"os-stop": None}).status == 409
        assert act(world, server_id, {action: None}).status in (202, 204)
        host.apply()
        shown = world.server(server_id)
        assert (shown["status"], shown["flavor"]["original_name"]) == ("ACTIVE", flavor)
    with world.store.read() as tx:
        assert fragments(tx, [server_id])[server_id].memory_mb == 512


def test_lists_and_filters(world, host, net, server_id):
    [shown] = world.compute("GET", "/servers/detail?name=^v").body["servers"]
    assert shown["id"] == server_id
    address = shown["addresses"]["net1"][0]["addr"]
    for query, count in (
        ("status=ACTIVE", 1),
        ("status=ERROR", 0),
        (f"ip={address}", 1),
        ("ip=9.9.9", 0),
        ("deleted=True", 0),
    ):
        assert len(world.compute("GET", f"/servers?{query}").body["servers"]) == count, query
    assert world.compute("GET", "/servers?name=[").status == 400
    assert world.compute("GET", "/servers?all_tenants=1").status == 403
    assert len(world.compute("GET", "/servers?all_tenants=1", user="admin").body["servers"]) == 1
    assert world.compute("GET", "/servers", user="admin").body["servers"] == []
    page = world.compute("GET", "/servers?limit=1").body
    assert f"marker={server_id}" in page["servers_links"][0]["href"]
    assert world.compute("GET", f"/servers?marker={server_id}").body["servers"] == []


def test_attach_and_detach(world, host, net, server_id):
    other = world.network("net2", "10.2.0.0/24")
    path = f"/servers/{server_id}/os-interface"
    made = world.compute("POST", path, {"interfaceAttachment": {"net_id": other["id"]}})
    assert made.status == 200, made.content
    host.apply()
    assert list(world.server(server_id)["addresses"]) == ["net1", "net2"]
    assert len(world.compute("GET", path).body["interfaceAttachments"]) == 2
    port_id = made.body["interfaceAttachment"]["port_id"]
    assert world.compute("DELETE", f"{path}/{port_id}").status == 202
    assert world.ask("GET", f"/v2.0/ports/{port_id}").status == 404
    host.apply()
    assert list(world.server(server_id)["addresses"]) == ["net1"]
    assert world.ask("DELETE", f"/v2.0/networks/{other['id']}").status == 204


def test_without_a_network_named(world, host, net):
    only = world.boot("one", None, minor=1)
    assert only.status == 202, only.content
    assert len(ports_of(world, only.body["server"]["id"])) == 1
    second = world.network("second", "10.3.0.0/24")
    for networks, minor in ((None, 1), ("auto", 95)):
        answer = world.boot("many", networks, minor=minor)
        assert (answer.status, message(answer)[1]) == (
            409, "Multiple possible networks found, use a Network ID to be more specific.",
        )  # fmt: skip
    bare = world.boot("bare", "none")
    host.apply()
    assert world.server(bare.body["server"]["id"])["addresses"] == {}
    for answer in (only, bare):
        world.compute("DELETE", f"/servers/{answer.body['server']['id']}")
    host.apply()
    assert world.ask("DELETE", f"/v2.0/networks/{second['id']}").status == 204


def test_security_groups(world, host, net, server_id):
    group = world.ask("POST", "/v2.0/security-groups", {"security_group": {"name": "web"}}).body["security_group"]
    assert act(world, server_id, {"addSecurityGroup": {"name": "web"}}).status == 202
    assert world.server(server_id)["security_groups"] == [{"name": "default"}, {"name": "web"}]
    assert act(world, server_id, {"removeSecurityGroup": {"name": "default"}}).status == 202
    [port] = ports_of(world, server_id)
    assert port["security_groups"] == [group["id"]]
    assert act(world, server_id, {"removeSecurityGroup": {"name": "web"}}).status == 202
    assert world.ask("DELETE", f"/v2.0/security-groups/{group['id']}").status == 204
    direct = booted(world, host, net, "sg", security_groups=[{"name": "default"}])
    assert world.server(direct)["security_groups"] == [{"name": "default"}]
    world.compute("DELETE", f"/servers/{direct}")
    host.apply()


def test_security_groups_of_old_clients(world):
    [group] = world.compute("GET", "/os-security-groups", minor=35).body["security_groups"]
    assert {(r["ip_protocol"], r["from_port"], r["to_port"], r["group"]["name"]) for r in group["rules"]} == {
        (None, -1, -1, "default")
    }
    rule = {"cidr": "0.0.0.0/0", "group_id": None, "parent_group_id": group["id"]}
    ping = {"security_group_rule": rule | {"ip_protocol": "icmp", "from_port": "-1", "to_port": "-1"}}
    made = world.compute("POST", "/os-security-group-rules", ping, minor=0)
    assert made.status == 200, made.content
    shown = made.body["security_group_rule"]
    assert (shown["from_port"], shown["to_port"], shown["ip_range"]) == (-1, -1, {"cidr": "0.0.0.0/0"})
    ssh = {"security_group_rule": rule | {"ip_protocol": "tcp", "from_port": 22, "to_port": 22}}
    assert world.compute("POST", "/os-security-group-rules", ssh, minor=35).body["security_group_rule"]["to_port"] == 22
    for path in ("/os-security-groups", "/os-floating-ips", "/images"):
        assert world.compute("GET", path, minor=36).status == 404
        assert world.compute("GET", path, minor=35).status == 200


def test_keypairs(world):
    made = world.compute("POST", "/os-keypairs", {"keypair": {"name": "k1"}}, minor=10)
    pair = made.body["keypair"]
    assert (made.status, pair["private_key"].splitlines()[0]) == (201, "-----BEGIN RSA PRIVATE KEY-----")
    assert world.compute("POST", "/os-keypairs", {"keypair": {"name": "k1"}}, minor=10).status == 409
    given = {"keypair": {"name": "k2", "public_key": pair["public_key"]}}
    assert world.compute("POST", "/os-keypairs", given).body["keypair"]["fingerprint"] == pair["fingerprint"]
    bad = {"keypair": {"name": "k3", "public_key": "ssh-rsa nonsense"}}
    assert world.compute("POST", "/os-keypairs", bad).status == 400
    assert [k["keypair"]["name"] for k in world.compute("GET", "/os-keypairs").body["keypairs"]] == ["k1", "k2"]
    assert world.compute("GET", "/os-keypairs/k1").body["keypair"]["type"] == "ssh"
    for name in ("k1", "k2"):
        assert world.compute("DELETE", f"/os-keypairs/{name}").status == 204
    assert world.compute("GET", "/os-keypairs/k1").status == 404


def test_flavors(world):
    shown = world.compute("GET", "/flavors/detail?is_public=None", minor=61).body["flavors"]
    assert [(f["id"], f["name"]) for f in shown][:2] == [("0", "m1.nano"), ("1", "m1.tiny")]
    assert world.compute("GET", "/flavors/m1.tiny").status == 404
    assert world.compute("POST", "/flavors", {"flavor": {"name": "d1", "ram": 64, "vcpus": 1, "disk": 0}}).status == 403
    made = world.compute("POST", "/flavors", {"flavor": {"name": "d1", "ram": 64, "vcpus": 1, "disk": 0}}, "admin").body
    assert world.compute("GET", f"/flavors/{made['flavor']['id']}").body["flavor"]["name"] == "d1"
    assert world.compute("DELETE", f"/flavors/{made['flavor']['id']}", user="admin").status == 202


def test_hosts_zones_and_quotas(world, host):
    [service] = world.compute("GET", "/os-services", user="admin").body["services"]
    assert (service["host"], service["state"], service["status"]) == ("host1", "up", "enabled")
    assert world.compute("GET", "/os-services").status == 403
    statistics = world.compute("GET", "/os-hypervisors/statistics", user="admin", minor=50).body[
        "hypervisor_statistics"
    ]
    assert (statistics["count"], statistics["memory_mb"]) == (1, 65536)
    assert world.compute("GET", "/os-availability-zone").body["availabilityZoneInfo"][0]["zoneName"] == "nova"
    project = world.projects["demo"]
    assert world.compute("GET", f"/os-quota-sets/{project}", minor=56).body["quota_set"]["instances"] == 10
    assert world.compute("GET", "/limits").body["limits"]["absolute"]["maxTotalInstances"] == 10


def test_several_at_once(world, host, net):
    answer = world.boot("many", [{"uuid": net["id"]}], min_count=3, max_count=3)
    assert answer.status == 202
    host.apply()
    shown = world.compute("GET", "/servers/detail?name=many").body["servers"]
    assert sorted(server["name"] for server in shown) == ["many-1", "many-2", "many-3"]
    assert {server["status"] for server in shown} == {"ACTIVE"}
    for server in shown:
        world.compute("DELETE", f"/servers/{server['id']}")
    host.apply()
    assert world.compute("GET", "/servers").body["servers"] == []


def test_a_port_that_the_host_cannot_plug_fails_the_build(world, host):
    bare = Host(world, "bare", roles=("compute",))
    net = world.network("net9", "10.9.0.0/24", "admin")
    made = world.boot("vm", [{"uuid": net["id"]}], "admin", availability_zone="nova:bare").body["server"]["id"]
    bare.die()
    failed = world.server(made, "admin")
    assert failed["status"] == "ERROR"
    assert "Binding failed for port" in failed["fault"]["message"]
    assert ports_of(world, made) == []
    assert world.compute("DELETE", f"/servers/{made}", user="admin").status == 204
    assert world.compute("GET", f"/servers/{made}", user="admin").status == 404


def test_an_instance_of_a_dead_host_can_be_deleted(world, host, net):
    doomed = Host(world, "doomed", memory_mb=10**7)
    made = booted(world, doomed, net)
    doomed.die()
    assert world.compute("DELETE", f"/servers/{made}").status == 204
    assert world.compute("GET", f"/servers/{made}").status == 404
    assert ports_of(world, made) == []


def test_a_host_that_never_had_the_instance_need_not_drop_it(world, host, net):
    made = world.boot("quick", [{"uuid": net["id"]}]).body["server"]["id"]
    assert world.compute("DELETE", f"/servers/{made}").status == 204
    host.beat()
    assert world.server(made)["OS-EXT-STS:task_state"] == "deleting"
    with world.store.write() as tx:
        tx.execute(SERVERS.update().where(SERVERS.c.id == made).values(task_since=SERVERS.c.task_since - 6))
    host.beat()
    assert world.compute("GET", f"/servers/{made}").status == 404


def test_an_instance_waits_for_its_ports(world, host, net):
    made = world.boot("slow", [{"uuid": net["id"]}]).body["server"]["id"]
    host.apply(only="server/")
    assert world.server(made)["status"] == "BUILD"
    host.apply(only="port/")
    assert world.server(made)["status"] == "ACTIVE"
    world.compute("DELETE", f"/servers/{made}")
    host.apply()


def test_a_floating_address_of_old_clients(world, host, net, server_id):
    external = world.network("ext", "203.0.113.0/24", "admin", **{"router:external": True})
    router = world.ask(
        "POST", "/v2.0/routers", {"router": {"external_gateway_info": {"network_id": external["id"]}}}
    ).body["router"]
    subnet = world.ask("GET", f"/v2.0/networks/{net['id']}").body["network"]["subnets"][0]
    world.ask("PUT", f"/v2.0/routers/{router['id']}/add_router_interface", {"subnet_id": subnet})
    made = world.compute("POST", "/os-floating-ips", {"pool": "ext"}, minor=35).body["floating_ip"]
    body = {"addFloatingIp": {"address": made["ip"]}}
    assert act(world, server_id, body).status == 404
    assert act(world, server_id, body, minor=37).status == 202
    kinds = [(a["addr"], a["OS-EXT-IPS:type"]) for a in world.server(server_id)["addresses"]["net1"]]
    assert kinds[1] == (made["ip"], "floating")
    assert kinds[0][1] == "fixed"
    [shown] = world.compute("GET", "/os-floating-ips", minor=35).body["floating_ips"]
    assert (shown["instance_id"], shown["pool"]) == (server_id, "ext")
    assert act(world, server_id, {"removeFloatingIp": {"address": made["ip"]}}, minor=37).status == 202
    assert len(world.server(server_id)["addresses"]["net1"]) == 1
