"""The command line: what it says when it cannot do what was asked, and the files that it writes."""

import os
import stat
import sys
from collections.abc import Callable, Sequence

import pytest
import yaml

from netloom.cli import down, draw, execute, up  # noqa: F401 - imported before a test gives up its rights
from netloom.cli.main import main
from netloom.cli.parser import parser
from netloom.cli.processes import claim, stop
from netloom.cli.terminal import Trouble
from netloom.standalone import credentials


def in_child(action: Callable[[], int], *, rights: bool = True) -> int:
    """Run ``action`` in a child process, with or without root's rights; returns its exit code."""
    child = os.fork()
    if child == 0:
        if os.geteuid() == 0 and not rights:
            os.setuid(65534)
        code = 99
        try:
            code = action()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("argv", [["up"], ["down"], ["draw"], ["exec", "web1", "--", "true"]])
def test_what_needs_root_says_so(argv: Sequence[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert in_child(lambda: main(argv), rights=False) == 1
    said = capfd.readouterr().err
    assert said.startswith(f"netloom {argv[0]}: ")
    assert "needs root" in said
    assert "sudo" in said


def test_a_wrong_configuration_names_the_option_and_what_is_allowed(tmp_path, capsys):
    wrong = tmp_path / "wrong.conf"
    wrong.write_text("[ovs]\ndatapath_type = quick\n")
    assert main(["--config-file", str(wrong), "host", "list"]) == 1
    said = capsys.readouterr().err
    assert "datapath_type" in said
    assert "netdev" in said


def test_a_missing_configuration_file_is_named(tmp_path, capsys):
    assert main(["--config-file", str(tmp_path / "nowhere.conf"), "host", "list"]) == 1
    assert "nowhere.conf" in capsys.readouterr().err


def test_hosts_get_keys_and_lose_them(tmp_path, capsys):
    conf = tmp_path / "netloom.conf"
    conf.write_text(f"[DEFAULT]\nstate_path = {tmp_path}\n")
    options = ["--config-file", str(conf), "host"]
    assert main([*options, "add", "compute1"]) == 0
    key = capsys.readouterr().out.strip()
    assert len(key) >= 43  # 256 bits
    assert main([*options, "list"]) == 0
    assert capsys.readouterr().out.split() == ["NAME", "compute1"]
    assert key not in (tmp_path / "netloom.db").read_bytes().decode("latin-1")
    assert main([*options, "remove", "compute1"]) == 0
    assert main([*options, "remove", "compute1"]) == 1
    assert "there is no host 'compute1'" in capsys.readouterr().err


def test_every_command_explains_itself(capsys):
    for command in ("up", "down", "status", "exec", "draw", "server", "agent", "host", "config", "tempest-config"):
        with pytest.raises(SystemExit) as end:
            parser().parse_args([command, "--help"])
        assert end.value.code == 0
        assert len(capsys.readouterr().out) > 100


def test_credentials_are_made_once_and_only_their_owner_reads_them(tmp_path):
    first = credentials.ensure(tmp_path, "http://127.0.0.1:9696/identity/v3")
    assert credentials.ensure(tmp_path, "http://127.0.0.1:9696/identity/v3") == first
    assert len(set(first.values())) == len(first) == 3
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert files == dict.fromkeys(("admin-openrc", "demo-openrc", "clouds.yaml"), 0o600)
    clouds = yaml.safe_load((tmp_path / "clouds.yaml").read_text())["clouds"]
    assert clouds["netloom-demo"]["auth"]["password"] == first["demo"]
    assert f"export OS_PASSWORD={first['admin']}" in (tmp_path / "admin-openrc").read_text()


def test_a_pid_file_has_one_holder(tmp_path):
    pidfile = tmp_path / "run" / "agent.pid"
    claim(pidfile)

    def second() -> int:
        try:
            claim(pidfile)
        except Trouble as trouble:
            return 7 if str(os.getppid()) in str(trouble) else 1
        return 0

    assert in_child(second) == 7
    assert pidfile.read_text().strip() == str(os.getpid())


def test_a_stale_pid_file_ends_nobody(tmp_path):
    pidfile = tmp_path / "agent.pid"
    pidfile.write_text(f"{os.getpid()}\n")
    assert stop(pidfile) is False
    assert not pidfile.exists()
