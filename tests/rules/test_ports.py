"""Ports and their addresses, on both databases."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from netloom.model.errors import BadRequest, Conflict, NotFound
from netloom.rules import addresses, port_values, ports
from netloom.rules.ports import MacAddressInUse
from netloom.rules.subnets import SubnetInUse
from netloom.store.database import Store
from tests.rules.cloud import Cloud, View, admin, member, switch_role
from tests.statements import statements


def network(cloud: Cloud, cidr: str = "10.0.0.0/24", **subnet: object) -> tuple[str, str]:
    net = cloud.create("network", name="net")
    sub = cloud.create("subnet", network_id=net["id"], ip_version=4, cidr=cidr, **subnet)
    return net["id"], sub["id"]


def ips(port: View) -> list[str]:
    return [place["ip_address"] for place in port["fixed_ips"]]


def test_addresses_are_given_lowest_first_and_again_after_they_are_free(cloud: Cloud) -> None:
    net, _ = network(cloud)
    made = cloud.create_many("port", [{"network_id": net}] * 3)
    assert [ips(port) for port in made] == [["10.0.0.2"], ["10.0.0.3"], ["10.0.0.4"]]
    cloud.delete("port", made[1]["id"])
    assert ips(cloud.create("port", network_id=net)) == ["10.0.0.3"]
    assert ips(cloud.create("port", network_id=net)) == ["10.0.0.5"]


def test_ports_of_many_requests_at_once_have_different_addresses(cloud: Cloud) -> None:
    net, _ = network(cloud, "10.0.0.0/24", allocation_pools=[{"start": "10.0.0.2", "end": "10.0.0.251"}])
    barrier = threading.Barrier(20)

    def one(number: int) -> str:
        if number < 20:
            barrier.wait(30)
        # Different projects, so that no lock on a project's quota puts the requests in a row.
        context = admin(f"project{number}")
        return ips(cloud.create("port", context, network_id=net, security_groups=[]))[0]

    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(one, range(250)))
    assert sorted(found, key=lambda text: int(text.split(".")[3])) == [f"10.0.0.{i}" for i in range(2, 252)]
    with pytest.raises(addresses.IpAddressGenerationFailure):
        cloud.create("port", network_id=net)


def test_bulk_requests_at_once_share_out_what_there_is(cloud: Cloud) -> None:
    net, _ = network(cloud, "10.0.0.0/23")

    def many(number: int) -> list[str]:
        made = cloud.create_many("port", [{"network_id": net, "security_groups": []}] * 100, admin(f"p{number}"))
        return [ips(port)[0] for port in made]

    with ThreadPoolExecutor(5) as pool:
        found = [address for addresses_ in pool.map(many, range(5)) for address in addresses_]
    assert len(set(found)) == 500
    cloud.create_many("port", [{"network_id": net}] * 9)
    with pytest.raises(addresses.IpAddressGenerationFailure):
        cloud.create("port", network_id=net)


def test_the_number_of_statements_does_not_grow_with_the_number_of_ports(cloud: Cloud) -> None:
    net, _ = network(cloud, "10.0.0.0/22")
    cloud.create("port", network_id=net)
    with statements(cloud.store) as one:
        cloud.create("port", network_id=net)
    with statements(cloud.store) as many:
        cloud.create_many("port", [{"network_id": net}] * 100)
    assert len(many) == len(one)
    with statements(cloud.store) as few:
        cloud.find("port", limit=1)
    with statements(cloud.store) as all_of_them:
        assert len(cloud.find("port")) == 102
    assert len(all_of_them) == len(few) <= 6


def test_a_port_without_room_leaves_nothing_behind(cloud: Cloud) -> None:
    net, _ = network(cloud, "10.0.0.0/30")
    cloud.create("port", network_id=net)
    with pytest.raises(addresses.IpAddressGenerationFailure):
        cloud.create_many("port", [{"network_id": net}])
    assert len(cloud.find("port")) == 1


def test_asked_addresses(cloud: Cloud) -> None:
    net, sub = network(cloud)
    other, foreign = network(cloud, "10.9.0.0/24")
    port = cloud.create("port", network_id=net, fixed_ips=[{"ip_address": "10.0.0.77"}, {"subnet_id": sub}])
    assert ips(port) == ["10.0.0.77", "10.0.0.2"]
    assert ips(cloud.create("port", network_id=net, fixed_ips=[{"ip_address": "10.0.0.1"}])) == ["10.0.0.1"]
    assert ips(cloud.create("port", network_id=net, fixed_ips=[])) == []
    wrong = {
        addresses.IpAddressAlreadyAllocated: [{"ip_address": "10.0.0.77"}],
        addresses.InvalidIpForNetwork: [{"ip_address": "192.0.2.1"}],
        addresses.InvalidIpForSubnet: [{"ip_address": "10.0.0.255"}],
        NotFound: [{"subnet_id": "00000000-0000-0000-0000-000000000001"}],
        BadRequest: [{"subnet_id": foreign}],
    }
    for error, fixed_ips in wrong.items():
        with pytest.raises(error):
            cloud.create("port", network_id=net, fixed_ips=fixed_ips)
    for fixed_ips in ([{}], [{"ip_address": "10.0.0.9"}, {"ip_address": "10.0.0.9"}]):
        with pytest.raises(BadRequest):
            cloud.create("port", network_id=net, fixed_ips=fixed_ips)
    assert other


def test_updated_addresses_replace_those_before(cloud: Cloud) -> None:
    net, sub = network(cloud)
    port = cloud.create("port", network_id=net, fixed_ips=[{"ip_address": "10.0.0.9"}, {"ip_address": "10.0.0.8"}])
    kept = cloud.update("port", port["id"], fixed_ips=[{"subnet_id": sub}, {"ip_address": "10.0.0.8"}])
    assert sorted(ips(kept)) == ["10.0.0.8", "10.0.0.9"]
    assert kept["revision_number"] == 1
    changed = cloud.update("port", port["id"], fixed_ips=[{"ip_address": "10.0.0.8"}, {"ip_address": "10.0.0.7"}])
    assert sorted(ips(changed)) == ["10.0.0.7", "10.0.0.8"]
    assert changed["revision_number"] == 2
    assert ips(cloud.update("port", port["id"], fixed_ips=[])) == []


def test_addresses_that_follow_from_the_mac(cloud: Cloud) -> None:
    net, _ = network(cloud)
    before = cloud.create("port", network_id=net, mac_address="fa:16:3e:00:00:01")
    sub = cloud.create(
        "subnet", network_id=net, ip_version=6, cidr="2001:db8::/64", ipv6_address_mode="slaac", ipv6_ra_mode="slaac"
    )
    assert ips(cloud.get("port", before["id"]) or {}) == ["10.0.0.2", "2001:db8::f816:3eff:fe00:1"]
    port = cloud.create("port", network_id=net, fixed_ips=[{"ip_address": "10.0.0.9"}], mac_address="fa:16:3e:00:00:02")
    assert ips(port) == ["10.0.0.9", "2001:db8::f816:3eff:fe00:2"]
    with pytest.raises(addresses.AllocationOnAutoAddressSubnet):
        cloud.create("port", network_id=net, fixed_ips=[{"ip_address": "2001:db8::5"}])
    assert ips(cloud.update("port", port["id"], fixed_ips=[])) == ["2001:db8::f816:3eff:fe00:2"]
    moved = cloud.update("port", port["id"], mac_address="fa:16:3e:00:00:03")
    assert ips(moved) == ["2001:db8::f816:3eff:fe00:3"]
    gone = cloud.update("port", port["id"], fixed_ips=[{"subnet_id": sub["id"], "delete_subnet": True}])
    assert ips(gone) == []
    cloud.delete("subnet", sub["id"])
    assert ips(cloud.get("port", before["id"]) or {}) == ["10.0.0.2"]


def test_ipv6_from_pools_and_both_families(cloud: Cloud) -> None:
    net, _ = network(cloud)
    cloud.create("subnet", network_id=net, ip_version=6, cidr="2001:db8:1::/64")
    made = cloud.create_many("port", [{"network_id": net}] * 2)
    assert [ips(port) for port in made] == [["10.0.0.2", "2001:db8:1::1"], ["10.0.0.3", "2001:db8:1::2"]]


def test_service_subnets_are_for_their_owners(cloud: Cloud) -> None:
    net, _ = network(cloud, service_types=["compute:nova"])
    assert ips(cloud.create("port", network_id=net, device_owner="compute:nova")) == ["10.0.0.2"]
    with pytest.raises(addresses.IpAddressGenerationFailureNoMatchingSubnet):
        cloud.create("port", network_id=net)
    cloud.create("subnet", network_id=net, ip_version=4, cidr="10.0.1.0/24")
    assert ips(cloud.create("port", network_id=net)) == ["10.0.1.2"]


def test_a_full_subnet_is_followed_by_the_next(cloud: Cloud) -> None:
    net, _ = network(cloud, "10.0.0.0/30")
    cloud.create("subnet", network_id=net, ip_version=4, cidr="10.0.1.0/30")
    assert sorted(ips(port)[0] for port in cloud.create_many("port", [{"network_id": net}] * 2)) == [
        "10.0.0.2", "10.0.1.2",
    ]  # fmt: skip


def test_macs_are_unique_on_a_network(cloud: Cloud) -> None:
    net, _ = network(cloud)
    port = cloud.create("port", network_id=net, mac_address="FA-16-3E-00-00-07")
    assert port["mac_address"] == "fa:16:3e:00:00:07"
    with pytest.raises(MacAddressInUse):
        cloud.create("port", network_id=net, mac_address="fa:16:3e:00:00:07")
    other = cloud.create("port", network_id=net)
    assert other["mac_address"].startswith("fa:16:3e:")
    with pytest.raises(MacAddressInUse):
        cloud.update("port", other["id"], mac_address="fa:16:3e:00:00:07")
    assert cloud.update("port", other["id"], mac_address=None)["mac_address"] != other["mac_address"]


def test_scarce_macs_are_found_by_trying(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    net, _ = network(cloud)
    offers = iter(["fa:16:3e:00:00:01"] * 3 + ["fa:16:3e:00:00:02"])
    monkeypatch.setattr(port_values, "random_mac", lambda _base: next(offers))
    assert cloud.create("port", network_id=net)["mac_address"] == "fa:16:3e:00:00:01"
    assert cloud.create("port", network_id=net)["mac_address"] == "fa:16:3e:00:00:02"


def test_default_groups_and_port_security(cloud: Cloud) -> None:
    net, _ = network(cloud)
    port = cloud.create("port", network_id=net)
    assert len(port["security_groups"]) == 1
    assert port["port_security_enabled"] is True
    assert cloud.create("port", network_id=net, security_groups=[])["security_groups"] == []
    bare = cloud.create("port", network_id=net, port_security_enabled=False)
    assert bare["security_groups"] == []
    with pytest.raises(port_values.PortSecurityAndIPRequiredForSecurityGroups):
        cloud.update("port", bare["id"], security_groups=port["security_groups"])
    with pytest.raises(ports.PortSecurityPortHasSecurityGroup):
        cloud.update("port", port["id"], port_security_enabled=False)
    open_port = cloud.update("port", port["id"], port_security_enabled=False, security_groups=[])
    assert open_port["revision_number"] == 2
    with pytest.raises(NotFound):
        cloud.create("port", network_id=net, security_groups=["00000000-0000-0000-0000-000000000001"])
    assert cloud.create("port", network_id=net, device_owner="network:misc")["port_security_enabled"] is False


def test_address_pairs_and_dhcp_options(cloud: Cloud) -> None:
    net, _ = network(cloud)
    port = cloud.create(
        "port", network_id=net, allowed_address_pairs=[{"ip_address": "10.0.0.50"}],
        extra_dhcp_opts=[{"opt_name": "mtu", "opt_value": "1400"}, {"opt_name": "tftp", "opt_value": "x"}],
    )  # fmt: skip
    assert port["allowed_address_pairs"] == [{"ip_address": "10.0.0.50", "mac_address": port["mac_address"]}]
    assert port["extra_dhcp_opts"][0] == {"opt_name": "mtu", "opt_value": "1400", "ip_version": 4}
    after = cloud.update("port", port["id"], extra_dhcp_opts=[{"opt_name": "mtu", "opt_value": None}])
    assert [option["opt_name"] for option in after["extra_dhcp_opts"]] == ["tftp"]
    for pairs in ([{}], [{"ip_address": "224.0.0.5"}], [{"ip_address": "10.0.0.1"}] * 2, [{"ip_address": "x"}]):
        with pytest.raises(BadRequest):
            cloud.create("port", network_id=net, allowed_address_pairs=pairs)
    with pytest.raises(Conflict):
        cloud.update("port", port["id"], port_security_enabled=False, security_groups=[])


def test_binding_follows_the_agents(cloud: Cloud) -> None:
    net, _ = network(cloud)
    port = cloud.create("port", cloud.admin, network_id=net, project_id="alpha")
    assert (port["binding:vif_type"], port["binding:host_id"], port["binding:vif_details"]) == ("unbound", "", {})
    failed = cloud.update("port", port["id"], binding__host_id="h1")
    assert failed["binding:vif_type"] == "binding_failed"
    cloud.heartbeat("h1", switch_role(ovs_hybrid_plug=True))
    bound = cloud.get("port", port["id"]) or {}
    assert bound["binding:vif_type"] == "ovs"
    assert bound["binding:vif_details"]["ovs_hybrid_plug"] is True
    assert bound["binding:vif_details"]["bound_drivers"] == {"0": "openvswitch"}
    with pytest.raises(ports.PortBound):
        cloud.update("port", port["id"], mac_address="fa:16:3e:00:00:07")
    assert cloud.update("port", port["id"], binding__host_id="")["binding:vif_type"] == "unbound"
    flat = cloud.create("network", cloud.admin, provider__network_type="flat", provider__physical_network="physnet2")
    lost = cloud.create("port", cloud.admin, network_id=flat["id"], binding__host_id="h1")
    assert lost["binding:vif_type"] == "binding_failed"
    cloud.heartbeat("h1", switch_role(bridge_mappings={"physnet2": "br-2"}))
    assert (cloud.get("port", lost["id"], cloud.admin) or {})["binding:vif_type"] == "ovs"


def test_an_update_that_changes_nothing_leaves_no_trace(cloud: Cloud) -> None:
    net, _ = network(cloud)
    port = cloud.create("port", network_id=net, name="a")
    before = cloud.changes()
    wanted = {name: port[name] for name in ("name", "admin_state_up", "security_groups", "fixed_ips", "mac_address")}
    assert cloud.update("port", port["id"], **wanted) == port
    assert cloud.update("port", port["id"], name="b")["revision_number"] == 2
    assert cloud.changes() == before
    cloud.update("port", port["id"], security_groups=[])
    assert f"addresses/{port['security_groups'][0]}" in cloud.changes()


def test_ports_on_foreign_networks(cloud: Cloud) -> None:
    net, _ = network(cloud)
    stranger = member("beta")
    with pytest.raises(NotFound):
        cloud.create("port", stranger, network_id=net)
    cloud.update("network", net, cloud.admin, shared=True)
    port = cloud.create("port", stranger, network_id=net)
    assert cloud.get("port", port["id"]) is not None  # the network's owner sees it
    mine = cloud.create("port", network_id=net)
    assert cloud.get("port", mine["id"], stranger) is None
    with pytest.raises(Conflict):
        cloud.update("network", net, cloud.admin, shared=False)


def test_a_subnet_does_not_go_from_under_a_port_in_the_making(cloud: Cloud) -> None:
    net, sub = network(cloud)
    with ThreadPoolExecutor(1) as other:
        with cloud.store.write() as tx:
            body = {"network_id": net, "project_id": "alpha"}
            ports.create_internal(tx, cloud.member, [body])
            deletion = other.submit(cloud.delete, "subnet", sub)
        with pytest.raises(SubnetInUse):
            deletion.result(timeout=30)
    assert len(cloud.find("subnet")) == 1


def test_addresses_that_others_are_taking_are_passed_over_without_waiting(postgresql_store: Store) -> None:
    cloud = Cloud(postgresql_store)
    net, _ = network(cloud)
    body = {"network_id": net, "project_id": "alpha"}
    with cloud.store.write() as first:
        many = ports.create_internal(first, cloud.member, [body] * 90)
        with cloud.store.write() as second:
            (next_one,) = ports.create_internal(second, cloud.member, [body])
    assert [ips(port)[0] for port in many] == [f"10.0.0.{i}" for i in range(2, 92)]
    assert ips(next_one) == ["10.0.0.92"]
