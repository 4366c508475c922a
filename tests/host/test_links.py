"""Veth pairs, addresses, routes and kernel settings."""

import dataclasses
import ipaddress

from netloom.host import addressing
from netloom.host.namespaces import inside
from netloom.host.sysctls import Sysctls
from netloom.host.veths import Veths, transmit_checksum_offload
from netloom.state import Address, Route, Sysctl, Veth

from .sandbox import changes, namespaces, run


def veth(box, number=0, namespace=0, **others):
    settings = {"mac": f"fa:16:3e:00:00:{number:02x}", "mtu": 1450} | others
    return Veth(name=box.device(number), namespace=box.router(namespace), **settings)


def plug(box, *wanted, actual=()):
    driver = Veths(box.layout)
    difference = changes(Veth, wanted, actual)
    failures = driver.create(difference)
    failures += driver.bring_up()
    return failures + driver.delete(difference)


def seen(box, count):
    return sorted(Veths(box.layout).observe([box.router(i) for i in range(count)]), key=lambda pair: pair.name)


def test_pairs_are_seen_as_planned(sandbox):
    namespaces(sandbox, 2)
    wanted = [veth(sandbox, 0), veth(sandbox, 1), veth(sandbox, 2, 1, mtu=9000)]
    assert plug(sandbox, *wanted) == []
    assert seen(sandbox, 2) == wanted
    with inside(sandbox.router()):
        assert not transmit_checksum_offload(sandbox.device())
    assert run("sysctl", "-n", f"net/ipv6/conf/{sandbox.device()}/disable_ipv6") == "1\n"


def test_pairs_are_changed_moved_and_deleted(sandbox):
    namespaces(sandbox, 2)
    before = [veth(sandbox, 0), veth(sandbox, 1), veth(sandbox, 2), veth(sandbox, 3)]
    assert plug(sandbox, *before) == []
    after = [veth(sandbox, 0, mtu=1300), veth(sandbox, 1, mac="fa:16:3e:00:00:ff"), veth(sandbox, 2, 1)]
    assert plug(sandbox, *after, actual=before) == []
    assert seen(sandbox, 2) == after
    assert sandbox.device(3) not in run("ip", "link")


def test_what_others_broke_is_seen_and_repaired(sandbox):
    namespaces(sandbox, 1)
    wanted = [veth(sandbox, n) for n in range(4)]
    assert plug(sandbox, *wanted) == []
    run("ip", "link", "set", sandbox.device(0), "down")
    run("ip", "-n", sandbox.router(), "link", "set", sandbox.device(1), "name", "moved")
    with inside(sandbox.router()):
        transmit_checksum_offload(sandbox.device(2), on=True)
    found = seen(sandbox, 1)
    assert [pair for pair in found if pair in wanted] == [wanted[3]]
    assert plug(sandbox, *wanted, actual=found) == []
    assert seen(sandbox, 1) == wanted


def test_a_device_of_somebody_else_is_refused_and_left_alone(sandbox):
    namespaces(sandbox, 1)
    run("ip", "link", "add", sandbox.device(), "type", "veth", "peer", "name", "other")
    failed = plug(sandbox, dataclasses.replace(veth(sandbox), origin="router/1"), veth(sandbox, 1))
    assert [failure.origin for failure in failed] == ["router/1"]
    assert seen(sandbox, 1) == [veth(sandbox, 1)]
    assert "state DOWN" in run("ip", "link", "show", sandbox.device())
    assert "other" in run("ip", "link", "show", sandbox.device())


def test_addresses_and_routes_of_both_families(sandbox):
    namespaces(sandbox, 1)
    plug(sandbox, veth(sandbox))
    where = {"namespace": sandbox.router(), "device": sandbox.device()}
    addresses = [Address(cidr=cidr, **where) for cidr in ("10.0.0.1/24", "10.0.0.2/32", "2001:db8::1/64", "fe80::1/64")]
    routes = [
        Route(destination="default", family=4, via="192.0.2.1", **where),
        Route(destination="192.0.2.1/32", family=4, **where),
        Route(destination="10.9.0.0/16", family=4, via="10.0.0.9", **where),
        Route(destination="default", family=6, via="2001:db8::9", **where),
        Route(destination="2001:db8:1::/48", family=6, via="fe80::9", **where),
    ]
    assert addressing.apply(changes(Address, addresses), changes(Route, routes)) == []
    observed = set(addressing.observe([sandbox.router()]))
    assert observed == {*addresses, *routes}
    assert "proto" not in run("ip", "-n", sandbox.router(), "route", "show", "default")  # as runbooks show it
    assert "tentative" not in run("ip", "-n", sandbox.router(), "-6", "address", "show", "to", "2001:db8::1")

    moved = [dataclasses.replace(routes[0], via="10.0.0.7"), *routes[2:4]]
    difference = changes(Address, [addresses[0], *addresses[2:]], addresses), changes(Route, moved, routes)
    assert addressing.apply(*difference) == []
    assert set(addressing.observe([sandbox.router()])) == {addresses[0], *addresses[2:], *moved}
    assert addressing.apply(changes(Address, [], [addresses[0], *addresses[2:]]), changes(Route, [], moved)) == []
    assert list(addressing.observe([sandbox.router()])) == []


def test_a_changed_first_address_keeps_the_second(sandbox):
    namespaces(sandbox, 1)
    plug(sandbox, veth(sandbox))
    where = {"namespace": sandbox.router(), "device": sandbox.device()}
    before, after = Address(cidr="10.0.0.1/24", **where), Address(cidr="10.0.0.2/24", **where)
    assert addressing.apply(changes(Address, [before]), changes(Route, [])) == []
    assert addressing.apply(changes(Address, [after], [before]), changes(Route, [])) == []
    assert list(addressing.observe([sandbox.router()])) == [after]


def test_addresses_and_routes_of_others_are_not_ours(sandbox):
    namespaces(sandbox, 1)
    plug(sandbox, veth(sandbox))
    for name in (["-n", sandbox.router()], []):
        run("ip", *name, "address", "add", "10.1.0.1/24", "dev", sandbox.device())
        run("ip", *name, "route", "add", "10.2.0.0/16", "via", "10.1.0.2", "proto", "18" if name else "static")
    assert list(addressing.observe(["", sandbox.router()])) == []
    mine = Address(namespace="", device=sandbox.device(), cidr="10.3.0.1/24")
    route = Route(namespace="", destination="10.4.0.0/16", family=4, via="10.3.0.2", device=sandbox.device())
    assert addressing.apply(changes(Address, [mine]), changes(Route, [route])) == []
    assert list(addressing.observe([""])) == [mine, route]


def test_one_bad_address_leaves_the_others(sandbox):
    namespaces(sandbox, 1)
    plug(sandbox, veth(sandbox))
    good = [Address(namespace=sandbox.router(), device=sandbox.device(), cidr=f"10.0.{n}.1/24") for n in range(3)]
    bad = Address(namespace=sandbox.router(), device="absent", cidr="10.9.9.9/24", origin="router/bad")
    unreachable = Route(
        namespace=sandbox.router(),
        destination="10.8.0.0/16",
        family=4,
        via="198.51.100.1",
        device=sandbox.device(),
        origin="router/route",
    )
    failed = addressing.apply(changes(Address, [*good, bad]), changes(Route, [unreachable]))
    assert {failure.origin: failure.reason for failure in failed} == {
        "router/bad": "there is no device absent",
        "router/route": "Network is unreachable: Nexthop has invalid gateway",
    }
    assert list(addressing.observe([sandbox.router()])) == good


def test_hundreds_at_once(sandbox):
    namespaces(sandbox, 1)
    wanted = [veth(sandbox, n) for n in range(100)]
    assert plug(sandbox, *wanted) == []
    first = ipaddress.ip_address("10.0.0.0")
    addresses = [
        Address(namespace=sandbox.router(), device=sandbox.device(n % 100), cidr=f"{first + n}/32") for n in range(300)
    ]
    assert addressing.apply(changes(Address, addresses), changes(Route, [])) == []
    assert len(seen(sandbox, 1)) == 100
    assert set(addressing.observe([sandbox.router()])) == set(addresses)


def test_settings_are_set_and_read(sandbox):
    namespaces(sandbox, 1)
    driver = Sysctls()
    wanted = [
        Sysctl(namespace=sandbox.router(), name="net/ipv4/ip_forward", value="1"),
        Sysctl(namespace=sandbox.router(), name="net/ipv6/conf/default/accept_ra", value="0"),
    ]
    absent = Sysctl(namespace=sandbox.router(), name="net/ipv4/conf/absent/arp_ignore", value="1", origin="router/1")
    assert [failure.origin for failure in driver.apply([absent, *wanted])] == ["router/1"]
    assert list(driver.observe()) == wanted
    assert run("ip", "netns", "exec", sandbox.router(), "sysctl", "-n", "net.ipv4.ip_forward") == "1\n"
    run("ip", "netns", "exec", sandbox.router(), "sysctl", "-qw", "net.ipv4.ip_forward=0")
    assert wanted[0] not in list(driver.observe())
