"""Networks, their segments, and sharing."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from netloom.model.errors import Conflict, InvalidInput, NotFound
from netloom.rules import mtu, networks, segments
from tests.rules.cloud import SETTINGS, Cloud, admin, dhcp_role, member
from tests.statements import statements


def test_a_network_has_the_next_free_segment_and_its_largest_mtu(cloud: Cloud) -> None:
    made = cloud.create_many("network", [{}, {}, {}])
    assert [net["provider:segmentation_id"] for net in made] == [1, 2, 3]
    assert {(net["provider:network_type"], net["mtu"], net["status"]) for net in made} == {("vxlan", 1450, "ACTIVE")}
    cloud.delete("network", made[1]["id"])
    assert cloud.create("network")["provider:segmentation_id"] == 2
    assert made[0]["revision_number"] == 1
    assert made[0]["created_at"] == made[0]["updated_at"]


def test_segments_are_never_handed_out_twice(cloud: Cloud) -> None:
    with ThreadPoolExecutor(10) as pool:
        found = list(pool.map(lambda n: cloud.create("network", admin(f"p{n}"))["provider:segmentation_id"], range(60)))
    assert sorted(found) == list(range(1, 61))


def test_bulk_networks_take_a_constant_number_of_statements(cloud: Cloud) -> None:
    cloud.create("network")
    with statements(cloud.store) as one:
        cloud.create("network")
    with statements(cloud.store) as many:
        cloud.create_many("network", [{}] * 50)
    assert len(many) == len(one)


def test_vlans_run_out(cloud: Cloud) -> None:
    operator = cloud.admin
    made = [cloud.create("network", operator, provider__network_type="vlan") for _ in range(3)]
    assert [net["provider:segmentation_id"] for net in made] == [100, 101, 102]
    assert {(net["provider:physical_network"], net["mtu"]) for net in made} == {("physnet1", 1500)}
    with pytest.raises(segments.NoNetworkAvailable):
        cloud.create("network", operator, provider__network_type="vlan")
    outside = {"provider__network_type": "vlan", "provider__physical_network": "physnet1"}
    assert cloud.create("network", operator, **outside, provider__segmentation_id=7)["provider:segmentation_id"] == 7
    with pytest.raises(segments.VlanIdInUse):
        cloud.create("network", operator, **outside, provider__segmentation_id=7)
    moved = cloud.update("network", made[0]["id"], operator, provider__segmentation_id=8)
    assert (moved["provider:segmentation_id"], moved["revision_number"]) == (8, 2)
    assert cloud.create("network", operator, provider__network_type="vlan")["provider:segmentation_id"] == 100


@pytest.mark.parametrize(
    "wrong",
    [
        {"provider__segmentation_id": 5},
        {"provider__network_type": "token-ring"},
        {"provider__network_type": "local", "provider__segmentation_id": 5},
        {"provider__network_type": "flat"},
        {"provider__network_type": "flat", "provider__physical_network": "a", "provider__segmentation_id": 1},
        {"provider__network_type": "vlan", "provider__physical_network": "nowhere"},
        {"provider__network_type": "vlan", "provider__segmentation_id": 5},
        {"provider__network_type": "vlan", "provider__physical_network": "physnet1", "provider__segmentation_id": 4095},
        {"provider__network_type": "vxlan", "provider__physical_network": "physnet1"},
        {"provider__network_type": "vxlan", "provider__segmentation_id": 2**24},
        {"mtu": 1451},
    ],
)
def test_senseless_networks_are_refused(cloud: Cloud, wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        cloud.create("network", cloud.admin, **wrong)
    assert cloud.find("network", cloud.admin) == []


def test_taken_segments(cloud: Cloud) -> None:
    flat = {"provider__network_type": "flat", "provider__physical_network": "physnet1"}
    cloud.create("network", cloud.admin, **flat)
    with pytest.raises(segments.FlatNetworkInUse):
        cloud.create("network", cloud.admin, **flat)
    tunnel = {"provider__network_type": "gre", "provider__segmentation_id": 70000}
    assert cloud.create("network", cloud.admin, **tunnel)["mtu"] == 1458
    with pytest.raises(segments.TunnelIdInUse):
        cloud.create_many("network", [{"name": "ok"}, tunnel], cloud.admin)
    assert cloud.find("network", cloud.admin, filters={"name": ["ok"]}) == []


def test_the_largest_mtu() -> None:
    assert mtu.maximum(SETTINGS, "geneve", None) == 1450
    assert mtu.maximum(replace(SETTINGS, geneve_max_header_size=38), "geneve", None) == 1442
    assert mtu.maximum(replace(SETTINGS, overlay_ip_version=6), "vxlan", None) == 1430
    assert mtu.maximum(replace(SETTINGS, path_mtu=1400), "gre", None) == 1358
    assert mtu.maximum(replace(SETTINGS, physical_network_mtus={"fast": 9000}), "vlan", "fast") == 9000


def test_a_smaller_mtu_and_back(cloud: Cloud) -> None:
    net = cloud.create("network", mtu=1200)
    cloud.create("subnet", network_id=net["id"], ip_version=4, cidr="10.0.0.0/24")
    with pytest.raises(mtu.NetworkMTUSubnetConflict):
        cloud.create("subnet", network_id=net["id"], ip_version=6, cidr="2001:db8::/64")
    with pytest.raises(mtu.NetworkMTUSubnetConflict):
        cloud.update("network", net["id"], mtu=60)
    assert cloud.update("network", net["id"], mtu=0)["mtu"] == 1450


def test_sharing_is_seen_by_whom_it_concerns(cloud: Cloud) -> None:
    beta = member("beta")
    net = cloud.create("network")
    sub = cloud.create("subnet", network_id=net["id"], ip_version=4, cidr="10.0.0.0/24")
    assert cloud.get("network", net["id"], beta) is None
    shared = cloud.update("network", net["id"], cloud.admin, shared=True)
    assert (shared["shared"], shared["revision_number"]) == (True, 3)
    assert cloud.update("network", net["id"], cloud.admin, shared=True)["revision_number"] == 3
    assert [item["id"] for item in cloud.find("subnet", beta, filters={"shared": [True]})] == [sub["id"]]
    assert cloud.find("network", beta, filters={"shared": [False]}) == []
    cloud.update("network", net["id"], cloud.admin, shared=False)
    assert cloud.find("subnet", beta) == []


def test_external_networks_are_seen_by_all(cloud: Cloud) -> None:
    net = cloud.create("network", cloud.admin, router__external=True)
    sub = cloud.create("subnet", cloud.admin, network_id=net["id"], ip_version=4, cidr="203.0.113.0/24")
    assert cloud.find("network", filters={"router:external": [True]})[0]["id"] == net["id"]
    seen = cloud.get("subnet", sub["id"])
    assert seen is not None
    assert seen["router:external"] is True
    cloud.update("network", net["id"], cloud.admin, router__external=False)
    assert cloud.get("network", net["id"]) is None


def test_one_default_network(cloud: Cloud) -> None:
    first = cloud.create("network", cloud.admin, is_default=True, router__external=True)
    with pytest.raises(networks.DefaultExternalNetworkExists):
        cloud.create("network", cloud.admin, is_default=True)
    cloud.update("network", first["id"], cloud.admin, is_default=False)
    cloud.create("network", cloud.admin, is_default=True)


def test_zones(cloud: Cloud) -> None:
    with pytest.raises(NotFound):
        cloud.create("network", availability_zone_hints=["moon"])
    cloud.heartbeat("h1", dhcp_role("moon"))
    net = cloud.create("network", availability_zone_hints=["moon"])
    cloud.create("subnet", network_id=net["id"], ip_version=4, cidr="10.0.0.0/24")
    assert (cloud.get("network", net["id"]) or {})["availability_zones"] == ["moon"]
    assert cloud.find("availability_zone") == [{"name": "moon", "resource": "network", "state": "available"}]


def test_a_network_goes_with_what_was_made_for_it(cloud: Cloud) -> None:
    cloud.heartbeat("h1")
    net = cloud.create("network", shared=True)
    cloud.create("subnet", network_id=net["id"], ip_version=4, cidr="10.0.0.0/24")
    port = cloud.create("port", network_id=net["id"])
    with pytest.raises(networks.NetworkInUse, match=port["id"]):
        cloud.delete("network", net["id"])
    cloud.delete("port", port["id"])
    assert [found["device_owner"] for found in cloud.find("port")] == ["network:dhcp"]
    cloud.delete("network", net["id"])
    for kind in ("network", "subnet", "port", "rbac_policy"):
        assert cloud.find(kind, cloud.admin) == []
    assert cloud.create("network")["provider:segmentation_id"] == 1


def test_provider_attributes_stay(cloud: Cloud) -> None:
    net = cloud.create("network")
    same = {"provider__network_type": "vxlan", "provider__segmentation_id": 1}
    assert cloud.update("network", net["id"], **same)["revision_number"] == 1
    with pytest.raises(InvalidInput):
        cloud.update("network", net["id"], provider__segmentation_id=9)


def test_removal_of_sharing_that_others_use(cloud: Cloud) -> None:
    net = cloud.create("network", shared=True)
    cloud.create("port", member("beta"), network_id=net["id"])
    with pytest.raises(Conflict):
        cloud.update("network", net["id"], shared=False)


def test_external_networks_get_their_own_type_while_it_has_room(cloud):
    caller = admin(external_network_type="flat", flat_networks=("public",))
    made = [cloud.create("network", caller, router__external=True) for _ in range(2)]
    shown = [
        (one["provider:network_type"], one["provider:physical_network"], one["provider:segmentation_id"])
        for one in made
    ]
    assert shown == [("flat", "public", None), ("vxlan", None, 1)]
    assert cloud.create("network", caller)["provider:network_type"] == "vxlan"
