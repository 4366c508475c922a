"""The number of SQL statements of a request does not depend on how much there is."""

import pytest

from tests.statements import statements

NETWORK = {"router:external": True, "provider:network_type": "vxlan"}


class World:
    """A cloud with everything in it, ``size`` times, and bodies for more."""

    def __init__(self, admin, size):
        self.admin = admin
        self.size = size
        self.count = 0
        admin.put("quotas/operations", {"quota": dict.fromkeys(QUOTAS, -1)})
        self.network = admin.network(**NETWORK)["id"]
        self.inner = admin.network()["id"]
        self.subnet = admin.subnet(self.network, "203.0.113.0/24")["id"]
        self.group = admin.post("security-groups", {"security_group": {"name": "g"}})["security_group"]["id"]
        for collection, name in COLLECTIONS.items():
            for _ in range(size):
                admin.post(collection, {name: self.body(name)})

    def body(self, name):
        """What a new object of a resource is made of."""
        self.count += 1
        number = self.count
        made = {
            "network": {"name": f"n{number}"},
            "subnet": {"network_id": self.inner, "cidr": f"10.{number}.0.0/24", "ip_version": 4},
            "port": {"network_id": self.network, "security_groups": [self.group], "tags": ["a"],
                     "fixed_ips": [{"subnet_id": self.subnet}]},
            "router": {"external_gateway_info": {"network_id": self.network}},
            "floatingip": {"floating_network_id": self.network},
            "security_group": {"name": f"g{number}"},
            "security_group_rule": {"security_group_id": self.group, "direction": "ingress", "protocol": "tcp",
                                    "port_range_min": number, "port_range_max": number},
            "address_group": {"name": f"a{number}", "addresses": [f"10.0.{number}.0/24"]},
            "subnetpool": {"name": f"p{number}", "prefixes": [f"172.16.{number}.0/24"]},
            "rbac_policy": {"object_type": "network", "object_id": self.inner, "action": "access_as_shared",
                            "target_tenant": f"{number:032x}"},
            "trunk": lambda: {"port_id": self.port(), "sub_ports": [
                {"port_id": self.port(), "segmentation_type": "vlan", "segmentation_id": tag}
                for tag in range(1, self.size + 1)]},
        }[name]  # fmt: skip
        return made() if callable(made) else made

    def port(self):
        """A port that nothing uses."""
        return self.admin.port(self.inner)["id"]


COLLECTIONS = {
    "networks": "network", "subnets": "subnet", "ports": "port", "routers": "router", "floatingips": "floatingip",
    "security-groups": "security_group", "security-group-rules": "security_group_rule",
    "address-groups": "address_group", "subnetpools": "subnetpool", "rbac-policies": "rbac_policy",
    "trunks": "trunk",
}  # fmt: skip
QUOTAS = ("network", "subnet", "port", "router", "floatingip", "security_group", "security_group_rule", "rbac_policy")
CHANGES = {
    "rbac_policy": {"target_tenant": "f" * 32},
    "security_group_rule": {"description": "changed"},
    "floatingip": {"description": "changed"},
    "port": {"name": "changed", "fixed_ips": []},
    "router": {"name": "changed", "external_gateway_info": None},
}
MOST = {"create": 30, "list": 8, "show": 8, "update": 32, "delete": 20}
"""A bound for each verb, so that the constant itself stays small."""


def _measure(world, store, collection, name):
    counts = {}

    def note(verb, request):
        with statements(store) as seen:
            answer = request()
        counts[verb] = len(seen)
        return answer

    admin = world.admin
    body = world.body(name)
    note("list", lambda: admin.get(collection))
    made = note("create", lambda: admin.post(collection, {name: body}))[name]
    path = f"{collection}/{made['id']}"
    note("show", lambda: admin.get(path))
    note("update", lambda: admin.put(path, {name: CHANGES.get(name, {"name": "changed"})}))
    note("delete", lambda: admin.delete(path))
    return counts


def _wipe(admin):
    for collection in ("trunks", "floatingips", "routers", "ports", "rbac-policies", "subnets", "networks",
                       "subnetpools", "security-group-rules", "security-groups", "address-groups"):  # fmt: skip
        plural = collection.replace("-", "_")
        for item in admin.get(collection)[plural]:
            admin.ask("DELETE", f"{collection}/{item['id']}")


def test_statements_of_each_verb(admin, store):
    few = World(admin, 1)
    before = {name: _measure(few, store, collection, name) for collection, name in COLLECTIONS.items()}
    _wipe(admin)
    many = World(admin, 7)
    after = {name: _measure(many, store, collection, name) for collection, name in COLLECTIONS.items()}
    assert after == before
    too_many = {
        (name, verb): count for name, counts in after.items() for verb, count in counts.items() if count > MOST[verb]
    }
    assert too_many == {}


@pytest.mark.parametrize("collection", ["networks", "subnets", "ports", "security-groups"])
def test_statements_of_a_bulk_request(admin, store, collection):
    world = World(admin, 1)
    name = COLLECTIONS[collection]
    counts = []
    for size in (2, 9):
        body = {collection.replace("-", "_"): [world.body(name) for _ in range(size)]}
        with statements(store) as seen:
            admin.post(collection, body)
        counts.append(len(seen))
    assert counts[0] == counts[1]


def test_statements_for_a_member(alice, admin, store):
    """Rules that look at the object's network load all networks at once."""
    counts = []
    for size in (1, 6):
        for _ in range(size):
            alice.port(admin.network(shared=True)["id"])
            admin.port(alice.network()["id"])
        with statements(store) as seen:
            alice.get("ports")
        counts.append(len(seen))
    assert counts[0] == counts[1]
