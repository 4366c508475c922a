"""Quotas: exact under concurrency, and what one may set."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from netloom.model.errors import HTTPBadRequest, OverQuota
from netloom.model.security_groups import SECURITY_GROUP
from netloom.rules import quotas, security_groups
from netloom.store.tables.network import SECURITY_GROUPS
from tests.statements import statements
from tests.unit.feed import cloud
from tests.unit.rules.callers import DEMO, OTHER, admin, body, member


def put(store, project_id=DEMO, **limits):
    with store.write() as tx:
        return quotas.update(tx, admin(), project_id, limits)


def test_at_the_limit_exactly_the_rest_succeeds(store):
    put(store, security_group=4)

    def attempt(number):
        try:
            with store.write() as tx:
                security_groups.create(tx, member(), [body(SECURITY_GROUP, name=f"g{number}")])
        except OverQuota as error:
            return str(error)
        return "done"

    with ThreadPoolExecutor(6) as pool:
        answers = sorted(pool.map(attempt, range(12)))
    # The default group is the fourth.
    assert answers == ["Quota exceeded for resources: ['security_group']."] * 9 + ["done"] * 3
    with store.read() as tx:
        assert tx.execute(sa.select(sa.func.count()).select_from(SECURITY_GROUPS)).scalar() == 4


def test_check_costs_two_statements(store):
    with store.write() as tx:
        for _ in range(20):
            cloud.network(tx, project_id=DEMO)
        with statements(store) as seen:
            quotas.check(tx, member(), "network", DEMO, 80)
        assert len(seen) == 2
        with pytest.raises(OverQuota):
            quotas.check(tx, member(), "network", DEMO, 81)
        quotas.check(tx, member(), "network", OTHER, 100)
        quotas.check(tx, member(), "network", "", 1000)


@pytest.mark.parametrize(("limit", "fits"), [(-1, True), (0, False), (7, True), (6, False)])
def test_limits(store, limit, fits):
    put(store, network=limit)
    with store.write() as tx:
        if fits:
            quotas.check(tx, member(), "network", DEMO, 7)
        else:
            with pytest.raises(OverQuota):
                quotas.check(tx, member(), "network", DEMO, 7)


def test_effective_limits(store):
    context = member(quotas={"port": 7}, max_routes=9)
    put(store, network=5, router_route=11)
    with store.read() as tx:
        found = quotas.effective(tx, context, DEMO)
        assert (found["network"], found["port"], found["router_route"], found["subnetpool"]) == (5, 7, 11, -1)
        assert quotas.effective(tx, context, OTHER) == quotas.defaults(context)
        assert quotas.defaults(context)["router_route"] == 9


def test_details_count_by_project(store):
    with store.write() as tx:
        net = cloud.network(tx, project_id=DEMO)
        cloud.port(tx, net, project_id=DEMO)
        cloud.port(tx, net, project_id=OTHER)
        cloud.router(tx, project_id=DEMO, routes=[{"destination": "10.0.0.0/8", "nexthop": "10.0.0.1"}])
    with store.read() as tx, statements(store) as seen:
        found = quotas.details(tx, member(), DEMO)
    assert len(seen) == 2
    assert found["network"] == {"limit": 100, "used": 1, "reserved": 0}
    assert (found["port"]["used"], found["router_route"]["used"], found["floatingip"]["used"]) == (1, 1, 0)


def test_set_and_delete(store):
    assert put(store, network="7", port=-1)["network"] == 7
    assert put(store, network=8, check_limit=True)["network"] == 8
    with store.read() as tx:
        (entry,) = quotas.listing(tx, admin())
        assert (entry["project_id"], entry["tenant_id"], entry["network"], entry["port"]) == (DEMO, DEMO, 8, -1)
        assert quotas.listing(tx, member()) == []
    with store.write() as tx:
        quotas.delete(tx, DEMO)
        assert quotas.effective(tx, admin(), DEMO) == quotas.defaults(admin())
    with pytest.raises(quotas.TenantQuotaNotFound), store.write() as tx:
        quotas.delete(tx, DEMO)


def test_less_than_in_use_needs_force(store):
    with store.write() as tx:
        cloud.network(tx, project_id=DEMO)
        cloud.network(tx, project_id=DEMO)
    with pytest.raises(quotas.QuotaBelowUse) as caught:
        put(store, network=1)
    assert caught.value.status == 400
    assert put(store, network=2)["network"] == 2
    assert put(store, network=0, force="true")["network"] == 0


@pytest.mark.parametrize("limits", [{"bogus": 1}, {"network": -2}, {"network": "x"}, {"network": None}, {"force": "x"}])
def test_nonsense_is_refused_and_changes_nothing(store, limits):
    with pytest.raises(HTTPBadRequest):
        put(store, port=5, **limits)
    with store.read() as tx:
        assert quotas.listing(tx, admin()) == []
