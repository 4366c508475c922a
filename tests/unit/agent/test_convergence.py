"""What failures mean for fragments."""

import pytest

from netloom.agent.convergence import judge
from netloom.feed.fragments import Fragment, Network, Port
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
