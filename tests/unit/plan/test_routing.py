"""Routers as hosts see them."""

import random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.feed.fragments import FloatingIp, Fragment, HostRoute
from netloom.plan import advertise, compute, dhcp, metadata, nat, routing
from netloom.state import Address, Daemon, File, HostState, Namespace, Route, SwitchPort, Veth
from tests.unit.plan import golden
from tests.unit.plan import services as cloud

PLANNERS = (routing.plan, nat.plan, advertise.plan, dhcp.plan, metadata.plan, compute.plan)


def routes(**more: object) -> dict[str, str]:
    state = cloud.planned(routing.plan, cloud.DEMO_NET, cloud.EXT_NET, cloud.SIX_NET, cloud.router(**more))
    return {
        f"{route.destination}/{route.family}" if route.destination == "default" else route.destination: (
            f"via {route.via} dev {route.device}" if route.via else f"dev {route.device}"
        )
        for route in state.of(Route).values()
    }


def everything(fragments: list[Fragment]) -> HostState:
    state = HostState()
    for planner in PLANNERS:
        state.update(cloud.planned(planner, *fragments))
    return state


def test_a_router_is_a_namespace_with_devices_addresses_and_routes() -> None:
    golden.check("router", str(cloud.planned(routing.plan, *cloud.cloud())))


def test_a_router_that_is_down_is_not_there() -> None:
    fragments = [cloud.DEMO_NET, cloud.EXT_NET, cloud.SIX_NET, cloud.router(admin_state_up=False)]
    for planner in PLANNERS:
        assert len(cloud.planned(planner, *fragments)) == 0


def test_a_network_that_has_not_come_yet_delays_only_its_interface() -> None:
    state = cloud.planned(routing.plan, cloud.EXT_NET, cloud.router())
    assert [port.name for port in state.of(SwitchPort).values()] == ["qg-38c8b13d-d4"]
    assert ("qrouter-" + cloud.ROUTER,) in state.of(Namespace)


def test_without_a_gateway_there_is_no_floating_ip_and_no_default_route() -> None:
    state = cloud.planned(routing.plan, cloud.DEMO_NET, cloud.SIX_NET, cloud.router(gateway=None, gateway_routes=()))
    assert {address.device for address in state.of(Address).values()} == {"qr-db18e68a-8a", "qr-66666666-8a"}
    assert [route.destination for route in state.of(Route).values()] == ["10.9.0.0/16"]


def test_addresses_of_a_router_are_announced() -> None:
    state = cloud.planned(routing.plan, *cloud.cloud())
    assert all(address.announced for address in state.of(Address).values())


def test_a_gateway_outside_of_its_subnet_is_on_the_link() -> None:
    assert routes(gateway_routes=("198.51.100.1",), routes=()) == {
        "198.51.100.1/32": "dev qg-38c8b13d-d4",
        "default/4": "via 198.51.100.1 dev qg-38c8b13d-d4",
    }


def test_both_families_have_their_default_route() -> None:
    gateway = msgspec.structs.replace(cloud.GATEWAY, addresses=("172.16.0.117/24", "2001:db8:e::7/64"))
    assert routes(gateway=gateway, gateway_routes=("172.16.0.253", "fe80::1"), routes=()) == {
        "default/4": "via 172.16.0.253 dev qg-38c8b13d-d4",
        "default/6": "via fe80::1 dev qg-38c8b13d-d4",
    }


def test_an_extra_default_route_replaces_the_gateways() -> None:
    extra = (HostRoute(destination="0.0.0.0/0", nexthop="192.168.1.9"),)
    assert routes(routes=extra) == {"default/4": "via 192.168.1.9 dev qr-db18e68a-8a"}


def test_other_subnets_of_the_external_network_are_on_the_link() -> None:
    second = cloud.subnet("sub-ext2", "198.51.100.0/24", "198.51.100.1", enable_dhcp=False)
    network = msgspec.structs.replace(cloud.EXT_NET, subnets=(*cloud.EXT_NET.subnets, second))
    state = cloud.planned(routing.plan, network, cloud.router(interfaces=(), routes=()))
    assert [(route.destination, route.via) for route in state.of(Route).values()] == [
        ("198.51.100.0/24", ""),
        ("default", "172.16.0.253"),
    ]


def test_veths_have_the_mtu_of_their_network() -> None:
    state = cloud.planned(routing.plan, *cloud.cloud())
    assert {veth.name: veth.mtu for veth in state.of(Veth).values()} == {
        "qg-38c8b13d-d4": 1500,
        "qr-66666666-8a": 1450,
        "qr-db18e68a-8a": 1450,
    }


def test_advertisements_follow_the_mode_of_the_subnet() -> None:
    texts = []
    for mode in ("slaac", "dhcpv6-stateless", "dhcpv6-stateful"):
        subnet = msgspec.structs.replace(cloud.SIX_NET.subnets[0], ra_mode=mode, address_mode=mode)
        network = msgspec.structs.replace(cloud.SIX_NET, subnets=(subnet,))
        state = cloud.planned(advertise.plan, cloud.DEMO_NET, network, cloud.router())
        (file,) = state.of(File).values()
        (daemon,) = state.of(Daemon).values()
        assert daemon.reloads == file.digest
        texts.append(f"# {mode}\n{file.text}")
    golden.check("radvd", "".join(texts))


def test_nobody_advertises_what_others_advertise() -> None:
    subnet = msgspec.structs.replace(cloud.SIX_NET.subnets[0], ra_mode="")
    network = msgspec.structs.replace(cloud.SIX_NET, subnets=(subnet,))
    assert len(cloud.planned(advertise.plan, cloud.DEMO_NET, network, cloud.router())) == 0


def test_the_order_of_fragments_does_not_matter() -> None:
    fragments = cloud.cloud()
    expected = str(everything(fragments))
    for seed in range(5):
        random.Random(seed).shuffle(fragments)
        assert str(everything(fragments)) == expected


def test_services_share_no_device() -> None:
    state = everything(cloud.cloud())
    assert len(state.of(SwitchPort)) == len(state.of(Veth))


numbers = st.integers(0, 5)
steps = st.lists(st.tuples(st.sampled_from(["router", "floating", "gateway", "down"]), numbers, numbers), max_size=25)


@settings(max_examples=50, deadline=None)
@given(steps)
def test_a_walk_of_changes_always_gives_one_plan(walk: list[tuple[str, int, int]]) -> None:
    """Each step toggles something; a plan from the same intent is the same, and each address has its device."""
    routers: dict[int, tuple[set[int], bool, bool]] = {}
    for what, which, other in walk:
        floating, gateway, up = routers.get(which, (set(), True, True))
        if what == "router" and which in routers:
            del routers[which]
            continue
        if what == "floating":
            floating = floating ^ {other}
        routers[which] = (floating, gateway != (what == "gateway"), up != (what == "down"))
        fragments = [cloud.DEMO_NET, cloud.EXT_NET, *(walked(number, *state) for number, state in routers.items())]
        state = everything(fragments)
        assert state == everything(fragments[::-1])
        devices = {(veth.namespace, veth.name) for veth in state.of(Veth).values()}
        assert {(address.namespace, address.device) for address in state.of(Address).values()} <= devices
        shown = {address.cidr for address in state.of(Address).values() if address.cidr.endswith("/32")}
        assert shown == {
            f"172.16.{number}.{n}/32" for number, (fips, gw, up) in routers.items() if gw and up for n in fips
        }


def walked(number: int, floating: set[int], gateway: bool, up: bool) -> Fragment:
    outside = msgspec.structs.replace(
        cloud.GATEWAY, port_id=f"{number}8c8b13d-d4aa", addresses=(f"172.16.0.{100 + number}/24",)
    )
    inside = msgspec.structs.replace(
        cloud.INSIDE, port_id=f"{number}b18e68a-8aaa", addresses=(f"192.168.1.{1 + number}/24",)
    )
    return cloud.router(
        id=f"router-{number}",
        admin_state_up=up,
        interfaces=(inside,),
        gateway=outside if gateway else None,
        floating_ips=tuple(
            FloatingIp(
                id=f"f{number}{n}",
                floating_address=f"172.16.{number}.{n}",
                fixed_address=f"192.168.1.{50 + n}",
                port_id=f"p{n}",
            )
            for n in sorted(floating)
        ),
        routes=(),
    )
