"""DevStack's settings become ours: those of the walk-throughs of 2013 and 2016, and what else people write."""

import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.cli.main import main
from netloom.settings.devstack.conversion import Conversion, convert
from netloom.settings.devstack.variables import LISTS, OVERRULED, SIMPLE
from netloom.settings.files import ConfigurationError
from netloom.settings.load import host_settings, read, server_settings

FILES = Path(__file__).parent / "devstack"
LOCALRC, LOCAL_CONF = FILES / "localrc", FILES / "local.conf"


def values(conversion: Conversion, section: str) -> dict[str, str]:
    """The options of a section."""
    return {name: chosen.value for (where, name), chosen in conversion.options.items() if where == section}


def in_local_conf(*lines: str) -> Conversion:
    return convert("\n".join(["[[local|localrc]]", *lines]))


def reasons(conversion: Conversion) -> dict[str, str]:
    return {what: why for _, what, why in conversion.left_out}


@pytest.fixture(params=[LOCALRC, LOCAL_CONF], ids=lambda path: path.name)
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The configuration that the command writes."""
    assert main(["config", "from-devstack", str(request.param), "--output-directory", str(tmp_path / "etc")]) == 0
    return tmp_path / "etc" / "netloom.conf"


def test_what_is_written_is_right_and_private(written, capsys):
    capsys.readouterr()
    assert main(["--config-file", str(written), "config", "check"]) == 0
    assert "The configuration is right" in capsys.readouterr().out
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    settings = server_settings(read([written]))
    assert settings.standalone
    assert len(settings.metadata_secret) >= 32


def test_the_localrc_of_2013_makes_gre_tunnels(tmp_path):
    conf = tmp_path / "netloom.conf"
    conf.write_text(convert(LOCALRC.read_text()).text())
    server, host = server_settings(read([conf])), host_settings(read([conf]))
    assert server.listen == ("192.168.100.10", 9696)
    assert server.network.tenant_network_types == ("gre",)
    assert server.network.tunnel_id_ranges == ((1, 1000),)
    assert (server.network.external_network_type, server.network.flat_networks) == ("flat", ("public",))
    assert (host.tunnel_types, host.local_ip) == (("gre",), "192.168.100.10")
    assert host.roles == {"openvswitch", "l3", "dhcp", "metadata", "loadbalancer", "compute"}
    assert host.servers == ("ws://192.168.100.10:9696",)
    assert host.bridge_mappings == (("public", "br-ex"),)
    assert host.firewall_driver == "iptables_hybrid"


def test_the_local_conf_of_2016_makes_vlans(tmp_path):
    conf = tmp_path / "netloom.conf"
    conf.write_text(convert(LOCAL_CONF.read_text()).text())
    server, host = server_settings(read([conf])), host_settings(read([conf]))
    assert server.network.tenant_network_types == ("vlan",)
    assert server.network.vlan_ranges == {"physnet": ((1000, 2000),)}
    assert server.network.service_plugins is None  # all is offered, trunks too
    assert host.bridge_mappings == (("public", "br-ex"), ("physnet", "br-eth1"))
    assert host.tunnel_types == ("gre",)  # the document's host has br-tun


@pytest.mark.parametrize("path", [LOCALRC, LOCAL_CONF], ids=lambda path: path.name)
def test_each_line_is_used_or_named(path):
    conversion = convert(path.read_text())
    named = {line for line, _, _ in conversion.left_out}
    used = " ".join(chosen.source for chosen in conversion.options.values())
    for number, text in enumerate(path.read_text().splitlines(), 1):
        name, equals, _ = text.partition("=")
        if not equals or text.startswith("#") or name == "vnc_keymap":
            continue
        assert (number in named) != (f"{name} (line {number})" in used), text


def test_lines_left_out_are_printed_with_reasons_and_without_secrets(capsys):
    assert main(["config", "from-devstack", str(LOCALRC)]) == 0
    said = capsys.readouterr()
    assert "line 19, enable_service swift: It belongs to a service that is not here." in said.err
    assert "line 38, FIXED_RANGE: 'openstack subnet create" in said.err
    assert "line 49, EXTRA_OPTS: It is for nova.conf" in said.err
    for secret in ("=openstack", "admintoken", "66a3d6b56c1f479c8b4e70ab5c2000f5", "metadata_proxy_shared_secret"):
        assert secret not in said.err + said.out


def test_tunnels_without_a_type_are_those_of_their_time():
    assert values(convert("ENABLE_TENANT_TUNNELS=True"), "ml2")["tenant_network_types"] == "gre"
    assert values(in_local_conf("ENABLE_TENANT_TUNNELS=True"), "ml2")["tenant_network_types"] == "vxlan"
    older = in_local_conf("Q_PLUGIN=openvswitch", "ENABLE_TENANT_TUNNELS=True")
    assert values(older, "ml2")["tenant_network_types"] == "gre"
    assert values(older, "DEFAULT")["core_plugin"] == "ml2"
    assert values(convert(""), "ml2")["tenant_network_types"] == "local"
    assert values(in_local_conf(), "ml2")["tenant_network_types"] == "vxlan"
    assert "agent" not in {section for section, _ in convert("ENABLE_TENANT_TUNNELS=False").options}


@pytest.mark.parametrize("name", ["TENANT_TUNNEL_RANGES", "TENANT_TUNNEL_RANGE"])
def test_tunnel_ranges(name):
    conversion = convert(f"ENABLE_TENANT_TUNNELS=True\n{name}=50:99,200:300")
    assert values(conversion, "ml2_type_gre") == {"tunnel_id_ranges": "50:99, 200:300"}
    vxlan = in_local_conf("Q_ML2_TENANT_NETWORK_TYPE=vxlan", f"{name}=50:99")
    assert values(vxlan, "ml2_type_vxlan") == {"vni_ranges": "50:99"}
    assert values(vxlan, "agent") == {"tunnel_types": "vxlan"}


def test_vlans_of_a_physical_network():
    conversion = in_local_conf(
        "ENABLE_TENANT_TUNNELS=False",
        "ENABLE_TENANT_VLANS=True",
        "TENANT_VLAN_RANGE=1000:1999",
        "PHYSICAL_NETWORK=default",
        "OVS_PHYSICAL_BRIDGE=br-eth1",
    )
    assert values(conversion, "ml2")["tenant_network_types"] == "vlan"
    assert values(conversion, "ml2_type_vlan") == {"network_vlan_ranges": "default:1000:1999"}
    assert values(conversion, "ovs")["bridge_mappings"] == "public:br-ex, default:br-eth1"
    assert not conversion.left_out


def test_a_cloud_without_flat_networks(tmp_path):
    conversion = in_local_conf(
        "Q_ML2_PLUGIN_TYPE_DRIVERS=vlan  # vlan alone",
        "Q_ML2_TENANT_NETWORK_TYPE=vlan",
        "ENABLE_TENANT_TUNNELS=False",
        'ML2_VLAN_RANGES="physnet1:1000:1024"',
        "ENABLED_SERVICES+=,q-svc,q-agt,q-dhcp,q-l3,q-meta,q-domua,-n-net",
    )
    conf = tmp_path / "netloom.conf"
    conf.write_text(conversion.text())
    settings = server_settings(read([conf]))
    assert (settings.standalone, settings.network.type_drivers) == (True, ("vlan",))
    assert settings.network.external_network_type == ""
    assert set(reasons(conversion)) == {"ENABLED_SERVICES q-domua", "ENABLED_SERVICES -n-net"}


def test_vlans_on_the_external_bridge(tmp_path):
    conversion = in_local_conf(
        "SERVICE_HOST=127.0.0.1",
        "enable_service q-svc",
        "PHYSICAL_NETWORK=default",
        "OVS_PHYSICAL_BRIDGE=br-ex",
        "TENANT_VLAN_RANGE=3001:4000",
    )
    conf = tmp_path / "netloom.conf"
    conf.write_text(conversion.text())
    assert host_settings(read([conf])).bridge_mappings == (("default", "br-ex"),)
    assert server_settings(read([conf])).network.flat_networks == ("default",)
    assert server_settings(read([conf])).standalone


def test_options_within_variables():
    conversion = in_local_conf(
        "Q_ML2_PLUGIN_VLAN_TYPE_OPTIONS=(network_vlan_ranges=physnet1:100:200)",
        "Q_ML2_PLUGIN_MECHANISM_DRIVERS=openvswitch,l2population,linuxbridge",
        "Q_ML2_PLUGIN_TYPE_DRIVERS=flat,vlan,vxlan",
        'Q_AGENT_EXTRA_OVS_OPTS=("local_ip=10.0.1.11"  # the tunnels\' end',
        "  bridge_mappings=physnet1:br-vlan)",
    )
    assert values(conversion, "ml2_type_vlan") == {"network_vlan_ranges": "physnet1:100:200"}
    assert values(conversion, "ml2")["mechanism_drivers"] == "openvswitch, l2population"
    assert values(conversion, "ml2")["type_drivers"] == "flat, vlan, vxlan"
    assert values(conversion, "agent")["l2_population"] == "true"
    assert values(conversion, "ovs") == {"local_ip": "10.0.1.11", "bridge_mappings": "physnet1:br-vlan"}
    assert "linuxbridge" in reasons(conversion)["Q_ML2_PLUGIN_MECHANISM_DRIVERS"]


def test_files_of_the_network_service_have_the_last_word_and_others_none():
    conversion = convert(
        "[[local|localrc]]\nHOST_IP=192.0.2.1\nQ_USE_SECGROUP=True\n"
        "[[post-config|$NEUTRON_CONF]]\n[DEFAULT]\nl3_ha = True\nrouter_distributed = True\napi_workers=4\nnonsense=1\n"
        "[database]\nconnection = mysql://root@127.0.0.1/neutron\n"
        '[[post-config|"/${Q_PLUGIN_CONF_FILE}"]]\n[OVS]\nlocal_ip = $HOST_IP\n[securitygroup]\n'
        "firewall_driver = openvswitch\n"
        "[[post-config|$NOVA_CONF]]\n[DEFAULT]\nvif_plugging_timeout = 10\n"
        "[[extra|x.sh]]\nrm -rf /\n"
    )
    assert values(conversion, "DEFAULT")["l3_ha"] == "True"
    assert values(conversion, "ovs")["local_ip"] == "192.0.2.1"
    assert values(conversion, "securitygroup") == {"firewall_driver": "openvswitch", "enable_security_group": "True"}
    why = reasons(conversion)
    assert "not distributed" in why["[DEFAULT] router_distributed"]
    assert "run more servers" in why["[DEFAULT] api_workers"]
    assert why["[DEFAULT] nonsense"] == "Netloom has no option [DEFAULT] nonsense."
    assert "postgresql" in why["[database] connection"]
    assert "$NOVA_CONF" in why["[DEFAULT] vif_plugging_timeout"]
    assert ("database", "connection") not in conversion.options


def test_options_of_quantum_from_before_ml2():
    conversion = convert(
        "[[local|localrc]]\nQ_PLUGIN=openvswitch\n[[post-config|/etc/quantum/plugins/openvswitch/ovs_quantum_plugin.ini]]\n"
        "[OVS]\ntenant_network_type = gre\ntunnel_id_ranges = 7:9\nenable_tunneling = True\n"
    )
    assert values(conversion, "ml2")["tenant_network_types"] == "gre"
    assert values(conversion, "ml2_type_gre") == {"tunnel_id_ranges": "7:9"}
    assert "[ovs] enable_tunneling" in reasons(conversion)


@pytest.mark.parametrize(("mode", "agent_mode"), [("legacy", {"agent_mode": "legacy"}), ("dvr", {}), ("dvr_snat", {})])
def test_routers_are_not_distributed(mode, agent_mode):
    conversion = in_local_conf(f"Q_DVR_MODE={mode}")
    assert values(conversion, "DEFAULT") == agent_mode
    assert ("Q_DVR_MODE" in reasons(conversion)) == (mode != "legacy")


def test_variables_and_defaults_are_filled_in_as_a_shell_does():
    conversion = in_local_conf(
        "BASE=192.0.2",
        'HOST_IP="${BASE}.7"   # this host',
        "SERVICE_HOST=${SERVICE_HOST:-$HOST_IP}",
        "export Q_PORT=${PORT-9797}",
        "OVS_BRIDGE='br-$x'",
        "OVS_BRIDGE_MAPPINGS=public:br-ex,\\",
        "one:br-one",
    )
    assert values(conversion, "DEFAULT") == {"bind_host": "192.0.2.7", "bind_port": "9797"}
    assert values(conversion, "netloom")["servers"] == "ws://192.0.2.7:9797"
    assert values(conversion, "ovs")["integration_bridge"] == "br-$x"
    assert values(conversion, "ovs")["bridge_mappings"] == "public:br-ex, one:br-one"
    assert "integration_bridge = br-$$x\n" in conversion.text()  # in our files, $ begins an option's name


def test_nothing_is_run_and_what_only_a_shell_knows_is_left_out():
    conversion = in_local_conf(
        "HOST_IP=$(hostname -I)",
        "TUNNEL_ENDPOINT_IP=$UNKNOWN",
        'if [[ "$X" == 1 ]]; then',
        "  ENABLE_TENANT_VLANS=True",
        "fi",
        "OVS_BRIDGE=br-new",
        "mysql -p secret",
        "DISABLE=mysql rabbit",
    )
    why = reasons(conversion)
    assert why["HOST_IP"] == "It holds what a command prints: write the value itself."
    assert "$UNKNOWN" in why["TUNNEL_ENDPOINT_IP"]
    assert "condition" in why["ENABLE_TENANT_VLANS"]
    assert why["DISABLE"] == "Only a shell can say what follows the value: write the value itself."
    assert why["mysql"] == "It is a command for DevStack, not a setting."
    assert values(conversion, "ovs")["integration_bridge"] == "br-new"
    assert values(conversion, "ovs")["local_ip"] == "127.0.0.1"


def test_a_second_host_has_the_services_that_are_on():
    conversion = convert(
        "HOST_IP=192.0.2.8\nSERVICE_HOST=192.0.2.7\nENABLED_SERVICES=n-cpu,q-agt,rabbit\nENABLE_TENANT_TUNNELS=True\n"
    )
    assert values(conversion, "netloom") == {"servers": "ws://192.0.2.7:9696", "roles": "openvswitch, compute"}
    assert "bind_host" not in values(conversion, "DEFAULT")
    assert values(conversion, "ovs")["local_ip"] == "192.0.2.8"
    assert "ENABLED_SERVICES rabbit" in reasons(conversion)


def test_the_last_of_several_lines_counts():
    conversion = convert("HOST_IP=192.0.2.1\nHOST_IP=192.0.2.2\nenable_service q-svc,q-agt\ndisable_service q-agt")
    assert values(conversion, "DEFAULT")["bind_host"] == "192.0.2.2"
    assert (1, "HOST_IP", "Line 2 sets it again.") in conversion.left_out
    assert values(conversion, "netloom")["roles"] == "compute"


def test_service_plugins_are_listed_only_where_devstack_lists_them():
    conversion = in_local_conf("enable_service q-svc q-lbaas q-trunk", "Q_SERVICE_PLUGIN_CLASSES=router,metering")
    assert values(conversion, "DEFAULT")["service_plugins"] == "router, metering, trunk, lbaas"
    assert "service_plugins" not in values(in_local_conf("enable_service q-lbaas"), "DEFAULT")


def test_what_contradicts_itself_is_not_written(tmp_path, capsys):
    source = tmp_path / "localrc"
    source.write_text("OVS_BRIDGE=br-ex\n")
    assert main(["config", "from-devstack", str(source), "--output-directory", str(tmp_path)]) == 1
    assert "'br-ex' is the integration_bridge" in capsys.readouterr().err
    assert not (tmp_path / "netloom.conf").exists()


def test_nothing_is_overwritten_and_missing_files_are_named(tmp_path, capsys):
    (tmp_path / "netloom.conf").write_text("mine\n")
    assert main(["config", "from-devstack", str(LOCALRC), "--output-directory", str(tmp_path)]) == 1
    assert "is there already" in capsys.readouterr().err
    assert (tmp_path / "netloom.conf").read_text() == "mine\n"
    assert main(["config", "from-devstack", str(tmp_path / "nowhere")]) == 1
    assert "nowhere cannot be read" in capsys.readouterr().err


NAMES = st.sampled_from([*SIMPLE, *LISTS, *OVERRULED, "Q_PLUGIN", "ENABLED_SERVICES", "OVS_BRIDGE_MAPPINGS", "FOO"])
VALUES = st.one_of(
    st.sampled_from(
        ["True", "gre,vlan", "192.0.2.1", "p:1:20", "p:br-p", "(a=b", "(tunnel_types=gre)", "$FOO", "${FOO:-1}"]
    ),
    st.text(alphabet="ab1=,:;.'\"\\$(){}[]#&| %\t", max_size=6),
)
LINES = st.one_of(
    st.tuples(NAMES, st.sampled_from(["=", "+="]), VALUES).map("".join),
    st.sampled_from(
        ["[[local|localrc]]", "[[post-config|$NEUTRON_CONF]]", "[ovs]", "[DEFAULT]", "if x", "fi", "}", "=", "\\"]
    ),
    st.tuples(st.sampled_from(["enable_service ", "disable_service ", "local_ip = ", "l3_ha="]), VALUES).map("".join),
)


TOGETHER = ("tunnels need", "not among", "more than once", "integration_bridge", "overlay_ip")
"""Words of what is wrong with values that are right one by one."""


@settings(max_examples=60, deadline=None)
@given(lines=st.lists(LINES, max_size=8))
def test_no_text_breaks_it_and_what_comes_out_is_right_or_refused(lines, tmp_path_factory):
    conf = tmp_path_factory.getbasetemp() / "random.conf"
    conf.write_text(convert("\n".join(lines)).text())
    refused = ""
    try:
        read([conf])
    except ConfigurationError as error:
        refused = str(error)
    assert not refused or any(words in refused for words in TOGETHER)
