"""A machine made of namespaces: mounts, network, processes and a host name of its own.

Its first process keeps it alive and buries orphans; when that is killed, the kernel ends all others, and with them
go the namespaces, the mounts and the devices. What must outlive that is in the directory that the machine is given.
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
END_SECONDS = 10.0

# The kernel buries the children of a process that ignores SIGCHLD, so "sleep" is all that a first process must be.
_KEEP = "echo ready; exec env --ignore-signal=CHLD sleep infinity >/dev/null"

_HOST = f"""set -e
mount --make-rprivate /
mount --bind "$DISK/lib" /var/lib
mount -t overlay -o "lowerdir=/etc,upperdir=$DISK/etc,workdir=$DISK/work" overlay /etc
mount -t tmpfs -o mode=755 tmpfs /run
mount -t sysfs sysfs /sys
mkdir -p /run/netns /run/lock
hostname "$NAME"
ip link set lo up
echo $IPV6_OFF > /proc/sys/net/ipv6/conf/default/disable_ipv6
{_KEEP}
"""

_WIRES = f"""set -e
mount --make-rprivate /
mount -t tmpfs -o mode=700 tmpfs "$DISK"
mount -t sysfs sysfs /sys
hostname "$NAME"
echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6
for table in arptables iptables ip6tables; do
    file=/proc/sys/net/bridge/bridge-nf-call-$table
    [ ! -e $file ] || echo 0 > $file
done
{_KEEP}
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """A running machine, known by its first process."""

    name: str
    pid: int
    born: int
    """Start time of that process, so that its number cannot come to mean another one."""

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return _born(self.pid) == self.born

    def place(self, path: str) -> Path:
        """Where a path of the machine is seen from outside."""
        return Path(f"/proc/{self.pid}/root") / path.lstrip("/")

    def enter(self, argv: Sequence[str]) -> list[str]:
        """The command line that runs ``argv`` inside."""
        return ["nsenter", f"--target={self.pid}", "--mount", "--net", "--pid", "--uts", "--wdns=/", *argv]

    @contextlib.contextmanager
    def network(self) -> Iterator[None]:
        """Let the calling thread work in the machine's network: sockets and processes made meanwhile stay there."""
        home, there = (os.open(path, os.O_RDONLY) for path in ("/proc/thread-self/ns/net", f"/proc/{self.pid}/ns/net"))
        try:
            _enter_network(there)
            yield
        finally:
            _enter_network(home)
            os.close(home)
            os.close(there)

    def kill(self) -> None:
        """End it and all that runs in it, at once."""
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(self.pid)
            try:
                if self.alive:
                    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                    select.select([descriptor], [], [], END_SECONDS)
            finally:
                os.close(descriptor)


def start_wires(name: str, disk: Path) -> Machine:
    """Start the machine that has the cables of a lab, and on ``disk`` a file system in memory for all hosts."""
    return _Start(name, _WIRES, {"DISK": str(disk)}, None).finish()


def start_hosts(wires: Machine, disks: Mapping[str, Path], ipv6: Sequence[str]) -> list[Machine]:
    """Start hosts all at once, each with its directory of ``disks``, made when missing; ``ipv6``: those that speak it.

    Directories are those seen in the machine with the cables.

    Raises:
        OSError: one could not be made; none of them is left.
    """
    starts = []
    for name, disk in disks.items():
        for part in ("lib", "etc", "work"):
            wires.place(str(disk / part)).mkdir(parents=True, exist_ok=True)
        variables = {"DISK": str(disk), "IPV6_OFF": "0" if name in ipv6 else "1"}
        starts.append(_Start(name, _HOST, variables, wires))
    try:
        return [start.finish() for start in starts]
    except BaseException:
        for start in starts:
            start.abandon()
        raise


class _Start:
    """The start of a machine, under way."""

    def __init__(self, name: str, script: str, variables: Mapping[str, str], above: Machine | None) -> None:
        self._name = name
        entering = ["nsenter", f"--target={above.pid}", "--mount", "--wdns=/"] if above else []
        unsharing = ["unshare", "--mount", "--net", "--pid", "--uts", "--fork", "--mount-proc"]
        self._keeper = subprocess.Popen(
            [*entering, *unsharing, "sh", "-c", script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "NAME": name, **variables},
        )

    def finish(self) -> Machine:
        """Wait until it is there.

        Raises:
            OSError: it could not be made.
        """
        assert self._keeper.stdout
        with self._keeper.stdout as output:
            line = output.readline()
            if line != "ready\n":
                raise OSError(0, f"the machine {self._name} could not be made: {line}{output.read()}".strip())
        pid = self._children()[0]
        return Machine(self._name, pid, _born(pid))

    def abandon(self) -> None:
        """End what there is of it."""
        for pid in self._children():
            Machine(self._name, pid, _born(pid)).kill()
        self._keeper.kill()
        self._keeper.wait()

    def _children(self) -> list[int]:
        path = Path(f"/proc/{self._keeper.pid}/task/{self._keeper.pid}/children")
        return [int(pid) for pid in path.read_text().split()] if path.exists() else []


def stopped(pid: int) -> bool:
    """Whether a process is stopped by a signal."""
    return _stat(pid)[0] == "T"


def _born(pid: int) -> int:
    """When a process started, in clock ticks since the machine did; 0 when there is none."""
    state, born = _stat(pid)
    return 0 if state in "ZX" else born


def _stat(pid: int) -> tuple[str, int]:
    """State and start time of a process (proc(5))."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "X", 0
    return fields[0], int(fields[19])


def _enter_network(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET):
        code = ctypes.get_errno()
        raise OSError(code, f"enter a network namespace: {os.strerror(code)}")


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a command in a machine: ours, with Netloom on the path and no credentials but ``extra``'s."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
    path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
    return kept | {"PATH": path, "HOME": "/root"} | dict(extra or {})
