"""Trunks as clients see them: shapes of answers, who may do what, and every refusal."""

import pytest

from netloom.api.app import create_app
from netloom.settings.network import NetworkSettings
from tests.api.client import Api, TestClient, authenticate
from tests.statements import statements

VLAN = {"provider:network_type": "vlan", "provider:physical_network": "physnet1"}
NOBODY = "11111111-1111-1111-1111-111111111111"


@pytest.fixture
def settings():
    return NetworkSettings(vlan_ranges={"physnet1": ((100, 199),)})


@pytest.fixture
def new_port(alice):
    """Makes ports, each on a network of its own."""
    return lambda **values: alice.port(alice.network()["id"], **values)["id"]


@pytest.fixture
def trunk(alice, new_port):
    return alice.post("trunks", {"trunk": {"port_id": new_port(), "name": "trunk-net"}})["trunk"]


def sub(port, tag=1100, kind="vlan"):
    return {"port_id": port, "segmentation_type": kind, "segmentation_id": tag}


def test_a_trunk_from_creation_to_deletion(alice, trunk, new_port):
    path = f"trunks/{trunk['id']}"
    assert trunk == {
        "id": trunk["id"], "project_id": "alpha", "tenant_id": "alpha", "name": "trunk-net", "description": "",
        "port_id": trunk["port_id"], "admin_state_up": True, "status": "DOWN", "sub_ports": [], "tags": [],
        "revision_number": 1, "created_at": trunk["created_at"], "updated_at": trunk["created_at"],
    }  # fmt: skip
    ports = [new_port() for _ in range(3)]
    subs = [sub(port, tag) for port, tag in zip(ports, (1300, 1100, 1200), strict=True)]
    changed = alice.put(f"{path}/add_subports", {"sub_ports": subs})
    by_tag = sorted(subs, key=lambda each: each["segmentation_id"])
    assert changed == trunk | {"sub_ports": by_tag, "revision_number": 2, "updated_at": changed["updated_at"]}
    assert alice.get(path)["trunk"] == changed
    assert alice.get(f"{path}/get_subports") == {"sub_ports": by_tag}
    assert alice.get(f"{path}/get-subports.json") == {"sub_ports": by_tag}
    left = alice.put(f"{path}/remove_subports", {"sub_ports": [{"port_id": ports[1]}, subs[2]]})
    assert (left["sub_ports"], left["revision_number"]) == ([subs[0]], 3)
    renamed = alice.put(path, {"trunk": {"name": "other", "description": "d", "admin_state_up": False}})["trunk"]
    assert (renamed["name"], renamed["description"], renamed["admin_state_up"]) == ("other", "d", False)
    assert renamed["revision_number"] == 4
    alice.put(path, {"trunk": {"admin_state_up": True}})
    alice.delete(path)
    alice.fails(404, "TrunkNotFound", "GET", path)


def test_nothing_added_is_no_change(alice, trunk):
    for action in ("add_subports", "remove_subports"):
        assert alice.put(f"trunks/{trunk['id']}/{action}", {"sub_ports": []}) == trunk


def test_ports_show_their_trunk(alice, trunk, new_port):
    plain = new_port()
    alice.put(f"trunks/{trunk['id']}/add_subports", {"sub_ports": [sub(plain, "1100")]})
    mac = alice.get(f"ports/{plain}")["port"]["mac_address"]
    details = {"trunk_id": trunk["id"], "sub_ports": [sub(plain) | {"mac_address": mac}]}
    assert alice.get(f"ports/{trunk['port_id']}")["port"]["trunk_details"] == details
    assert alice.get(f"ports/{trunk['port_id']}?fields=trunk_details") == {"port": {"trunk_details": details}}
    shown = {port["id"]: port for port in alice.get("ports")["ports"]}
    assert shown[trunk["port_id"]]["trunk_details"] == details
    assert "trunk_details" not in shown[plain]
    assert (shown[plain]["device_owner"], shown[plain]["device_id"]) == ("trunk:subport", trunk["id"])
    alice.fails(400, "HTTPBadRequest", "PUT", f"ports/{plain}", {"port": {"trunk_details": {}}})


def test_lists(alice, bob, admin, trunk, new_port):
    path = f"trunks/{trunk['id']}"
    other = alice.post("trunks", {"trunk": {"port_id": new_port(), "name": "a"}})["trunk"]
    assert alice.names("trunks?sort_key=name&sort_dir=asc") == ["a", "trunk-net"]
    for query in (f"port_id={other['port_id']}", "name=a", "status=DOWN&name=a", f"id={other['id']}&description="):
        assert alice.get(f"trunks?{query}")["trunks"] == [other], query
    assert alice.get("trunks?status=ACTIVE")["trunks"] == []
    assert alice.get("trunks?sort_key=status&sort_dir=desc&fields=status")["trunks"] == [{"status": "DOWN"}] * 2
    assert len(alice.get("trunks?limit=1")["trunks_links"]) == 2
    alice.fails(400, "HTTPBadRequest", "GET", "trunks?sub_ports=x")
    alice.put(f"{path}/tags", {"tags": ["blue"]})
    assert alice.names("trunks?tags=blue") == ["trunk-net"]
    assert alice.get(path)["trunk"]["revision_number"] == 2
    assert bob.get("trunks")["trunks"] == []
    assert len(admin.get("trunks?project_id=alpha")["trunks"]) == 2


def test_who_may(alice, bob, admin, trunk, new_port):
    path, body = f"trunks/{trunk['id']}", {"sub_ports": [sub(new_port())]}
    reader = alice.as_("reader")
    assert reader.get(f"{path}/get_subports") == {"sub_ports": []}
    for method, place, wanted in (
        ("PUT", f"{path}/add_subports", body), ("PUT", f"{path}/remove_subports", body), ("DELETE", path, None),
        ("PUT", path, {"trunk": {"name": "x"}}), ("POST", "trunks", {"trunk": {"port_id": new_port()}}),
    ):  # fmt: skip
        reader.fails(403, "PolicyNotAuthorized", method, place, wanted)
    for method, place, wanted in (
        ("PUT", f"{path}/add_subports", body), ("GET", f"{path}/get_subports", None), ("GET", path, None),
        ("DELETE", path, None),
    ):  # fmt: skip
        bob.fails(404, "TrunkNotFound", method, place, wanted)
    bob.fails(404, "PortNotFound", "POST", "trunks", {"trunk": {"port_id": new_port()}})
    alice.fails(405, "HTTPMethodNotAllowed", "GET", f"{path}/add_subports")
    alice.fails(405, "HTTPMethodNotAllowed", "PUT", f"{path}/get_subports", {})
    alice.fails(412, "RevisionNumberConstraintFailed", "DELETE", path, headers={"If-Match": "revision_number=9"})
    assert admin.put(f"{path}/add_subports", body)["project_id"] == "alpha"


def test_trunks_do_not_come_in_bulk(alice, new_port):
    message = alice.fails(400, "HTTPBadRequest", "POST", "trunks", {"trunks": [{"port_id": new_port()}]})
    assert message == "Bulk operation not supported"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda port, other: {"port_id": port}, "is not a list"),
        (lambda port, other: "x", "is not a list"),
        (lambda port, other: [port], "is not a dictionary"),
        (lambda port, other: [sub("no-uuid")], "is not a valid UUID"),
        (lambda port, other: [{"segmentation_type": "vlan", "segmentation_id": 3}], "port_id"),
        (lambda port, other: [{"port_id": NOBODY, "segmentation_type": "vlan"}], "missing segmentation information"),
        (lambda port, other: [{"port_id": NOBODY, "segmentation_id": 3}], "missing segmentation information"),
        (lambda port, other: [{"port_id": port}], "missing segmentation information"),
        (lambda port, other: [sub(port, None)], "missing segmentation information"),
        (lambda port, other: [sub(port), sub(port, 2)], "Non unique UUID for subport"),
        (lambda port, other: [sub(port), sub(other)], "is not unique"),
        (lambda port, other: [sub(port, "many")], "is not an integer"),
        (lambda port, other: [sub(port, 4095)], "Invalid segmentation_id '4095'"),
        (lambda port, other: [sub(port, -1)], "Invalid segmentation_id '-1'"),
        (lambda port, other: [sub(port, 5, "vxlan")], "Unknown segmentation_type 'vxlan'"),
        (lambda port, other: [sub(port, 5, "inherit")], "Unknown segmentation_type 'vxlan'"),
        (lambda port, other: [sub(port) | {"colour": "red"}], "colour"),
    ],
)  # fmt: skip
def test_sub_ports_that_make_no_sense(alice, trunk, new_port, make, reason):
    """The same requests are refused when a trunk is made, and when it exists."""
    wanted = make(new_port(), new_port())
    parent = new_port()
    answers = (
        alice.ask("POST", "trunks", {"trunk": {"port_id": parent, "sub_ports": wanted}}),
        alice.ask("PUT", f"trunks/{trunk['id']}/add_subports", {"sub_ports": wanted}),
    )
    for answer in answers:
        assert answer.status_code == 400, answer.text
        assert reason in answer.json()["NeutronError"]["message"]
    assert answers[1].json()["NeutronError"]["type"] == "InvalidInput"
    assert alice.get("trunks")["trunks"] == [trunk]


def test_bodies_of_actions_that_make_no_sense(alice, trunk):
    for body in ({}, {"sub_ports": None}, {"sub_ports": {}}, {"trunk": {"sub_ports": []}}):
        for action in ("add_subports", "remove_subports"):
            alice.fails(400, "InvalidInput", "PUT", f"trunks/{trunk['id']}/{action}", body)


def test_segmentation_can_be_inherited_from_a_vlan(admin, alice, new_port):
    networks = [admin.network(project_id="alpha", mtu=1400, **VLAN) for _ in range(2)]
    ports = [alice.port(network["id"])["id"] for network in networks]
    wanted = [{"port_id": port, "segmentation_type": "inherit"} for port in ports]
    made = alice.post("trunks", {"trunk": {"port_id": new_port(), "sub_ports": wanted}})["trunk"]
    tags = [network["provider:segmentation_id"] for network in networks]
    assert made["sub_ports"] == [sub(port, tag) for port, tag in zip(ports, tags, strict=True)]
    twin = alice.port(networks[0]["id"])["id"]
    body = {"sub_ports": [{"port_id": twin, "segmentation_type": "inherit"}]}
    alice.fails(409, "DuplicateSubPort", "PUT", f"trunks/{made['id']}/add_subports", body)


def test_conflicts(alice, admin, trunk, new_port):
    path, taken = f"trunks/{trunk['id']}", new_port()
    add = f"{path}/add_subports"

    def refused(kind, *subs):
        return alice.fails(409, kind, "PUT", add, {"sub_ports": list(subs)})

    assert refused("ParentPortInUse", sub(trunk["port_id"])) == (
        f"Port {trunk['port_id']} is currently in use and is not eligible for use as a parent port."
    )
    alice.put(add, {"sub_ports": [sub(taken)]})
    assert refused("DuplicateSubPort", sub(new_port(), 7), sub(new_port())) == (
        f"segmentation_type vlan and segmentation_id 1100 already in use on trunk {trunk['id']}."
    )
    assert refused("TrunkPortInUse", sub(taken, 9)) == f"Port {taken} is in use by another trunk."
    used = new_port(device_id="d")
    assert "already has an attached device d." in refused("PortInUse", sub(used, 9))
    bound = new_port()
    admin.put(f"ports/{bound}", {"port": {"binding:host_id": "h1"}})
    refused("PortInUse", sub(bound, 9))
    larger = alice.port(admin.network(project_id="alpha", **VLAN)["id"])["id"]
    assert "MTU 1500" in refused("SubPortMtuGreaterThanTrunkPortMtu", sub(larger, 9))
    for parent, kind in ((used, "ParentPortInUse"), (bound, "ParentPortInUse"), (taken, "TrunkPortInUse"),
                         (trunk["port_id"], "TrunkPortInUse")):  # fmt: skip
        alice.fails(409, kind, "POST", "trunks", {"trunk": {"port_id": parent}})
    alice.fails(409, "PortInUseAsTrunkParent", "DELETE", f"ports/{trunk['port_id']}")
    alice.fails(409, "PortInUseAsSubPort", "DELETE", f"ports/{taken}")
    assert alice.get(path)["trunk"]["sub_ports"] == [sub(taken)]


def test_a_disabled_trunk_stays_as_it_is(alice, trunk, new_port):
    path, port = f"trunks/{trunk['id']}", new_port()
    alice.put(f"{path}/add_subports", {"sub_ports": [sub(port)]})
    alice.put(path, {"trunk": {"admin_state_up": False}})
    for action, wanted in (("add_subports", sub(new_port(), 3)), ("remove_subports", sub(port))):
        message = alice.fails(409, "TrunkDisabled", "PUT", f"{path}/{action}", {"sub_ports": [wanted]})
    assert message == f"Trunk {trunk['id']} is currently disabled."
    alice.fails(409, "TrunkDisabled", "DELETE", path)
    assert alice.put(path, {"trunk": {"admin_state_up": True}})["trunk"]["sub_ports"] == [sub(port)]
    alice.delete(path)


def test_a_trunk_in_use_or_in_error(alice, admin, trunk, new_port):
    path = f"trunks/{trunk['id']}"
    admin.put(f"ports/{trunk['port_id']}", {"port": {"binding:host_id": "nowhere"}})
    assert alice.get(path)["trunk"]["status"] == "ERROR"
    alice.fails(409, "TrunkInErrorState", "PUT", f"{path}/add_subports", {"sub_ports": [sub(new_port())]})
    assert alice.fails(409, "TrunkInUse", "DELETE", path) == f"Trunk {trunk['id']} is currently in use."
    admin.put(f"ports/{trunk['port_id']}", {"port": {"binding:host_id": ""}})
    assert alice.get(path)["trunk"]["status"] == "DOWN"
    alice.delete(path)


def test_what_is_not_there(alice, trunk, new_port):
    path, port = f"trunks/{trunk['id']}", new_port()
    alice.fails(404, "PortNotFound", "POST", "trunks", {"trunk": {"port_id": NOBODY}})
    alice.fails(404, "PortNotFound", "POST", "trunks", {"trunk": {"port_id": port, "sub_ports": [sub(NOBODY)]}})
    alice.fails(404, "PortNotFound", "PUT", f"{path}/add_subports", {"sub_ports": [sub(NOBODY)]})
    alice.fails(404, "TrunkNotFound", "PUT", f"trunks/{NOBODY}/add_subports", {"sub_ports": [sub(port)]})
    message = alice.fails(404, "SubPortNotFound", "PUT", f"{path}/remove_subports", {"sub_ports": [sub(port)]})
    assert message == f"SubPort on trunk {trunk['id']} with parent port {port} could not be found."


def test_trunks_count(alice, admin, new_port):
    assert alice.get("quotas/alpha")["quota"]["trunk"] == -1
    admin.put("quotas/alpha", {"quota": {"trunk": 1}})
    alice.post("trunks", {"trunk": {"port_id": new_port()}})
    alice.fails(409, "OverQuota", "POST", "trunks", {"trunk": {"port_id": new_port()}})
    assert alice.get("quotas/alpha/details")["quota"]["trunk"] == {"limit": 1, "used": 1, "reserved": 0}


def test_a_thousand_sub_ports_are_one_short_request(alice, admin, store, trunk):
    admin.put("quotas/alpha", {"quota": {"port": -1}})
    network = alice.network()["id"]
    counts = []
    for number, first in ((2, 1), (1000, 1001)):
        ports = alice.post("ports", {"ports": [{"network_id": network}] * number})["ports"]
        subs = [sub(port["id"], first + index) for index, port in enumerate(ports)]
        for action in ("add_subports", "remove_subports"):
            with statements(store) as seen:
                alice.put(f"trunks/{trunk['id']}/{action}", {"sub_ports": subs})
            counts.append(len(seen))
    assert counts[:2] == counts[2:]
    assert max(counts) < 25


@pytest.mark.parametrize("plugins", [frozenset(), frozenset({"router"}), frozenset({"trunk", "l3_router"}), None])
def test_trunks_are_there_when_their_service_plugin_is(store, policy, plugins):
    settings = NetworkSettings(service_plugins=plugins)
    alice = Api(TestClient(create_app(store, settings, authenticate, policy)))
    listed = {item["alias"]: (item["name"], item["description"]) for item in alice.get("extensions")["extensions"]}
    paths = alice.client.get("/openapi.json").json()["paths"]
    if plugins is None or "trunk" in plugins:
        assert listed["trunk"] == ("Trunk Extension", "Provides support for trunk ports")
        assert listed["trunk-details"] == ("Trunk port details", "Expose trunk port details")
        assert alice.get("trunks") == {"trunks": []}
        assert "/trunks/{id}/get_subports" in paths
    else:
        assert not {"trunk", "trunk-details"} & listed.keys()
        assert "trunk" not in str(listed), "also not in the list of what can have tags"
        alice.fails(404, "ExtensionNotFound", "GET", "extensions/trunk")
        alice.fails(404, "HTTPNotFound", "GET", "trunks")
        assert not {path for path in paths if "trunk" in path}
