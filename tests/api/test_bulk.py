"""Bulk create: all or nothing."""


def test_the_answer_has_the_order_of_the_request(alice):
    bodies = [{"name": "c"}, {"network": {"name": "a"}}, {"name": "b"}]
    made = alice.post("networks", {"networks": bodies})["networks"]
    assert [item["name"] for item in made] == ["c", "a", "b"]
    assert sorted(alice.names("networks")) == ["a", "b", "c"]


def test_one_wrong_item_leaves_nothing(alice, admin):
    alice.fails(400, "HTTPBadRequest", "POST", "networks", {"networks": [{"name": "a"}, {"name": 1}]})
    alice.fails(403, "PolicyNotAuthorized", "POST", "networks", {"networks": [{"name": "a"}, {"shared": True}]})
    admin.put("quotas/alpha", {"quota": {"network": 2}})
    alice.fails(409, "OverQuota", "POST", "networks", {"networks": [{}, {}, {}]})
    assert alice.get("networks") == {"networks": []}


def test_collections_without_bulk(alice):
    for collection, plural in (("routers", "routers"), ("floatingips", "floatingips"), ("subnetpools", "subnetpools")):
        message = alice.fails(400, "HTTPBadRequest", "POST", collection, {plural: [{}]})
        assert message == "Bulk operation not supported"
