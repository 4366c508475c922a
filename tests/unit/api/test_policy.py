"""The compiled policy decides as oslo.policy itself does."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oslo_policy import policy as oslo_policy

from netloom.api.policy import Policy, _Compiler
from netloom.api.policy_defaults import default_rules

ATOMS = (
    "role:member", "role:ADMIN", "role:%(wanted)s", "project_id:%(project_id)s", "tenant_id:%(project_id)s",
    "user.id:u1", "'alpha':%(project_id)s", "'on':%(missing)s", "True:%(shared)s", "service_roles:service",
    "user_id:u1", "missing:%(project_id)s", "@", "!", "rule:base", "rule:none", "rule:loop",
)  # fmt: skip


class Target(dict):
    """A target for both: a mapping, with the attributes of what it is."""

    def of(self, _plural, name):
        return self.get(name)


class Enforcer:
    """What oslo.policy's checks ask of it: the other rules."""

    def __init__(self, rules):
        self.rules = rules


def expressions():
    joins = st.sampled_from([" and ", " or "])
    return st.recursive(
        st.sampled_from(ATOMS),
        lambda inner: st.one_of(
            st.tuples(inner, joins, inner).map(lambda parts: f"({''.join(parts)})"),
            inner.map(lambda text: f"(not {text})"),
        ),
        max_leaves=8,
    )


@settings(max_examples=300, deadline=None)
@given(
    text=expressions(),
    roles=st.lists(st.sampled_from(["member", "admin", "reader"]), unique=True),
    project=st.sampled_from(["alpha", "beta"]),
    owner=st.sampled_from(["alpha", "beta"]),
    shared=st.booleans(),
    service=st.booleans(),
)
def test_every_rule_decides_alike(*, text, roles, project, owner, shared, service):
    texts = {"base": "role:reader or project_id:%(project_id)s", "loop": "!", "tested": text}
    credentials = {
        "roles": roles, "project_id": project, "tenant_id": project, "user_id": "u1", "user": {"id": "u1"},
        "service_roles": ["service"] if service else [],
    }  # fmt: skip
    target = Target(project_id=owner, shared=shared, wanted="reader")
    trees = oslo_policy.Rules.from_dict(texts)
    decision = _Compiler(texts).rules["tested"](credentials)
    ours = decision if isinstance(decision, bool) else decision(target)
    assert ours == bool(trees["tested"](target, credentials, Enforcer(trees), "tested"))


def test_rules_that_refer_to_themselves_refuse():
    rules = _Compiler({"a": "rule:b", "b": "rule:a or rule:a"}).rules
    assert rules["a"]({"roles": ["admin"]}) is False


@pytest.mark.parametrize(
    ("rule", "owner", "allowed"),
    [("field:port:device_owner=~^network:", "network:dhcp", True), ("field:port:device_owner=~^network:", "", False),
     ("field:ports:device_owner=x", "x", True), ("not field:port:device_owner=x", "x", False)],
)  # fmt: skip
def test_field_checks(rule, owner, allowed):
    check = _Compiler({"tested": rule}).rules["tested"]({"roles": []})
    assert check(Target(device_owner=owner)) is allowed


def test_nothing_depends_on_the_object_for_an_administrator():
    """So that a list of any length costs one look."""
    rules = Policy().rules()
    admin = {"roles": ["admin", "manager", "member", "reader"], "project_id": "p"}
    wanted = [name for name in default_rules() if name.startswith(("get_", "delete_"))]
    assert [name for name in wanted if rules[name](admin) is not True] == []


def test_an_empty_project_is_nobodys():
    """Objects of the service have the empty project; a token without a project does not own them."""
    check = _Compiler({"tested": "project_id:%(project_id)s"}).rules["tested"]
    assert check({"roles": [], "project_id": ""}) is False
