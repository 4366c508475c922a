"""``netloom tempest-config``: it says what the cloud is, so that Tempest need not be told by people."""

import stat
from configparser import RawConfigParser

import pytest
import yaml

from netloom.cli.main import main
from tests.standalone.world import PASSWORDS, Host


@pytest.fixture
def options(server, tmp_path):
    """How a command reaches the cloud."""
    auth = {"auth_url": f"{server.url}/identity/v3", "username": "admin", "password": PASSWORDS["admin"]}
    auth |= {"project_name": "admin", "user_domain_name": "Default", "project_domain_name": "Default"}
    (tmp_path / "clouds.yaml").write_text(yaml.safe_dump({"clouds": {"netloom-admin": {"auth": auth}}}))
    conf = tmp_path / "netloom.conf"
    conf.write_text(f"[netloom]\nconfig_path = {tmp_path}\n[ml2_type_vlan]\nnetwork_vlan_ranges = b:1:9,a:1:9\n")
    return ["--config-file", str(conf), "tempest-config"]


def test_the_file_names_what_there_is(server, options, tmp_path, capsys):
    Host(server, "host1")
    assert main(options) == 1
    assert "there is no external network" in capsys.readouterr().err
    network = {"name": "public", "router:external": True}
    made = server.ask("POST", "/v2.0/networks", {"network": network}, user="admin").body["network"]["id"]
    file = tmp_path / "tempest.conf"
    assert main([*options, "--output", str(file)]) == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600  # the password of admin is in it
    written = RawConfigParser()
    written.read_string(file.read_text())
    assert written["auth"]["admin_password"] == PASSWORDS["admin"]
    assert written["identity"]["uri_v3"] == f"{server.url}/identity/v3"
    assert written["network"]["public_network_id"] == made
    assert {"router", "trunk"} <= set(written["network-feature-enabled"]["api_extensions"].split(","))
    assert written["compute"]["image_ref"] == server.image_id()
    assert (written["compute"]["flavor_ref"], written["compute"]["flavor_ref_alt"]) == ("0", "1")
    assert written["compute-feature-enabled"]["console_output"] == "True"
    assert written["compute-feature-enabled"]["live_migration"] == "False"
    assert written["validation"]["image_ssh_user"] == "cirros"
    assert written["neutron_plugin_options"]["provider_vlans"] == "a,b"
    assert "agent_availability_zone" not in written["neutron_plugin_options"]  # the host has no agent that has one
    assert main(options) == 0
    assert "[DEFAULT]\n" in capsys.readouterr().out


def test_without_a_cloud_it_says_how_to_start_one(tmp_path, capsys):
    conf = tmp_path / "netloom.conf"
    conf.write_text(f"[netloom]\nconfig_path = {tmp_path}\n")
    assert main(["--config-file", str(conf), "tempest-config"]) == 1
    assert "start one with: netloom up" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_named(server, options, tmp_path, capsys):
    body = {"network": {"name": "public", "router:external": True}}
    server.ask("POST", "/v2.0/networks", body, user="admin")
    assert main([*options, "--output", str(tmp_path / "nowhere" / "tempest.conf")]) == 1
    assert "nowhere/tempest.conf cannot be written: No such file or directory" in capsys.readouterr().err
