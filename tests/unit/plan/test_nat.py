"""Filter tables of routers; that the host prints them as they are written is seen in tests/host."""

from netloom.plan import nat
from netloom.state import FilterTable
from tests.unit.plan import golden
from tests.unit.plan import services as cloud


def tables(**more: object) -> dict[str, FilterTable]:
    state = cloud.planned(nat.plan, cloud.DEMO_NET, cloud.EXT_NET, cloud.SIX_NET, cloud.router(**more))
    return {table.table: table for table in state.of(FilterTable).values()}


def rules(table: FilterTable, chain: str) -> tuple[str, ...]:
    return next(c.rules for c in table.chains if c.name == f"neutron-l3-agent-{chain}")


def test_tables_of_a_router_with_a_floating_ip() -> None:
    golden.check("nat", "".join(table.text for table in tables().values()))


def test_tables_of_a_router_without_a_gateway() -> None:
    golden.check("nat_inside", "".join(table.text for table in tables(gateway=None).values()))


def test_without_snat_only_floating_ips_are_translated() -> None:
    table = tables(enable_snat=False)["nat"]
    assert len(rules(table, "float-snat")) == 1
    assert not any(rule.startswith("-o qg-") for rule in rules(table, "snat"))


def test_a_floating_ip_takes_its_source_before_the_gateway_does() -> None:
    assert rules(tables()["nat"], "snat")[0] == "-j neutron-l3-agent-float-snat"


def test_ipv6_is_not_translated() -> None:
    assert {table.family for table in tables().values()} == {4}


def test_an_ipv6_gateway_translates_nothing() -> None:
    gateway = {"port_id": "38c8b13d-d4aa", "addresses": ("2001:db8:e::7/64",), "subnets": ("sub-ext6",)}
    only6 = type(cloud.GATEWAY)(network_id=cloud.EXT, mac="", mtu=1500, **gateway)  # type: ignore[arg-type]
    assert rules(tables(gateway=only6, floating_ips=())["nat"], "snat") == ("-j neutron-l3-agent-float-snat",)
