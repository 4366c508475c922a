"""Containers: the process of an instance in namespaces of its own, on a root file system of its own.

A container has its own user namespace, so its root is nobody on the host: it owns what is inside (cards, mounts,
host name) and has no rights outside, whatever it finds in /proc or /sys. Its ids are the 65536 from the owner of
the root file system on. The file system is an overlay: the built tree below, shared by all, and a directory of the
instance above. All mounts are in the container's own mount namespace, so they end with it.

It starts held: everything is prepared, and the guest's first process waits until it is released. It then shares
nothing with the agent and outlives it. When the agent dies before, the container ends by itself.
"""

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

_IDS = 65536
_NAMESPACES = ("--user", "--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup")
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_START_TIMEOUT = 10.0
"""Seconds that a step of the start may take."""

# The shell is in the new namespaces, but its first child is process 1 of the new pid namespace. A background
# process of a shell has no input of its own, so it gets a copy.
_SPAWN = """exec 3<&0; /bin/sh -c "$OUTSIDE" <&3 3<&- & echo $!"""

# Still with the host's files, in the instance's directory, and without an id until the agent has mapped them. The
# lower tree is opened here, since what comes after may not walk there.
_OUTSIDE = """exec 9<"$LOWER" && read -r mapped || exit 1
exec setpriv --reuid=0 --regid=0 --clear-groups /proc/self/fd/9/bin/busybox sh -c "$INSIDE" init"""

# Where the overlay cannot be had (its directory is itself on one), the instance gets a whole copy.
_INSIDE = """set -e
tmpfs() { mount -t tmpfs -o "nosuid,$2" tmpfs "root/$1"; }
mount -t overlay -o lowerdir=/proc/self/fd/9,upperdir=upper,workdir=work,userxattr overlay root || {
    echo "no overlay: copying the root file system"
    [ -e upper/init ] || cp -a /proc/self/fd/9/. upper/
    mount -o bind upper root
} >&2
exec 9<&-
tmpfs dev mode=755,size=1m; tmpfs run mode=755; tmpfs tmp mode=1777
for node in null zero full random urandom tty; do
    : > root/dev/$node
    mount -o bind /dev/$node root/dev/$node
done
mkdir root/dev/pts
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5,nosuid,noexec devpts root/dev/pts
ln -s pts/ptmx root/dev/ptmx
ln -s /proc/self/fd root/dev/fd
mkfifo -m 600 root/dev/console
mount -t proc -o nosuid,nodev,noexec proc root/proc
awk -v RS= -v ORS='\n\n' "NR <= $VCPUS" /proc/cpuinfo > root/run/cpuinfo
mount -o bind root/run/cpuinfo root/proc/cpuinfo
rm root/run/cpuinfo
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs root/sys || :
pivot_root root root/mnt
cd /
umount -l /mnt
hostname "$NAME"
echo ready
read -r released || exit 1
exec env -i /init </dev/null >&2"""


@dataclass(frozen=True, slots=True)
class Process:
    """The first process of an instance, told from any later one of the same number."""

    pid: int
    started: str
    """Clock ticks after the boot of the host, and which boot that was."""

    @property
    def alive(self) -> bool:
        """Whether it runs; one that only waits for its parent does not."""
        return self.pid > 0 and started(self.pid) == self.started


def started(pid: int) -> str:
    """When a living process started (see proc_pid_stat(5)); empty when there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if fields[0] in "ZX" else f"{fields[19]}@{boot}"


class Held:
    """A container on its way: spawned, mapped, ready, released. Many can be at each step at the same time."""

    def __init__(self, root: Path, disk: Path, console: Path, hostname: str, vcpus: int) -> None:
        """Spawn it.

        Args:
            root: root file system to stand on; its owner is the guest's root.
            disk: the instance's own directory, made here when missing.
            console: file that the guest's output is appended to.
            hostname: its first host name.
            vcpus: how many processors it is told of; there are not more than the host's.
        """
        self._first_id = root.stat().st_uid
        if self._first_id == 0:
            raise PermissionError(f"{root} belongs to root: build it with ids of its own")
        self._console = console
        for directory in (disk, disk / "upper", disk / "work", disk / "root"):
            directory.mkdir(mode=0o755, exist_ok=True)
            os.chown(directory, self._first_id, self._first_id)
        disk.chmod(0o700)
        scripts = {"OUTSIDE": _OUTSIDE, "INSIDE": _INSIDE}
        values = {"LOWER": str(root), "NAME": hostname, "VCPUS": str(vcpus), "PATH": _PATH}
        log = os.open(console, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._starter = subprocess.Popen(
                ["unshare", *_NAMESPACES, "--keep-caps", "/bin/sh", "-c", _SPAWN],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                env=values | scripts, cwd=disk, umask=0o022, start_new_session=True, bufsize=0,
            )  # fmt: skip
        finally:
            os.close(log)
        self.process = Process(0, "")

    def map(self) -> None:
        """Give it its ids.

        Raises:
            OSError: it could not start; the text says why.
        """
        pid = int(self._answer())
        self._starter.wait(_START_TIMEOUT)
        self.process = Process(pid, started(pid))
        for kind in ("uid_map", "gid_map"):
            Path(f"/proc/{pid}/{kind}").write_text(f"0 {self._first_id} {_IDS}")
        self._go_on()

    def ready(self) -> None:
        """Wait until it needs nothing but its release.

        Raises:
            OSError: it could not start; the text says why.
        """
        self._answer()

    def release(self) -> None:
        """Let the guest boot.

        Raises:
            OSError: it has died.
        """
        self._go_on()
        self.close()

    def close(self) -> None:
        """Let go of it; it ends unless it was released."""
        for pipe in (self._starter.stdin, self._starter.stdout):
            if pipe:
                pipe.close()
        self._starter.poll()

    def _go_on(self) -> None:
        assert self._starter.stdin
        self._starter.stdin.write(b"\n")

    def _answer(self) -> str:
        assert self._starter.stdout
        poller = select.poll()
        poller.register(self._starter.stdout, select.POLLIN)
        line = self._starter.stdout.readline() if poller.poll(_START_TIMEOUT * 1000) else b""
        if not line:
            said = tail(self._console, 1000).strip().rpartition("\n")[2]
            raise OSError(f"the container does not start: {said or 'no answer'}")
        return line.decode()


def signal_process(process: Process, number: signal.Signals) -> None:
    """Send a signal, never to another process of the same number."""
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(process.pid)
        try:
            if process.alive:
                signal.pidfd_send_signal(handle, number)
        finally:
            os.close(handle)


def stop(processes: Iterable[Process], grace: float, ask: Callable[[Process], None]) -> None:
    """End instances: each is asked to, and what is left after ``grace`` seconds is killed.

    With the first process of a container the kernel ends all others of it.
    """
    left = [process for process in processes if process.alive]
    for act, seconds in ((ask, grace), (_kill, _START_TIMEOUT)):
        if seconds > 0:
            for process in left:
                act(process)
            left = _await_end(left, seconds)


def _kill(process: Process) -> None:
    signal_process(process, signal.SIGKILL)


def _await_end(processes: list[Process], seconds: float) -> list[Process]:
    """Those that still live after that time."""
    poller, deadline = select.poll(), time.monotonic() + seconds
    handles = {}
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            handles[os.pidfd_open(process.pid)] = process
    for handle in handles:
        poller.register(handle, select.POLLIN)
    waiting = len(handles)
    while waiting and (remaining := deadline - time.monotonic()) > 0:
        for handle, _ in poller.poll(remaining * 1000):
            poller.unregister(handle)
            waiting -= 1
    for handle in handles:
        os.close(handle)
    return [process for process in processes if process.alive]


def entering(process: Process, argv: Sequence[str]) -> list[str]:
    """The command line that runs ``argv`` inside a container, as its root."""
    environment = (f"PATH={_PATH}", "HOME=/root", "USER=root", f"TERM={os.environ.get('TERM', 'linux')}")
    enter = ("nsenter", "--target", str(process.pid), "--all", "--setuid", "0", "--setgid", "0", "--wd=/")
    return [*enter, "--", "/bin/env", "-i", *environment, *argv]


def tail(path: Path, size: int) -> str:
    """The last bytes of a file as text."""
    with path.open("rb") as stream:
        stream.seek(max(0, stream.seek(0, os.SEEK_END) - size))
        return stream.read(size).decode(errors="replace")
