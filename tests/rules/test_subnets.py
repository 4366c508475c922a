"""Subnets and subnet pools."""

from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network

import pytest

from netloom.model.errors import BadRequest, Conflict, InvalidInput, NotFound
from netloom.rules import addresses, subnet_values, subnetpools, subnets
from tests.rules.cloud import Cloud, View, admin, member


def subnet(cloud: Cloud, cidr: str, network_id: str = "", **values: object) -> View:
    network_id = network_id or cloud.create("network")["id"]
    version = 6 if ":" in cidr else 4
    return cloud.create("subnet", network_id=network_id, ip_version=version, cidr=cidr, **values)


@pytest.mark.parametrize(
    ("cidr", "values", "gateway", "pools"),
    [
        ("10.0.0.0/24", {}, "10.0.0.1", ["10.0.0.2-10.0.0.254"]),
        ("10.0.0.5/24", {}, "10.0.0.1", ["10.0.0.2-10.0.0.254"]),
        ("10.0.0.0/24", {"gateway_ip": None}, None, ["10.0.0.1-10.0.0.254"]),
        ("10.0.0.0/24", {"gateway_ip": "10.0.0.10"}, "10.0.0.10", ["10.0.0.1-10.0.0.9", "10.0.0.11-10.0.0.254"]),
        ("10.0.0.0/24", {"gateway_ip": "10.0.0.254"}, "10.0.0.254", ["10.0.0.1-10.0.0.253"]),
        ("10.0.0.0/24", {"gateway_ip": "192.0.2.1"}, "192.0.2.1", ["10.0.0.1-10.0.0.254"]),
        ("10.0.0.0/24", {"allocation_pools": []}, "10.0.0.1", ["10.0.0.2-10.0.0.254"]),
        ("10.0.0.0/31", {"enable_dhcp": False, "gateway_ip": None}, None, ["10.0.0.0-10.0.0.1"]),
        ("10.0.0.4/32", {"enable_dhcp": False}, "10.0.0.5", ["10.0.0.4-10.0.0.4"]),
        ("2001:db8::/64", {}, "2001:db8::", ["2001:db8::1-2001:db8::ffff:ffff:ffff:ffff"]),
        ("2001:db8::/64", {"gateway_ip": "fe80::1"}, "fe80::1", ["2001:db8::1-2001:db8::ffff:ffff:ffff:ffff"]),
        ("2001:db8::5/128", {"enable_dhcp": False}, "2001:db8::5", ["2001:db8::5-2001:db8::5"]),
    ],
)
def test_what_is_left_open_is_filled_in(
    cloud: Cloud, cidr: str, values: dict[str, object], gateway: str | None, pools: list[str]
) -> None:
    made = subnet(cloud, cidr, **values)
    assert made["cidr"] == str(ip_network(cidr, strict=False))
    assert made["gateway_ip"] == gateway
    assert [f"{pool['start']}-{pool['end']}" for pool in made["allocation_pools"]] == pools
    assert (made["dns_nameservers"], made["host_routes"], made["service_types"]) == ([], [], [])


@pytest.mark.parametrize(
    ("cidr", "values", "error"),
    [
        ("10.0.0.0/31", {}, InvalidInput),
        ("10.0.0.0/31", {"enable_dhcp": False}, subnet_values.IpamValueInvalid),
        ("224.0.0.0/24", {}, InvalidInput),
        ("127.0.0.0/24", {}, InvalidInput),
        ("::/64", {}, InvalidInput),
        ("10.0.0.0/24", {"gateway_ip": "10.0.0.0"}, InvalidInput),
        ("10.0.0.0/24", {"gateway_ip": "10.0.0.255"}, InvalidInput),
        ("10.0.0.0/24", {"gateway_ip": "2001:db8::1"}, InvalidInput),
        ("10.0.0.0/24", {"allocation_pools": [{"start": "10.0.0.9", "end": "10.0.0.8"}]},
         subnet_values.InvalidAllocationPool),
        ("10.0.0.0/24", {"allocation_pools": [{"start": "10.0.0.9", "end": "10.0.0.255"}]},
         subnet_values.OutOfBoundsAllocationPool),
        ("10.0.0.0/24", {"allocation_pools": [{"start": "10.0.0.1", "end": "10.0.0.9"}]},
         subnet_values.GatewayConflictWithAllocationPools),
        ("10.0.0.0/24", {"allocation_pools": [
            {"start": "10.0.0.2", "end": "10.0.0.9"}, {"start": "10.0.0.9", "end": "10.0.0.10"}]},
         subnet_values.OverlappingAllocationPools),
        ("10.0.0.0/24", {"dns_nameservers": [f"192.0.2.{i}" for i in range(6)]}, subnet_values.DNSNameServersExhausted),
        ("10.0.0.0/24", {"dns_nameservers": ["2001:db8::1"]}, InvalidInput),
        ("10.0.0.0/24", {"host_routes": [{"destination": "10.1.0.0/24", "nexthop": "2001:db8::1"}]}, InvalidInput),
        ("10.0.0.0/24", {"ipv6_ra_mode": "slaac"}, InvalidInput),
        ("2001:db8::/64", {"ipv6_ra_mode": "slaac", "ipv6_address_mode": "dhcpv6-stateful"}, InvalidInput),
        ("2001:db8::/65", {"ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}, InvalidInput),
        ("2001:db8::/64", {"allocation_pools": [{"start": "2001:db8::8000:0:0:0", "end": "2001:db8::8000:0:0:9"}]},
         InvalidInput),
        ("2001:db8::/64", {"ipv6_address_mode": "slaac", "enable_dhcp": False}, InvalidInput),
        ("10.0.0.0/24", {"service_types": ["nonsense"]}, subnets.InvalidSubnetServiceType),
    ],
)  # fmt: skip
def test_senseless_subnets_are_refused(
    cloud: Cloud, cidr: str, values: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        subnet(cloud, cidr, **values)
    assert cloud.find("subnet") == []


def test_subnets_of_a_network_do_not_overlap(cloud: Cloud) -> None:
    net = cloud.create("network")["id"]
    subnet(cloud, "10.0.0.0/24", net)
    with pytest.raises(InvalidInput):
        subnet(cloud, "10.0.0.128/25", net)
    subnet(cloud, "10.0.0.128/25")
    bodies = [{"network_id": net, "ip_version": 4, "cidr": cidr} for cidr in ("10.1.0.0/24", "10.1.0.0/25")]
    with pytest.raises(InvalidInput):
        cloud.create_many("subnet", bodies)
    with pytest.raises(InvalidInput):
        cloud.create("subnet", network_id=net, ip_version=6, cidr="10.4.0.0/24")
    with pytest.raises(NotFound):
        cloud.create("subnet", member("beta"), network_id=net, ip_version=4, cidr="10.5.0.0/24")
    network = cloud.get("network", net)
    assert network is not None
    assert (network["revision_number"], len(network["subnets"])) == (2, 1)


def test_one_of_two_overlapping_subnets_at_once_wins(cloud: Cloud) -> None:
    net = cloud.create("network")["id"]

    def one(number: int) -> bool:
        try:
            cloud.create("subnet", admin(f"p{number}"), network_id=net, ip_version=4, cidr="10.0.0.0/24")
        except InvalidInput:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(one, range(8))) == 1


def test_update_of_a_subnet(cloud: Cloud) -> None:
    made = subnet(cloud, "10.0.0.0/24", dns_nameservers=["192.0.2.2", "192.0.2.1"])
    assert made["dns_nameservers"] == ["192.0.2.2", "192.0.2.1"]
    assert cloud.update("subnet", made["id"], dns_nameservers=["192.0.2.2", "192.0.2.1"])["revision_number"] == 1
    cleared = cloud.update("subnet", made["id"], dns_nameservers=None, name="x")
    assert (cleared["dns_nameservers"], cleared["revision_number"]) == ([], 2)
    with pytest.raises(Conflict):
        cloud.update("subnet", made["id"], gateway_ip="10.0.0.7")
    moved = cloud.update(
        "subnet", made["id"], gateway_ip="10.0.0.7", allocation_pools=[{"start": "10.0.0.8", "end": "10.0.0.9"}]
    )
    assert moved["gateway_ip"] == "10.0.0.7"
    assert cloud.create("port", network_id=made["network_id"])["fixed_ips"][0]["ip_address"] == "10.0.0.8"
    with pytest.raises(subnets.SubnetInUse):
        cloud.delete("subnet", made["id"])


def test_subnets_from_a_pool(cloud: Cloud) -> None:
    pool = cloud.create(
        "subnetpool", name="pool", prefixes=["10.1.0.0/16", "10.0.0.0/16"], default_prefixlen="26", default_quota=400
    )
    assert pool["prefixes"] == ["10.0.0.0/15"]
    assert (pool["min_prefixlen"], pool["default_prefixlen"], pool["max_prefixlen"]) == (8, 26, 32)
    nets = [cloud.create("network")["id"] for _ in range(4)]
    made = [cloud.create("subnet", network_id=net, ip_version=4, subnetpool_id=pool["id"]) for net in nets[:2]]
    assert [(item["cidr"], item["gateway_ip"]) for item in made] == [
        ("10.0.0.0/26", "10.0.0.1"), ("10.0.0.64/26", "10.0.0.65"),
    ]  # fmt: skip
    big = cloud.create("subnet", network_id=nets[2], ip_version=4, subnetpool_id=pool["id"], prefixlen=25)
    assert big["cidr"] == "10.0.0.128/25"
    with pytest.raises(subnetpools.SubnetPoolQuotaExceeded):
        cloud.create("subnet", network_id=nets[3], ip_version=4, subnetpool_id=pool["id"], prefixlen=24)
    with pytest.raises(subnetpools.SubnetAllocationError):
        cloud.create("subnet", network_id=nets[3], ip_version=4, subnetpool_id=pool["id"], cidr="10.0.0.0/27")
    with pytest.raises(subnets.NetworkSubnetPoolAffinityError):
        subnet(cloud, "192.168.0.0/24", nets[0])
    other = member("beta")
    net = cloud.create("network", other)["id"]
    with pytest.raises(NotFound):
        cloud.create("subnet", other, network_id=net, ip_version=4, subnetpool_id=pool["id"])
    with pytest.raises(subnetpools.SubnetPoolDeleteError):
        cloud.delete("subnetpool", pool["id"])
    for item in (*made, big):
        cloud.delete("subnet", item["id"])
    cloud.delete("subnetpool", pool["id"])
    assert cloud.find("subnetpool") == []


def test_subnets_cut_at_once_do_not_overlap(cloud: Cloud) -> None:
    values = {"name": "p", "prefixes": ["10.0.0.0/16"], "default_prefixlen": 24, "shared": True}
    pool = cloud.create("subnetpool", cloud.admin, **values)
    assert pool["shared"] is True

    def one(number: int) -> str:
        context = member(f"p{number}")
        net = cloud.create("network", context)["id"]
        made = cloud.create("subnet", context, network_id=net, ip_version=4, subnetpool_id=pool["id"])
        return str(made["cidr"])

    with ThreadPoolExecutor(8) as workers:
        assert sorted(workers.map(one, range(16))) == sorted(f"10.0.{i}.0/24" for i in range(16))


def test_the_default_pool(cloud: Cloud) -> None:
    net = cloud.create("network")["id"]
    with pytest.raises(BadRequest):
        cloud.create("subnet", network_id=net, ip_version=6, use_default_subnetpool=True)
    shared = {"is_default": True, "shared": True}
    cloud.create("subnetpool", cloud.admin, name="p6", prefixes=["2001:db8::/48"], **shared)
    with pytest.raises(BadRequest):
        cloud.create("subnetpool", cloud.admin, name="q6", prefixes=["2001:db8:1::/48"], **shared)
    made = cloud.create("subnet", network_id=net, ip_version=6, use_default_subnetpool=True)
    assert (made["cidr"], made["gateway_ip"]) == ("2001:db8::/64", "2001:db8::1")


def test_prefixes_of_a_pool(cloud: Cloud) -> None:
    with pytest.raises(subnetpools.EmptySubnetPoolPrefixList):
        cloud.create("subnetpool", name="p", prefixes=[])
    with pytest.raises(subnetpools.PrefixVersionMismatch):
        cloud.create("subnetpool", name="p", prefixes=["10.0.0.0/8", "2001:db8::/48"])
    with pytest.raises(subnetpools.IllegalSubnetPoolPrefixBounds):
        cloud.create("subnetpool", name="p", prefixes=["10.0.0.0/8"], min_prefixlen=24, max_prefixlen=20)
    pool = cloud.create("subnetpool", name="p", prefixes=["10.0.0.0/24"], default_prefixlen=26)
    with pytest.raises(subnetpools.IllegalSubnetPoolPrefixUpdate):
        cloud.update("subnetpool", pool["id"], prefixes=["10.0.0.0/25"])
    net = cloud.create("network")["id"]
    cloud.create("subnet", network_id=net, ip_version=4, subnetpool_id=pool["id"])
    with cloud.store.write() as tx:
        added = subnetpools.add_prefixes(tx, cloud.member, pool, {"prefixes": ["10.0.1.0/24"]})
    assert added == {"prefixes": ["10.0.0.0/23"]}
    grown = cloud.get("subnetpool", pool["id"])
    assert grown is not None
    assert grown["revision_number"] == 2
    with cloud.store.write() as tx:
        assert subnetpools.remove_prefixes(tx, cloud.member, grown, {"prefixes": ["10.0.0.128/25"]}) == {
            "prefixes": ["10.0.0.0/25", "10.0.1.0/24"]
        }
    with pytest.raises(BadRequest), cloud.store.write() as tx:
        subnetpools.remove_prefixes(tx, cloud.member, grown, {"prefixes": ["10.0.0.0/26"]})


def test_a_pool_at_the_end_of_a_large_subnet(cloud: Cloud) -> None:
    net = cloud.create("network")["id"]
    pool = {"start": "2001:db8::ffff:ffff:ffff:fffd", "end": "2001:db8::ffff:ffff:ffff:ffff"}
    cloud.create("subnet", network_id=net, ip_version=6, cidr="2001:db8::/64", allocation_pools=[pool])
    chosen = {"ip_address": "2001:db8::ffff:ffff:ffff:fffe"}
    cloud.create("port", network_id=net, fixed_ips=[chosen])
    made = cloud.create_many("port", [{"network_id": net}] * 2)
    assert [port["fixed_ips"][0]["ip_address"][-4:] for port in made] == ["fffd", "ffff"]
    with pytest.raises(addresses.IpAddressGenerationFailure):
        cloud.create("port", network_id=net)


def test_any_service_may_have_subnets_of_its_own(cloud: Cloud) -> None:
    net = cloud.create("network")["id"]
    for number, service in enumerate(("baremetal:", "backup:agent")):
        cidr = f"10.0.{number}.0/24"
        cloud.create("subnet", network_id=net, ip_version=4, cidr=cidr, service_types=[service, "network:distributed"])
    for owner, address in (("backup:agent", "10.0.1.2"), ("baremetal:none", "10.0.0.2")):
        port = cloud.create("port", network_id=net, device_owner=owner)
        assert [place["ip_address"] for place in port["fixed_ips"]] == [address]
