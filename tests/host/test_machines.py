"""Virtual machines: one for all tests, that boots a few times."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from netloom.host.instances import Instances
from netloom.standalone.guest import machine as boot_files
from netloom.state import HostState, Instance
from netloom.state.instances import QEMU

from .instance_world import RUN, SERVER, Cloud, eventually, guest, sh

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

BOOT_SECONDS = 60
"""Under emulation, on a machine that does other things, too; alone it takes 5."""
VM = guest(1, hypervisor_type=QEMU, memory_mb=128)
CONSOLE = (
    "import sys; from pathlib import Path; from netloom.host.instances import Instances; "
    "from netloom.host.layout import Layout; p = Path(sys.argv[1]); "
    "sys.exit(Instances(Layout(p, p, '', p), p).open_console(sys.argv[2]))"
)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    home = tmp_path_factory.mktemp("cloud")
    cloud = Cloud(home)
    try:
        cloud.serve(home)
        yield cloud
    finally:
        cloud.close()


@pytest.fixture
def vm(cloud: Cloud) -> Instance:
    """The machine, running; it goes with the cloud."""
    boot(cloud, VM)
    return VM


def boot(cloud: Cloud, *wanted: Instance) -> None:
    """Apply, and wait until each answers that had to start."""
    before = {one.id: cloud.logins(one) for one in wanted}
    running = {one.id: one.boot for one in cloud.driver.observe() if one.running}
    assert cloud.apply(*wanted) == []
    assert not cloud.changes(*wanted)
    for one in wanted:
        if running.get(one.id) != one.boot:
            eventually(
                lambda one=one: cloud.logins(one) > before[one.id], BOOT_SECONDS, lambda one=one: cloud.console(one)
            )


def answers(address: str) -> bool:
    return " 0% packet loss" in sh("ip", "netns", "exec", SERVER, "ping", "-c", "1", "-W", "1", address, check=False)


def test_it_is_the_same_guest(cloud: Cloud, vm: Instance) -> None:
    assert answers("10.77.0.11")
    assert "guest-1 login:" in cloud.console(vm)
    shown = cloud.run(vm, "hostname; cat /etc/resolv.conf; ip -4 addr show ens3; ip route; ip link show ens3")
    assert shown.startswith("guest-1\nsearch example\nnameserver 10.77.0.1\n")
    assert "inet 10.77.0.11/24" in shown
    assert "default via 10.77.0.1" in shown
    assert "mtu 1400" in shown
    assert "fa:16:3e:00:00:01" in shown
    usable = "ip -6 addr show ens3 | grep -v tentative"
    eventually(lambda: "fd77::f816:3eff:fe00:1/64" in cloud.run(vm, usable))
    who = cloud.ssh("ubuntu@10.77.0.11", "id; sudo id")
    assert who.returncode == 0, who.stderr
    assert who.stdout.startswith("uid=1000(ubuntu) gid=1000(ubuntu)")
    kernels = cloud.run(vm, "uname -r; free -m").split()
    assert kernels[0] != os.uname().release
    assert int(kernels[kernels.index("Mem:") + 1]) < 128


def test_tcp_passes_in_bulk(cloud: Cloud, vm: Instance) -> None:
    sent = cloud.ssh("root@10.77.0.11", "head -c 3000000 /dev/zero")
    assert len(sent.stdout) == 3000000


@pytest.mark.parametrize(
    "make",
    [
        "ip link add link ens3 name ens3.1100 type vlan id 1100 && ip addr add 192.168.10.5/24 dev ens3.1100",
        ". /etc/profile; vconfig add ens3 1100 && ifconfig ens3.1100 192.168.10.5/24",
    ],
    ids=["ip", "vconfig"],
)
def test_vlan_devices_are_the_kernels(cloud: Cloud, vm: Instance, make: str) -> None:
    device = vm.nics[0].device
    try:
        cloud.run(vm, f"{make}; ip link set ens3.1100 up")
        shown = cloud.run(vm, "ip addr show ens3.1100")
        assert "fa:16:3e:00:00:01" in shown, cloud.console(vm)
        assert "192.168.10.5/24" in shown
        capture = subprocess.Popen(
            ["tcpdump", "-U", "-e", "-n", "-c", "1", "-i", device, "vlan 1100 and arp"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert capture.stderr
        eventually(lambda: "listening on" in capture.stderr.readline())
        inside = (
            "tcpdump -e -n -c 1 -i ens3.1100 arp 2>/dev/null & sleep 1; ping -c 2 -W 1 192.168.10.1 >/dev/null; wait"
        )
        seen = cloud.run(vm, inside)
        outside, _ = capture.communicate(timeout=10)
        assert "vlan 1100, p 0, ethertype ARP" in outside
        assert "fa:16:3e:00:00:01 > ff:ff:ff:ff:ff:ff" in seen
        assert "Request who-has 192.168.10.1 tell 192.168.10.5" in seen
    finally:
        cloud.run(vm, "ip link del ens3.1100")


def test_exec_passes_streams_and_status(cloud: Cloud, vm: Instance) -> None:
    argv = cloud.exec_argv(vm, "cat; echo err >&2; pwd; exit 7")
    done = subprocess.run(argv, input="in\n", capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (7, "in\n/\n", "err\n")
    assert subprocess.run(cloud.exec_argv(vm, "kill -9 $$"), check=False, timeout=30).returncode == 137
    ours, theirs = os.openpty()
    argv = cloud.exec_argv(vm, "test -t 0 && test -t 1 && hostname; exit 5", tty=True)
    done = subprocess.run(argv, stdin=theirs, stdout=theirs, check=False, timeout=30)
    assert done.returncode == 5
    assert b"guest-1" in os.read(ours, 4096)
    os.close(ours)
    os.close(theirs)


def test_several_commands_at_once(cloud: Cloud, vm: Instance) -> None:
    many = [subprocess.Popen(cloud.exec_argv(vm, "sleep 2; hostname"), stdout=subprocess.PIPE) for _ in range(4)]
    assert [each.communicate(timeout=30)[0] for each in many] == [b"guest-1\n"] * 4


def test_console_takes_what_is_typed(cloud: Cloud, vm: Instance) -> None:
    argv = [sys.executable, "-c", CONSOLE, str(cloud.layout.state_dir), vm.id]
    console = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert console.stdin
    assert console.stdout
    for typed, expected in ((b"\n", b"login: "), (b"root\n", b"# "), (b"echo $((6 * 7))$(tty)\n", b"42/dev/ttyS0")):
        console.stdin.write(typed)
        console.stdin.flush()
        said = b""
        while expected not in said:
            said += (chunk := os.read(console.stdout.fileno(), 1000))
            assert chunk, said
    other = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=30)
    assert "BlockingIOError" in other.stderr
    console.stdin.write(b"exit\n")
    console.stdin.close()
    console.stdin = None
    assert console.wait(30) == 0
    console.stdout.close()
    assert "42/dev/ttyS0" in cloud.console(vm)


def test_restarted_agent_finds_it(cloud: Cloud, vm: Instance) -> None:
    pid = cloud.pid(vm)
    status = Path(f"/proc/{pid}/status").read_text()
    assert f"PPid:\t{os.getpid()}\n" not in status
    assert f"Uid:\t{cloud.root.stat().st_uid}\t" in status
    assert "NoNewPrivs:\t1" in status or "Seccomp:\t2" in status
    cloud.driver = cloud.agent()
    assert not cloud.changes(vm)
    assert cloud.apply(vm) == []
    assert cloud.pid(vm) == pid


def test_cards_come_and_go(cloud: Cloud, vm: Instance) -> None:
    pid = cloud.pid(vm)
    second = guest(3).nics[0]
    both = replace(vm, nics=(*vm.nics, second))
    assert cloud.apply(both) == []
    assert not cloud.changes(both)
    eventually(lambda: "inet 10.77.0.13/24" in cloud.run(vm, "ip addr show ens4"), what=lambda: cloud.console(vm))
    assert cloud.apply(vm) == []
    assert not cloud.changes(vm)
    assert not Path("/sys/class/net", second.device).exists()
    eventually(lambda: "ens4" not in cloud.run(vm, "ip link"))
    assert cloud.apply(both) == []  # the slot is free again
    eventually(lambda: "inet 10.77.0.13/24" in cloud.run(vm, "ip addr show ens4"), what=lambda: cloud.console(vm))
    assert cloud.apply(vm) == []
    assert cloud.pid(vm) == pid


def test_agent_that_dies_before_the_start_leaves_nothing_running(cloud: Cloud, vm: Instance) -> None:
    other = guest(2, hypervisor_type=QEMU, memory_mb=128)
    agent = os.fork()
    if agent == 0:
        cloud.driver.prepare(HostState([vm, other]).changes(Instance, HostState(cloud.driver.observe())))
        os._exit(0)
    os.waitpid(agent, 0)
    eventually(lambda: not Path("/sys/class/net", other.nics[0].device).exists())
    eventually(lambda: [one.running for one in cloud.driver.observe() if one.id == other.id] == [False])
    assert cloud.apply(vm) == []


def test_reboot_stop_start_and_delete(cloud: Cloud, vm: Instance) -> None:
    pid = cloud.pid(vm)
    began = time.monotonic()
    boot(cloud, replace(vm, boot=1))
    eventually(lambda: answers("10.77.0.11"), BOOT_SECONDS)
    print(f"rebooted in {time.monotonic() - began:.1f} s")
    assert cloud.pid(vm) != pid
    assert "netloom: power off" in cloud.console(vm)
    stopped = replace(vm, boot=1, running=False)
    assert cloud.apply(stopped) == []
    assert not cloud.changes(stopped)
    assert not Path("/sys/class/net", vm.nics[0].device).exists()
    assert not answers("10.77.0.11")
    assert cloud.apply(replace(vm, boot=1)) == []
    pid = cloud.pid(vm)
    assert cloud.apply() == []
    eventually(lambda: not Path(f"/proc/{pid}").exists())
    assert RUN not in "".join(name for name in os.listdir("/sys/class/net") if name.startswith("tap"))
    assert not (cloud.layout.state_dir / "instances").exists()
    assert not list(Path("/sys/fs/cgroup").glob(f"**/netloom/{vm.id}"))


def test_what_is_missing_is_named(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = cloud.driver
    try:
        cloud.driver = Instances(cloud.layout, cloud.root, partial(boot_files.build, tmp_path, cloud.root, [tmp_path]))
        (failure,) = cloud.apply(VM)
        assert "'make machines' fetches one" in failure.reason
        monkeypatch.setattr("netloom.host.machine._SEARCH", str(tmp_path))
        (failure,) = cloud.apply(VM)
        assert "qemu-system-x86_64 is not installed: apt-get install qemu-system-x86" in failure.reason
        assert cloud.apply() == []
        assert not (cloud.layout.state_dir / "instances").exists()
    finally:
        cloud.driver = usual
