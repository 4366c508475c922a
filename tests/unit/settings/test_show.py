"""``netloom config``: what the files come to, and where it is from."""

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oslo_config import cfg
from oslo_config import types as oslo

from netloom.cli.main import main
from netloom.settings import types
from netloom.settings.load import read, value
from netloom.settings.options import declared

NEUTRON = Path(__file__).parent / "neutron"


def show(capsys: pytest.CaptureFixture[str], files: list[Path], *options: str) -> list[list[str]]:
    """The table: section, option, value and origin of each line."""
    named = [word for file in files for word in ("--config-file", str(file))]
    assert main([*named, "config", "show", *options]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    starts = [head.index(column) for column in ("SECTION", "OPTION", "VALUE", "FROM")]
    return [[line[a:b].strip() for a, b in zip(starts, [*starts[1:], None], strict=True)] for line in lines]


def test_values_come_with_file_and_line(capsys):
    file = NEUTRON / "controller" / "ml2_conf.ini"
    rows = show(capsys, [file])
    assert ["ml2", "tenant_network_types", "vlan,gre,vxlan", f"{file}:3"] in rows
    assert ["ml2_type_vlan", "network_vlan_ranges", "external,vlan:100:200", f"{file}:11"] in rows
    assert ["securitygroup", "enable_ipset", "-", f"{file}:20, without effect: It is always so."] in rows
    assert all(origin.startswith(str(file)) for *_, origin in rows)


def test_defaults_are_shown_when_asked(capsys):
    assert show(capsys, []) == []
    rows = show(capsys, [], "--all")
    assert len(rows) == len(list(declared()))
    assert ["DEFAULT", "bind_port", "9696", "default"] in rows


def test_one_section(capsys):
    rows = show(capsys, [NEUTRON / "today.conf"], "--section", "Agent", "--all")
    assert {section for section, *_ in rows} == {"agent"}
    assert main(["config", "show", "--section", "ml3"]) == 1
    assert "there is no section 'ml3'" in capsys.readouterr().err


def test_the_last_file_that_says_it_is_named(capsys):
    first, last = NEUTRON / "network" / "openvswitch_agent.ini", NEUTRON / "compute" / "openvswitch_agent.ini"
    assert ["ovs", "local_ip", "10.0.1.21", f"{last}:2"] in show(capsys, [first, last])
    assert ["ovs", "local_ip", "10.0.1.11", f"{first}:2"] in show(capsys, [last, first])


def test_an_older_name_is_named(capsys):
    file = NEUTRON / "network" / "metadata_agent.ini"
    assert ["DEFAULT", "nova_metadata_host", "controller", f"{file}:3 ([DEFAULT] nova_metadata_ip)"] in show(
        capsys, [file]
    )


def test_secrets_are_not_shown(capsys):
    files = [NEUTRON / "today.conf", NEUTRON / "network" / "metadata_agent.ini"]
    secrets = set(re.findall(r"\w+_(?:PASSWORD|SECRET)", "".join(file.read_text() for file in files)))
    assert len(secrets) == 5
    rows = show(capsys, files, "--all")
    assert not [row for row in rows for secret in secrets if secret in " ".join(row)]
    assert ["keystone_authtoken", "password", "****"] in [row[:3] for row in rows]


def texts(option: cfg.Opt) -> st.SearchStrategy[str]:
    """Texts that an option may have."""
    kind = option.type
    if isinstance(kind, oslo.List):
        one = texts(cfg.Opt("one", kind.item_type))
        return st.lists(one, max_size=4).map(",".join)
    if isinstance(kind, oslo.Boolean):
        return st.sampled_from(["true", "False", "1", "no"])
    if isinstance(kind, oslo.HostAddress):
        return st.sampled_from(["192.0.2.1", "fd00::1", "controller", "a.example.org"])
    if isinstance(kind, oslo.Number):
        low, high = kind.min if kind.min is not None else -(2**31), kind.max if kind.max is not None else 2**31
        if isinstance(kind, oslo.Float):
            return st.floats(low, high, allow_nan=False).map(str)
        return st.sampled_from(kind.choices).map(str) if kind.choices else st.integers(low, high).map(str)
    if isinstance(kind, types.Parsed):
        return st.sampled_from(PARSED.get(kind._parse, RANGES))
    if kind.choices:
        return st.sampled_from(list(kind.choices))
    return st.sampled_from(["a", "/var/lib/a", "two words", "", "ü"])


RANGES = ["1:1000", "7:7"]
PARSED = {
    types.address: ["", "10.0.1.11", "fd00::1"],
    types.database: ["sqlite:////a.db", "postgresql+psycopg://a:p%40%3A@h:1/d", "postgresql://h/d"],
    types.ipv4_network: ["169.254.192.0/18", "10.0.0.0/29"],
    types.name_server: ["192.0.2.1", "192.0.2.1#5353", "fd00::1"],
    types.page_limit: ["infinite", "-1", "0", "100"],
    types.pair: ["physnet1:br-eth1", "a : b"],
    types.physical_mtu: ["physnet1:9000", "a:68"],
    types.vlan_range: ["physnet1", "physnet1:1:4094", "a:7:7"],
    types.host_name: ["compute1", "compute1.example.org"],
    types.domain: ["", "openstacklocal", "a.example.org."],
    types.mac: ["fa:16:3e:00:00:00", "02:00:00:4f:00:00"],
    types.server: ["ws://192.0.2.10:9696", "wss://netloom.example.org/a"],
    types.ovsdb: ["unix:/run/openvswitch/db.sock", "tcp:127.0.0.1:6640", "ssl:[::1]:6640"],
}


@given(data=st.data())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read_again(data, tmp_path):
    """The text of each option's value means that value."""
    section, option = data.draw(st.sampled_from(list(declared())))
    conf = cfg.ConfigOpts()
    conf.register_opt(option, group=None if section == "DEFAULT" else section)
    file = tmp_path / "one.conf"

    def taken(text: str) -> object:
        file.write_text(f"[{section}]\n{option.dest} = {text}\n")
        conf([], default_config_files=[str(file)], use_env=False)
        return value(conf, section, option)

    first = taken(data.draw(texts(option)))
    assert taken(types.written(option, first)) == first


def test_the_defaults_can_be_written_down(tmp_path):
    """A file with all defaults changes nothing."""
    conf, lines = read(), []
    for section, option in declared():
        if (text := types.written(option, value(conf, section, option))) or option.default == "":
            lines.append(f"[{section}]\n{option.dest} = {text}\n")
    file = tmp_path / "all.conf"
    file.write_text("".join(lines))
    again = read([file])
    assert [value(again, *one) for one in declared()] == [value(conf, *one) for one in declared()]
