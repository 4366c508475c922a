"""RBAC policies."""

import pytest

from netloom.model.errors import InvalidInput, OverQuota
from netloom.model.networks import NETWORK
from netloom.model.security_groups import ADDRESS_GROUP, SECURITY_GROUP
from netloom.model.sharing import RBAC_POLICY
from netloom.rules import rbac_policies, reading
from tests.statements import statements
from tests.unit.feed import cloud
from tests.unit.rules.callers import DEMO, OTHER, admin, body, member

THIRD = "3" * 32


def make(store, kind, key, target=OTHER, *, action="access_as_shared", context=None):
    with store.write() as tx:
        values = {"object_id": key, "target_tenant": target, "action": action}
        values |= {"object_type": kind} if kind else {}
        return rbac_policies.create(tx, context or admin(), [body(RBAC_POLICY, **values)])[0]


def delete(store, policy):
    with store.write() as tx:
        rbac_policies.delete(tx, admin(), policy)


def network(store, **values):
    with store.write() as tx:
        return cloud.network(tx, project_id=DEMO, revision_number=1, **values)


def seen_by(store, context, resource, key):
    with store.read() as tx:
        return reading.get(tx, context, resource, key)


def test_target_sees_what_is_shared_and_not_the_policy(store):
    key = network(store)
    assert seen_by(store, member(OTHER), NETWORK, key) is None
    policy = make(store, "network", key, context=member())
    found = seen_by(store, member(OTHER), NETWORK, key)
    assert (found["shared"], found["revision_number"]) == (True, 2)
    assert not seen_by(store, member(), NETWORK, key)["shared"]
    assert seen_by(store, member(OTHER), RBAC_POLICY, policy["id"]) is None
    assert seen_by(store, member(), RBAC_POLICY, policy["id"]) == policy
    delete(store, policy)
    assert seen_by(store, member(OTHER), NETWORK, key) is None


def test_external_access_makes_a_network_external(store):
    key = network(store)
    make(store, "network", key, action="access_as_external")
    assert seen_by(store, member(OTHER), NETWORK, key)["router:external"]


def test_without_external_access_a_network_is_external_no_longer(store):
    key = network(store)
    first, last = (make(store, "network", key, target, action="access_as_external") for target in (OTHER, "*"))
    delete(store, first)
    assert seen_by(store, member(), NETWORK, key)["router:external"]
    delete(store, last)
    assert not seen_by(store, member(), NETWORK, key)["router:external"]


def test_last_external_access_stays_while_the_owner_uses_the_network(store):
    key = network(store)
    first, last = (make(store, "network", key, target, action="access_as_external") for target in (OTHER, THIRD))
    with store.write() as tx:
        cloud.router(tx, project_id=DEMO, gateway_network_id=key)
    delete(store, first)
    with pytest.raises(rbac_policies.RbacPolicyInUse):
        delete(store, last)


def test_default_external_network_is_for_everybody(store):
    key = network(store, is_default=True)
    policy = make(store, "network", key, "*", action="access_as_external")
    with pytest.raises(rbac_policies.RbacPolicyInUse):
        delete(store, policy)
    with pytest.raises(rbac_policies.RbacPolicyInUse), store.write() as tx:
        rbac_policies.update(tx, admin(), policy, {"target_tenant": OTHER})


@pytest.mark.parametrize(
    ("kind", "action", "target", "error"),
    [
        ("bogus", "access_as_shared", OTHER, InvalidInput),
        (None, "access_as_shared", OTHER, InvalidInput),
        ("network", "bogus", OTHER, rbac_policies.InvalidActionForType),
        ("security_group", "access_as_external", OTHER, rbac_policies.InvalidActionForType),
        ("network", "access_as_shared", "nobody", InvalidInput),
    ],
)
def test_nonsense_is_refused(store, kind, action, target, error):
    key = network(store)
    with pytest.raises(error):
        make(store, kind, key, target, action=action)


def test_object_is_the_callers_own(store):
    key = network(store)
    with pytest.raises(InvalidInput):
        make(store, "network", key, DEMO, context=member(OTHER))
    with pytest.raises(InvalidInput):
        make(store, "security_group", key)


def test_same_grant_twice(store):
    key = network(store)
    first, other = make(store, "network", key), make(store, "network", key, THIRD)
    with pytest.raises(rbac_policies.DuplicateRbacPolicy):
        make(store, "network", key)
    with pytest.raises(rbac_policies.DuplicateRbacPolicy), store.write() as tx:
        rbac_policies.update(tx, admin(), other, {"target_tenant": OTHER})
    with store.write() as tx:
        assert rbac_policies.update(tx, admin(), first, {"target_tenant": "*"})["target_tenant"] == "*"


def test_quota(store):
    keys = [network(store) for _ in range(11)]
    for key in keys[:10]:
        make(store, "network", key)
    with pytest.raises(OverQuota):
        make(store, "network", keys[10])


def use_network(tx, key):
    cloud.port(tx, key, project_id=OTHER)


def use_external(tx, key):
    cloud.router(tx, project_id=OTHER, gateway_network_id=key)


def use_address(tx, key):
    cloud.floating_ip(tx, project_id=OTHER, floating_network_id=key)


def use_group(tx, key):
    cloud.port(tx, cloud.network(tx), groups=[key], project_id=OTHER)


def use_addresses(tx, key):
    cloud.rule(tx, cloud.group(tx), project_id=OTHER, remote_address_group_id=key)


@pytest.mark.parametrize(
    ("kind", "action", "use"),
    [
        ("network", "access_as_shared", use_network),
        ("network", "access_as_external", use_external),
        ("network", "access_as_external", use_address),
        ("security_group", "access_as_shared", use_group),
        ("address_group", "access_as_shared", use_addresses),
    ],
)
def test_grant_that_its_target_relies_on_stays(store, kind, action, use):
    with store.write() as tx:
        made = {"network": cloud.network, "security_group": cloud.group, "address_group": cloud.address_group}
        key = made[kind](tx, **({} if kind == "address_group" else {"project_id": DEMO}))
    policy, idle = make(store, kind, key, action=action), make(store, kind, key, THIRD, action=action)
    with store.write() as tx:
        use(tx, key)
    with pytest.raises(rbac_policies.RbacPolicyInUse):
        delete(store, policy)
    with pytest.raises(rbac_policies.RbacPolicyInUse), store.write() as tx:
        rbac_policies.update(tx, admin(), policy, {"target_tenant": "4" * 32})
    delete(store, idle)
    everybody = make(store, kind, key, "*", action=action)
    delete(store, policy)
    with pytest.raises(rbac_policies.RbacPolicyInUse):
        delete(store, everybody)
    with store.write() as tx:
        rbac_policies.update(tx, admin(), everybody, {"target_tenant": OTHER})


def test_owners_own_ports_and_those_of_services_do_not_hold_a_grant(store):
    key = network(store)
    policy = make(store, "network", key, "*")
    with store.write() as tx:
        cloud.port(tx, key, project_id=DEMO)
        cloud.port(tx, key, project_id="")
    delete(store, policy)


def test_cost_is_constant(store):
    counts = []
    for number in (1, 20):
        key = network(store)
        policy = make(store, "network", key)
        with store.write() as tx:
            for _ in range(number):
                cloud.port(tx, key, project_id=DEMO)
                cloud.network(tx)
        with statements(store) as seen:
            delete(store, policy)
        counts.append(len(seen))
    assert counts[0] == counts[1] <= 6


def test_other_types_are_shared_too(store):
    with store.write() as tx:
        group, addresses = cloud.group(tx, project_id=DEMO), cloud.address_group(tx)
    for kind, resource, key in (("security_group", SECURITY_GROUP, group), ("address_group", ADDRESS_GROUP, addresses)):
        assert seen_by(store, member(OTHER), resource, key) is None
        make(store, kind, key)
        assert seen_by(store, member(OTHER), resource, key)["id"] == key
