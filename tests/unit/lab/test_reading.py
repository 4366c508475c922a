"""Layouts: what a file says, and what is said about a wrong one."""

import pytest

from netloom.lab import reading
from netloom.lab.errors import LayoutError
from netloom.lab.reading import load, parse

SMALL = """
[networks]
management = { kind = "management", prefix = "10.0.0.0/24" }
tunnels = { kind = "tunnel", prefix = ["10.0.1.0/24", "fd00:1::/64"], mtu = 9000 }
vlan = { kind = "vlan", bridge = "br-data" }
[config.DEFAULT]
l3_ha = true
dhcp_agents_per_network = 2
[hosts.controller]
roles = ["server"]
links = { management = "10.0.0.11" }
[hosts.compute]
count = 3
roles = ["openvswitch", "compute"]
links = { management = "10.0.0.31", tunnels = ["10.0.1.31", "fd00:1::31"], vlan = "" }
config_files = "own.conf"
[hosts.compute.config]
DEFAULT = { l3_ha = false }
agent = { tunnel_types = ["vxlan", "gre"] }
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "own.conf").write_text("[DEFAULT]\ndebug = true\n")
    return tmp_path


def test_a_file_says_hosts_links_and_options(folder):
    layout = parse(SMALL, "small.toml", folder)
    assert list(layout.hosts) == ["controller", "compute1", "compute2", "compute3"]
    third = layout.hosts["compute3"]
    assert [(link.network, [str(each) for each in link.addresses]) for link in third.links] == [
        ("management", ["10.0.0.33/24"]),
        ("tunnels", ["10.0.1.33/24", "fd00:1::33/64"]),
        ("vlan", []),
    ]
    assert third.config == {
        "DEFAULT": {"l3_ha": "false", "dhcp_agents_per_network": "2"},
        "agent": {"tunnel_types": "vxlan,gre"},
    }
    assert layout.hosts["controller"].config["DEFAULT"]["l3_ha"] == "true"
    assert third.config_files == {"own.conf": "[DEFAULT]\ndebug = true\n"}
    assert (layout.networks["tunnels"].mtu, layout.networks["vlan"].bridge) == (9000, "br-data")
    assert [host.name for host in layout.servers] == ["controller"]
    assert [host.name for host in layout.agents] == ["compute1", "compute2", "compute3"]


WRONG = {
    "hosts.compute.colour is not known; allowed are: roles": ("count = 3", "colour = 3"),
    "hosts.compute.count: '0' is not allowed; it must be a number from 1": ("count = 3", "count = 0"),
    "hosts.compute.roles: 'cook' is not allowed; it must be among: server": ('"compute"]', '"cook"]'),
    "hosts.compute1.roles: 'compute' is not allowed; it must be with 'openvswitch'": ('"openvswitch", ', ""),
    "networks.vlan.kind: 'flat' is not allowed; it must be one of: management": ('kind = "vlan"', 'kind = "flat"'),
    "networks.tunnels.mtu: '90' is not allowed; it must be a number from 576": ("9000", "90"),
    "networks.tunnels.prefix: '10.0.1.1/24' is not allowed": ('"10.0.1.0/24"', '"10.0.1.1/24"'),
    "hosts.compute.links.management: '10.9.0.31' is not allowed; it must be an address of the network, which has "
    "10.0.0.0/24": ("10.0.0.31", "10.9.0.31"),
    "hosts.compute.links.management: 'x' is not allowed; it must be an address": ("10.0.0.31", "x"),
    "hosts.compute.links: 'wan' is not allowed; it must be among the networks of this file: management": (
        "vlan = \"\"",
        "wan = \"\"",
    ),
    "hosts.compute2: 'controller' has 10.0.0.11 already": ("10.0.0.31", "10.0.0.10"),
    "hosts.controller.links: it needs an address on a network of kind 'management'": ('"10.0.0.11"', '""'),
    "hosts: no host has the role 'server'": ('roles = ["server"]', 'roles = ["internet"]'),
    "database: 'mysql' is not allowed; it must be one of: sqlite": ("\n[networks]", 'database="mysql"\n[networks]'),
    "hosts.compute.config_files: 'no.conf' is not allowed; it must be a file that can be read": ("own.conf", "no.conf"),
    "not TOML": ("[networks]", "[networks"),
    "hosts: 'a_host' is not allowed; it must be 12 characters at most": ("[hosts.controller]", "[hosts.a_host]"),
    "two of its networks have the same bridge": ("br-data", "br-phy"),
    "config: '{'l3_ha': True": ("[config.DEFAULT]", "[config]"),
}  # fmt: skip


@pytest.mark.parametrize("wanted", WRONG, ids=lambda text: text.split(":")[0])
def test_a_wrong_file_is_refused_by_key_and_what_is_allowed(folder, wanted):
    old, new = WRONG[wanted]
    assert old in SMALL
    with pytest.raises(LayoutError) as refused:
        parse(SMALL.replace(old, new, 1), "small.toml", folder)
    assert str(refused.value).startswith("small.toml: ")
    assert wanted in str(refused.value)


def test_several_servers_need_one_database(folder):
    several = SMALL.replace('roles = ["server"]', 'count = 2\nroles = ["server"]')
    with pytest.raises(LayoutError, match="database: 'sqlite' is not allowed; it must be 'postgresql'"):
        parse(several, "small.toml", folder)
    assert len(parse('database = "postgresql"\n' + several, "small.toml", folder).servers) == 2


def test_an_unknown_layout_names_those_that_there_are():
    with pytest.raises(LayoutError, match=r"nowhere.toml: cannot be read .* one of: ha, twenty, two"):
        load("nowhere.toml")


def test_shipped_layouts_are_right():
    sizes = {name: len(load(name).agents) for name in reading.shipped()}
    assert sizes == {"ha": 4, "two": 3, "twenty": 19}
