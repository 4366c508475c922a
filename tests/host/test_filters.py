"""Packet filter tables."""

from netloom.host.filters import Filters, canonical
from netloom.state import Chain, FilterTable

from .sandbox import changes, namespaces, run


def tables(box, port=80, number=0):
    """A few tables in the words of iptables-save, but their chains in another order."""
    where = {"namespace": box.router(number), "origin": "router/1"}
    dnat = "-d 203.0.113.10/32 -i qg-1 -j DNAT --to-destination 10.0.0.5"
    snat = "-o qg-1 -m mark ! --mark 0x2/0xffff -j SNAT --to-source 203.0.113.1"
    nat = (
        Chain(name="neutron-l3-agent-PREROUTING", rules=(dnat,)),
        Chain(name="PREROUTING", policy="ACCEPT", rules=("-j neutron-l3-agent-PREROUTING",)),
        Chain(name="POSTROUTING", policy="ACCEPT", rules=(snat,)),
    )
    forward = Chain(name="FORWARD", policy="DROP", rules=(f"-p tcp -m tcp --dport {port} -j ACCEPT",))
    return [
        FilterTable(family=4, table="nat", chains=nat, **where),
        FilterTable(family=4, table="filter", chains=(forward,), **where),
        FilterTable(family=6, table="filter", chains=(forward, Chain(name="empty")), **where),
        FilterTable(family=6, table="raw", chains=(Chain(name="PREROUTING", policy="ACCEPT"),), **where),
    ]


def seen(box, count=1):
    return sorted(Filters().observe([box.router(n) for n in range(count)]), key=lambda table: table.key)


def planned(*wanted):
    return sorted((table for table in map(canonical, wanted) if table.chains), key=lambda table: table.key)


def test_loaded_tables_are_seen_as_planned(sandbox):
    namespaces(sandbox, 2)
    wanted = tables(sandbox) + tables(sandbox, 81, 1)
    assert Filters().apply(changes(FilterTable, planned(*wanted))) == []
    assert seen(sandbox, 2) == planned(*wanted)
    assert "DNAT --to-destination 10.0.0.5" in run("ip", "netns", "exec", sandbox.router(), "iptables-save")
    assert "203.0.113.10" in run("ip", "netns", "exec", sandbox.router(), "nft", "list", "ruleset")


def test_changed_and_removed_tables(sandbox):
    namespaces(sandbox, 1)
    driver = Filters()
    before = planned(*tables(sandbox))
    assert driver.apply(changes(FilterTable, before)) == []
    assert sorted(driver.observe([sandbox.router()]), key=lambda table: table.key) == before
    after = planned(*tables(sandbox, 81)[1:3])
    assert driver.apply(changes(FilterTable, after, before)) == []
    assert sorted(driver.observe([sandbox.router()]), key=lambda table: table.key) == after
    assert seen(sandbox) == after
    assert driver.apply(changes(FilterTable, [], after)) == []
    assert seen(sandbox) == []
    assert run("ip", "netns", "exec", sandbox.router(), "nft", "list", "tables") == ""


def test_a_rule_added_by_hand_is_noticed(sandbox):
    namespaces(sandbox, 1)
    driver, wanted = Filters(), planned(*tables(sandbox))
    driver.apply(changes(FilterTable, wanted))
    assert list(driver.observe([sandbox.router()])) == seen(sandbox) == wanted
    run("ip", "netns", "exec", sandbox.router(), "iptables", "-A", "FORWARD", "-j", "ACCEPT")
    assert seen(sandbox) == sorted(driver.observe([sandbox.router()]), key=lambda table: table.key) != wanted


def test_a_faulty_table_leaves_the_others(sandbox):
    namespaces(sandbox, 1)
    bad = FilterTable(
        namespace=sandbox.router(),
        family=4,
        table="mangle",
        chains=(Chain(name="FORWARD", policy="ACCEPT", rules=("-j absent",)),),
        origin="router/bad",
    )
    wanted = tables(sandbox)
    failed = Filters().apply(changes(FilterTable, planned(bad, *wanted)))
    assert [failure.origin for failure in failed] == ["router/bad"]
    assert "iptables-restore" in failed[0].reason
    assert seen(sandbox) == planned(*wanted)


def test_a_table_of_a_missing_namespace_fails(sandbox):
    failed = Filters().apply(changes(FilterTable, tables(sandbox)[:1]))
    assert [failure.reason for failure in failed] == [f"namespace {sandbox.router()} does not exist"]
