"""Neutron's files are taken as they are: those of the high-availability scenario, and those of these days."""

import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from netloom.agent.loop import plan_settings
from netloom.cli.main import main
from netloom.settings.host import HostSettings
from netloom.settings.load import host_settings, read, server_settings
from netloom.settings.options import FIREWALL_DRIVERS

NEUTRON = Path(__file__).parent / "neutron"
ALL = sorted(path for path in NEUTRON.rglob("*") if path.is_file())


def files(node: str) -> list[Path]:
    return sorted((NEUTRON / node).iterdir())


def host(*paths: Path) -> HostSettings:
    return host_settings(read(paths))


def test_the_controllers_files():
    network = server_settings(read(files("controller"))).network
    assert (network.l3_ha, network.l3_ha_net_cidr) == (True, "169.254.192.0/18")
    assert (network.min_l3_agents_per_router, network.max_l3_agents_per_router) == (2, 3)
    assert network.dhcp_agents_per_network == 2
    assert network.type_drivers == ("flat", "vlan", "gre", "vxlan")
    assert network.tenant_network_types == ("vlan", "gre", "vxlan")
    assert network.flat_networks == ("external",)
    assert network.vlan_ranges == {"external": (), "vlan": ((100, 200),)}
    assert (network.tunnel_id_ranges, network.vni_ranges) == (((1, 1000),), ((1, 1000),))


def test_a_network_nodes_files():
    settings = host(*files("network"))
    assert settings.local_ip == "10.0.1.11"
    assert settings.bridge_mappings == (("vlan", "br-vlan"), ("external", "br-ex"))
    assert settings.tunnel_types == ("gre", "vxlan")
    assert settings.l2_population is True
    assert settings.nova_metadata_url == "http://controller:8775"
    assert settings.metadata_secret == "METADATA_SECRET"
    assert settings.enable_isolated_metadata is True


def test_a_metadata_service_with_tls_at_an_ipv6_address(tmp_path):
    path = tmp_path / "metadata_agent.ini"
    path.write_text(
        "[DEFAULT]\nnova_metadata_host = 2001:db8::7\nnova_metadata_protocol = https\nauth_ca_cert = /etc/ca.pem\n"
        "nova_client_cert = /etc/c.pem\nnova_client_priv_key = /etc/k.pem\nnova_metadata_insecure = true\n"
    )
    settings = host(path)
    assert settings.nova_metadata_url == "https://[2001:db8::7]:8775"
    assert (settings.nova_ca_cert, settings.nova_insecure) == ("/etc/ca.pem", True)
    assert (settings.nova_client_cert, settings.nova_client_key) == ("/etc/c.pem", "/etc/k.pem")


def test_a_compute_nodes_files():
    settings = host(*files("compute"))
    assert settings.bridge_mappings == (("vlan", "br-vlan"),)
    assert settings.l2_population is False


def test_every_process_may_have_all_files():
    conf = read([*files("controller"), *files("network")])
    assert host_settings(conf).local_ip == "10.0.1.11"
    assert server_settings(conf).network.l3_ha is True


@pytest.mark.parametrize("path", ALL, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_each_file_alone_is_right(path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["--config-file", str(path), "config", "check"]) == 0
    assert str(path) in capsys.readouterr().out


def test_the_files_of_a_neutron_of_these_days():
    settings = server_settings(read([NEUTRON / "today.conf"]))
    assert settings.database == "postgresql+psycopg://neutron:DATABASE_PASSWORD@controller/neutron"
    assert settings.keystone is not None
    assert settings.keystone.user_domain == {"id": "default"}
    assert settings.keystone.password == "NEUTRON_PASSWORD"
    assert settings.network.quotas["network"] == 200
    assert settings.network.pagination_max_limit == 0
    assert settings.network.dhcp_lease_duration == -1
    assert settings.state_dir == Path("/var/lib/neutron")


def test_older_names_are_understood(tmp_path: Path):
    file = tmp_path / "old.conf"
    file.write_text(
        "[DEFAULT]\nsql_connection = sqlite:////var/lib/old.db\novs_integration_bridge = br-old\n"
        "[ml2]\nproject_network_types = gre\n"
        "[keystone_authtoken]\nidentity_uri = http://old:35357\nadmin_user = quantum\nadmin_password = p\n"
        "admin_tenant_name = services\n"
    )
    conf = read([file])
    settings = server_settings(conf)
    assert settings.database == "sqlite:////var/lib/old.db"
    assert settings.network.tenant_network_types == ("gre",)
    assert settings.keystone is not None
    assert settings.keystone.auth_url == "http://old:35357"
    assert (settings.keystone.username, settings.keystone.project_name) == ("quantum", "services")
    assert host_settings(conf).integration_bridge == "br-old"


@pytest.mark.parametrize(("name", "meaning"), FIREWALL_DRIVERS.items())
def test_each_firewall_driver_is_known_by_all_its_names(name: str, meaning: str, tmp_path: Path):
    file = tmp_path / "agent.ini"
    file.write_text(f"[securitygroup]\nfirewall_driver = {name}\n")
    assert plan_settings(host(file), "netdev").firewall_driver == meaning


@pytest.mark.parametrize("line", ["firewall_driver = noop", "enable_security_group = false"])
def test_security_groups_are_off_when_asked(line: str, tmp_path: Path):
    file = tmp_path / "agent.ini"
    file.write_text(f"[securitygroup]\n{line}\n")
    assert plan_settings(host(file), "netdev").firewall_driver == "noop"


def test_a_file_for_dnsmasq_reaches_the_plan():
    settings = host(NEUTRON / "network" / "dhcp_agent.ini")
    assert plan_settings(settings, "netdev").dnsmasq_config_file == "/etc/neutron/dnsmasq-neutron.conf"


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////var/lib/netloom/netloom.db",
        "postgresql+psycopg://u:p%23@[fd00::1]:5433/d",
        "postgresql+psycopg://u:p#:s@db/d",
        "postgresql+psycopg://u:p@/d?host=db1:5432&host=db2:5432&target_session_attrs=read-write",
    ],
)
def test_databases_are_named_as_sqlalchemy_names_them(url: str, tmp_path: Path):
    file = tmp_path / "netloom.conf"
    file.write_text(f"[database]\nconnection = {url}\n")
    taken = server_settings(read([file])).database
    assert taken == url
    assert sa.make_url(taken).database in ("d", "/var/lib/netloom/netloom.db")


def test_an_agent_does_not_load_what_only_servers_need():
    code = "import sys, netloom.cli.agent; print({'sqlalchemy', 'starlette'} & sys.modules.keys())"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert told.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("text", "plugins"),
    [
        ("", None),
        ("service_plugins =", set()),
        ("service_plugins = neutron.services.l3_router.l3_router_plugin.L3RouterPlugin", {"l3_router"}),
        ("service_plugins = trunk,neutron.services.l3_router.l3_router_plugin.L3RouterPlugin", {"trunk", "l3_router"}),
        ("service_plugins = neutron.services.trunk.plugin.TrunkPlugin", {"trunk"}),
        ("service_plugins = neutron.services.loadbalancer.plugin.LoadBalancerPlugin", {"lbaas"}),
    ],
)
def test_service_plugins(tmp_path, text, plugins):
    file = tmp_path / "neutron.conf"
    file.write_text(f"[DEFAULT]\n{text}\n")
    assert server_settings(read([file])).network.service_plugins == plugins
