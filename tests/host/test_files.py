"""Planned files."""

import os
import stat

import pytest

from netloom.host.files import Files
from netloom.state import File

from .sandbox import changes

HOSTS = File(path="dhcp/1/hosts", text="fa:16:3e:00:00:01,10.0.0.5\n", origin="network/1")
OPTIONS = File(path="dhcp/1/options", text="option:router,10.0.0.1\n")
SECRET = File(path="keepalived.conf", text="ü", mode=0o600)


@pytest.fixture
def files(sandbox):
    return lambda: Files(sandbox.layout)


def put(driver, *wanted):
    difference = changes(File, wanted, driver.observe())
    return driver.write(difference) + driver.delete(difference)


def test_written_files_are_seen_by_a_restarted_agent(sandbox, files):
    assert put(files(), HOSTS, OPTIONS, SECRET) == []
    assert list(files().observe()) == [HOSTS, OPTIONS, SECRET]
    assert (sandbox.layout.state_dir / "dhcp/1/hosts").read_text() == HOSTS.text
    assert stat.S_IMODE((sandbox.layout.state_dir / SECRET.path).stat().st_mode) == 0o600


def test_a_change_replaces_the_file_and_its_mode(sandbox, files):
    put(files(), HOSTS, OPTIONS)
    old = (sandbox.layout.state_dir / HOSTS.path).open()
    untouched = (sandbox.layout.state_dir / OPTIONS.path).stat().st_ino
    changed = File(path=HOSTS.path, text="new\n", mode=0o640)
    assert put(files(), changed, OPTIONS) == []
    assert list(files().observe()) == [changed, OPTIONS]
    assert old.read() == HOSTS.text
    assert (sandbox.layout.state_dir / OPTIONS.path).stat().st_ino == untouched


def test_only_our_files_go_and_what_lies_beside_them_lives_as_long_as_they_do(sandbox, files):
    root = sandbox.layout.state_dir
    put(files(), HOSTS, OPTIONS, SECRET)
    leases, foreign = root / "dhcp/1/leases", root / "images"
    leases.write_text("runtime")
    foreign.mkdir()
    put(files(), OPTIONS)
    assert leases.exists()
    put(files())
    assert os.listdir(root) == ["images"]


def test_what_was_deleted_or_changed_by_hand_is_repaired(sandbox, files):
    put(files(), HOSTS, OPTIONS)
    (sandbox.layout.state_dir / HOSTS.path).unlink()
    (sandbox.layout.state_dir / OPTIONS.path).write_text("tampered")
    driver = files()
    assert put(driver, HOSTS, OPTIONS) == []
    assert list(files().observe()) == [HOSTS, OPTIONS]


@pytest.mark.parametrize("path", ["../escape", "/etc/escape", "a/../../b", "", "a\nb", "a//b"])
def test_paths_stay_inside(sandbox, files, path):
    failed = put(files(), File(path=path, text="x", origin="network/2"), HOSTS)
    assert [failure.origin for failure in failed] == ["network/2"]
    assert list(files().observe()) == [HOSTS]


def test_one_that_cannot_be_written_leaves_the_others(sandbox, files):
    (sandbox.layout.state_dir / "taken").write_text("a file where a directory should be")
    failed = put(files(), File(path="taken/x", text="", origin="network/3"), HOSTS)
    assert [failure.origin for failure in failed] == ["network/3"]
    assert list(files().observe()) == [HOSTS]
