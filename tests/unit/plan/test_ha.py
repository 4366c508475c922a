"""Routers that several hosts carry, as one of them plans them."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netloom.feed.fragments import FloatingIp, Fragment, HaGroup, HaPort, HostRoute, Router
from netloom.plan import advertise, conntrackd, ha, keepalived, metadata, nat, routing
from netloom.plan.settings import PlanSettings
from netloom.state import Address, Daemon, Election, File, Flow, HostState, Namespace, Route, Sysctl, Veth
from tests.unit.plan import golden
from tests.unit.plan import services as cloud

HA_NET = cloud.network("net-ha", cloud.subnet("sub-ha", "169.254.192.0/18", "", enable_dhcp=False), mtu=1450)
GROUP = HaGroup(
    network_id="net-ha",
    mtu=1450,
    vrid=7,
    ports=(
        HaPort("host1", "255d2e4b-33ba-4166-a13f-6531122641fe", "fa:16:3e:25:05:d7", "169.254.192.1/18"),
        HaPort("host2", "90d1a59f-b122-459d-a94a-162a104de629", "fa:16:3e:ae:3b:22", "169.254.192.2/18"),
    ),
)
VLANS = cloud.VLANS | {"net-ha": 4}
GATEWAY = msgspec.structs.replace(cloud.GATEWAY, addresses=("172.16.0.117/24", "2001:db8:e::7/64"))
PLANNERS = (routing.plan, ha.plan, nat.plan, advertise.plan, metadata.plan)


def router(**more: object) -> Router:
    defaults: dict[str, object] = {"ha": GROUP, "gateway": GATEWAY, "gateway_routes": ("172.16.0.253", "fe80::1")}
    return cloud.router(**(defaults | more))


def fragments(*, known: bool = True, **more: object) -> list[Fragment]:
    networks: list[Fragment] = [cloud.DEMO_NET, cloud.EXT_NET, cloud.SIX_NET]
    return [*networks, *([HA_NET] if known else []), router(**more)]


def planned(host: str = "host1", *, known: bool = True, advert_int: float = 0.1, **more: object) -> HostState:
    settings = PlanSettings(
        host=host, ha_vrrp_advert_int=advert_int, local_ip="10.0.1.11", bridge_mappings=(("ext", "br-ex"),)
    )
    intent = cloud.intent(*fragments(known=known, **more))
    facts = cloud.Facts(namespaces={f"qrouter-{cloud.ROUTER}": 5})
    state = HostState()
    for planner in PLANNERS:
        state.update(planner(intent, facts, settings, VLANS))
    return state


def text(state: HostState, name: str) -> str:
    return state.of(File)[(f"ha/{cloud.ROUTER}/{name}",)].text


def block(configuration: str, name: str) -> list[str]:
    """The lines of a block of keepalived's configuration."""
    inside = configuration.partition(f"{name} {{\n")[2].partition("}")[0]
    return [line.strip() for line in inside.strip().splitlines()]


def virtual(state: HostState) -> set[tuple[str, str]]:
    """(Device, address) of all that keepalived gives to the active host, without the elected one."""
    words = [line.split() for line in block(text(state, "keepalived.conf"), "virtual_ipaddress_excluded")]
    return {(device, cidr) for cidr, _, device, _ in words}


def test_the_whole_of_it() -> None:
    state = planned()
    names = ("keepalived.conf", "conntrackd.conf")
    golden.check("ha", str(state) + "".join(f"# {name}\n{text(state, name)}" for name in names))


def test_addresses_and_routes_are_for_the_active_host_alone() -> None:
    state = planned()
    assert [address.cidr for address in state.of(Address).values()] == ["169.254.192.1/18"]
    assert not state.of(Route)
    assert {("qg-38c8b13d-d4", "172.16.0.118/32"), ("qr-66666666-8a", "fe80::a9fe:a9fe/64")} <= virtual(state)
    assert block(text(state, "keepalived.conf"), "virtual_routes") == [
        "0.0.0.0/0 via 172.16.0.253 dev qg-38c8b13d-d4 no_track",
        "::/0 via fe80::1 dev qg-38c8b13d-d4 no_track",
        "10.9.0.0/16 via 192.168.1.77 dev qr-db18e68a-8a no_track",
    ]


def test_on_link_routes_come_before_those_that_need_them() -> None:
    conf = text(planned(gateway_routes=("198.51.100.1",)), "keepalived.conf")
    assert block(conf, "virtual_routes")[:2] == [
        "198.51.100.1/32 dev qg-38c8b13d-d4 scope link no_track",
        "0.0.0.0/0 via 198.51.100.1 dev qg-38c8b13d-d4 no_track",
    ]


def test_hosts_differ_in_their_own_port_alone() -> None:
    one, other = planned("host1"), planned("host2")
    assert virtual(one) == virtual(other)
    shared = {veth.name: veth.mac for veth in one.of(Veth).values() if not veth.name.startswith("ha-")}
    assert shared.items() <= {veth.name: veth.mac for veth in other.of(Veth).values()}.items()
    tables = [[str(element) for element in state if "filter " in str(element)] for state in (one, other)]
    assert tables[0] == tables[1]


def test_devices_that_are_shared_give_themselves_no_address() -> None:
    modes = {s.name for s in planned().of(Sysctl).values() if s.name.endswith("addr_gen_mode") and s.value == "1"}
    devices = ("qg-38c8b13d-d4", "qr-66666666-8a", "qr-db18e68a-8a")
    assert modes == {f"net/ipv6/conf/{device}/addr_gen_mode" for device in devices}


@pytest.mark.parametrize(("advert_int", "version", "shown"), [(0.1, 3, "0.1"), (2.0, 2, "2"), (1.5, 3, "1.5")])
def test_whole_seconds_speak_the_second_version(advert_int: float, version: int, shown: str) -> None:
    lines = text(planned(advert_int=advert_int), "keepalived.conf").splitlines()
    assert f"    vrrp_version {version}" in lines
    assert f"    advert_int {shown}" in lines


def test_without_its_port_or_its_network_a_host_takes_no_part() -> None:
    for state in (planned("host3"), planned(known=False)):
        assert (f"qrouter-{cloud.ROUTER}",) in state.of(Namespace)
        assert not state.of(Election)
        assert not state.of(Address)
        assert {daemon.name.split("-")[0] for daemon in state.of(Daemon).values()} <= {"radvd", "haproxy"}


def test_a_router_that_is_down_is_not_there() -> None:
    assert len(planned(admin_state_up=False)) == 0


def test_who_ends_an_advertising_daemon_must_not_withdraw_the_router() -> None:
    assert planned().of(Daemon)[(f"radvd-{cloud.ROUTER}",)].stop_signal == "KILL"
    assert planned(ha=None).of(Daemon)[(f"radvd-{cloud.ROUTER}",)].stop_signal == "TERM"


def test_an_election_names_what_it_is_heard_and_served_over() -> None:
    outside = msgspec.structs.replace(cloud.EXT_NET, network_type="flat", physical_network="ext")
    settings = PlanSettings(host="host1", local_ip="10.0.1.11", bridge_mappings=(("ext", "br-ex"),))

    def election(**more: object) -> Election:
        intent = cloud.intent(cloud.DEMO_NET, outside, cloud.SIX_NET, HA_NET, router(**more))
        (found,) = HostState(ha.plan(intent, cloud.Facts(), settings, VLANS)).of(Election).values()
        return found

    assert (election().heard_over, election().served_over) == ("10.0.1.11", ("br-ex",))
    assert election(gateway=None).served_over == ()


def test_routers_of_one_network_do_not_hear_each_others_connections() -> None:
    texts = [conntrackd.configuration(vrid, "ha-1", "169.254.192.1/18") for vrid in (1, 255)]
    assert [line.strip() for each in texts for line in each.splitlines() if "Group" in line] == [
        "Group 3781",
        "Group 4035",
    ]


def test_link_local_addresses_follow_the_mac() -> None:
    assert routing.link_local("fa:16:3e:10:9f:f6") == "fe80::f816:3eff:fe10:9ff6"


def test_the_script_ends_what_it_starts() -> None:
    assert keepalived.SCRIPT.count("clean\n") == 2
    assert "--pdeathsig TERM" in keepalived.SCRIPT


octets = st.integers(1, 254)


@given(st.sets(octets, max_size=40), st.sets(octets, max_size=10), st.integers(1, 255), st.booleans())
def test_nothing_is_both_planned_and_elected(floating: set[int], routes: set[int], vrid: int, metadata: bool) -> None:
    """Whatever the router has: each of its addresses is keepalived's once, and fits the limits of names."""
    given = router(
        ha=msgspec.structs.replace(GROUP, vrid=vrid),
        floating_ips=tuple(
            FloatingIp(id=str(n), floating_address=f"172.16.0.{n}", fixed_address="192.168.1.5", port_id="p")
            for n in floating
        ),
        routes=tuple(HostRoute(destination=f"10.{n}.0.0/16", nexthop="192.168.1.77") for n in routes),
    )
    settings = PlanSettings(host="host1", enable_metadata_proxy=metadata)
    intent = cloud.intent(cloud.DEMO_NET, cloud.EXT_NET, cloud.SIX_NET, HA_NET, given)
    state = HostState()
    for planner in PLANNERS:
        state.update(planner(intent, cloud.Facts(), settings, VLANS))
    elected = virtual(state)
    assert len(block(text(state, "keepalived.conf"), "virtual_ipaddress_excluded")) == len(elected)
    assert elected.isdisjoint((address.device, address.cidr) for address in state.of(Address).values())
    assert elected >= {("qg-38c8b13d-d4", f"172.16.0.{n}/32") for n in floating}
    assert {device for device, _ in elected} <= {veth.name for veth in state.of(Veth).values()}
    assert all(len(veth.name) <= 15 for veth in state.of(Veth).values())
    assert len(block(text(state, "keepalived.conf"), "virtual_routes")) == len(routes) + 2
    (election,) = state.of(Election).values()
    assert f"{election.address}/24" in block(text(state, "keepalived.conf"), "virtual_ipaddress")[0]


def test_hosts_of_one_election_hear_each_other_alone() -> None:
    settings = PlanSettings(host="host1", local_ip="10.0.1.11", tunnel_types=("vxlan",))
    intent = cloud.intent(cloud.DEMO_NET, cloud.EXT_NET, cloud.SIX_NET, HA_NET, router())
    flows = HostState(ha.plan(intent, cloud.Facts(), settings, VLANS)).of(Flow).values()
    assert {(flow.match, flow.actions) for flow in flows} == {
        ("in_port=ha-255d2e4b-33", "mod_vlan_vid:4,output:patch-tun"),
        ("in_port=patch-tun,dl_vlan=4,dl_src=fa:16:3e:ae:3b:22", "strip_vlan,output:ha-255d2e4b-33"),
    }


def test_many_routers_on_a_switch_in_userspace_advertise_less_often() -> None:
    def interval(routers: int, datapath_type: str) -> str:
        settings = PlanSettings(host="host1", datapath_type=datapath_type, ha_vrrp_advert_int=0.5)
        others = [router(id=f"router-{number}") for number in range(routers - 1)]
        intent = cloud.intent(cloud.DEMO_NET, cloud.EXT_NET, cloud.SIX_NET, HA_NET, router(), *others)
        lines = keepalived_lines(ha.advert_int(intent, settings), settings)
        return next(line for line in lines if line.startswith("advert_int"))

    assert interval(125, "netdev") == interval(500, "system") == "advert_int 0.5"
    assert interval(126, "netdev") == "advert_int 1"


def keepalived_lines(advert_int: float, settings: PlanSettings) -> list[str]:
    text = keepalived.configuration(
        vrid=1,
        device="ha-1",
        version=keepalived.version(settings.ha_vrrp_advert_int),
        advert_int=advert_int,
        health="health",
        addresses=[],
        routes=[],
    )
    assert "    vrrp_version 3" in text.splitlines()
    return [line.strip() for line in text.splitlines()]
