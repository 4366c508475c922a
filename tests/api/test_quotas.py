"""Quotas through the API."""


def test_everybody_reads_their_own(alice, bob, admin):
    assert alice.get("quotas/alpha")["quota"]["network"] == 100
    assert alice.get("quotas/alpha/default.json")["quota"]["security_group"] == 10
    assert alice.get("quotas/alpha/details.json")["quota"]["port"] == {"limit": 500, "used": 0, "reserved": 0}
    assert alice.get("quotas/tenant") == {"tenant": {"tenant_id": "alpha"}}
    assert alice.get("quotas/project") == {"project": {"project_id": "alpha"}}
    bob.fails(403, "PolicyNotAuthorized", "GET", "quotas/alpha")
    assert admin.get("quotas/alpha")["quota"]["network"] == 100


def test_administrators_set_them(alice, admin):
    assert admin.put("quotas/alpha", {"quota": {"network": 1, "tenant_id": "alpha"}})["quota"]["network"] == 1
    assert admin.get("quotas")["quotas"][0]["project_id"] == "alpha"
    assert alice.get("quotas")["quotas"] == []
    alice.network()
    message = alice.fails(409, "OverQuota", "POST", "networks", {"network": {}})
    assert message == "Quota exceeded for resources: ['network']."
    admin.delete("quotas/alpha")
    admin.fails(404, "TenantQuotaNotFound", "DELETE", "quotas/alpha")
    alice.network()


def test_refusals(alice, admin):
    alice.fails(403, "PolicyNotAuthorized", "PUT", "quotas/alpha", {"quota": {"network": 1}})
    alice.fails(403, "PolicyNotAuthorized", "DELETE", "quotas/alpha")
    admin.fails(400, "HTTPBadRequest", "PUT", "quotas/alpha", {"quota": {"cow": 1}})
    admin.fails(400, "HTTPBadRequest", "PUT", "quotas/alpha", {"quota": {"network": -2}})
    admin.fails(400, "HTTPBadRequest", "PUT", "quotas/alpha", {"quota": {"network": "x"}})
    admin.fails(400, "HTTPBadRequest", "PUT", "quotas/alpha", {"network": 1})
    admin.fails(501, "HTTPNotImplemented", "POST", "quotas", {"quota": {}})
    assert admin.get("quotas")["quotas"] == []


def test_a_project_has_its_default_group_before_an_administrator_counts_its_groups(admin):
    for query in ("project_id=fresh", "tenant_id=other"):
        assert admin.names(f"security-groups?{query}") == ["default"]
    assert admin.as_("member", "alpha").get("security-groups?project_id=foreign")["security_groups"] == []
