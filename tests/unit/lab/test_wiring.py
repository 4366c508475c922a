"""How a layout becomes devices, and what hosts are configured with."""

from pathlib import Path

import pytest

from netloom.lab import configuration, wiring
from netloom.lab.reading import load, parse
from netloom.settings.load import host_settings, read, server_settings

JUMBO = """
[networks]
management = { kind = "management", prefix = "10.0.0.0/24" }
tunnels = { kind = "tunnel", prefix = "10.0.1.0/24", mtu = 9000 }
vlan = { kind = "vlan", mtu = 1600 }
[hosts.one]
roles = ["server", "openvswitch", "compute"]
links = { management = "10.0.0.11", tunnels = "10.0.1.11", vlan = "" }
config = { agent = { tunnel_types = "vxlan" } }
"""


def test_every_link_has_devices_and_macs_of_its_own():
    layout = load("twenty")
    every = [device for host in layout.hosts.values() for device in wiring.devices(layout, host)]
    assert len({device.outer for device in every}) == len({device.mac for device in every}) == len(every)
    assert all(len(device.outer) < 16 for device in every)
    names = [device.name for device in wiring.devices(layout, layout.hosts["network2"])]
    assert names == ["eth0", "eth1", "eth2", "eth3"]


def test_addresses_are_where_open_vswitch_looks_for_them():
    layout = load("ha")
    network1 = wiring.preparation(layout, layout.hosts["network1"])
    assert {bridge: device for bridge, (device, _) in network1.bridges.items()} == {
        "br-phy": "eth1",
        "br-vlan": "eth2",
        "br-ex": "eth3",
    }
    assert "address replace 10.0.1.21/24 dev br-phy\n" in network1.commands
    assert "address replace 10.0.0.21/24 dev eth0\n" in network1.commands
    internet = wiring.preparation(layout, layout.hosts["internet"])
    assert internet.bridges == {}
    assert "address replace 203.0.113.1/24 dev eth0\n" in internet.commands
    assert "address replace 8.8.8.8 dev lo\n" in internet.commands
    assert internet.names["openstack.org"] == "174.143.194.225"
    assert "eth0" in internet.plain


def test_cables_lead_into_the_host_and_its_network_and_have_its_mtu():
    layout = parse(JUMBO, "jumbo", None)
    commands = wiring.cables(layout, layout.hosts["one"], 4711)
    assert "link add 0-eth1 mtu 9000 type veth peer name eth1 mtu 9000 address 52:54:00:00:00:01 netns 4711" in commands
    assert "link set 0-eth1 master tunnels up" in commands


def configured(text: str, folder: Path):
    """What the product makes of a configuration."""
    path = folder / "netloom.conf"
    path.write_text(text)
    return read([path])


@pytest.mark.parametrize("name", ["ha", "two", "twenty"])
def test_configurations_of_shipped_layouts_are_accepted(name, tmp_path):
    layout = load(name)
    for host in [*layout.servers, *layout.agents]:
        conf = configured(configuration.configuration(layout, host, "secret", ""), tmp_path)
        if host.has_agent:
            settings = host_settings(conf)
            assert settings.host == host.name
            assert settings.servers == ("ws://10.0.0.11:9696",)
            assert settings.local_ip == layout.address(host, "tunnel")
            assert settings.roles == host.roles - {"server"}
            assert settings.nova_metadata_url == "http://10.0.0.11:8775"


def test_the_ha_layout_is_that_of_the_scenario(tmp_path):
    layout = load("ha")
    text = {name: configuration.configuration(layout, host, "s", "") for name, host in layout.hosts.items()}
    network = server_settings(configured(text["controller"], tmp_path)).network
    assert (network.l3_ha, network.max_l3_agents_per_router, network.min_l3_agents_per_router) == (True, 3, 2)
    assert network.tenant_network_types == ("vlan", "gre", "vxlan")
    node = host_settings(configured(text["network1"], tmp_path))
    assert (dict(node.bridge_mappings), node.l2_population) == ({"vlan": "br-vlan", "external": "br-ex"}, True)
    compute = host_settings(configured(text["compute1"], tmp_path))
    assert (dict(compute.bridge_mappings), compute.l2_population) == ({"vlan": "br-vlan"}, False)


def test_the_api_knows_how_long_packets_may_be(tmp_path):
    layout = parse(JUMBO, "jumbo", None)
    settings = server_settings(configured(configuration.configuration(layout, layout.hosts["one"], "s", ""), tmp_path))
    assert settings.network.global_physnet_mtu == 9000
    assert settings.network.physical_network_mtus == {"vlan": 1600}
    assert settings.network.path_mtu == 0
