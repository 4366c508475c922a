"""Fragments as rendered from rows: complete, normalised, sorted, in a constant number of statements."""

import pytest
import sqlalchemy as sa

from netloom.feed.fragments import (
    AddressPair,
    AddressSet,
    DhcpNetwork,
    DhcpOption,
    DhcpServer,
    FixedIp,
    FloatingIp,
    HaGroup,
    HaPort,
    HostRoute,
    Neighbour,
    SecurityRule,
    SubPort,
    Trunk,
    TunnelPeer,
)
from netloom.feed.render import encode, render, version
from netloom.store.tables.network import PORTS, SECURITY_GROUP_RULES
from tests.statements import statements
from tests.unit.feed import cloud


def one(store, name):
    with store.read() as tx:
        return render(tx, [name])[name]


def test_port(store):
    with store.write() as tx:
        net = cloud.network(tx)
        sub = cloud.subnet(tx, net)
        groups = [cloud.group(tx), cloud.group(tx)]
        port = cloud.port(
            tx, net, "h1", [(sub, "10.0.0.9"), (sub, "10.0.0.10")], groups, device_owner="compute:nova", device_id="vm",
            allowed_address_pairs=[
                {"ip_address": "10.0.0.77", "mac_address": "fa:16:3e:00:00:02"},
                {"ip_address": "10.0.0.66", "mac_address": "fa:16:3e:00:00:01"},
            ],
            extra_dhcp_opts=[{"opt_name": "mtu", "opt_value": "1400", "ip_version": 4}],
        )  # fmt: skip
    found = one(store, f"port/{port}")
    assert (found.name, found.network_id, found.host, found.device_owner) == (f"port/{port}", net, "h1", "compute:nova")
    assert found.fixed_ips == (FixedIp(sub, "10.0.0.9"), FixedIp(sub, "10.0.0.10"))
    assert found.security_groups == tuple(sorted(groups))
    assert found.address_pairs == (
        AddressPair("10.0.0.66", "fa:16:3e:00:00:01"),
        AddressPair("10.0.0.77", "fa:16:3e:00:00:02"),
    )
    assert found.dhcp_options == (DhcpOption("mtu", "1400", 4),)
    assert found.port_security


def test_port_without_a_binding_is_on_no_host(store):
    with store.write() as tx:
        net = cloud.network(tx)
        failed = cloud.port(tx, net, "h1", binding_vif_type="binding_failed")
    assert one(store, f"port/{failed}").host == ""


def test_service_port_is_never_filtered(store):
    with store.write() as tx:
        net = cloud.network(tx)
        port = cloud.port(tx, net, "h1", device_owner="network:router_interface")
    assert not one(store, f"port/{port}").port_security


def test_network(store):
    with store.write() as tx:
        net = cloud.network(tx, provider_segmentation_id=7, router_external=True)
        six = cloud.subnet(tx, net, "2001:db8::/64", gateway_ip=None, ipv6_ra_mode="slaac", ipv6_address_mode="slaac")
        four = cloud.subnet(
            tx, net, dns_nameservers=["9.9.9.9", "1.1.1.1"],
            host_routes=[{"destination": "10.2.0.0/24", "nexthop": "10.0.0.3"}],
            allocation_pools=[{"start": "10.0.0.9", "end": "10.0.0.20"}, {"start": "10.0.0.2", "end": "10.0.0.5"}],
        )  # fmt: skip
    found = one(store, f"network/{net}")
    assert (found.network_type, found.segmentation_id, found.physical_network, found.mtu) == ("vxlan", 7, "", 1450)
    assert found.external
    assert [item.id for item in found.subnets] == sorted((four, six))
    subnets = {item.id: item for item in found.subnets}
    assert subnets[four].dns_nameservers == ("9.9.9.9", "1.1.1.1")
    assert subnets[four].host_routes == (HostRoute("10.2.0.0/24", "10.0.0.3"),)
    assert subnets[four].pools == (("10.0.0.2", "10.0.0.5"), ("10.0.0.9", "10.0.0.20"))
    assert (subnets[six].gateway, subnets[six].ra_mode, subnets[six].ip_version) == ("", "slaac", 6)


def test_security_group_rules_are_normalised(store):
    with store.write() as tx:
        group, other, addresses = cloud.group(tx, stateful=False), cloud.group(tx), cloud.address_group(tx)
        cloud.rule(tx, group, protocol="tcp", port_range_min=22, port_range_max=22)
        cloud.rule(tx, group, protocol="6", port_range_min=22, port_range_max=22, normalized_cidr="0.0.0.0/0")
        cloud.rule(tx, group, ethertype="IPv6", protocol="ipv6-icmp", port_range_min=128)
        cloud.rule(tx, group, protocol="udp", normalized_cidr="10.1.0.0/16", remote_ip_prefix="10.1.2.3/16")
        cloud.rule(tx, group, remote_group_id=other)
        cloud.rule(tx, group, "egress", remote_address_group_id=addresses)
    found = one(store, f"security_group/{group}")
    assert not found.stateful
    assert set(found.rules) == {
        SecurityRule("ingress", 4, 6, 22, 22),
        SecurityRule("ingress", 6, 58, 128, -1),
        SecurityRule("ingress", 4, 17, remote_prefix="10.1.0.0/16"),
        SecurityRule("ingress", 4, -1, remote_set=f"addresses/{other}"),
        SecurityRule("egress", 4, -1, remote_set=f"addresses/{addresses}"),
    }
    assert len(found.rules) == 5


def test_addresses_of_a_remote_group_are_those_of_its_ports(store):
    with store.write() as tx:
        net = cloud.network(tx)
        sub = cloud.subnet(tx, net)
        six = cloud.subnet(tx, net, "2001:db8::/64")
        group, empty = cloud.group(tx), cloud.group(tx)
        pair = {"ip_address": "192.0.2.0/28", "mac_address": "fa:16:3e:00:00:01"}
        cloud.port(tx, net, "h1", [(sub, "10.0.0.10"), (six, "2001:db8::5")], [group])
        cloud.port(tx, net, "h2", [(sub, "10.0.0.9")], [group], allowed_address_pairs=[pair])
        cloud.port(tx, net, "h2", [(sub, "10.0.0.8")], [])
    assert one(store, f"addresses/{group}").prefixes == (
        "10.0.0.10/32", "10.0.0.9/32", "192.0.2.0/28", "2001:db8::5/128",
    )  # fmt: skip
    assert one(store, f"addresses/{empty}") == AddressSet(id=empty, prefixes=())


def test_addresses_of_an_address_group(store):
    with store.write() as tx:
        group = cloud.address_group(tx, "10.2.0.0/16", "10.1.0.0/16")
    assert one(store, f"addresses/{group}").prefixes == ("10.1.0.0/16", "10.2.0.0/16")


def test_dhcp(store):
    with store.write() as tx:
        net = cloud.network(tx)
        routed, isolated = cloud.subnet(tx, net), cloud.subnet(tx, net, "10.1.0.0/24", gateway_ip="10.1.0.1")
        cloud.serve_dhcp(tx, net, "h1")
        assert render(tx, [f"dhcp/{net}"]) == {f"dhcp/{net}": None}
        port = cloud.port(tx, net, "h1", device_owner="network:dhcp")
        cloud.serve_dhcp(tx, net, "h2")
        other = cloud.port(tx, net, "h2", device_owner="network:dhcp")
        cloud.port(tx, net, "h9", device_owner="network:dhcp")
        cloud.port(tx, net, "h1", [(routed, "10.0.0.1")], device_owner="network:router_interface", device_id="r")
        cloud.port(tx, net, "h1", [(isolated, "10.1.0.7")], device_owner="network:router_interface", device_id="r")
    assert one(store, f"dhcp/{net}") == DhcpNetwork(
        net, (DhcpServer("h1", port), DhcpServer("h2", other)), (isolated,), "openstacklocal", 86400
    )


def test_router(store):
    with store.write() as tx:
        outside, inside = cloud.network(tx, router_external=True, mtu=1500), cloud.network(tx)
        out = cloud.subnet(tx, outside, "203.0.113.0/24", gateway_ip="203.0.113.1")
        four, six = cloud.subnet(tx, inside), cloud.subnet(tx, inside, "2001:db8::/64", gateway_ip="2001:db8::")
        routes = [{"destination": "10.9.0.0/24", "nexthop": "10.0.0.9"}]
        router = cloud.router(tx, enable_snat=False, routes=routes)
        owned = {"device_id": router, "project_id": ""}
        gateway = cloud.port(tx, outside, "h1", [(out, "203.0.113.5")], device_owner="network:router_gateway", **owned)
        interfaces = [
            cloud.port(tx, inside, "h1", places, device_owner="network:router_interface", **owned)
            for places in ([(four, "10.0.0.1")], [(six, "2001:db8::")])
        ]
        cloud.port(tx, inside, "h1", [(four, "10.0.0.44")], device_owner="compute:x", **owned)
        vm = cloud.port(tx, inside, "h2", [(four, "10.0.0.9")])
        floating = cloud.floating_ip(
            tx, floating_ip_address="203.0.113.9", fixed_ip_address="10.0.0.9", port_id=vm, router_id=router
        )
        cloud.floating_ip(tx, floating_ip_address="203.0.113.10")
    found = one(store, f"router/{router}")
    assert [port.port_id for port in found.interfaces] == sorted(interfaces)
    by_subnet = {port.subnets: port for port in found.interfaces}
    assert by_subnet[(four,)].addresses == ("10.0.0.1/24",)
    assert by_subnet[(six,)].addresses == ("2001:db8::/64",)
    assert (found.gateway.port_id, found.gateway.mtu, found.gateway.addresses) == (gateway, 1500, ("203.0.113.5/24",))
    assert found.gateway_routes == ("203.0.113.1",)
    assert found.floating_ips == (FloatingIp(floating, "203.0.113.9", "10.0.0.9", vm),)
    assert found.routes == (HostRoute("10.9.0.0/24", "10.0.0.9"),)
    assert not found.enable_snat


@pytest.mark.parametrize(
    "kind",
    ["port", "network", "security_group", "addresses", "dhcp", "router", "server", "peer", "neighbour", "nonsense"],
)
def test_what_is_gone_is_none(store, kind):
    assert one(store, f"{kind}/gone") is None


def test_version_follows_the_contents(store):
    with store.write() as tx:
        group = cloud.group(tx)
        kept, gone = cloud.rule(tx, group, protocol="tcp"), cloud.rule(tx, group, protocol="udp")
    before = version(encode(one(store, f"security_group/{group}")))
    assert before == version(encode(one(store, f"security_group/{group}")))
    assert len(before) == 16
    with store.write() as tx:
        tx.execute(SECURITY_GROUP_RULES.delete().where(SECURITY_GROUP_RULES.c.id == gone))
    after = version(encode(one(store, f"security_group/{group}")))
    assert after != before
    with store.write() as tx:
        tx.execute(sa.delete(SECURITY_GROUP_RULES).where(SECURITY_GROUP_RULES.c.id == kept))
        cloud.rule(tx, group, protocol="6")
    assert version(encode(one(store, f"security_group/{group}"))) == after


def populate(tx, times: int) -> list[str]:
    """Names of fragments of all kinds, of a cloud of that many of each."""
    names = []
    for _ in range(times):
        net = cloud.network(tx)
        sub = cloud.subnet(tx, net)
        group = cloud.group(tx)
        cloud.rule(tx, group, remote_group_id=group)
        router = cloud.router(tx, "h1")
        cloud.serve_dhcp(tx, net, "h1")
        cloud.port(tx, net, "h1", device_owner="network:dhcp")
        cloud.port(tx, net, "h1", [(sub, "10.0.0.1")], device_owner="network:router_interface", device_id=router)
        port = cloud.port(tx, net, "h1", [(sub, "10.0.0.2")], [group])
        names += [f"port/{port}", f"network/{net}", f"security_group/{group}", f"addresses/{group}", f"dhcp/{net}"]
        trunk = cloud.trunk(tx, port, (cloud.port(tx, net, "h1"), 7))
        names += [f"router/{router}", f"neighbour/{port}", f"trunk/{trunk}"]
    return names


def test_number_of_statements_does_not_grow(store):
    with store.write() as tx:
        names = populate(tx, 30)
    counts = []
    for wanted in (names[:8], names):
        with store.read() as tx, statements(store) as seen:
            assert None not in render(tx, wanted).values()
        counts.append(len(seen))
    assert counts == [23, 23]


def test_more_names_than_a_statement_takes_parameters(store):
    with store.write() as tx:
        net = cloud.network(tx)
        port = cloud.port(tx, net)
    names = [f"port/{number}" for number in range(70_000)] + [f"port/{port}"]
    with store.read() as tx:
        found = render(tx, names)
        assert tx.execute(sa.select(sa.func.count()).select_from(PORTS)).scalar() == 1
    assert len(found) == 70_001
    assert [name for name, fragment in found.items() if fragment is not None] == [f"port/{port}"]


def test_server(store):
    with store.write() as tx:
        server = cloud.server(tx, "h1", ["b", "a"], boot=2, running=False)
        early, leaving = cloud.server(tx, "h1", prepared=False), cloud.server(tx, "h1", task_state="deleting")
    found = one(store, f"server/{server}")
    assert (found.hostname, found.memory_mb, found.boot, found.running) == ("vm", 64, 2, False)
    assert [nic.port_id for nic in found.nics] == ["b", "a"]
    assert one(store, f"server/{early}") is None
    assert one(store, f"server/{leaving}") is None


def test_peer(store):
    with store.write() as tx:
        cloud.agent(tx, "h1", tunneling_ip="10.0.1.5", tunnel_types=["vxlan", "gre"])
        cloud.agent(tx, "h1", "L3 agent", tunneling_ip="10.9.9.9")
        cloud.agent(tx, "h2", tunneling_ip="", tunnel_types=["vxlan"])
    assert one(store, "peer/h1") == TunnelPeer("h1", "10.0.1.5", ("gre", "vxlan"))
    assert one(store, "peer/h2") is None


def test_neighbour(store):
    with store.write() as tx:
        net = cloud.network(tx)
        four, six = cloud.subnet(tx, net), cloud.subnet(tx, net, "2001:db8::/64")
        mac = "fa:16:3e:00:00:07"
        pairs = [
            {"ip_address": "10.0.0.77", "mac_address": mac},
            {"ip_address": "10.0.0.78/32", "mac_address": mac},
            {"ip_address": "10.0.0.79", "mac_address": "fa:16:3e:00:00:08"},
            {"ip_address": "10.5.0.0/16", "mac_address": mac},
        ]
        places = [(four, "10.0.0.9"), (six, "2001:db8::9")]
        port = cloud.port(tx, net, "h1", places, mac_address=mac, allowed_address_pairs=pairs)
    assert one(store, f"neighbour/{port}") == Neighbour(
        port, net, mac, ("10.0.0.9", "2001:db8::9", "10.0.0.77", "10.0.0.78"), ("h1",)
    )


def test_address_that_several_ports_may_have_is_nobodys(store):
    """It moves between them without us, so that its place must be learned."""
    with store.write() as tx:
        net, other = cloud.network(tx), cloud.network(tx)
        sub = cloud.subnet(tx, net)
        macs = [f"fa:16:3e:00:00:0{number}" for number in range(4)]

        def pair(mac, address="10.0.0.77"):
            return {"mac_address": mac, "allowed_address_pairs": [{"ip_address": address, "mac_address": mac}]}

        two = [cloud.port(tx, net, "h1", **pair(mac)) for mac in macs[:2]]
        cloud.port(tx, net, **pair(macs[2], "10.0.0.78"))  # unbound: it has no address now
        apart = cloud.port(tx, other, "h1", **pair(macs[0]))
        cloud.port(tx, net, "h2", [(sub, "10.0.0.79")])
        taken = cloud.port(tx, net, "h1", **pair(macs[3], "10.0.0.79"))
    for port in (*two, taken):
        assert one(store, f"neighbour/{port}").addresses == ()
    assert one(store, f"neighbour/{apart}").addresses == ("10.0.0.77",)


def test_what_is_nowhere_or_on_no_overlay_is_no_neighbour(store):
    with store.write() as tx:
        net, vlan = cloud.network(tx), cloud.network(tx, provider_network_type="vlan")
        failed = cloud.port(tx, net, "h1", binding_vif_type="binding_failed")
        ports = [cloud.port(tx, net), failed, cloud.port(tx, vlan, "h1")]
    assert [one(store, f"neighbour/{port}") for port in ports] == [None] * 3


def test_highly_available_router(store):
    with store.write() as tx:
        inside, election = cloud.network(tx), cloud.network(tx, mtu=1400)
        four, ha = cloud.subnet(tx, inside), cloud.subnet(tx, election, "169.254.192.0/18", gateway_ip=None)
        router = cloud.router(tx, "h2", "h1", ha_vr_id=7)
        owned = {"device_id": router, "project_id": ""}
        interface = cloud.port(tx, inside, "h2", [(four, "10.0.0.1")], device_owner="network:router_interface", **owned)
        ports = {
            host: cloud.port(
                tx, election, host, [(ha, address)], device_owner="network:router_ha_interface",
                mac_address=f"fa:16:3e:00:00:0{address[-1]}", **owned,
            )
            for host, address in (("h2", "169.254.192.2"), ("h1", "169.254.192.1"))
        }  # fmt: skip
        ordinary = cloud.router(tx, "h1")
    found = one(store, f"router/{router}")
    assert found.ha == HaGroup(
        election, 1400, 7,
        (
            HaPort("h1", ports["h1"], "fa:16:3e:00:00:01", "169.254.192.1/18"),
            HaPort("h2", ports["h2"], "fa:16:3e:00:00:02", "169.254.192.2/18"),
        ),
    )  # fmt: skip
    assert [port.port_id for port in found.interfaces] == [interface]
    assert one(store, f"neighbour/{interface}").hosts == ("h1", "h2")
    assert one(store, f"neighbour/{ports['h1']}").hosts == ("h1",)
    assert one(store, f"router/{ordinary}").ha is None


def test_trunk(store):
    with store.write() as tx:
        net = cloud.network(tx)
        parent, first, second, lonely = (cloud.port(tx, net) for _ in range(4))
        trunk, empty = cloud.trunk(tx, parent, (first, 1200), (second, 100)), cloud.trunk(tx, lonely)
    assert one(store, f"trunk/{trunk}") == Trunk(trunk, parent, (SubPort(second, 100), SubPort(first, 1200)))
    assert one(store, f"trunk/{empty}") == Trunk(empty, lonely, ())
    assert one(store, f"trunk/{parent}") is None
