"""A cloud with the converted settings of 2013: its projects' networks are GRE, from the API to the switch."""

import uuid
from pathlib import Path

import pytest

from netloom.agent.loop import plan_settings
from netloom.feed.fragments import Neighbour, TunnelPeer
from netloom.settings.devstack.conversion import convert
from netloom.settings.load import host_settings, network_settings, read
from netloom.state import Bridge, SwitchPort
from tests.unit.plan.switching_world import World, network, port

LOCALRC = Path(__file__).parents[1] / "unit/settings/devstack/localrc"
OTHER = "192.168.100.11"
"""A second host's end of the tunnels."""


@pytest.fixture
def conf(tmp_path):
    file = tmp_path / "netloom.conf"
    file.write_text(convert(f"{LOCALRC.read_text()}\nTENANT_TUNNEL_RANGES=100:101\n").text())
    return read([file])


@pytest.fixture
def settings(conf):
    return network_settings(conf)


def test_003_40_project_networks_are_gre_with_keys_of_the_range(alice, admin):
    made = [alice.network(name=f"private{n}") for n in range(2)]
    assert "provider:network_type" not in made[0]
    shown = [admin.get(f"networks/{each['id']}")["network"] for each in made]
    assert {each["provider:network_type"] for each in shown} == {"gre"}
    assert sorted(each["provider:segmentation_id"] for each in shown) == [100, 101]
    assert {each["mtu"] for each in shown} == {1458}  # 42 octets are the tunnel's
    alice.fails(503, "NoNetworkAvailable", "POST", "networks", {"network": {}})


def test_the_external_network_is_flat_on_the_bridge_of_the_wire(admin):
    made = admin.network(**{"name": "public", "router:external": True})
    assert (made["provider:network_type"], made["provider:physical_network"]) == ("flat", "public")


def test_003_40_hosts_carry_them_over_br_tun(conf):
    private = network(1, "gre", 100)
    mine = port(1, host=conf.host)
    told = Neighbour(str(uuid.uuid4()), private.id, "fa:16:3e:00:00:02", ("10.0.0.2",), ("other",))
    world = World(settings=plan_settings(host_settings(conf), "netdev"))
    state = world.put(private, mine, told, TunnelPeer("other", OTHER, ("gre",))).plan()
    assert "br-tun" in {bridge.name for bridge in state.of(Bridge).values()}
    [tunnel] = [each for each in state.of(SwitchPort).values() if each.kind == "gre"]
    assert (tunnel.bridge, tunnel.name) == ("br-tun", "gre-c0a8640b")
    options = dict(tunnel.options)
    assert (options["local_ip"], options["remote_ip"]) == ("192.168.100.10", OTHER)
