"""What is wrong is refused: with file, line, section, option and what is allowed."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netloom.cli.main import main
from netloom.settings.files import ConfigurationError
from netloom.settings.load import read
from netloom.settings.options import declared

HEAD = "# a comment\n\n"
"""Two lines before what is wrong."""

WORDS = {
    "[ml3]\n": (3, "there is no section [ml3]; did you mean 'ml2'?"),
    "[ml2]\ntype_driver = vlan\n": (4, "[ml2] type_driver: there is no such option; did you mean 'type_drivers'?"),
    "[ovs]\ntunnel_types = gre\n": (4, "[ovs] tunnel_types: the option belongs into [agent]"),
    "[DEFAULT]\nxyzzy = 1\n": (4, "[DEFAULT] xyzzy: there is no such option; 'netloom config show --all' lists"),
    "[ml2]\ntype_drivers = vlan,\n  vxlan\ntype_driver = vlan\n": (6, "did you mean 'type_drivers'?"),
    "bind_port = 1\n": (3, "'bind_port' is in no section; begin with [DEFAULT]"),
    "[DEFAULT]\nbind_port\n": (4, "No ':' or '=' found in assignment"),
    "[DEFAULT\n": (3, "Invalid section"),
}

VALUES = {
    "[DEFAULT]\nl3_ha = perhaps": "perhaps",
    "[DEFAULT]\nbind_port = 65536": "65535",
    "[DEFAULT]\nbind_host = a b": "a b",
    "[DEFAULT]\nmax_routes = many": "many",
    "[DEFAULT]\nmax_routes = ": "no value",
    "[agent]\nreport_interval = ": "no value",
    "[DEFAULT]\nmax_routes = -1": "0",
    "[DEFAULT]\ndhcp_agents_per_network = 0": "1",
    "[DEFAULT]\nha_vrrp_advert_int = 0.01": "0.05",
    "[DEFAULT]\nl3_ha_net_cidr = 169.254.192.0": "no room",
    "[DEFAULT]\nl3_ha_net_cidr = 169.254.192.1/18": "169.254.192.0/18",
    "[DEFAULT]\nl3_ha_net_cidr = fd00::/64": "169.254.192.0/18",
    "[DEFAULT]\nbase_mac = ff:16:3e:00:00:00": "fa:16:3e:00:00:00",
    "[DEFAULT]\ndns_domain = a domain": "a domain name",
    "[DEFAULT]\npagination_max_limit = none": "infinite",
    "[DEFAULT]\ndnsmasq_dns_servers = 192.0.2.1, dns.example.org": "dns.example.org",
    "[DEFAULT]\ndnsmasq_dns_servers = 192.0.2.1#x": "ADDRESS#PORT",
    "[DEFAULT]\nhost = a/b": "spaces and slashes",
    "[DEFAULT]\nagent_mode = dvr": "legacy",
    "[DEFAULT]\ncore_plugin = midonet": "ml2",
    "[DEFAULT]\ninterface_driver = linuxbridge": "neutron.agent.linux.interface.OVSInterfaceDriver",
    "[quotas]\nquota_port = -2": "-1",
    "[database]\nconnection = mysql+pymysql://u:hidden@h/d": "postgresql+psycopg://",
    "[database]\nconnection = hidden": "postgresql+psycopg://",
    "[database]\nconnection = sqlite:///": "sqlite:///PATH",
    "[database]\nconnection = postgresql://u:hidden@h:x/d": "postgresql+psycopg://",
    "[ml2]\ntype_drivers = flat,mpls": "vxlan",
    "[ml2]\ntenant_network_types = mpls": "vxlan",
    "[ml2]\nmechanism_drivers = linuxbridge": "l2population",
    "[ml2]\noverlay_ip_version = 5": "4",
    "[ml2]\nphysical_network_mtus = physnet1": "NAME:VALUE",
    "[ml2]\nphysical_network_mtus = physnet1:9": "68 to 65535",
    "[ml2_type_vlan]\nnetwork_vlan_ranges = physnet1:200:100": "FIRST <= LAST",
    "[ml2_type_vlan]\nnetwork_vlan_ranges = physnet1:1:4095": "4094",
    "[ml2_type_vlan]\nnetwork_vlan_ranges = physnet1:0:10": "1 <= FIRST",
    "[ml2_type_vlan]\nnetwork_vlan_ranges = physnet1:10": "FIRST:LAST",
    "[ml2_type_vlan]\nnetwork_vlan_ranges = :1:2": "PHYSICAL_NETWORK",
    "[ml2_type_gre]\ntunnel_id_ranges = 1:4294967296": "4294967295",
    "[ml2_type_vxlan]\nvni_ranges = 10:1": "FIRST <= LAST",
    "[ml2_type_vxlan]\nvni_ranges = 1:16777216": "16777215",
    "[ml2_type_vxlan]\nvni_ranges = 1:MAX": "FIRST:LAST",
    "[ml2_type_geneve]\nmax_header_size = 10": "30",
    "[agent]\ntunnel_types = vlan\n[ovs]\nlocal_ip = 10.0.0.1": "geneve",
    "[ovs]\nlocal_ip = TUNNEL_INTERFACE_IP_ADDRESS": "IP address",
    "[ovs]\nbridge_mappings = physnet1": "NAME:VALUE",
    "[ovs]\nbridge_mappings = physnet1:": "NAME:VALUE",
    "[ovs]\ndatapath_type = quick": "netdev",
    "[ovs]\novsdb_connection = /run/db.sock": "unix:PATH",
    "[securitygroup]\nfirewall_driver = pf": "iptables_hybrid",
    "[netloom]\nservers = http://192.0.2.1:9696": "ws://",
    "[netloom]\nroles = l3,router": "metadata",
    "[keystone_authtoken]\npassword = hidden$hidden": "'$$'",
    "[DEFAULT]\nstate_path = $nowhere/a": "'$$'",
}
"""Each alone is wrong, in line 4, and what the message must say is allowed."""

TOGETHER = {
    "[DEFAULT]\nrouter_distributed = true": ("router_distributed", "set it to false"),
    "[DEFAULT]\nuse_namespaces = false": ("use_namespaces", "set it to true"),
    "[DEFAULT]\nuse_ssl = true": ("use_ssl", "TLS proxy"),
    "[DEFAULT]\nexternal_network_bridge = br-ex": ("external_network_bridge", "leave it empty"),
    "[agent]\nvxlan_udp_port = 8472": ("vxlan_udp_port", "4789"),
    "[agent]\ntunnel_types = vxlan": ("tunnel_types", "local_ip"),
    "[ovs]\nlocal_ip = fd00::1": ("local_ip", "overlay_ip_version"),
    "[ovs]\nbridge_mappings = a:br-a,a:br-b": ("bridge_mappings", "'a' is there more than once"),
    "[ovs]\nbridge_mappings = a:br-a,b:br-a": ("bridge_mappings", "'br-a' is there more than once"),
    "[ovs]\nbridge_mappings = a:br-int": ("bridge_mappings", "integration_bridge"),
    "[ovs]\ntunnel_bridge = br-int": ("tunnel_bridge", "integration_bridge"),
    "[ml2]\ntenant_network_types = geneve\ntype_drivers = flat,vlan": ("tenant_network_types", "type_drivers"),
    "[ml2]\nexternal_network_type = flat\ntype_drivers = vlan,vxlan": ("external_network_type", "type_drivers"),
    "[ml2]\nmechanism_drivers = l2population": ("mechanism_drivers", "openvswitch"),
    "[ml2]\nphysical_network_mtus = b:99\n[ml2_type_flat]\nflat_networks = a": ("physical_network_mtus", "flat_net"),
    "[DEFAULT]\nmin_l3_agents_per_router = 4": ("min_l3_agents_per_router", "max_l3_agents_per_router (3)"),
    "[DEFAULT]\nl3_ha_network_type = gre\n[ml2]\ntype_drivers = vxlan": ("l3_ha_network_type", "type_drivers"),
    "[DEFAULT]\nl3_ha_network_type = flat": ("l3_ha_network_type", "l3_ha_network_physical_name"),
    "[DEFAULT]\nl3_ha_network_physical_name = b\n[ml2_type_flat]\nflat_networks = a": (
        "l3_ha_network_physical_name",
        "network_vlan_ranges",
    ),
    "[DEFAULT]\nagent_down_time = 15": ("agent_down_time", "report_interval"),
}  # fmt: skip
"""Each is right alone; the option that is named, and what is said of it."""


def refusal(text: str, directory: Path) -> str:
    """What is said of a file with ``text``."""
    file = directory / "wrong.conf"
    file.write_text(HEAD + text)
    with pytest.raises(ConfigurationError) as error:
        read([file])
    return str(error.value)


@pytest.mark.parametrize("text", WORDS)
def test_unknown_words(text: str, tmp_path: Path):
    line, message = WORDS[text]
    said = refusal(text, tmp_path)
    assert f"{tmp_path}/wrong.conf:{line}: " in said
    assert message in said


@pytest.mark.parametrize("text", VALUES)
def test_values(text: str, tmp_path: Path):
    section, name = re.fullmatch(r"\[(\w+)\]\n(\w+) = .*", text.split("\n[", maxsplit=1)[0]).groups()
    said = refusal(text + "\n", tmp_path)
    assert f"{tmp_path}/wrong.conf:4: [{section}] {name}: " in said
    assert VALUES[text] in said
    assert "hidden" not in said  # a password


@pytest.mark.parametrize("text", TOGETHER)
def test_contradictions(text: str, tmp_path: Path):
    name, message = TOGETHER[text]
    said = refusal(text + "\n", tmp_path)
    assert re.search(rf"wrong\.conf:4: \[\w+\] {name}: .*{re.escape(message)}", said), said


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path):
    said = refusal("[DEFAULT]\nbind_port = x\nbind_prt = 1\n[ovs]\nlocal_ip = y\n", tmp_path)
    assert {4, 5, 7} == {int(line) for line in re.findall(r"wrong\.conf:(\d+):", said)}


def test_a_value_that_a_later_file_replaces_does_no_harm(tmp_path: Path):
    first, last = tmp_path / "first.conf", tmp_path / "last.conf"
    first.write_text("[DEFAULT]\nbind_port = x\nnova_metadata_ip = old\n")
    last.write_text("[DEFAULT]\nbind_port = 1\nnova_metadata_ip = new\n")
    conf = read([first, last])
    assert (conf.bind_port, conf.nova_metadata_host) == (1, "new")
    with pytest.raises(ConfigurationError, match=r"first\.conf:2"):
        read([last, first])


@pytest.mark.parametrize("content", [b"\xff\xfe", None])
def test_a_file_that_cannot_be_read(content: bytes | None, tmp_path: Path):
    file = tmp_path / "neutron.conf"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=re.escape(f"{file} cannot be read")):
        read([file])


def test_commands_end_with_1_and_without_a_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "wrong.conf"
    file.write_text("[DEFAULT]\nl3_ha = perhaps\n")
    for command in (["config", "check"], ["config", "show"], ["host", "list"], ["server"], ["status"]):
        assert main(["--config-file", str(file), *command]) == 1
        captured = capsys.readouterr()
        assert f"{file}:2: [DEFAULT] l3_ha: " in captured.err
        assert "Traceback" not in captured.err
        assert captured.out == ""


@given(st.sampled_from(list(declared())), st.text(st.characters(exclude_categories=["Cc", "Cs"])))
def test_no_text_brings_anything_but_a_refusal(tmp_path_factory: pytest.TempPathFactory, option, text: str):
    """Whatever stands in a file, it is read, or refused by the option's name."""
    section, declaration = option
    file = tmp_path_factory.getbasetemp() / "any.conf"
    file.write_text(f"[{section}]\n{declaration.dest} = {text}\n")
    said = ""
    try:
        read([file])
    except ConfigurationError as error:
        said = str(error)
    assert not said or declaration.dest in said
