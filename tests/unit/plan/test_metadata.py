"""The metadata proxy's configuration; that haproxy does what it says is seen in tests/host."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath

import msgspec

from netloom.feed.fragments import Fragment, HaGroup
from netloom.plan import metadata, nat
from netloom.plan.settings import PlanSettings
from netloom.state import Address, Daemon, Facts, File, FilterTable, HostState, Sysctl
from tests.unit.plan import golden
from tests.unit.plan import services as cloud

NAMESPACES = {f"qrouter-{cloud.ROUTER}": 5, f"qdhcp-{cloud.DEMO}": 6, f"qdhcp-{cloud.SIX}": 7}


def proxied(*fragments: Fragment, there: Mapping[str, int] = NAMESPACES, **more: object) -> HostState:
    settings: PlanSettings = replace(cloud.SETTINGS, **more)  # type: ignore[arg-type]
    facts = Facts(namespaces=there)
    return cloud.planned(metadata.plan, *(fragments or cloud.cloud()), facts=facts, settings=settings)


def frontends(state: HostState) -> list[str]:
    text = "".join(file.text for file in state.of(File).values())
    return [line.split()[1] for line in text.splitlines() if line.startswith("frontend")]


def test_one_proxy_serves_routers_and_isolated_networks() -> None:
    state = proxied()
    (file,) = state.of(File).values()
    (daemon,) = state.of(Daemon).values()
    assert (daemon.namespace, daemon.reloads, daemon.reload_signal) == ("", file.digest, "USR2")
    golden.check("metadata", f"{state}\n{file.text}")


def test_without_anybody_to_serve_there_is_no_proxy() -> None:
    assert len(proxied(cloud.DEMO_NET)) == 0


def test_a_new_namespace_changes_what_is_read_again_and_not_how_it_is_started() -> None:
    one, two = proxied(cloud.DEMO_NET, cloud.router()), proxied()
    (before,), (after,) = one.of(Daemon).values(), two.of(Daemon).values()
    assert before.reloads != after.reloads
    assert (before.argv, before.restarts) == (after.argv, after.restarts)


def test_a_namespace_that_is_not_there_takes_nothing_from_the_others() -> None:
    only = {f"qdhcp-{cloud.DEMO}": 6}
    assert frontends(proxied(there=only)) == [f"qdhcp-{cloud.DEMO}"]
    without = proxied(there={})
    assert not without.of(File)
    assert not without.of(Daemon)
    assert without.of(Address) == proxied().of(Address)


def test_a_namespace_made_anew_is_another_one_to_the_proxy_and_the_same_to_the_kernel() -> None:
    name = f"qdhcp-{cloud.DEMO}"
    texts = [proxied(there={name: inode}).of(File)["metadata/haproxy.cfg",].text for inode in (6, 9, 6)]
    before, after, again = texts
    assert before == again
    assert before != after
    (path,) = {line.split()[-1] for line in after.splitlines() if line.startswith("    bind")}
    assert PurePosixPath("/run/netns", path.lstrip("/")) == PurePosixPath("/run/netns", name)
    daemons = [proxied(there={name: inode}).of(Daemon)["haproxy-metadata",] for inode in (6, 9)]
    assert daemons[0].reloads != daemons[1].reloads
    assert daemons[0].argv == daemons[1].argv


def test_link_local_addresses_are_looked_for_on_one_network_alone() -> None:
    """MACs, and so these addresses, may be the same on two networks of one router."""
    (file,) = proxied(cloud.DEMO_NET, cloud.SIX_NET, cloud.router()).of(File).values()
    sections = {section.split("\n", 1)[0]: section for section in file.text.split("frontend ")[1:]}
    by_router, by_network = sections[f"qrouter-{cloud.ROUTER}"], sections[f"qrouter-{cloud.ROUTER}-qr-66666666-8a"]
    assert "fe80::" not in by_router
    assert f"set-header X-Neutron-Router-ID {cloud.ROUTER}" in by_router
    assert "bind fe80::a9fe:a9fe:80 interface qr-66666666-8a" in by_network
    assert f"set-header X-Neutron-Network-ID {cloud.SIX}" in by_network


def test_it_can_be_forced_onto_every_network() -> None:
    state = proxied(force_metadata=True)
    router = f"qrouter-{cloud.ROUTER}"
    assert frontends(state) == [router, f"{router}-qr-66666666-8a", f"qdhcp-{cloud.DEMO}", f"qdhcp-{cloud.SIX}"]
    assert ("qdhcp-net-six", "tapd6c0ffee-00", "fe80::a9fe:a9fe/64") in state.of(Address)


def test_it_can_be_turned_off() -> None:
    assert len(proxied(enable_metadata_proxy=False, enable_isolated_metadata=False)) == 0
    settings = replace(cloud.SETTINGS, enable_metadata_proxy=False)
    state = cloud.planned(nat.plan, cloud.DEMO_NET, cloud.router(), settings=settings)
    assert not [table for table in state.of(FilterTable).values() if "9697" in table.text]


def test_a_router_without_ipv6_has_no_ipv6_address_of_the_service() -> None:
    only4 = msgspec.structs.replace(cloud.router(), interfaces=(cloud.INSIDE,))
    assert not proxied(cloud.DEMO_NET, only4).of(Address)


def test_of_a_router_with_standbys_the_address_is_the_active_ones() -> None:
    group = HaGroup(cloud.DEMO, 1450, 1, ())
    state = proxied(cloud.SIX_NET, cloud.router(interfaces=(cloud.INSIDE6,), ha=group))
    assert not state.of(Address)
    assert (f"qrouter-{cloud.ROUTER}", "net/ipv6/ip_nonlocal_bind") in state.of(Sysctl)
