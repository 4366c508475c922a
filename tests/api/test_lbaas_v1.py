"""Load balancing as the Networking API had it first: the objects and the order of 2013."""

import pytest

from tests.api.balancing import balancing

NOBODY = "11111111-1111-1111-1111-111111111111"


@pytest.fixture
def subnet(alice, hosts):
    hosts.come("one")
    return alice.subnet(alice.network()["id"])


@pytest.fixture
def pool(alice, subnet):
    body = {"admin_state_up": True, "lb_method": "ROUND_ROBIN", "name": "mypool", "protocol": "HTTP"}
    return alice.post("lb/pools.json", {"pool": body | {"subnet_id": subnet["id"]}})["pool"]


@pytest.fixture
def vip_body(subnet, pool):
    values = {"admin_state_up": True, "name": "myvip", "pool_id": pool["id"], "protocol": "HTTP"}
    return {"vip": values | {"protocol_port": "80", "subnet_id": subnet["id"]}}


def member(alice, pool, address="10.0.0.12"):
    body = {"address": address, "admin_state_up": True, "pool_id": pool["id"], "protocol_port": "80"}
    return alice.post("lb/members.json", {"member": body})["member"]


def monitor(alice, **values):
    body = {"admin_state_up": True, "delay": "3", "max_retries": "3", "timeout": "3", "type": "HTTP"} | values
    return alice.post("lb/health_monitors.json", {"health_monitor": body})["health_monitor"]


def statuses(alice):
    found = {}
    for name in ("pools", "members", "health_monitors", "vips"):
        found[name] = {each["status"] for each in alice.get(f"lb/{name}")[name]}
    return found


def test_the_commands_of_2013(alice, admin, hosts, pool, vip_body, subnet):
    assert pool == {
        "id": pool["id"], "project_id": "alpha", "tenant_id": "alpha", "name": "mypool", "description": "",
        "subnet_id": subnet["id"], "protocol": "HTTP", "lb_method": "ROUND_ROBIN", "provider": "haproxy",
        "members": [], "health_monitors": [], "health_monitors_status": [], "vip_id": None, "admin_state_up": True,
        "status": "PENDING_CREATE", "status_description": "",
    }  # fmt: skip
    one, two = member(alice, pool), member(alice, pool, "10.0.0.13")
    assert one == {
        "id": one["id"], "project_id": "alpha", "tenant_id": "alpha", "pool_id": pool["id"], "address": "10.0.0.12",
        "protocol_port": 80, "weight": 1, "admin_state_up": True, "status": "PENDING_CREATE", "status_description": "",
    }  # fmt: skip
    watch = monitor(alice)
    assert watch == {
        "id": watch["id"], "project_id": "alpha", "tenant_id": "alpha", "type": "HTTP", "delay": 3, "timeout": 3,
        "max_retries": 3, "http_method": "GET", "url_path": "/", "expected_codes": "200", "pools": [],
        "admin_state_up": True, "status": "PENDING_CREATE", "status_description": "",
    }  # fmt: skip
    path = f"lb/pools/{pool['id']}/health_monitors"
    assert alice.post(f"{path}.json", {"health_monitor": {"id": watch["id"]}}) == {"health_monitor": [watch["id"]]}
    vip = alice.post("lb/vips.json", vip_body)["vip"]
    assert vip == {
        "id": vip["id"], "project_id": "alpha", "tenant_id": "alpha", "name": "myvip", "description": "",
        "subnet_id": subnet["id"], "address": "10.0.0.2", "port_id": vip["port_id"], "protocol": "HTTP",
        "protocol_port": 80, "pool_id": pool["id"], "session_persistence": {}, "connection_limit": -1,
        "admin_state_up": True, "status": "PENDING_CREATE", "status_description": "",
    } | {"address": vip["address"]}  # fmt: skip
    assert statuses(alice) == {key: {"PENDING_CREATE"} for key in ("pools", "members", "health_monitors", "vips")}
    hosts.tell()
    assert statuses(alice) == {key: {"ACTIVE"} for key in ("pools", "members", "health_monitors", "vips")}
    shown = alice.get(f"lb/pools/{pool['id']}")["pool"]
    assert (shown["vip_id"], set(shown["members"])) == (vip["id"], {one["id"], two["id"]})
    assert shown["health_monitors"] == [watch["id"]]
    port = admin.get(f"ports/{vip['port_id']}")["port"]
    assert (port["name"], port["device_owner"]) == (f"vip-{vip['id']}", "neutron:LOADBALANCER")
    assert (port["binding:host_id"], port["fixed_ips"][0]["ip_address"]) == ("one", vip["address"])
    assert alice.get(f"lb/pools/{pool['id']}/stats")["stats"] == {
        "bytes_in": 0, "bytes_out": 0, "active_connections": 0, "total_connections": 0,
    }  # fmt: skip
    agent = admin.get(f"lb/pools/{pool['id']}/loadbalancer-agent")["agent"]
    assert (agent["host"], agent["agent_type"]) == ("one", "Loadbalancer agent")
    assert [each["id"] for each in admin.get(f"agents/{agent['id']}/loadbalancer-pools")["pools"]] == [pool["id"]]
    alice.fails(403, "PolicyNotAuthorized", "GET", f"lb/pools/{pool['id']}/loadbalancer-agent")
    alice.fails(409, "PoolInUse", "DELETE", f"lb/pools/{pool['id']}")
    alice.delete(f"lb/vips/{vip['id']}")
    assert statuses(alice)["pools"] == {"PENDING_CREATE"}
    alice.fails(404, "PortNotFound", "GET", f"ports/{vip['port_id']}")
    alice.fails(409, "HealthMonitorInUse", "DELETE", f"lb/health_monitors/{watch['id']}")
    alice.delete(f"{path}/{watch['id']}")
    alice.delete(f"lb/health_monitors/{watch['id']}")
    alice.delete(f"lb/pools/{pool['id']}")
    assert alice.get("lb/members") == {"members": []}


def test_changes(alice, hosts, pool, vip_body, subnet):
    vip = alice.post("lb/vips", vip_body)["vip"]
    hosts.tell()
    path = f"lb/pools/{pool['id']}"
    changed = alice.put(path, {"pool": {"lb_method": "SOURCE_IP", "name": "p"}})["pool"]
    assert (changed["lb_method"], changed["name"], changed["status"]) == ("SOURCE_IP", "p", "PENDING_UPDATE")
    kept = {"type": "APP_COOKIE", "cookie_name": "id"}
    changed = alice.put(f"lb/vips/{vip['id']}", {"vip": {"session_persistence": kept, "connection_limit": 5}})["vip"]
    assert (changed["session_persistence"], changed["connection_limit"]) == (kept, 5)
    alice.fails(
        400, "HTTPBadRequest", "PUT", f"lb/vips/{vip['id']}", {"vip": {"session_persistence": {"type": "APP_COOKIE"}}}
    )
    first = member(alice, pool)
    changed = alice.put(f"lb/members/{first['id']}", {"member": {"weight": 5}})["member"]
    assert (changed["weight"], changed["address"]) == (5, "10.0.0.12")
    watch = monitor(alice, type="TCP")
    assert "url_path" not in watch
    assert (
        alice.put(f"lb/health_monitors/{watch['id']}", {"health_monitor": {"delay": 9}})["health_monitor"]["delay"] == 9
    )
    body = {"lb_method": "ROUND_ROBIN", "name": "other", "protocol": "HTTP", "subnet_id": subnet["id"]}
    other = alice.post("lb/pools", {"pool": body | {"health_monitors": [watch["id"]]}})["pool"]
    assert other["health_monitors"] == [watch["id"]]
    moved = alice.put(f"lb/vips/{vip['id']}", {"vip": {"pool_id": other["id"]}})["vip"]
    assert (moved["pool_id"], moved["address"], moved["port_id"]) == (other["id"], vip["address"], vip["port_id"])
    assert alice.get(path)["pool"]["vip_id"] is None
    assert alice.get(f"lb/pools/{other['id']}")["pool"]["vip_id"] == vip["id"]
    hosts.tell()
    assert alice.get(path)["pool"]["status"] == "PENDING_CREATE"
    assert alice.get(f"lb/vips/{vip['id']}")["vip"]["status"] == "ACTIVE"


def test_refusals(alice, bob, pool, vip_body, subnet):
    wrong = {"vip": vip_body["vip"] | {"protocol": "TCP"}}
    alice.fails(400, "ProtocolMismatch", "POST", "lb/vips", wrong)
    alice.post("lb/vips", vip_body)
    alice.fails(409, "VipExists", "POST", "lb/vips", vip_body)
    member(alice, pool)
    body = {"address": "10.0.0.12", "pool_id": pool["id"], "protocol_port": 80}
    alice.fails(409, "MemberExists", "POST", "lb/members", {"member": body})
    alice.fails(404, "PoolNotFound", "POST", "lb/members", {"member": body | {"pool_id": NOBODY}})
    bob.fails(404, "PoolNotFound", "GET", f"lb/pools/{pool['id']}")
    assert bob.get("lb/pools") == {"pools": []}
    path = f"lb/pools/{pool['id']}/health_monitors"
    alice.fails(404, "HealthMonitorNotFound", "POST", path, {"health_monitor": {"id": NOBODY}})
    alice.fails(404, "PoolMonitorAssociationNotFound", "DELETE", f"{path}/{NOBODY}")
    alice.fails(404, "VipNotFound", "GET", f"lb/vips/{NOBODY}")
    alice.fails(400, "HTTPBadRequest", "POST", "lb/pools", {"pool": {"name": "x"}})
    watch = monitor(alice)
    alice.post(path, {"health_monitor": {"id": watch["id"]}})
    alice.fails(409, "PoolMonitorAssociationExists", "POST", path, {"health_monitor": {"id": watch["id"]}})
    alice.fails(400, "HTTPBadRequest", "PUT", f"lb/health_monitors/{watch['id']}", {"health_monitor": {"type": "TCP"}})


def test_quotas(alice, admin, pool, vip_body, subnet):
    shown = alice.get("quotas/alpha")["quota"]
    assert {name: shown[name] for name in ("pool", "vip", "member", "health_monitor")} == {
        "pool": 10, "vip": 10, "member": -1, "health_monitor": -1,
    }  # fmt: skip
    member(alice, pool)
    admin.put("quotas/alpha", {"quota": {"pool": 1, "vip": 0, "member": 1, "health_monitor": 0}})
    body = {"lb_method": "SOURCE_IP", "name": "a", "protocol": "TCP", "subnet_id": subnet["id"]}
    alice.fails(409, "OverQuota", "POST", "lb/pools", {"pool": body})
    alice.fails(409, "OverQuota", "POST", "lb/vips", vip_body)
    body = {"address": "10.0.0.13", "pool_id": pool["id"], "protocol_port": 80}
    alice.fails(409, "OverQuota", "POST", "lb/members", {"member": body})
    body = {"delay": 3, "max_retries": 3, "timeout": 3, "type": "TCP"}
    alice.fails(409, "OverQuota", "POST", "lb/health_monitors", {"health_monitor": body})
    assert len(alice.get("lb/members")["members"]) == 1


def test_lists(alice, pool, subnet):
    body = {"lb_method": "SOURCE_IP", "name": "a", "protocol": "TCP", "subnet_id": subnet["id"]}
    alice.post("lb/pools", {"pool": body})
    assert alice.names("lb/pools?sort_key=name&sort_dir=asc") == ["a", "mypool"]
    assert alice.get("lb/pools.json?fields=id&name=mypool") == {"pools": [{"id": pool["id"]}]}
    assert alice.names("lb/pools?lb_method=SOURCE_IP") == ["a"]
    assert alice.names("lb/pools?status=PENDING_CREATE&protocol=HTTP") == ["mypool"]


def test_the_two_apis_do_not_see_each_other(alice, store, settings, policy, pool, vip_body):
    alice.post("lb/vips", vip_body)
    octavia = balancing(store, settings, policy)
    assert octavia.get("pools") == {"pools": []}
    assert octavia.get("loadbalancers") == {"loadbalancers": []}
    octavia.refused(404, "GET", f"listeners/{pool['id']}")


def test_extensions(alice):
    aliases = {each["alias"]: each["name"] for each in alice.get("extensions")["extensions"]}
    assert aliases["lbaas"] == "LoadBalancing service"
    assert aliases["lbaas_agent_scheduler"] == "Loadbalancer Agent Scheduler"
