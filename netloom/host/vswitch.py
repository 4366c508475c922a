"""A private Open vSwitch: its database server and its switch daemon, for a host where none runs.

Used by ``netloom up`` on one machine, by the lab (one per namespace) and by tests. Where the distribution's
Open vSwitch runs, it is left alone and only talked to (see ``ovsdb`` and ``openflow``).
"""

import contextlib
import fcntl
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
SETTINGS = (
    # One handler and one revalidator: a host has few new flows a second, and a lab has many hosts.
    "other_config:n-handler-threads=1",
    "other_config:n-revalidator-threads=1",
    # Milliseconds. What a packet teaches by a cached flow counts only at the next revalidation: a router that has
    # moved twice in ten seconds, too (by default 500).
    "other_config:max-revalidator=100",
)
PRIORITY = -10
"""Nice value of the daemons, which ovs-ctl gives them, too: instances that boot at once starve no packets."""
STOP_SECONDS = 5.0
START_SECONDS = 30.0
_SOCKETS = ("*.mgmt", "*.snoop", "*.ctl", "*.pid", "db.sock")
_FLOCK = "hhqqi4x"
"""``struct flock`` of fcntl(2) on 64-bit Linux: type, whence, start, length, pid."""


class VSwitch:
    """One Open vSwitch with its run directory (pid files, sockets) and its database directory (also logs).

    ``namespace`` is the network namespace of the switch daemon: its devices live there. The daemons
    outlive the caller; another ``VSwitch`` object with the same directories finds them again.
    """

    def __init__(self, rundir: Path, dbdir: Path, namespace: str = "") -> None:
        self.rundir = rundir
        self.dbdir = dbdir
        self.namespace = namespace

    @property
    def connection(self) -> str:
        """Where its database server listens, as ``Ovsdb`` takes it."""
        return f"unix:{self.rundir / 'db.sock'}"

    def running(self) -> bool:
        """Whether both daemons run."""
        return all(daemon_pid(self._pidfile(name)) for name in ("ovsdb-server", "ovs-vswitchd"))

    def start(self) -> None:
        """Start what does not run; returns when bridges of the database are up (about 0.1 s).

        Raises:
            RuntimeError: a daemon did not start; the text says why.
        """
        self.rundir.mkdir(parents=True, exist_ok=True)
        self.dbdir.mkdir(parents=True, exist_ok=True)
        database = self.dbdir / "conf.db"
        if not database.exists():
            self._run("ovsdb-tool", "create", str(database), str(SCHEMA))
        if not daemon_pid(self._pidfile("ovsdb-server")):
            self._daemon("ovsdb-server", str(database), f"--remote=p{self.connection}")
            settings = ("--no-wait", "init", "--", "set", "Open_vSwitch", ".", *SETTINGS)
            self._run("ovs-vsctl", f"--db={self.connection}", *settings)
        if not daemon_pid(self._pidfile("ovs-vswitchd")):
            inside = ("ip", "netns", "exec", self.namespace) if self.namespace else ()
            self._daemon("ovs-vswitchd", self.connection, inside=inside)

    def stop(self, *, remove: bool = False) -> None:
        """Stop both daemons, by their pid files.

        ``remove`` also takes down the kernel's datapaths and deletes every file of this switch, the
        database included, and the two directories if they are empty then.
        """
        if remove and (pid := daemon_pid(self._pidfile("ovs-vswitchd"))):
            # Without it a kernel datapath goes on forwarding after its daemon has gone.
            control = str(self.rundir / f"ovs-vswitchd.{pid}.ctl")
            with Daemon(pid) as daemon:
                self._run("ovs-appctl", "-t", control, "exit", "--cleanup", check=False)
                daemon.wait(STOP_SECONDS)
        for name in ("ovs-vswitchd", "ovsdb-server"):
            if pid := daemon_pid(self._pidfile(name)):
                with Daemon(pid) as daemon:
                    daemon.terminate()
        if remove:
            self._remove()

    def _remove(self) -> None:
        database = (self.dbdir / "conf.db", self.dbdir / ".conf.db.~lock~", *self.dbdir.glob("ovs*.log"))
        for path in (*database, *(path for pattern in _SOCKETS for path in self.rundir.glob(pattern))):
            path.unlink(missing_ok=True)
        for directory in (self.rundir, self.dbdir):
            if directory.exists() and not any(directory.iterdir()):
                directory.rmdir()

    def _pidfile(self, name: str) -> Path:
        return self.rundir / f"{name}.pid"

    def _daemon(self, name: str, *arguments: str, inside: tuple[str, ...] = ()) -> None:
        # --monitor: a crashed daemon is started again at once.
        log = f"--log-file={self.dbdir / name}.log"
        options = (f"--pidfile={self._pidfile(name)}", log, "--detach", "--monitor", "--no-chdir", "-vconsole:off")
        self._run(*inside, name, *arguments, *options)
        pid = daemon_pid(self._pidfile(name))
        with contextlib.suppress(OSError):  # as good as the machine allows
            os.setpriority(os.PRIO_PGRP, os.getpgid(pid), PRIORITY)
            # Against processes of other sessions, the value of the session counts: sched(7), autogroup.
            Path(f"/proc/{pid}/autogroup").write_text(str(PRIORITY))

    def _run(self, *argv: str, check: bool = True) -> None:
        search = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
        environment = {"PATH": search, "OVS_RUNDIR": str(self.rundir), "OVS_LOGDIR": str(self.dbdir)}
        program = shutil.which(argv[0], path=search)
        if program is None:
            raise RuntimeError(f"{argv[0]} not found: install Open vSwitch (package openvswitch-switch)")
        done = subprocess.run(
            [program, *argv[1:]],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )
        if check and done.returncode:
            raise RuntimeError(f"{argv[0]} failed: {done.stderr.strip() or 'no message'}; logs are in {self.dbdir}")


def daemon_pid(pidfile: Path) -> int:
    """Process id of the Open vSwitch daemon that holds this pid file, 0 when there is none.

    A running daemon keeps its pid file locked, so a stale file or a reused number is not mistaken for it;
    the kernel says who holds the lock, in our own pid namespace.
    """
    try:
        with pidfile.open("rb") as file:
            asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, asked))
    except FileNotFoundError:
        return 0
    return 0 if kind == fcntl.F_UNLCK else int(pid)


class Process:
    """A process held by its descriptor, so that its number cannot come to mean another one."""

    def __init__(self, pid: int) -> None:
        self._fd = os.pidfd_open(pid)

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it."""
        os.close(self._fd)

    def fileno(self) -> int:
        """A descriptor that becomes readable when the process ends."""
        return self._fd

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        signal.pidfd_send_signal(self._fd, number)

    def wait(self, seconds: float) -> bool:
        """Wait for its end; False when it still runs after ``seconds``."""
        ended = select.poll()
        ended.register(self._fd, select.POLLIN)
        return bool(ended.poll(seconds * 1000))


class Daemon:
    """A daemon of Open vSwitch, and the monitor that leads its process group and writes of its end to the log."""

    def __init__(self, pid: int) -> None:
        self._held = contextlib.ExitStack()
        self._process = self._held.enter_context(Process(pid))
        self._both = [self._process]
        with contextlib.suppress(OSError):  # nobody watches it any more
            self._both.append(self._held.enter_context(Process(os.getpgid(pid))))

    def __enter__(self) -> "Daemon":
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def wait(self, seconds: float) -> bool:
        """Wait for the end of both; False when one still runs after ``seconds``."""
        until = time.monotonic() + seconds
        return all(process.wait(max(0.0, until - time.monotonic())) for process in self._both)

    def terminate(self) -> None:
        """End it; the monitor then ends, too."""
        self._process.signal(signal.SIGTERM)
        if not self._process.wait(STOP_SECONDS):
            self._process.signal(signal.SIGKILL)
        self.wait(STOP_SECONDS)


def datapath_type() -> str:
    """``system`` if the kernel has Open vSwitch's datapath, else ``netdev`` (userspace).

    Asks generic netlink (netlink(7), GENL_ID_CTRL) for the family ``ovs_datapath``; the kernel loads its
    module for that question, if it has one.
    """
    netlink_generic = 16
    genl_id_ctrl, ctrl_cmd_getfamily, ctrl_attr_family_name = 0x10, 3, 2
    nlm_f_request, nlmsg_error = 1, 2
    name = b"ovs_datapath\0"
    attribute = struct.pack("=HH", 4 + len(name), ctrl_attr_family_name) + name
    attribute += b"\0" * (-len(attribute) % 4)
    body = struct.pack("=BBH", ctrl_cmd_getfamily, 1, 0) + attribute
    header = struct.pack("=IHHII", 16 + len(body), genl_id_ctrl, nlm_f_request, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, netlink_generic) as netlink:
        netlink.send(header + body)
        (answer,) = struct.unpack_from("=H", netlink.recv(65536), 4)
    return "netdev" if answer == nlmsg_error else "system"
