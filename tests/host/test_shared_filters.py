"""Packet filter tables and sets of the host's own namespace, where others have theirs, too."""

from dataclasses import replace

import pytest

from netloom.host import conntrack
from netloom.host.filters import Filters, canonical
from netloom.host.ipsets import IpSets
from netloom.state import Chain, FilterTable, HostState, IpSet

from .sandbox import run

MINE = "neutron-openvswi-"
SET = IpSet(name="NIPv4" + "a" * 24, family=4, members=("10.0.0.0/24", "10.0.1.1"), origin="addresses/a")
SIX = IpSet(name="NIPv6" + "a" * 24, family=6, members=("2001:db8::/64", "fd00::1"), origin="addresses/a")


def table(*rules, family=4, chains=()):
    jump = Chain(name="FORWARD", policy="ACCEPT", rules=(f"-j {MINE}FORWARD",))
    own = Chain(name=f"{MINE}FORWARD", rules=(*rules, *(f"-j {chain.name}" for chain in chains)))
    return canonical(FilterTable(namespace="", family=family, table="filter", chains=(jump, own, *chains)))


def chain(name, *rules):
    return Chain(name=MINE + name, rules=rules)


def observed(*drivers):
    filters, sets = drivers or (Filters(), IpSets())
    state = HostState(filters.observe([""]))
    state.update(sets.observe())
    return state


def apply(wanted, filters=None, sets=None):
    """What failed."""
    filters, sets = filters or Filters(), sets or IpSets()
    have = observed(filters, sets)
    members, tables = wanted.changes(IpSet, have), wanted.changes(FilterTable, have)
    failed = [*sets.put(members), *filters.apply(tables), *sets.delete(members)]
    return failed + conntrack.forget_zones(tables)


@pytest.fixture
def theirs(sandbox):
    """What an operator has, which is there unchanged at the end."""
    for command in ("iptables", "ip6tables"):
        run(command, "-N", "mine")
        run(command, "-A", "INPUT", "-j", "mine")
        run(command, "-A", "FORWARD", "-j", "ACCEPT")
    run("ipset", "create", "theirs", "hash:ip")
    before = saved()
    yield
    assert apply(HostState()) == []
    assert saved() == before


def saved():
    text = "".join(run(command) for command in ("iptables-save", "ip6tables-save"))
    return [line for line in text.splitlines() if line[0] != "#"], run("ipset", "save")


def test_our_chains_come_change_and_go_beside_others(theirs):
    first = HostState([table("-p tcp -j DROP", chains=[chain("i1", "-j ACCEPT")]), table(family=6)])
    assert apply(first) == []
    assert observed() == first
    second = HostState([table(chains=[chain("i2", "-j DROP"), chain("o2", f"-j {MINE}i2")])])
    assert apply(second) == []
    assert observed() == second
    assert run("iptables-save").index(f"-A FORWARD -j {MINE}FORWARD") < run("iptables-save").index(
        "-A FORWARD -j ACCEPT"
    )


def test_only_chains_that_differ_are_loaded(theirs):
    kept, changed = chain("i1", "-p tcp -j ACCEPT"), chain("i2", "-j DROP")
    apply(HostState([table(chains=[kept, changed])]))

    def handles():
        lines = run("nft", "-a", "-s", "list", "chain", "ip", "filter", kept.name).splitlines()
        return [line for line in lines if "# handle" in line]

    before = handles()
    assert apply(HostState([table(chains=[kept, replace(changed, rules=("-j ACCEPT",))])])) == []
    assert handles() == before


def test_rules_are_seen_as_planned_whatever_names_protocols_have(theirs):
    protocols = [f"-p {number} -j ACCEPT" for number in (2, 33, 47, 50, 51, 89, 112, 132, 135, 136, 200)]
    more = [
        "-s 10.0.0.0/30 -p tcp -m tcp --dport 80:442 -j ACCEPT",
        "-p 132 -m sctp --dport 5:6 -j ACCEPT",
        "-p icmp -m icmp --icmp-type 8/0 -j ACCEPT",
        "-m mac --mac-source fa:16:3e:00:00:0a -j ACCEPT",
        f"-p tcp -m set --match-set {SET.name} src -m tcp --dport 80 -j ACCEPT",
    ]
    wanted = HostState([table(*protocols, *more), SET])
    assert apply(wanted) == []
    assert observed() == wanted


def test_sets_follow_their_members(theirs):
    assert apply(HostState([SET, SIX])) == []
    assert observed() == HostState([SET, SIX])
    changed = replace(SET, members=("10.0.1.1", "192.0.2.0/30"))
    assert apply(HostState([changed])) == []
    assert observed() == HostState([changed])


def test_a_set_goes_after_the_rule_that_looked_into_it(theirs):
    looks = f"-m set --match-set {SET.name} src -j ACCEPT"
    assert apply(HostState([SET, table(looks)])) == []
    assert apply(HostState([table()])) == []
    assert observed() == HostState([table()])


def test_a_faulty_set_leaves_the_others(theirs):
    bad = replace(SIX, name="NIPv6" + "b" * 24, members=("10.0.0.1",), origin="addresses/b")
    (failed,) = apply(HostState([SET, SIX, bad]))
    assert failed.origin == "addresses/b"
    assert {SET, SIX} <= set(observed().of(IpSet).values())


def test_a_faulty_table_leaves_the_others(theirs):
    (failed,) = apply(HostState([table("-j absent"), table(family=6)]))
    assert "iptables-restore" in failed.reason
    assert failed.element == "filter namespace= family=4 table=filter"
    assert observed() == HostState([table(family=6)])


def test_nothing_is_left_where_nobody_else_has_rules(sandbox):
    assert apply(HostState([SET, table(), table(family=6)])) == []
    assert apply(HostState()) == []
    assert run("nft", "list", "ruleset") == ""
    assert run("ipset", "save") == ""


def test_somebody_elses_change_is_noticed(theirs):
    filters, sets = Filters(), IpSets()
    wanted = HostState([table("-p tcp -j DROP")])
    assert apply(wanted, filters, sets) == []
    run("iptables", "-F", f"{MINE}FORWARD")
    assert apply(wanted, filters, sets) == []
    assert observed() == wanted
