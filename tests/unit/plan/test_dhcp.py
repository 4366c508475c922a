"""DHCP servers and their files; that dnsmasq leases from them is seen in tests/host."""

import time
from dataclasses import replace

import msgspec
import pytest

from netloom.feed.fragments import DhcpNetwork, DhcpOption, DhcpServer, Fragment, HostRoute, Network, Subnet
from netloom.plan import dhcp
from netloom.state import Daemon, File, HostState, Route
from tests.unit.plan import golden
from tests.unit.plan import services as cloud

SERVER_PORT = cloud.port(
    cloud.DHCP_PORT, cloud.DEMO, "fa:16:3e:00:00:03", ("sub-demo", "192.168.1.2"), device_owner="network:dhcp"
)
DHCP = DhcpNetwork(
    id=cloud.DEMO, servers=(DhcpServer("host1", cloud.DHCP_PORT),), isolated_subnets=(), dns_domain="openstacklocal"
)


def served(*fragments: Fragment, network: Network = cloud.DEMO_NET, dhcp_network: DhcpNetwork = DHCP) -> HostState:
    return cloud.planned(dhcp.plan, network, dhcp_network, SERVER_PORT, *fragments)


def with_subnet(**more: object) -> Network:
    return with_subnets(msgspec.structs.replace(cloud.DEMO_NET.subnets[0], **more))


def with_subnets(*subnets: Subnet) -> Network:
    return msgspec.structs.replace(cloud.DEMO_NET, subnets=subnets)


def text(state: HostState, name: str) -> str:
    return state.of(File)[f"dhcp/{cloud.DEMO}/{name}",].text


def option(state: HostState, name: str) -> list[str]:
    return [line.split(f"{name}")[1] for line in text(state, "opts").splitlines() if f",{name}" in line]


def daemon(state: HostState) -> Daemon:
    return state.of(Daemon)[f"dnsmasq-{cloud.DEMO}",]


def test_a_network_has_a_namespace_a_port_and_a_server() -> None:
    state = cloud.planned(dhcp.plan, *cloud.cloud())
    files = "".join(f"--- {file.path}\n{file.text}" for file in state.of(File).values())
    golden.check("dhcp", f"{state}\n{files}")


def test_a_new_port_is_read_again_without_a_restart() -> None:
    before, after = served(), served(cloud.INSTANCE_PORT)
    assert daemon(before).reloads != daemon(after).reloads
    assert replace(daemon(before), reloads="") == replace(daemon(after), reloads="")


def test_a_new_subnet_restarts_the_server() -> None:
    second = cloud.subnet("sub-2", "10.2.0.0/24", "10.2.0.1")
    after = served(network=with_subnets(*cloud.DEMO_NET.subnets, second))
    assert daemon(served()).argv != daemon(after).argv


def test_without_a_gateway_clients_get_none() -> None:
    assert option(served(network=with_subnet(gateway="")), "option:router") == [""]


def test_host_routes_come_with_the_default_route_and_in_both_options() -> None:
    state = served(network=with_subnet(host_routes=(HostRoute(destination="10.1.0.0/16", nexthop="192.168.1.9"),)))
    expected = ["," + "10.1.0.0/16,192.168.1.9,0.0.0.0/0,192.168.1.1"]
    assert option(state, "option:classless-static-route") == expected
    assert option(state, "249") == expected


def test_a_default_host_route_is_the_gateway_of_a_subnet_without_one() -> None:
    routes = (HostRoute(destination="0.0.0.0/0", nexthop="192.168.1.9"),)
    assert option(served(network=with_subnet(gateway="", host_routes=routes)), "option:router") == [",192.168.1.9"]


def test_other_subnets_of_the_network_are_on_the_link() -> None:
    second = cloud.subnet("sub-2", "10.2.0.0/24", "10.2.0.1", enable_dhcp=False)
    state = served(network=with_subnets(*cloud.DEMO_NET.subnets, second))
    assert option(state, "option:classless-static-route") == [",10.2.0.0/24,0.0.0.0,0.0.0.0/0,192.168.1.1"]
    assert "10.2.0.0" not in " ".join(daemon(state).argv)


def test_metadata_of_an_isolated_subnet_is_reached_through_the_server() -> None:
    isolated = msgspec.structs.replace(DHCP, isolated_subnets=("sub-demo",))
    routes = ",169.254.169.254/32,192.168.1.2,0.0.0.0/0,192.168.1.1"
    assert option(served(dhcp_network=isolated), "option:classless-static-route") == [routes]
    assert option(served(), "option:classless-static-route") == []


@pytest.mark.parametrize(
    ("servers", "expected"),
    [(("8.8.8.8", "9.9.9.9"), ",8.8.8.8,9.9.9.9"), ((), ",192.168.1.2"), (("0.0.0.0",), "")],
)
def test_name_servers(servers: tuple[str, ...], expected: str) -> None:
    assert option(served(network=with_subnet(dns_nameservers=servers)), "option:dns-server") == [expected]


OTHER_SERVER = cloud.port(
    "other", cloud.DEMO, "fa:16:3e:00:00:09", ("sub-demo", "192.168.1.3"), device_owner="network:dhcp", host="host2"
)


def test_two_servers_name_each_other_and_leave_each_others_requests_alone() -> None:
    network = with_subnet(dns_nameservers=())
    alone, beside = served(network=network), served(OTHER_SERVER, network=network)
    more = "--dhcp-match=set:elsewhere,54,192.168.1.3", "--dhcp-ignore=tag:elsewhere", "--dhcp-ignore=tag:!known"
    assert sorted(daemon(beside).argv) == sorted([*daemon(alone).argv, *more])
    assert "--dhcp-authoritative" in daemon(beside).argv
    assert option(beside, "option:dns-server") == [",192.168.1.2,192.168.1.3"]


def test_two_servers_tell_the_same() -> None:
    isolated = msgspec.structs.replace(DHCP, isolated_subnets=("sub-demo",))
    servers = (DhcpServer("host1", cloud.DHCP_PORT), DhcpServer("host2", OTHER_SERVER.id))
    both = msgspec.structs.replace(isolated, servers=servers)
    fragments = cloud.DEMO_NET, both, SERVER_PORT, OTHER_SERVER, cloud.INSTANCE_PORT
    hosts = ("host1", "host2")
    one, two = (cloud.planned(dhcp.plan, *fragments, settings=replace(cloud.SETTINGS, host=host)) for host in hosts)
    assert [str(file) for file in one.of(File).values()] == [str(file) for file in two.of(File).values()]
    routes = ",169.254.169.254/32,0.0.0.0,0.0.0.0/0,192.168.1.1"
    assert option(one, "option:classless-static-route") == [routes]


@pytest.mark.parametrize(
    ("name", "value", "version", "line"),
    [
        ("bootfile-name", "pxelinux.0", 4, "tag:port-P,option:bootfile-name,pxelinux.0"),
        ("67", "pxelinux.0", 4, "tag:port-P,67,pxelinux.0"),
        ("dns-server", "[2001:db8::1]", 6, "tag:port-P,option6:dns-server,[2001:db8::1]"),
        ("23", "[2001:db8::1]", 6, "tag:port-P,option6:23,[2001:db8::1]"),
        ("router", "", 4, "tag:port-P,option:router"),
        ("tag:!ipxe,67", "undionly.kpxe", 4, "tag:!ipxe,tag:port-P,67,undionly.kpxe"),
        ("domain-name", "x\ndhcp-script=/bin/sh", 4, ""),
        ("67\n", "x", 4, ""),
        ("a b", "x", 4, ""),
    ],
)
def test_extra_options(name: str, value: str, version: int, line: str) -> None:
    extra = DhcpOption(name=name, value=value, ip_version=version)
    port = msgspec.structs.replace(cloud.INSTANCE_PORT, dhcp_options=(extra,))
    lines = [x for x in text(served(port), "opts").splitlines() if "port-" in x or "script" in x]
    assert lines == ([line.replace("port-P", f"port-{cloud.VM_PORT}")] if line else [])


def test_a_name_given_to_a_port_is_its_host_name() -> None:
    port = msgspec.structs.replace(cloud.INSTANCE_PORT, dns_name="web", dhcp_options=())
    assert "fa:16:3e:00:00:05,web.openstacklocal,192.168.1.5\n" in text(served(port), "host")
    bad = msgspec.structs.replace(port, dns_name="web,192.168.1.66")
    assert "192.168.1.66" not in text(served(bad), "host")


@pytest.mark.parametrize(
    ("mode", "host_line", "ranges"),
    [
        ("dhcpv6-stateful", "fa:16:3e:00:00:16,tag:dhcpv6,host-2001-db8-6--16.openstacklocal,[2001:db8:6::16]", 1),
        ("dhcpv6-stateless", "fa:16:3e:00:00:16,tag:dhcpv6", 1),
        ("", "fa:16:3e:00:00:16,tag:dhcpv6,host-2001-db8-6--16.openstacklocal,[2001:db8:6::16]", 1),
        ("slaac", "", 0),
    ],
)
def test_ipv6_modes(mode: str, host_line: str, ranges: int) -> None:
    subnet = msgspec.structs.replace(cloud.SIX_NET.subnets[0], id="sub-six", ra_mode=mode, address_mode=mode)
    six = cloud.port("six-port", cloud.DEMO, "fa:16:3e:00:00:16", ("sub-six", "2001:db8:6::16"))
    state = served(six, network=with_subnets(*cloud.DEMO_NET.subnets, subnet))
    assert [x for x in text(state, "host").splitlines() if ":16," in x] == ([host_line] if host_line else [])
    assert len([x for x in daemon(state).argv if "2001:db8:6::" in x]) == ranges


def test_a_prefix_too_short_for_the_server_does_not_stop_it() -> None:
    short = cloud.subnet("sub-56", "2001:db8::/56", "2001:db8::1", address_mode="dhcpv6-stateful")
    state = served(network=with_subnets(*cloud.DEMO_NET.subnets, short))
    assert daemon(state).argv == daemon(served()).argv


def test_a_network_whose_subnets_are_off_has_no_server() -> None:
    assert not served(network=with_subnet(enable_dhcp=False)).of(Daemon)


def test_no_route_without_an_address_to_go_from() -> None:
    other = cloud.subnet("sub-2", "10.2.0.0/24", "10.2.0.1", enable_dhcp=False)
    state = served(network=with_subnets(other))
    assert not state.of(Route)


def test_a_large_network_is_planned_quickly() -> None:
    ports = [
        cloud.port(
            f"port-{n}", cloud.DEMO, f"fa:16:3e:01:{n >> 8:02x}:{n & 255:02x}", ("sub-demo", f"10.0.{n >> 8}.{n & 255}")
        )
        for n in range(5000)
    ]
    start = time.process_time()
    state = served(*ports)
    assert text(state, "host").count("\n") == 5001
    assert time.process_time() - start < 1
