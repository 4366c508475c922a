"""Many clients at once at the same load balancers: each is answered by the rules, and nothing is left half done."""

from collections import Counter

import pytest

from netloom.api.app import create_app
from netloom.api.load_balancing import octavia
from tests.api.client import authenticate
from tests.api.served import CLIENTS, at_once, served


@pytest.fixture
def address(store, settings, policy):
    """Of a server of Octavia's API."""
    with served(octavia.create_app(store, settings, authenticate, policy), "/v2.0/lbaas") as address:
        yield address


@pytest.fixture
def network_api(store, settings, policy):
    """The address of a server of the Networking API."""
    with served(create_app(store, settings, authenticate, policy)) as address:
        yield address


def statuses(answers) -> Counter[int]:
    return Counter(status for status, _ in answers)


def test_load_balancers_are_made_and_deleted_at_once(address, alice, hosts, subnet):
    body = {"loadbalancer": {"vip_subnet_id": subnet["id"]}}
    made = at_once(address, [("POST", "loadbalancers", body)] * 20)
    assert statuses(made) == {201: 10, 403: 10}, "its quota is ten"
    views = [body["loadbalancer"] for status, body in made if status == 201]
    assert len({view["vip_address"] for view in views}) == 10
    hosts.tell()
    deleted = at_once(address, [("DELETE", f"loadbalancers/{view['id']}?cascade=true", None) for view in views] * 2)
    assert statuses(deleted) == {204: 10, 404: 10}
    assert alice.get("ports?device_owner=Octavia") == {"ports": []}


def test_one_of_many_changes_is_taken_until_the_hosts_have_it(lb, address, hosts, subnet):
    balancer = lb.make("loadbalancer", vip_subnet_id=subnet["id"])
    hosts.tell()
    pool = lb.make("pool", protocol="HTTP", lb_algorithm="ROUND_ROBIN", loadbalancer_id=balancer["id"])
    hosts.tell()
    members = [{"address": f"10.0.0.{10 + number}", "protocol_port": 80} for number in range(CLIENTS)]
    path = f"pools/{pool['id']}/members"
    answers = at_once(address, [("POST", path, {"member": member}) for member in members])
    assert statuses(answers) == {201: 1, 409: CLIENTS - 1}
    assert len(lb.get(path)["members"]) == 1


def test_lbaas_v1_takes_all_changes(lb, network_api, alice, subnet):
    body = {"lb_method": "ROUND_ROBIN", "name": "a", "protocol": "HTTP", "subnet_id": subnet["id"]}
    pool = alice.post("lb/pools", {"pool": body})["pool"]["id"]
    members = [
        ("POST", "lb/members", {"member": {"address": f"10.0.0.{10 + number}", "protocol_port": 80, "pool_id": pool}})
        for number in range(20)
    ]
    vip = {"protocol": "HTTP", "protocol_port": 80, "subnet_id": subnet["id"], "pool_id": pool, "name": "v"}
    vips = [("POST", "lb/vips", {"vip": vip})] * 4
    answers = at_once(network_api, [*members[:10], *vips, *members[10:]])
    assert statuses(answers) == {201: 21, 409: 3}
    shown = alice.get(f"lb/pools/{pool}")["pool"]
    assert (len(shown["members"]), len(alice.get("lb/vips")["vips"])) == (20, 1)
    assert len(alice.get("ports?device_owner=neutron:LOADBALANCER")["ports"]) == 1
