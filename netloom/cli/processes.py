"""Our own long-running processes: one pid file each, locked for as long as the process lives."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from netloom.cli.terminal import Trouble
from netloom.host.vswitch import Process, daemon_pid

STOP_SECONDS = 10.0
SERVER, AGENT = "server.pid", "agent.pid"
"""Names of their pid files in the run directory."""


def claim(pidfile: Path) -> None:
    """Make this process the holder of ``pidfile`` until it ends.

    Raises:
        Trouble: another process holds it.
    """
    pidfile.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(pidfile, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise Trouble(f"another one runs already (process {daemon_pid(pidfile)}, {pidfile})") from None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    # The descriptor stays open on purpose: closing it would release the lock.


def spawn(arguments: Sequence[str], log: Path) -> "subprocess.Popen[bytes]":
    """Start ``netloom ARGUMENTS`` in a session of its own, with its output in ``log`` (not for others to read)."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "netloom.cli.main", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def stop(pidfile: Path) -> bool:
    """End the holder of ``pidfile``; False when there is none."""
    pid = daemon_pid(pidfile)
    if not pid:
        pidfile.unlink(missing_ok=True)
        return False
    with Process(pid) as process:
        process.signal(signal.SIGTERM)
        if not process.wait(STOP_SECONDS):
            process.signal(signal.SIGKILL)
            process.wait(STOP_SECONDS)
    pidfile.unlink(missing_ok=True)
    return True
