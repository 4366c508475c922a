"""Security groups and address groups."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from netloom.model.errors import OverQuota
from netloom.model.security_groups import ADDRESS_GROUP, SECURITY_GROUP, SECURITY_GROUP_RULE
from netloom.rules import address_groups, reading, security_group_rules, security_groups
from netloom.store.tables.feed import CHANGES
from netloom.store.tables.network import SECURITY_GROUP_RULES, SECURITY_GROUPS, TAGS
from tests.statements import statements
from tests.unit.feed import cloud
from tests.unit.rules.callers import DEMO, OTHER, admin, body, member


def make(store, context=None, **values):
    with store.write() as tx:
        return security_groups.create(tx, context or member(), [body(SECURITY_GROUP, **values)])[0]


def get(store, context, resource, key):
    with store.read() as tx:
        return reading.get(tx, context, resource, key)


def changes(store):
    with store.read() as tx:
        return {tuple(row) for row in tx.execute(sa.select(CHANGES.c.kind, CHANGES.c.object_id))}


def described(group):
    return sorted(
        (rule["direction"], rule["ethertype"], rule["remote_group_id"]) for rule in group["security_group_rules"]
    )


def test_default_group_comes_with_the_first_group(store):
    made = make(store, name="web")
    assert described(made) == [("egress", "IPv4", None), ("egress", "IPv6", None)]
    assert made["revision_number"] == 1
    with store.write() as tx:
        found = security_groups.ensure_default(tx, member(), [DEMO, OTHER, ""])
        assert found == security_groups.ensure_default(tx, member(), [DEMO, OTHER])
    default = get(store, member(), SECURITY_GROUP, found[DEMO])
    assert (default["name"], default["description"]) == ("default", "Default security group")
    assert described(default) == [
        ("egress", "IPv4", None), ("egress", "IPv6", None), ("ingress", "IPv4", default["id"]),
        ("ingress", "IPv6", default["id"]),
    ]  # fmt: skip
    assert {rule["project_id"] for rule in default["security_group_rules"]} == {DEMO}


def test_many_first_needs_at_once_make_one_default_group(store):
    def need(_):
        with store.write() as tx:
            return security_groups.ensure_default(tx, member(), [DEMO, OTHER])[DEMO]

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(need, range(24)))) == 1
    with store.read() as tx:
        assert tx.execute(sa.select(sa.func.count()).select_from(SECURITY_GROUPS)).scalar() == 2


def test_default_group_costs_one_statement_once_it_is_there(store):
    make(store)
    with store.write() as tx, statements(store) as seen:
        security_groups.ensure_default(tx, member(), [DEMO])
    assert len(seen) == 1


@pytest.mark.parametrize("name", ["default", "Default", "DEFAULT"])
def test_name_of_the_default_group_is_taken(store, name):
    with pytest.raises(security_groups.SecurityGroupDefaultAlreadyExists):
        make(store, name=name)
    made = make(store, name="web")
    with pytest.raises(security_groups.SecurityGroupDefaultAlreadyExists), store.write() as tx:
        security_groups.update(tx, member(), made, {"name": name})
    assert get(store, member(), SECURITY_GROUP, made["id"])["name"] == "web"


def test_default_group_keeps_its_name_and_stays(store):
    with store.write() as tx:
        key = security_groups.ensure_default(tx, member(), [DEMO])[DEMO]
    default = get(store, member(), SECURITY_GROUP, key)
    with pytest.raises(security_groups.SecurityGroupCannotUpdateDefault), store.write() as tx:
        security_groups.update(tx, member(), default, {"name": "mine"})
    with pytest.raises(security_groups.SecurityGroupCannotRemoveDefault), store.write() as tx:
        security_groups.delete(tx, member(), default)
    with store.write() as tx:
        assert security_groups.update(tx, member(), default, {"description": "ours"})["description"] == "ours"
    with store.write() as tx:
        security_groups.delete(tx, admin(), default)
    assert get(store, member(), SECURITY_GROUP, key) is None


def test_group_in_use_stays(store):
    used, remote, free = make(store), make(store), make(store)
    with store.write() as tx:
        port = cloud.port(tx, cloud.network(tx), groups=[used["id"]])
        security_group_rules.create(tx, member(), [rule_body(used, remote_group_id=remote["id"])])
        security_group_rules.create(tx, member(), [rule_body(free, remote_group_id=free["id"])])
        tx.execute(TAGS.insert(), {"resource_id": free["id"], "tag": "a"})
    with pytest.raises(security_groups.SecurityGroupInUse, match=port), store.write() as tx:
        security_groups.delete(tx, member(), used)
    with pytest.raises(security_groups.SecurityGroupInUse), store.write() as tx:
        security_groups.update(tx, member(), used, {"stateful": False})
    with store.write() as tx:
        security_groups.delete(tx, member(), free)
    with store.read() as tx:
        assert tx.row(sa.select(TAGS)) is None
        assert (
            tx.row(sa.select(SECURITY_GROUP_RULES).where(SECURITY_GROUP_RULES.c.security_group_id == free["id"]))
            is None
        )
    assert ("security_group", free["id"]) in changes(store)


def test_rules_go_with_the_remote_group_that_they_name(store):
    named, remote = make(store), make(store)
    with store.write() as tx:
        [rule] = security_group_rules.create(tx, member(), [rule_body(named, remote_group_id=remote["id"])])
        tx.execute(CHANGES.delete())
    before = get(store, member(), SECURITY_GROUP, named["id"])
    with store.write() as tx:
        security_groups.delete(tx, member(), remote)
    after = get(store, member(), SECURITY_GROUP, named["id"])
    assert rule["id"] not in {each["id"] for each in after["security_group_rules"]}
    assert len(after["security_group_rules"]) == len(before["security_group_rules"]) - 1
    assert after["revision_number"] == before["revision_number"] + 1
    assert changes(store) == {("security_group", remote["id"]), ("security_group", named["id"])}


def test_stateful_reaches_the_hosts_and_a_description_does_not(store):
    made = make(store)
    with store.write() as tx:
        made = security_groups.update(tx, member(), made, {"description": "d"})
    assert made["revision_number"] == 2
    assert changes(store) == set()
    with store.write() as tx:
        made = security_groups.update(tx, member(), made, {"stateful": False, "description": "d"})
    assert (made["stateful"], made["revision_number"]) == (False, 3)
    assert changes(store) == {("security_group", made["id"])}


def test_bulk_is_all_or_nothing_and_of_constant_cost(store):
    make(store)
    counts = []
    for number in (1, 5):
        with store.write() as tx, statements(store) as seen:
            bodies = [body(SECURITY_GROUP, name=f"g{index}") for index in range(number)]
            made = security_groups.create(tx, member(quotas={"security_group": 100}), bodies)
        assert [group["name"] for group in made] == [item["name"] for item in bodies]
        counts.append(len(seen))
    assert counts[0] == counts[1] <= 10
    with pytest.raises(OverQuota), store.write() as tx:
        security_groups.create(tx, member(), [body(SECURITY_GROUP, name=f"x{index}") for index in range(4)])
    with store.read() as tx:
        assert tx.execute(sa.select(sa.func.count()).select_from(SECURITY_GROUPS)).scalar() == 8


def test_rules_of_a_new_group_count(store):
    with pytest.raises(OverQuota), store.write() as tx:
        security_groups.create(tx, member(quotas={"security_group_rule": 5}), [body(SECURITY_GROUP, name="g")])
    make(store, member(quotas={"security_group_rule": 6}))


def rule_body(group, **values):
    values = {"direction": "ingress", **values}
    return body(SECURITY_GROUP_RULE, security_group_id=group["id"], **values)


def add(store, *bodies, context=None):
    with store.write() as tx:
        return security_group_rules.create(tx, context or member(), list(bodies))


def test_rules_change_their_group(store):
    group = make(store)
    made = add(store, rule_body(group, protocol="TCP", port_range_min="22", port_range_max=22, description="ssh"))[0]
    assert (made["protocol"], made["port_range_min"], made["project_id"], made["description"]) == (
        "tcp",
        22,
        DEMO,
        "ssh",
    )
    assert changes(store) == {("security_group", group["id"])}
    assert get(store, member(), SECURITY_GROUP, group["id"])["revision_number"] == 2
    with store.write() as tx:
        made = security_group_rules.update(tx, member(), made, {"description": "new"})
    assert (made["description"], made["revision_number"]) == ("new", 2)
    with store.write() as tx:
        security_group_rules.delete(tx, member(), made)
    group = get(store, member(), SECURITY_GROUP, group["id"])
    assert (len(group["security_group_rules"]), group["revision_number"]) == (2, 4)


def test_duplicate_names_the_rule_that_is_there(store):
    group = make(store)
    first = add(store, rule_body(group, protocol="tcp", port_range_min=1, port_range_max=65535, description="a"))[0]
    with pytest.raises(security_group_rules.SecurityGroupRuleExists, match=first["id"]):
        add(store, rule_body(group, protocol="6", remote_ip_prefix="0.0.0.0/0", description="b"))
    six = add(store, rule_body(group, protocol="icmpv6", ethertype="ipv6", remote_ip_prefix="::/0"))[0]
    assert six["protocol"] == "ipv6-icmp"
    with pytest.raises(security_group_rules.SecurityGroupRuleExists, match=six["id"]):
        add(store, rule_body(group, protocol=58, ethertype="IPv6"))
    with pytest.raises(security_group_rules.DuplicateSecurityGroupRuleInPost):
        add(store, rule_body(group, protocol="udp"), rule_body(group, protocol=17))
    assert len(get(store, member(), SECURITY_GROUP, group["id"])["security_group_rules"]) == 4


def test_same_rule_many_times_at_once_is_made_once(store):
    group = make(store)

    def attempt(_):
        try:
            add(store, rule_body(group, protocol="tcp", port_range_min=80, port_range_max=80))
        except security_group_rules.SecurityGroupRuleExists:
            return 0
        return 1

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(attempt, range(12))) == 1


def test_bulk_of_rules_is_for_one_group(store):
    one, two = make(store), make(store)
    with pytest.raises(security_group_rules.SecurityGroupNotSingleGroupRules):
        add(store, rule_body(one, protocol="tcp"), rule_body(two, protocol="tcp"))
    made = add(store, *(rule_body(one, protocol="tcp", port_range_min=n, port_range_max=n) for n in range(1, 21)))
    assert [rule["port_range_min"] for rule in made] == list(range(1, 21))


def test_rules_cost_the_same_in_bulk(store):
    group, counts = make(store), []
    for start, number in ((1, 1), (10, 30)):
        with statements(store) as seen:
            add(
                store,
                *(
                    rule_body(group, protocol="tcp", port_range_min=n, port_range_max=n)
                    for n in range(start, start + number)
                ),
            )
        counts.append(len(seen))
    assert counts[0] == counts[1] <= 10


def test_who_may_add_rules_where(store):
    foreign = make(store, member(OTHER), project_id=OTHER)
    with pytest.raises(Exception, match="could not be found") as caught:
        add(store, rule_body(foreign, protocol="tcp"))
    assert (caught.value.status, caught.value.type) == (404, "SecurityGroupNotFound")
    mine = make(store)
    with pytest.raises(Exception, match=foreign["id"]) as caught:
        add(store, rule_body(mine, remote_group_id=foreign["id"]))
    assert caught.value.status == 404
    with pytest.raises(Exception, match="nowhere") as caught:
        add(store, rule_body(mine, remote_address_group_id="nowhere"))
    assert caught.value.type == "AddressGroupNotFound"
    made = add(store, rule_body(foreign, protocol="tcp"), context=admin())[0]
    assert made["project_id"] == OTHER


def address_group(store, *addresses, context=None):
    with store.write() as tx:
        bodies = [body(ADDRESS_GROUP, addresses=list(addresses), name="set")]
        return address_groups.create(tx, context or member(), bodies)[0]


@pytest.mark.parametrize("wrong", ["10.0.0.1", "nonsense", "10.0.0.0/33", 7])
def test_address_group_takes_prefixes(store, wrong):
    with pytest.raises(address_groups.AddrFormatError):
        address_group(store, wrong)


def test_addresses_come_and_go(store):
    group = address_group(store, "10.0.0.7/24", "2001:DB8::f00/64", "10.0.0.0/24")
    assert group["addresses"] == ["10.0.0.0/24", "2001:db8::/64"]
    with store.write() as tx:
        answer = address_groups.add_addresses(tx, member(), group, {"addresses": ["192.0.2.1", "192.0.2.1/32"]})
    shown = answer["address_group"]
    assert shown["addresses"] == ["10.0.0.0/24", "2001:db8::/64", "192.0.2.1/32"]
    assert shown["revision_number"] == 2
    assert changes(store) == {("addresses", group["id"])}
    with pytest.raises(address_groups.AddressesAlreadyExist), store.write() as tx:
        address_groups.add_addresses(tx, member(), shown, {"addresses": ["10.0.0.0/24"]})
    with pytest.raises(address_groups.AddressesNotFound), store.write() as tx:
        address_groups.remove_addresses(tx, member(), shown, {"addresses": ["10.9.0.0/24"]})
    with store.write() as tx:
        # a view that is out of date by now
        answer = address_groups.remove_addresses(tx, member(), group, {"address_group": {"addresses": ["192.0.2.1"]}})
    assert answer["address_group"]["addresses"] == ["10.0.0.0/24", "2001:db8::/64"]


def test_address_group_in_use_stays(store):
    addresses, group = address_group(store, "10.0.0.0/24"), make(store)
    rule = add(store, rule_body(group, remote_address_group_id=addresses["id"]))[0]
    with pytest.raises(address_groups.AddressGroupInUse), store.write() as tx:
        address_groups.delete(tx, member(), addresses)
    with store.write() as tx:
        security_group_rules.delete(tx, member(), rule)
        address_groups.delete(tx, member(), addresses)
    assert get(store, member(), ADDRESS_GROUP, addresses["id"]) is None
