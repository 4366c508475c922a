"""What failures mean for fragments."""

import pytest

from netloom.agent.convergence import judge
from netloom.feed.fragments import Fragment, HaGroup, HaPort, LoadBalancer, Network, Port, RouterPort, SubPort, Trunk
from netloom.state import Facts, Failure, Interface

NETWORK = Network(
    id="n", project_id="p", mtu=1500, network_type="vlan", physical_network="physnet", segmentation_id=7,
    admin_state_up=True, external=False, subnets=(),
)  # fmt: skip
PORT = Port(
    id="11111111-2222-3333-4444-555555555555", network_id="n", mac="fa:16:3e:00:00:01", project_id="p", device_id="d",
    device_owner="compute:nova", host="here", admin_state_up=True, port_security=True, fixed_ips=(), address_pairs=(),
    security_groups=(), dhcp_options=(),
)  # fmt: skip


SUB_PORT = Port(
    id="22222222-2222-3333-4444-555555555555", network_id="n", mac="fa:16:3e:00:00:02", project_id="p", device_id="",
    device_owner="trunk:subport", host="here", admin_state_up=True, port_security=True, fixed_ips=(), address_pairs=(),
    security_groups=(), dhcp_options=(),
)  # fmt: skip
TRUNK = Trunk("t", PORT.id, (SubPort(SUB_PORT.id, 1100),))


def told(*failures: Failure, plugged: bool = True, host: str = "here") -> tuple[str, str]:
    """State and reason of the port."""
    fragments: dict[str, Fragment] = {fragment.name: fragment for fragment in (NETWORK, PORT)}
    interface = Interface(device="tap", mac=PORT.mac, port_id=PORT.id)
    facts = Facts(interfaces={PORT.id: interface} if plugged else {})
    status = judge(fragments, dict.fromkeys(fragments, "1"), facts, failures, host)[PORT.name]
    return status.state, status.reason


def test_a_plugged_port_is_applied_and_another_waits():
    assert told() == ("applied", "")
    state, reason = told(plugged=False)
    assert state == "waiting"
    assert "tap11111111-22" in reason


@pytest.mark.parametrize("origin", [PORT.name, "network/n", "physical_network/physnet", ""])
def test_a_port_fails_with_what_it_needs(origin):
    assert told(Failure(origin, "port x bridge=y", "no bridge y")) == ("failed", "port x: no bridge y")


def test_a_port_does_not_fail_with_what_others_need():
    others = [Failure(origin, "port x", "no") for origin in ("network/m", "physical_network/other", "port/other")]
    assert told(*others) == ("applied", "")
    assert told(Failure("", "port x", "no"), host="elsewhere") == ("applied", "")


def of_trunk(*failures: Failure, plugged: bool = True, bridge: str = "tbr-t") -> tuple[str, str, str]:
    """States of a trunk, its parent and its sub-port."""
    fragments: dict[str, Fragment] = {fragment.name: fragment for fragment in (NETWORK, PORT, SUB_PORT, TRUNK)}
    card = Interface(device="tap", mac=PORT.mac, port_id=PORT.id, bridge=bridge)
    facts = Facts({PORT.id: card} if plugged else {})
    statuses = judge(fragments, dict.fromkeys(fragments, "1"), facts, failures, "here")
    waiting = [status.reason for status in statuses.values() if status.state == "waiting"]
    assert all(PORT.id in reason for reason in waiting)
    trunk, parent, sub = (statuses[fragment.name].state for fragment in (TRUNK, PORT, SUB_PORT))
    return trunk, parent, sub


def test_a_trunk_and_its_sub_ports_wait_for_the_card_of_the_parent():
    assert of_trunk(plugged=False) == ("waiting", "waiting", "waiting")
    assert of_trunk() == ("applied", "applied", "applied")


def test_a_trunk_waits_when_the_card_is_on_another_bridge():
    assert of_trunk(bridge="br-int") == ("waiting", "applied", "waiting")


def test_a_trunk_fails_with_its_ports_but_a_sub_port_fails_alone():
    assert of_trunk(Failure(TRUNK.name, "bridge tbr-t", "no")) == ("failed", "failed", "failed")
    assert of_trunk(Failure(SUB_PORT.name, "port spt-2", "no")) == ("applied", "applied", "failed")


def test_a_sub_port_without_a_known_trunk_waits():
    fragments: dict[str, Fragment] = {fragment.name: fragment for fragment in (NETWORK, SUB_PORT)}
    assert judge(fragments, dict.fromkeys(fragments, "1"), Facts(), (), "here")[SUB_PORT.name].state == "waiting"


VIP = RouterPort(PORT.id, "n", PORT.mac, 1500, ("10.0.0.9/24",), ("s",))
ELECTION = HaGroup("n", 1500, 1, (HaPort("here", SUB_PORT.id, SUB_PORT.mac, "10.0.0.8/24"),))


@pytest.mark.parametrize(("ha", "card", "other"), [(None, PORT, SUB_PORT), (ELECTION, SUB_PORT, PORT)])
def test_a_load_balancer_tells_its_revision_and_fails_with_its_card(ha, card, other):
    balancer = LoadBalancer("b", "p", True, VIP, (), (), ha, revision=7)
    fragments: dict[str, Fragment] = {fragment.name: fragment for fragment in (NETWORK, PORT, SUB_PORT, balancer)}

    def told(*origins: str) -> tuple[str, int]:
        failures = [Failure(origin, "port x", "no") for origin in origins]
        status = judge(fragments, dict.fromkeys(fragments, "1"), Facts(), failures, "here")[balancer.name]
        return status.state, status.revision

    assert told(other.name, "network/m") == ("applied", 7)
    for origin in (balancer.name, card.name, "network/n", ""):
        assert told(origin) == ("failed", 7)
