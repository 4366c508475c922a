"""Instances on a real bridge, with a real DHCP server and a metadata service beside them."""

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from netloom.host.instances import Instances
from netloom.standalone.guest import build
from netloom.state import HostState, Instance

from .instance_world import RUN, Cloud, eventually, guest, sh

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    home = tmp_path_factory.mktemp("cloud")
    cloud = Cloud(home)
    try:
        cloud.serve(home)
        yield cloud
    finally:
        cloud.close()


@pytest.fixture(autouse=True)
def _clean(cloud: Cloud) -> Iterator[None]:
    yield
    cloud.apply()


def test_two_guests_get_what_their_network_tells(cloud: Cloud) -> None:
    one, two = guest(1), guest(2)
    cloud.boot(one, two)
    assert "guest-1 login:" in cloud.console(one)
    shown = cloud.run(one, "hostname; cat /etc/resolv.conf; ip -4 addr show eth0; ip route; ip link show eth0")
    assert shown.startswith("guest-1\nsearch example\nnameserver 10.77.0.1\n")
    assert "inet 10.77.0.11/24" in shown
    assert "default via 10.77.0.1" in shown
    assert "10.99.0.0/16 via 10.77.0.2" in shown
    assert "mtu 1400" in shown
    assert "fa:16:3e:00:00:01" in shown
    assert " 0% packet loss" in cloud.run(one, "ping -c 1 -W 2 10.77.0.12")
    assert "10.77.0.1" in cloud.run(one, "nslookup elsewhere.example && ping -c 1 -W 2 elsewhere.example")
    usable = "ip -6 addr show eth0 | grep -v tentative"
    eventually(lambda: "fd77::f816:3eff:fe00:1/64" in cloud.run(one, usable))
    assert " 0% packet loss" in cloud.run(one, "ping -6 -c 1 -W 2 fd77::1")


def test_key_and_user_data_come_from_metadata(cloud: Cloud) -> None:
    one, two = guest(1), guest(2)
    cloud.boot(one, two)
    who = cloud.ssh("ubuntu@10.77.0.11", "id; sudo id; sudo -n cat '/etc/hostname'; ping -c 1 -W 2 10.77.0.12")
    assert who.returncode == 0, who.stderr
    assert who.stdout.startswith("uid=1000(ubuntu) gid=1000(ubuntu)")
    assert "\nuid=0(root)" in who.stdout
    assert "\nguest-1\n" in who.stdout
    assert " 0% packet loss" in who.stdout
    assert cloud.ssh("root@10.77.0.11", "id -u").stdout == "0\n"
    assert cloud.ssh("cloud-user@10.77.0.12", "exit 3").returncode == 3
    assert cloud.ssh("ubuntu@10.77.0.12", "true").returncode == 255
    eventually(lambda: "user data by root" in cloud.console(one), what=lambda: cloud.console(one))
    for each in (one, two):
        assert "netloom: metadata at request 1\n" in cloud.console(each).replace("\r", "")
    assert (
        json.loads(cloud.run(one, "curl -s http://169.254.169.254/openstack/latest/meta_data.json"))["uuid"] == one.id
    )


def test_guest_sees_and_reaches_nothing_of_the_host(cloud: Cloud) -> None:
    one = guest(1)
    cloud.boot(one)
    assert "work" not in cloud.run(one, "ls /").split()
    mounts = cloud.run(one, "cut -d' ' -f2,3 /proc/mounts").splitlines()
    assert not [mount for mount in mounts if mount.endswith(("ext4", "xfs", "btrfs"))]
    numbers = cloud.run(one, "cd /proc; echo [0-9]*").split()
    assert 4 <= len(numbers) < 20
    open_files = cloud.run(one, "ls -l /proc/1/fd")
    assert str(cloud.root) not in open_files
    attempts = (
        "mknod /tmp/disk b 254 0", "mount -t devtmpfs none /mnt", "echo b > /proc/sysrq-trigger",
        "head -c1 /proc/kcore", "echo x > /proc/sys/kernel/core_pattern", "dmesg",
        "cat /proc/1/root/../etc/fstab",
    )  # fmt: skip
    for attempt in attempts:
        assert cloud.run(one, f"({attempt}) >/dev/null 2>&1 && echo done") == "", attempt
    assert cloud.run(one, "hostname other; hostname") == "other\n"  # within itself it is its own master
    assert socket.gethostname() != "other"
    if (group := Path(f"/sys/fs/cgroup/memory/netloom/{one.id}")).exists():
        assert (group / "memory.limit_in_bytes").read_text().strip() == str(64 << 20)
        assert str(cloud.pid(one)) in (group / "cgroup.procs").read_text().split()
    console = cloud.layout.state_dir / "instances" / one.id / "console.log"
    assert console.stat().st_mode & 0o077 == 0


def test_exec_passes_streams_and_status(cloud: Cloud, capfd: pytest.CaptureFixture[str]) -> None:
    one = guest(1)
    cloud.boot(one)
    assert cloud.driver.exec_in(one.id, ["sh", "-c", "echo out; echo err >&2; exit 7"]) == 7
    assert cloud.driver.exec_in(one.id, ["sh", "-c", "kill -9 $$"]) == 128 + 9
    assert cloud.driver.exec_in(one.id, ["tty", "-s"]) == 1
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("out\n", "err\n")
    with pytest.raises(ProcessLookupError, match="does not run"):
        cloud.driver.exec_in("nobody", ["true"])


def test_exec_gives_a_terminal(cloud: Cloud) -> None:
    one = guest(1)
    cloud.boot(one)
    ours, theirs = os.openpty()
    argv = cloud.exec_argv(one, "test -t 0 && test -t 1 && hostname; exit 5", tty=True)
    done = subprocess.run(argv, stdin=theirs, stdout=theirs, check=False, timeout=30)
    assert done.returncode == 5
    assert b"guest-1" in os.read(ours, 4096)
    os.close(ours)
    os.close(theirs)


def test_console_log_stays_short(cloud: Cloud) -> None:
    one = guest(1)
    cloud.boot(one)
    log = cloud.layout.state_dir / "instances" / one.id / "console.log"
    cloud.run(one, "head -c 1500000 /dev/zero | tr '\\0' x | fold -w 50000 > /dev/console; echo the end > /dev/console")
    eventually(lambda: "the end" in cloud.console(one))
    assert not cloud.changes(one)  # it is looked at
    assert log.stat().st_size < 1 << 20
    assert cloud.console(one).endswith("the end\n")
    cloud.run(one, "echo and on > /dev/console")
    eventually(lambda: cloud.console(one).endswith("the end\nand on\n"))


def test_restarted_agent_finds_its_instances(cloud: Cloud) -> None:
    one = guest(1)
    cloud.boot(one)
    pid = cloud.pid(one)
    cloud.driver = Instances(cloud.layout, cloud.root)
    assert not cloud.changes(one)
    assert cloud.apply(one) == []
    assert cloud.pid(one) == pid
    os.kill(pid, 0)


def test_agent_that_dies_before_the_start_leaves_nothing_running(cloud: Cloud) -> None:
    one = guest(1)
    pid = os.fork()
    if pid == 0:  # an agent that prepares and dies
        Instances(cloud.layout, cloud.root).prepare(HostState([one]).changes(Instance, HostState()))
        os._exit(0)
    os.waitpid(pid, 0)
    eventually(lambda: not next(cloud.driver.observe()).running)
    cloud.boot(one)


@pytest.mark.parametrize("milliseconds", [2, 15, 60, 75, 90, 120])
def test_agent_killed_anywhere_is_repaired(cloud: Cloud, milliseconds: int) -> None:
    one, two = guest(1), guest(2)
    other = replace(two, boot=1, nics=(*two.nics, guest(3).nics[0]))
    assert cloud.apply(two) == []
    agent = os.fork()
    if agent == 0:
        cloud.apply(one, other)
        os._exit(0)
    time.sleep(milliseconds / 1000)
    os.kill(agent, signal.SIGKILL)
    os.waitpid(agent, 0)
    cloud.driver = Instances(cloud.layout, cloud.root)
    eventually(lambda: cloud.apply(one, other) == [] and not cloud.changes(one, other))
    # One that waits for its release dies when it learns that the agent is dead, and is then to be started again.
    eventually(
        lambda: cloud.apply(one, other) == [] and cloud.logins(one) == 1 and "eth1 has" in cloud.console(other),
        what=lambda: cloud.console(other),
    )
    assert cloud.apply() == []
    assert RUN not in "".join(name for name in os.listdir("/sys/class/net") if name.startswith("tap"))
    assert not (cloud.layout.state_dir / "instances").exists()


def test_reboot_stop_and_start_keep_the_files(cloud: Cloud) -> None:
    one = guest(1)
    cloud.boot(one)
    eventually(lambda: cloud.run(one, "cat /root/ran").count("\n") == 1, what=lambda: cloud.console(one))
    first = cloud.pid(one)
    assert cloud.run(one, "grep -c ^processor /proc/cpuinfo") == f"{one.vcpus}\n"
    assert "@" not in cloud.run(one, "/sbin/ip -o link show dev eth0")
    cloud.run(one, "echo kept > /root/note; rm -r /etc/profile /var/log; mkdir /var/log; touch /tmp/gone")
    cloud.boot(again := replace(one, boot=1))
    assert cloud.pid(one) != first
    assert "netloom: power off" in cloud.console(one)
    assert cloud.run(one, "cat /root/note; ls /etc/profile /tmp/gone /var/log/* 2>/dev/null") == "kept\n"
    stopped = replace(again, running=False)
    assert cloud.apply(stopped) == []
    assert not cloud.changes(stopped)
    assert not Path("/sys/class/net", one.nics[0].device).exists()
    cloud.boot(again)
    assert cloud.run(one, "cat /root/note; wc -l < /root/ran") == "kept\n1\n"


def test_cards_come_and_go(cloud: Cloud) -> None:
    one = guest(1)
    second = guest(3).nics[0]
    cloud.boot(one)
    pid = cloud.pid(one)
    both = replace(one, nics=(*one.nics, second))
    assert cloud.apply(both) == []
    assert not cloud.changes(both)
    eventually(lambda: "inet 10.77.0.13/24" in cloud.run(one, "ip addr show eth1"), what=lambda: cloud.console(one))
    assert cloud.run(one, "ip route get 10.99.1.1").split()[4] == "eth0"
    two = guest(2, nics=(*guest(2).nics, second))
    cloud.boot(one, two)
    assert "eth1" not in cloud.run(one, "ip link")
    assert "fa:16:3e:00:00:03" in cloud.run(two, "ip link show eth1")
    eventually(lambda: cloud.run(one, "pgrep_() { ps | grep -c '[u]dhcpc'; }; pgrep_") == "1\n")
    assert cloud.pid(one) == pid


def test_guest_without_a_card(cloud: Cloud) -> None:
    """It is up with itself alone, and can be given a card later."""
    one = guest(1, nics=())
    assert cloud.apply(one) == []
    assert not cloud.changes(one)
    eventually(lambda: cloud.run(one, "ls /sys/class/net") == "lo\n", what=lambda: cloud.console(one))
    assert cloud.apply(replace(one, nics=guest(1).nics)) == []
    eventually(lambda: "inet 10.77.0.11/24" in cloud.run(one, "ip addr show eth0"), what=lambda: cloud.console(one))


def test_death_is_noticed_and_repaired(cloud: Cloud) -> None:
    one = guest(1)
    cloud.boot(one)
    assert len(cloud.driver.deaths()) == 1
    assert select.select(cloud.driver.deaths(), [], [], 0)[0] == []
    os.kill(cloud.pid(one), signal.SIGKILL)
    assert select.select(cloud.driver.deaths(), [], [], 5)[0] == cloud.driver.deaths()
    eventually(lambda: not next(cloud.driver.observe()).running)
    assert cloud.driver.deaths() == []
    cloud.boot(one)


def test_device_of_somebody_else_is_left_alone(cloud: Cloud) -> None:
    one = guest(1)
    sh("ip", "link", "add", one.nics[0].device, "type", "bridge")
    try:
        (failure,) = cloud.apply(one)
        assert "not ours" in failure.reason
        assert "alias" not in sh("ip", "link", "show", one.nics[0].device)
        eventually(lambda: not next(cloud.driver.observe()).running)
    finally:
        sh("ip", "link", "delete", one.nics[0].device)
    cloud.boot(one)


def test_broken_record_is_repaired_or_swept(cloud: Cloud) -> None:
    one, two = guest(1, running=False), guest(2, running=False)
    assert cloud.apply(one, two) == []
    for each in (one, two):
        (cloud.layout.state_dir / "instances" / each.id / "record").write_bytes(b"")
    assert cloud.apply(one) == []
    assert not cloud.changes(one)
    assert os.listdir(cloud.layout.state_dir / "instances") == [one.id]


def test_delete_leaves_nothing(cloud: Cloud) -> None:
    one = guest(1)
    cloud.boot(one)
    pid = cloud.pid(one)
    cloud.run(one, "d=/root; for i in $(seq 300); do d=$d/deep; mkdir $d; done")
    assert cloud.apply() == []
    assert not (cmdline := Path(f"/proc/{pid}/cmdline")).exists() or cmdline.read_bytes() == b""
    assert str(cloud.layout.state_dir) not in Path("/proc/self/mountinfo").read_text()
    assert not Path("/sys/class/net", one.nics[0].device).exists()
    assert not (cloud.layout.state_dir / "instances").exists()
    assert not list(Path("/sys/fs/cgroup").glob(f"**/netloom/{one.id}"))
    assert list(cloud.driver.observe()) == []


def test_offload_is_off_and_ipv6_of_the_host_end_too(cloud: Cloud) -> None:
    one = guest(1)
    cloud.boot(one)
    device = one.nics[0].device
    assert Path(f"/proc/sys/net/ipv6/conf/{device}/disable_ipv6").read_text() == "1\n"
    code = "from netloom.host.veths import transmit_checksum_offload as t; print(t('eth0'))"
    enter = ["nsenter", "-t", str(cloud.pid(one)), "-n", sys.executable, "-c", code]
    assert sh(*enter) == "False\n"
    assert socket.if_nametoindex(device)


def test_copy_where_no_overlay_can_be(cloud: Cloud, tmp_path: Path) -> None:
    """A state directory that is itself on an overlay, as in a container."""
    for name in ("lower", "upper", "work", "state"):
        (tmp_path / name).mkdir()
    places = f"lowerdir={tmp_path}/lower,upperdir={tmp_path}/upper,workdir={tmp_path}/work"
    sh("mount", "-t", "overlay", "-o", places, "overlay", str(tmp_path / "state"))
    usual = cloud.layout, cloud.driver
    try:
        cloud.layout = replace(cloud.layout, state_dir=tmp_path / "state")
        cloud.driver = Instances(cloud.layout, cloud.root)
        cloud.boot(guest(1))
        assert "no overlay: copying" in cloud.console(guest(1))
        assert cloud.run(guest(1), "id -u; stat -c %a /bin/busybox") == "0\n4755\n"
        assert cloud.apply() == []
    finally:
        cloud.layout, cloud.driver = usual
        sh("umount", str(tmp_path / "state"))


def test_build_is_repeatable(cloud: Cloud, tmp_path: Path) -> None:
    tree = build(tmp_path)
    stamp = tree.stat().st_mtime_ns
    assert build(tmp_path) == tree
    assert tree.stat().st_mtime_ns == stamp
    assert tree.name == cloud.root.name
    assert sh("diff", "-r", "--no-dereference", str(tree), str(cloud.root)) == ""
    shutil.rmtree(tree)
