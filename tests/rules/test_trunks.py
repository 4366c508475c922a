"""Trunks: their ports are where the parent is, and their status is what that host has told."""

from collections.abc import Callable
from typing import Any

import pytest

from netloom.model.errors import OverQuota
from netloom.rules import ports, reading, router_interfaces, status, trunks
from netloom.rules.trunk_checks import ParentPortInUse, TrunkPortInUse
from netloom.rules.trunk_ports import PortInUseAsSubPort, PortInUseAsTrunkParent
from tests.rules.cloud import BY_NAME, Cloud, View, member, switch_role
from tests.statements import statements

STATES = {state: (state, "1", "") for state in ("applied", "waiting", "failed")}


class Town:
    """A cloud with a network for the parent and one for each sub-port, and hosts h1 and h2."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.tags: dict[str, int] = {}
        cloud.heartbeat("h1")
        cloud.heartbeat("h2")
        self.parent = self.port()
        self.subs = [self.port() for _ in range(3)]

    def port(self, **values: Any) -> str:
        network = self.cloud.create("network")["id"]
        return str(self.cloud.create("port", network_id=network, **values)["id"])

    def trunk(self, *subs: str, **values: Any) -> View:
        return self.cloud.create("trunk", port_id=self.parent, sub_ports=self.tagged(*subs), **values)

    def act(self, name: str, trunk: View, *subs: str) -> View:
        with self.cloud.store.write() as tx:
            current = reading.get(tx, self.cloud.member, BY_NAME["trunk"], trunk["id"], for_update=True)
            assert current is not None
            done: Callable[..., View] = getattr(trunks, name)
            return done(tx, self.cloud.member, current, {"sub_ports": self.tagged(*subs)})

    def tagged(self, *subs: str) -> list[View]:
        """Sub-ports, each with a tag of its own."""
        tags = (self.tags.setdefault(sub, 1100 + len(self.tags)) for sub in subs)
        named = zip(subs, tags, strict=True)
        return [{"port_id": sub, "segmentation_type": "vlan", "segmentation_id": tag} for sub, tag in named]

    def bind(self, host: str) -> None:
        self.cloud.update("port", self.parent, self.cloud.admin, binding__host_id=host)

    def show(self, port: str) -> View:
        view = self.cloud.get("port", port, self.cloud.admin)
        assert view is not None
        return view

    def place(self, port: str) -> tuple[str, str, str, str]:
        view = self.show(port)
        return view["binding:host_id"], view["binding:vif_type"], view["device_owner"], view["device_id"]

    def tell(self, host: str, state: str, *names: str) -> None:
        """What a host says of fragments."""
        with self.cloud.store.write() as tx:
            status.report(tx, host, dict.fromkeys(names, STATES[state]))

    def status(self, trunk: View) -> str:
        view = self.cloud.get("trunk", trunk["id"])
        assert view is not None
        return str(view["status"])


@pytest.fixture
def town(cloud: Cloud) -> Town:
    return Town(cloud)


def test_sub_ports_follow_their_parent(town: Town) -> None:
    sub = town.subs[0]
    trunk = town.trunk(sub)
    assert town.place(sub) == ("", "unbound", "trunk:subport", trunk["id"])
    for host in ("h1", "h2", "h2", ""):
        town.bind(host)
        vif = "ovs" if host else "unbound"
        assert town.place(sub) == (host, vif, "trunk:subport", trunk["id"])
    assert town.show(sub)["revision_number"] == 5
    assert town.cloud.get("trunk", trunk["id"]) == trunk


def test_sub_ports_of_a_bound_parent_are_bound_at_once(town: Town) -> None:
    first, second, _ = town.subs
    trunk = town.trunk()
    town.bind("h1")
    town.act("add_subports", trunk, first, second)
    assert [town.place(sub)[0] for sub in (first, second)] == ["h1", "h1"]
    town.act("remove_subports", trunk, first)
    assert town.place(first) == ("", "unbound", "", "")
    assert town.place(second)[0] == "h1"
    town.bind("h2")
    assert (town.place(first)[0], town.place(second)[0]) == ("", "h2")


def test_a_trunk_leaves_its_ports_free(town: Town) -> None:
    trunk = town.trunk(*town.subs)
    town.bind("h1")
    with pytest.raises(trunks.TrunkInUse):
        town.cloud.delete("trunk", trunk["id"])
    town.bind("")
    town.cloud.delete("trunk", trunk["id"])
    assert {town.place(sub) for sub in town.subs} == {("", "unbound", "", "")}
    town.trunk(*town.subs)


def test_hosts_hear_of_it(town: Town) -> None:
    trunk = town.trunk(town.subs[0])
    assert f"port/{town.parent}" in town.cloud.changes()
    town.bind("h1")
    town.act("add_subports", trunk, town.subs[1])
    assert {f"trunk/{trunk['id']}", f"port/{town.subs[1]}", "host/h1"} <= town.cloud.changes()


def test_a_parent_shows_its_trunk_and_its_bridge(town: Town) -> None:
    trunk = town.trunk(*town.subs[:2])
    town.bind("h1")
    view = town.show(town.parent)
    assert view["binding:vif_details"]["bridge_name"] == f"tbr-{trunk['id'][:10]}"
    macs = [town.show(sub)["mac_address"] for sub in town.subs[:2]]
    shown = [sub | {"mac_address": mac} for sub, mac in zip(town.tagged(*town.subs[:2]), macs, strict=True)]
    assert view["trunk_details"] == {"trunk_id": trunk["id"], "sub_ports": shown}
    sub = town.show(town.subs[0])
    assert "trunk_details" not in sub
    assert sub["binding:vif_details"]["bridge_name"] == "br-int"


def test_status_is_what_the_host_has_told(town: Town) -> None:
    first, second, third = town.subs
    trunk = town.trunk(first, second)
    whole, parent, subs = f"trunk/{trunk['id']}", f"port/{town.parent}", (f"port/{first}", f"port/{second}")
    assert town.status(trunk) == "DOWN"
    town.bind("h1")
    assert town.status(trunk) == "DOWN"
    town.tell("h1", "waiting", whole, parent, *subs)
    assert town.status(trunk) == "DOWN"
    town.tell("h1", "applied", whole, parent)
    assert town.status(trunk) == "BUILD"
    town.tell("h1", "applied", *subs)
    assert town.status(trunk) == "ACTIVE"
    assert [view["id"] for view in town.cloud.find("trunk", filters={"status": ["ACTIVE"]})] == [trunk["id"]]
    town.tell("h1", "failed", subs[0])
    assert town.status(trunk) == "DEGRADED"
    town.tell("h1", "applied", subs[0])
    assert town.act("add_subports", trunk, third)["status"] == "DOWN"
    assert town.status(trunk) == "BUILD"
    town.tell("h1", "applied", f"port/{third}")
    assert town.status(trunk) == "ACTIVE"
    assert town.act("remove_subports", trunk, third)["status"] == "DOWN"
    town.tell("h1", "failed", whole)
    assert town.status(trunk) == "ERROR"
    town.tell("h1", "applied", whole)
    before = town.cloud.get("trunk", trunk["id"])
    assert before is not None
    assert (before["status"], before["revision_number"]) == ("ACTIVE", 3)
    town.bind("h2")
    assert town.status(trunk) == "DOWN"
    town.bind("")
    assert town.status(trunk) == "DOWN"


def test_what_a_host_told_of_a_port_before_it_was_bound_there_does_not_count(town: Town) -> None:
    """A host that serves DHCP for its network knows a port wherever that is."""
    first, second, _ = town.subs
    trunk = town.trunk(first)
    town.bind("h1")
    town.tell("h1", "applied", f"trunk/{trunk['id']}", f"port/{town.parent}", f"port/{first}", f"port/{second}")
    assert town.status(trunk) == "ACTIVE"
    town.act("add_subports", trunk, second)
    assert town.status(trunk) == "BUILD"
    for state in ("waiting", "applied"):
        town.tell("h1", state, f"port/{second}")
    assert town.status(trunk) == "ACTIVE"


def test_what_a_host_told_before_the_parent_came_back_does_not_count(town: Town) -> None:
    trunk = town.trunk()
    names = (f"trunk/{trunk['id']}", f"port/{town.parent}")
    town.bind("h1")
    town.tell("h1", "applied", *names)
    assert town.status(trunk) == "ACTIVE"
    town.bind("")
    town.bind("h1")
    assert town.status(trunk) == "DOWN"
    for state in ("waiting", "applied"):
        town.tell("h1", state, *names)
    assert town.status(trunk) == "ACTIVE"


def test_a_trunk_with_a_port_that_cannot_be_bound_takes_no_more(town: Town) -> None:
    """The host h1 does not carry the physical network of one sub-port."""
    cloud = town.cloud
    cloud.heartbeat("h1", switch_role(bridge_mappings={}))
    vlan = {"provider__network_type": "vlan", "provider__physical_network": "physnet1", "mtu": 1400}
    network = cloud.create("network", cloud.admin, project_id="alpha", **vlan)["id"]
    stuck = cloud.create("port", network_id=network)["id"]
    trunk = town.trunk(town.subs[0])
    town.bind("h1")
    assert town.act("add_subports", trunk, stuck)["status"] == "ERROR"
    assert town.place(stuck)[:2] == ("h1", "binding_failed")
    with pytest.raises(trunks.TrunkInErrorState):
        town.act("add_subports", trunk, town.subs[1])
    assert town.act("remove_subports", trunk, stuck)["status"] == "DOWN"
    assert town.status(trunk) == "DOWN"


def test_ports_of_a_failed_binding_are_bound_when_the_agent_comes(town: Town) -> None:
    trunk = town.trunk(town.subs[0])
    town.bind("h3")
    assert town.status(trunk) == "ERROR"
    town.cloud.heartbeat("h3")
    assert [town.place(port)[:2] for port in (town.parent, town.subs[0])] == [("h3", "ovs")] * 2
    assert town.status(trunk) == "DOWN"


def test_ports_of_trunks_stay(town: Town) -> None:
    trunk = town.trunk(town.subs[0])
    with pytest.raises(PortInUseAsTrunkParent, match=f"{town.parent} is currently a parent port for .* {trunk['id']}"):
        town.cloud.delete("port", town.parent)
    with pytest.raises(PortInUseAsSubPort, match=f"{town.subs[0]} is currently a subport for trunk {trunk['id']}"):
        town.cloud.delete("port", town.subs[0])
    town.cloud.delete("trunk", trunk["id"])
    town.cloud.delete("port", town.parent)
    town.cloud.delete("port", town.subs[0])


def test_ports_of_trunks_are_no_routers(town: Town) -> None:
    cloud = town.cloud
    trunk_ports = []
    for index in range(2):
        network = cloud.create("network")["id"]
        cloud.create("subnet", network_id=network, ip_version=4, cidr=f"10.0.{index}.0/24", enable_dhcp=False)
        trunk_ports.append(cloud.create("port", network_id=network)["id"])
    cloud.create("trunk", port_id=trunk_ports[0], sub_ports=town.tagged(trunk_ports[1]))
    router = cloud.create("router")["id"]
    for port, refusal in zip(trunk_ports, (PortInUseAsTrunkParent, router_interfaces.PortInUse), strict=True):
        with cloud.store.write() as tx:
            current = reading.get(tx, cloud.member, BY_NAME["router"], router)
            assert current is not None
            with pytest.raises(refusal):
                router_interfaces.add_router_interface(tx, cloud.member, current, {"port_id": port})


def test_a_port_has_one_place(town: Town) -> None:
    trunk = town.trunk(town.subs[0])
    for parent in (town.parent, town.subs[0]):
        with pytest.raises(TrunkPortInUse):
            town.cloud.create("trunk", port_id=parent)
    other = town.cloud.create("trunk", port_id=town.subs[2])
    for sub in (town.subs[2], town.subs[0]):
        with pytest.raises(TrunkPortInUse):
            town.act("add_subports", trunk, sub)
    with pytest.raises(ParentPortInUse):
        town.act("add_subports", trunk, town.parent)
    assert town.act("add_subports", other)["sub_ports"] == []


def test_ports_in_use_join_no_trunk(town: Town) -> None:
    trunk = town.trunk()
    with pytest.raises(router_interfaces.PortInUse):
        town.act("add_subports", trunk, town.port(device_id="something"))
    bound = town.subs[0]
    town.cloud.update("port", bound, town.cloud.admin, binding__host_id="h1")
    with pytest.raises(ports.PortInUse):
        town.act("add_subports", trunk, bound)
    for port in (bound, town.port(device_id="something")):
        with pytest.raises(ParentPortInUse):
            town.cloud.create("trunk", port_id=port)


def test_quota(town: Town) -> None:
    context = member(quotas={"trunk": 1})
    town.cloud.create("trunk", context, port_id=town.subs[0])
    with pytest.raises(OverQuota):
        town.cloud.create("trunk", context, port_id=town.subs[1])


def test_statements_do_not_depend_on_the_number_of_sub_ports(town: Town) -> None:
    network = town.cloud.create("network")["id"]
    many = [port["id"] for port in town.cloud.create_many("port", [{"network_id": network}] * 63)]
    counts = []
    for first, *others in (many[:3], many[3:]):
        town.parent = town.port()
        seen = []
        with statements(town.cloud.store) as made:
            trunk = town.trunk(*others)
        seen.append(len(made))
        with statements(town.cloud.store) as bound:
            town.bind("h1")
        seen.append(len(bound))
        for name, subs in (("add_subports", [first]), ("remove_subports", [first, *others]), ("add_subports", others)):
            with statements(town.cloud.store) as changed:
                town.act(name, trunk, *subs)
            seen.append(len(changed))
        with statements(town.cloud.store) as shown:
            town.status(trunk)
        counts.append([*seen, len(shown)])
    assert counts[0] == counts[1]
    assert max(counts[0]) < 30
