"""Load balancers as clients of Octavia's API see them: shapes, states, conflicts, and who may do what."""

from dataclasses import replace

import pytest

from tests.api.balancing import Hosts, balancing
from tests.statements import statements

NOBODY = "11111111-1111-1111-1111-111111111111"
BALANCER = {
    "id", "name", "description", "admin_state_up", "project_id", "vip_address", "vip_port_id", "vip_subnet_id",
    "vip_network_id", "vip_qos_policy_id", "vip_sg_ids", "vip_vnic_type", "additional_vips", "provider", "flavor_id",
    "availability_zone", "listeners", "pools", "provisioning_status", "operating_status", "created_at", "updated_at",
    "tags",
}  # fmt: skip


@pytest.fixture
def balancer(lb, hosts, subnet):
    made = lb.make("loadbalancer", name="lb1", vip_subnet_id=subnet["id"])
    hosts.tell()
    return made


@pytest.fixture
def settled(lb, hosts):
    """Makes objects and waits until the hosts have them."""

    def make(kind, path="", **values):
        made = lb.make(kind, path, **values)
        hosts.tell()
        return made

    return make


@pytest.fixture
def listener(settled, balancer):
    return settled("listener", name="l1", protocol="HTTP", protocol_port=80, loadbalancer_id=balancer["id"])


@pytest.fixture
def pool(settled, listener):
    return settled("pool", name="p1", protocol="HTTP", lb_algorithm="ROUND_ROBIN", listener_id=listener["id"])


def status(lb, path):
    (view,) = lb.get(path).values()
    return view["provisioning_status"]


def test_the_versions_that_are_served(lb):
    versions = lb.ask("GET", "/").json()["versions"]
    assert [each["id"] for each in versions if each["status"] == "CURRENT"] == ["v2.12"]
    assert versions[0]["links"] == [{"rel": "self", "href": "http://testserver/v2"}]


def test_a_load_balancer_from_creation_to_deletion(lb, alice, hosts, subnet):
    made = lb.make("loadbalancer", name="lb1", vip_subnet_id=subnet["id"], tags=["a"])
    assert made.keys() == BALANCER
    assert made["provisioning_status"] == "PENDING_CREATE"
    assert (made["operating_status"], made["provider"], made["updated_at"]) == ("OFFLINE", "haproxy", None)
    assert (made["vip_network_id"], made["project_id"], made["tags"]) == (subnet["network_id"], "alpha", ["a"])
    port = alice.as_("admin").get(f"ports/{made['vip_port_id']}")["port"]
    assert port["fixed_ips"] == [{"subnet_id": subnet["id"], "ip_address": made["vip_address"]}]
    assert (port["name"], port["device_owner"]) == (f"octavia-lb-{made['id']}", "Octavia")
    assert (port["device_id"], port["binding:host_id"], port["binding:vif_type"]) == (f"lb-{made['id']}", "one", "ovs")
    path = f"loadbalancers/{made['id']}"
    assert "immutable" in lb.refused(409, "PUT", path, {"loadbalancer": {"name": "x"}})
    assert "PENDING_CREATE" in lb.refused(409, "DELETE", path)
    hosts.tell()
    assert status(lb, path) == "ACTIVE"
    changed = lb.put(path, {"loadbalancer": {"name": "lb2"}})["loadbalancer"]
    assert (changed["name"], changed["provisioning_status"]) == ("lb2", "PENDING_UPDATE")
    assert changed["updated_at"] is not None
    hosts.tell()
    lb.delete(path)
    assert lb.refused(404, "GET", path) == f"Load Balancer {made['id']} not found."
    alice.fails(404, "PortNotFound", "GET", f"ports/{made['vip_port_id']}")


def test_a_whole_service_object_by_object(lb, hosts, settled, balancer, listener, pool, subnet):
    assert listener["loadbalancers"] == [{"id": balancer["id"]}]
    assert (listener["connection_limit"], listener["timeout_client_data"]) == (-1, 50000)
    assert pool["listeners"] == [{"id": listener["id"]}]
    assert lb.get(f"listeners/{listener['id']}")["listener"]["default_pool_id"] == pool["id"]
    members = f"pools/{pool['id']}/members"
    first = settled("member", members, address="10.0.0.11", protocol_port=80, subnet_id=subnet["id"])
    assert (first["weight"], first["operating_status"], first["backup"]) == (1, "NO_MONITOR", False)
    second = lb.make("member", members, address="10.0.0.12", protocol_port=80, weight=2)
    assert second["provisioning_status"] == "PENDING_CREATE"
    assert status(lb, f"{members}/{first['id']}") == "ACTIVE"
    assert status(lb, f"pools/{pool['id']}") == "PENDING_UPDATE"
    assert status(lb, f"listeners/{listener['id']}") == "PENDING_UPDATE"
    assert status(lb, f"loadbalancers/{balancer['id']}") == "PENDING_UPDATE"
    lb.refused(409, "DELETE", f"{members}/{first['id']}")
    hosts.tell()
    monitor = settled("healthmonitor", type="HTTP", delay=3, timeout=3, max_retries=3, pool_id=pool["id"])
    assert (monitor["http_method"], monitor["url_path"], monitor["expected_codes"]) == ("GET", "/", "200")
    assert monitor["pools"] == [{"id": pool["id"]}]
    shown = lb.get(f"pools/{pool['id']}")["pool"]
    assert shown["healthmonitor_id"] == monitor["id"]
    assert {each["id"] for each in shown["members"]} == {first["id"], second["id"]}
    assert len(lb.get(members)["members"]) == 2
    lb.put(f"healthmonitors/{monitor['id']}", {"healthmonitor": {"url_path": "/well", "delay": 5}})
    hosts.tell()
    astray = settled("pool", protocol="HTTP", lb_algorithm="SOURCE_IP", loadbalancer_id=balancer["id"])
    tree = lb.get(f"loadbalancers/{balancer['id']}/status")["statuses"]["loadbalancer"]
    assert [each["id"] for each in tree["pools"]] == [astray["id"]]
    lb.delete(f"pools/{astray['id']}")
    hosts.tell()
    leaf = tree["listeners"][0]["pools"][0]
    assert leaf["health_monitor"]["id"] == monitor["id"]
    assert {each["address"] for each in leaf["members"]} == {"10.0.0.11", "10.0.0.12"}
    stats = lb.get(f"loadbalancers/{balancer['id']}/stats")["stats"]
    assert stats == dict.fromkeys(stats, 0)
    assert len(stats) == 5
    for path in (f"healthmonitors/{monitor['id']}", f"{members}/{first['id']}", f"pools/{pool['id']}"):
        lb.delete(path)
        hosts.tell()
    assert lb.get(f"listeners/{listener['id']}")["listener"]["default_pool_id"] is None
    lb.refused(400, "DELETE", f"loadbalancers/{balancer['id']}")
    lb.delete(f"loadbalancers/{balancer['id']}?cascade=True")
    assert lb.get("listeners") == {"listeners": []}


def test_everything_in_one_request(lb, hosts, balancer, subnet):
    member = {"address": "10.0.0.11", "protocol_port": 80}
    monitor = {"type": "TCP", "delay": 1, "timeout": 1, "max_retries": 1}
    pool = {
        "name": "p", "protocol": "HTTP", "lb_algorithm": "LEAST_CONNECTIONS",
        "members": [member, member | {"address": "10.0.0.12"}], "healthmonitor": monitor,
    }  # fmt: skip
    policy = {
        "action": "REDIRECT_TO_POOL", "redirect_pool": {"name": "p"},
        "rules": [{"type": "PATH", "compare_type": "STARTS_WITH", "value": "/api"}],
    }  # fmt: skip
    listeners = [
        {"protocol": "HTTP", "protocol_port": 80, "default_pool": {"name": "p"}, "l7policies": [policy]},
        {"protocol": "TCP", "protocol_port": 22, "default_pool": pool | {"name": "q", "protocol": "TCP"}},
    ]
    made = lb.make("loadbalancer", vip_network_id=subnet["network_id"], listeners=listeners, pools=[pool])
    assert (len(made["listeners"]), len(made["pools"])) == (2, 2)
    assert len(lb.get("healthmonitors")["healthmonitors"]) == 2
    assert len(lb.get(f"pools/{made['pools'][0]['id']}/members")["members"]) == 2
    policies = lb.get("l7policies")["l7policies"]
    assert [each["position"] for each in policies] == [1]
    assert len(lb.get(f"l7policies/{policies[0]['id']}/rules")["rules"]) == 1
    hosts.tell()
    lb.delete(f"loadbalancers/{made['id']}?cascade=true")
    assert lb.get("pools") == {"pools": []}
    assert lb.get("healthmonitors") == {"healthmonitors": []}


def test_members_all_at_once(lb, store, hosts, pool):
    path = f"pools/{pool['id']}/members"

    def put(count, query="", **values):
        sent = [{"address": f"10.0.1.{i}", "protocol_port": 80} | values for i in range(1, count + 1)]
        with statements(store) as seen:
            assert lb.ask("PUT", path + query, {"members": sent}).status_code == 202
        hosts.tell()
        return len(seen)

    few = put(2)
    ids = {each["address"]: each["id"] for each in lb.get(path)["members"]}
    assert put(40) == few + 1  # the tags of those that are there
    assert {each["address"]: each["id"] for each in lb.get(path)["members"]}.items() >= ids.items()
    assert put(1, "?additive_only=true", weight=7) > 0
    weights = {each["address"]: each["weight"] for each in lb.get(path)["members"]}
    assert (len(weights), weights["10.0.1.1"], weights["10.0.1.2"]) == (40, 7, 1)
    assert put(40, weight=3) == put(20, weight=4)
    assert len(lb.get(path)["members"]) == 20
    twice = [{"address": "10.0.1.1", "protocol_port": 80}] * 2
    assert "10.0.1.1" in lb.refused(409, "PUT", path, {"members": twice})
    other = {"protocol": "HTTP", "lb_algorithm": "SOURCE_IP", "loadbalancer_id": pool["loadbalancers"][0]["id"]}
    assert "10.0.1.1" in lb.refused(409, "POST", "pools", {"pool": other | {"members": twice}})


def test_conflicts(lb, settled, balancer, listener, pool):
    assert "80" in lb.refused(
        409, "POST", "listeners",
        {"listener": {"protocol": "TCP", "protocol_port": 80, "loadbalancer_id": balancer["id"]}},
    )  # fmt: skip
    settled("listener", protocol="UDP", protocol_port=80, loadbalancer_id=balancer["id"])
    body = {"pool": {"protocol": "HTTP", "lb_algorithm": "SOURCE_IP", "listener_id": listener["id"]}}
    lb.refused(409, "POST", "pools", body)
    members = f"pools/{pool['id']}/members"
    settled("member", members, address="10.0.0.11", protocol_port=80)
    lb.refused(409, "POST", members, {"member": {"address": "10.0.0.11", "protocol_port": 80}})
    assert settled("member", members, address="2001:db8:0:0::1", protocol_port=80)["address"] == "2001:db8:0:0::1"
    lb.refused(409, "POST", members, {"member": {"address": "2001:db8::1", "protocol_port": 80}})
    monitor = {"type": "TCP", "delay": 1, "timeout": 1, "max_retries": 1, "pool_id": pool["id"]}
    settled("healthmonitor", **monitor)
    lb.refused(409, "POST", "healthmonitors", {"healthmonitor": monitor})
    other = settled("pool", protocol="HTTP", lb_algorithm="SOURCE_IP", loadbalancer_id=balancer["id"])
    settled("l7policy", action="REDIRECT_TO_POOL", redirect_pool_id=other["id"], listener_id=listener["id"])
    assert "L7 policy" in lb.refused(409, "DELETE", f"pools/{other['id']}")


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("loadbalancer", {}),
        ("loadbalancer", {"vip_subnet_id": NOBODY}),
        ("loadbalancer", {"vip_subnet_id": "{subnet}", "vip_address": "192.0.2.1"}),
        ("loadbalancer", {"vip_subnet_id": "{subnet}", "provider": "f5"}),
        ("loadbalancer", {"vip_subnet_id": "{subnet}", "colour": "red"}),
        ("listener", {"protocol": "HTTP", "protocol_port": 0}),
        ("listener", {"protocol": "SMTP", "protocol_port": 25}),
        ("listener", {"protocol": "TERMINATED_HTTPS", "protocol_port": 443}),
        ("listener", {"protocol": "TERMINATED_HTTPS", "protocol_port": 443, "default_tls_container_ref": NOBODY}),
        ("listener", {"protocol": "TCP", "protocol_port": 90, "insert_headers": {"X-Forwarded-For": "true"}}),
        ("listener", {"protocol": "HTTP", "protocol_port": 90, "insert_headers": {"X-Evil": "true"}}),
        ("listener", {"protocol": "HTTP", "protocol_port": 90, "allowed_cidrs": ["2001:db8::/32"]}),
        ("listener", {"protocol": "UDP", "protocol_port": 90, "default_pool_id": "{pool}"}),
        ("pool", {"protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN"}),
        ("pool", {"protocol": "HTTP", "lb_algorithm": "BEST", "loadbalancer_id": "{balancer}"}),
        (
            "pool",
            {"protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "loadbalancer_id": "{balancer}",
             "session_persistence": {"type": "APP_COOKIE"}},
        ),
        (
            "pool",
            {"protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "loadbalancer_id": "{balancer}",
             "session_persistence": {"type": "APP_COOKIE", "cookie_name": "a\nb"}},
        ),
        ("l7policy", {"action": "REDIRECT_TO_URL", "listener_id": "{listener}"}),
        ("l7policy", {"action": "REDIRECT_TO_URL", "redirect_url": "http://a b", "listener_id": "{listener}"}),
    ],
)  # fmt: skip
def test_what_makes_no_sense_changes_nothing(lb, subnet, balancer, listener, pool, kind, values):
    known = {"{subnet}": subnet, "{balancer}": balancer, "{pool}": pool, "{listener}": listener}
    body = {name: known[value]["id"] if str(value) in known else value for name, value in values.items()}
    if kind == "listener":
        body["loadbalancer_id"] = balancer["id"]
    collection = "l7policies" if kind == "l7policy" else f"{kind}s"
    before = lb.get(collection)
    assert lb.refused(400, "POST", collection, {kind: body})
    assert lb.get(collection) == before


def test_policies_keep_their_order(lb, hosts, settled, listener):
    path = "l7policies"
    first = settled("l7policy", action="REJECT", name="a", listener_id=listener["id"])
    settled("l7policy", action="REJECT", name="b", listener_id=listener["id"])
    url = settled(
        "l7policy", action="REDIRECT_TO_URL", redirect_url="http://www.example.org/", name="c", position=1,
        listener_id=listener["id"],
    )  # fmt: skip
    assert (url["redirect_http_code"], url["position"]) == (302, 1)
    shown = lb.get(f"{path}?sort=position:asc")[path]
    assert [(each["name"], each["position"]) for each in shown] == [("c", 1), ("a", 2), ("b", 3)]
    lb.put(f"{path}/{first['id']}", {"l7policy": {"position": 7}})
    hosts.tell()
    assert [each["name"] for each in lb.get(f"{path}?sort=position:asc")[path]] == ["c", "b", "a"]
    reject = lb.put(f"{path}/{url['id']}", {"l7policy": {"action": "REJECT"}})["l7policy"]
    assert (reject["redirect_http_code"], reject["redirect_url"]) == (None, None)
    hosts.tell()
    lb.delete(f"{path}/{url['id']}")
    hosts.tell()
    assert [(each["name"], each["position"]) for each in lb.get(f"{path}?sort=position:asc")[path]] == [
        ("b", 1),
        ("a", 2),
    ]
    rules = f"{path}/{first['id']}/rules"
    rule = settled("rule", rules, type="HEADER", key="X-A", compare_type="REGEX", value="a+", invert=True)
    lb.refused(400, "POST", rules, {"rule": {"type": "HEADER", "compare_type": "EQUAL_TO", "value": "a"}})
    lb.refused(400, "POST", rules, {"rule": {"type": "PATH", "compare_type": "REGEX", "value": "("}})
    assert lb.put(f"{rules}/{rule['id']}", {"rule": {"value": "b"}})["rule"]["value"] == "b"
    assert [each["id"] for each in lb.get(f"{path}/{first['id']}")["l7policy"]["rules"]] == [rule["id"]]
    hosts.tell()
    lb.delete(f"{rules}/{rule['id']}")


def test_who_may_do_what(lb, balancer):
    path = f"loadbalancers/{balancer['id']}"
    other, admin = lb.as_("member", "beta"), lb.as_("admin", "operations")
    assert "Policy" in other.refused(403, "GET", path)
    assert other.get("loadbalancers") == {"loadbalancers": []}
    other.refused(403, "GET", "loadbalancers?project_id=alpha")
    other.refused(403, "DELETE", path)
    lb.as_("reader").get(path)
    lb.as_("reader").refused(403, "PUT", path, {"loadbalancer": {"name": "x"}})
    lb.refused(403, "PUT", f"{path}/failover")
    assert admin.get(path)["loadbalancer"]["id"] == balancer["id"]
    assert len(admin.get("loadbalancers?project_id=alpha")["loadbalancers"]) == 1
    assert lb.ask("GET", path, headers={"X-Auth-Token": "stranger:x"}).status_code == 401
    body = {"listener": {"protocol": "HTTP", "protocol_port": 80, "loadbalancer_id": balancer["id"]}}
    other.refused(403, "POST", "listeners", body)


def test_lists(lb, settled, subnet, balancer):
    for name in ("b", "a"):
        settled("loadbalancer", name=name, vip_subnet_id=subnet["id"], tags=[name])
    assert lb.names("loadbalancers?sort=name:desc") == ["lb1", "b", "a"]
    assert lb.names("loadbalancers?sort_key=name") == ["a", "b", "lb1"]
    assert lb.names("loadbalancers?tags=a") == ["a"]
    assert lb.names("loadbalancers?not-tags-any=a,b") == ["lb1"]
    assert lb.names("loadbalancers?provisioning_status=ACTIVE&name=b") == ["b"]
    assert lb.get("loadbalancers?fields=name&name=a") == {"loadbalancers": [{"name": "a"}]}
    page = lb.get("loadbalancers?sort=name&limit=2")
    assert [each["name"] for each in page["loadbalancers"]] == ["a", "b"]
    (link,) = page["loadbalancers_links"]
    assert lb.names(link["href"].removeprefix("http://testserver")) == ["lb1"]
    lb.refused(400, "GET", "loadbalancers?limit=x")
    lb.refused(400, "GET", "loadbalancers?sort=colour")
    lb.refused(404, "GET", f"loadbalancers?marker={NOBODY}&limit=1")


def test_no_host_no_service(lb, hosts, balancer, settled, store):
    path = f"loadbalancers/{balancer['id']}"
    lb.put(path, {"loadbalancer": {"name": "waits"}})
    assert status(lb, path) == "PENDING_UPDATE"
    hosts.die("one")
    assert status(lb, path) == "ERROR"
    lb.refused(409, "PUT", path, {"loadbalancer": {"name": "x"}})
    hosts.come("two")
    assert hosts.of(balancer["id"]) == ["two"]
    assert status(lb, path) == "PENDING_UPDATE"
    hosts.tell()
    assert status(lb, path) == "ACTIVE"
    hosts.tell("failed")
    assert status(lb, path) == "ERROR"
    lb.delete(path)


def test_failover(lb, hosts, balancer, alice):
    hosts.come("two")
    assert lb.as_("admin").ask("PUT", f"loadbalancers/{balancer['id']}/failover").status_code == 202
    assert hosts.of(balancer["id"]) == ["two"]
    port = alice.as_("admin").get(f"ports/{balancer['vip_port_id']}")["port"]
    assert port["binding:host_id"] == "two"


def test_quotas(lb, alice, settled, balancer, subnet):
    admin = lb.as_("admin", "operations")
    quota = lb.get("quotas/alpha")["quota"]
    assert (quota["load_balancer"], quota["loadbalancer"], quota["member"]) == (10, 10, -1)
    lb.refused(403, "PUT", "quotas/alpha", {"quota": {"pool": 5}})
    lb.refused(403, "GET", "quotas/beta")
    answer = admin.ask("PUT", "quotas/alpha", {"quota": {"loadbalancer": 1, "listener": 0}})
    assert (answer.status_code, answer.json()["quota"]["load_balancer"]) == (202, 1)
    admin.refused(400, "PUT", "quotas/alpha", {"quota": {"planet": 1}})
    body = {"loadbalancer": {"vip_subnet_id": subnet["id"]}}
    assert lb.refused(403, "POST", "loadbalancers", body) == "Quota has been met for resources: Load Balancer"
    listener = {"protocol": "HTTP", "protocol_port": 80, "loadbalancer_id": balancer["id"]}
    lb.refused(403, "POST", "listeners", {"listener": listener})
    assert [each["project_id"] for each in admin.get("quotas")["quotas"]] == ["alpha"]
    assert "octavia:listener" not in alice.get("quotas/alpha")["quota"]
    admin.delete("quotas/alpha")
    settled("listener", **listener)


def test_what_there_is_to_choose_from(lb):
    assert {each["name"] for each in lb.get("providers")["providers"]} == {"haproxy", "octavia", "amphora"}
    assert lb.get("availabilityzones") == {"availability_zones": []}
    assert lb.as_("admin").get("/v2.0/octavia/amphorae") == {"amphorae": []}
    lb.refused(404, "GET", "planets")


def test_flavors(lb, hosts, subnet, settled):
    hosts.come("another")
    admin = lb.as_("admin")
    assert [each["name"] for each in admin.get("providers/haproxy/flavor_capabilities")["flavor_capabilities"]] == [
        "loadbalancer_topology"
    ]
    data = {"provider_name": "haproxy", "flavor_data": '{"loadbalancer_topology": "ACTIVE_STANDBY"}'}
    for wrong, status in (("[]", 400), ("{", 400), ('{"loadbalancer_topology": []}', 400), ('{"cores": 3}', 501)):
        admin.refused(status, "POST", "flavorprofiles", {"flavorprofile": data | {"name": "p", "flavor_data": wrong}})
    admin.refused(400, "POST", "flavorprofiles", {"flavorprofile": data | {"name": "p", "provider_name": "f5"}})
    profile = admin.make("flavorprofile", name="p", **data)
    flavor = admin.make("flavor", name="two hosts", flavor_profile_id=profile["id"])
    admin.refused(409, "POST", "flavors", {"flavor": {"name": "two hosts", "flavor_profile_id": profile["id"]}})
    admin.refused(404, "POST", "flavors", {"flavor": {"name": "none", "flavor_profile_id": NOBODY}})
    for method, path in (("POST", "flavors"), ("GET", "flavorprofiles"), ("DELETE", f"flavors/{flavor['id']}")):
        lb.refused(403, method, path, {"flavor": {"name": "f", "flavor_profile_id": profile["id"]}})
    assert lb.get("flavors?fields=name") == {"flavors": [{"name": "two hosts"}]}
    assert lb.get(f"flavors/{flavor['id']}") == {"flavor": flavor}
    lb.refused(404, "GET", f"flavors/{NOBODY}")

    body = {"vip_subnet_id": subnet["id"], "flavor_id": flavor["id"]}
    lb.refused(400, "POST", "loadbalancers", {"loadbalancer": body | {"provider": "amphora"}})
    lb.refused(400, "POST", "loadbalancers", {"loadbalancer": body | {"flavor_id": NOBODY}})
    made = settled("loadbalancer", **body)
    assert (made["flavor_id"], len(hosts.of(made["id"]))) == (flavor["id"], 2)
    admin.refused(409, "DELETE", f"flavors/{flavor['id']}")
    admin.refused(409, "DELETE", f"flavorprofiles/{profile['id']}")
    admin.refused(409, "PUT", f"flavorprofiles/{profile['id']}", {"flavorprofile": {"flavor_data": "{}"}})
    admin.put(f"flavors/{flavor['id']}", {"flavor": {"enabled": False, "name": "gone"}})
    assert "not allowed" in lb.refused(400, "POST", "loadbalancers", {"loadbalancer": body})
    lb.delete(f"loadbalancers/{made['id']}")
    hosts.tell()
    admin.delete(f"flavors/{flavor['id']}")
    admin.delete(f"flavorprofiles/{profile['id']}")
    assert admin.get("flavorprofiles") == {"flavorprofiles": []}


def test_a_port_that_is_brought_along_stays(lb, alice, hosts, settled, subnet):
    port = alice.port(subnet["network_id"])
    made = settled("loadbalancer", vip_port_id=port["id"])
    assert (made["vip_port_id"], made["vip_address"]) == (port["id"], port["fixed_ips"][0]["ip_address"])
    alice.fails(409, "ServicePortInUse", "DELETE", f"ports/{port['id']}")
    lb.delete(f"loadbalancers/{made['id']}")
    after = alice.get(f"ports/{port['id']}")["port"]
    assert (after["device_owner"], after["device_id"]) == ("", "")
    alice.delete(f"ports/{port['id']}")


def test_security_groups_of_the_vip(lb, alice, hosts, settled, subnet):
    group = alice.post("security-groups", {"security_group": {"name": "web"}})["security_group"]["id"]
    made = settled("loadbalancer", vip_subnet_id=subnet["id"], vip_sg_ids=[group])
    port = alice.get(f"ports/{made['vip_port_id']}")["port"]
    assert (port["security_groups"], port["port_security_enabled"]) == ([group], True)
    changed = lb.put(f"loadbalancers/{made['id']}", {"loadbalancer": {"vip_sg_ids": []}})["loadbalancer"]
    assert changed["vip_sg_ids"] == []
    assert alice.get(f"ports/{made['vip_port_id']}")["port"]["security_groups"] == []


def test_lists_cost_the_same_for_any_number(lb, store, settled, subnet, balancer):
    def cost(path):
        with statements(store) as seen:
            lb.get(path)
        return len(seen)

    settled("listener", protocol="HTTP", protocol_port=79, loadbalancer_id=balancer["id"])
    before = cost("loadbalancers")
    tree = cost(f"loadbalancers/{balancer['id']}/status")
    for port in range(80, 84):
        settled("listener", protocol="HTTP", protocol_port=port, loadbalancer_id=balancer["id"])
        settled("loadbalancer", vip_subnet_id=subnet["id"])
    assert cost("loadbalancers") == before
    assert cost(f"loadbalancers/{balancer['id']}/status") == tree


@pytest.fixture
def highly_available(settings, store, policy, subnet):
    two = replace(settings, loadbalancer_ha=True)
    hosts = Hosts(store, two)
    hosts.come("one", "two", "three")
    return balancing(store, two, policy), hosts


def test_two_hosts_and_their_election(highly_available, alice, subnet):
    lb, hosts = highly_available
    admin = alice.as_("admin")
    first = lb.make("loadbalancer", vip_subnet_id=subnet["id"])
    second = lb.make("loadbalancer", vip_subnet_id=subnet["id"])
    assert len(hosts.of(first["id"])) == 2
    assert {*hosts.of(first["id"]), *hosts.of(second["id"])} == {"one", "two", "three"}
    assert admin.get(f"ports/{first['vip_port_id']}")["port"]["binding:host_id"] == ""
    electing = admin.get(f"ports?device_id=lb-{first['id']}&name=octavia-lb-vrrp-{first['id']}")["ports"]
    assert sorted(port["binding:host_id"] for port in electing) == hosts.of(first["id"])
    alice.fails(409, "ServicePortInUse", "DELETE", f"ports/{electing[0]['id']}")
    hosts.tell()
    group = alice.post("security-groups", {"security_group": {"name": "web"}})["security_group"]["id"]
    lb.put(f"loadbalancers/{first['id']}", {"loadbalancer": {"vip_sg_ids": [group]}})
    for each in electing:
        port = alice.get(f"ports/{each['id']}")["port"]
        assert port["security_groups"] == [group]
        assert [pair["ip_address"] for pair in port["allowed_address_pairs"]] == [first["vip_address"]]
    dead, other = hosts.of(first["id"])
    hosts.die(dead)
    hosts.come("four")
    assert other in hosts.of(first["id"])
    assert dead not in hosts.of(first["id"])
    hosts.tell()
    lb.delete(f"loadbalancers/{first['id']}")
    left = admin.get(f"ports?device_id=lb-{first['id']}")
    assert left == {"ports": []}
