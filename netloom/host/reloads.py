"""How a daemon is told that its files have changed: it must hear it, be able to read them, and serve what they say.

Placeholders of planned words (``{state}``, ``{run}``) are filled in by ``places``.
"""

import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from netloom.host.namespaces import inside
from netloom.host.questions import ask
from netloom.state import Daemon

ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
"""Of daemons, and of what checks their files."""
SETTLING = 3.0
"""Seconds that haproxy's master may take until it hears the next signal, and any process until it serves what it was
told."""
_EXECUTES_ANEW = "USR2"
"""What haproxy's master is told to reload by."""
_CHECK_SECONDS = 3.0
_PAUSE = 0.01


def placed(argument: str, places: Mapping[str, str]) -> str:
    """A planned word with the paths of this host."""
    for placeholder, path in places.items():
        argument = argument.replace(placeholder, path)
    return argument


def hears(pid: int, signal_name: str) -> bool:
    """Whether a process is ready for a signal: one that only just started would die of it.

    One that executes itself anew to reload loses signals from when it has read its files until it is ready again,
    so it is waited for.
    """
    number = signal.Signals[f"SIG{signal_name}"]
    until = time.monotonic() + (SETTLING if signal_name == _EXECUTES_ANEW else 0)
    while True:
        caught, blocked = _disposition(pid, number)
        if caught or time.monotonic() >= until:
            return caught or blocked
        time.sleep(_PAUSE)


def check(daemon: Daemon, places: Mapping[str, str]) -> None:
    """Let the daemon's own check look at the new files. Raises OSError with what it says against them."""
    argv = [placed(argument, places) for argument in daemon.check]
    if not argv:
        return
    try:
        with inside(daemon.namespace):
            done = subprocess.run(
                argv, env=ENVIRONMENT, cwd="/", capture_output=True, text=True, timeout=_CHECK_SECONDS, check=False
            )
    except subprocess.TimeoutExpired as error:
        raise OSError(0, f"it cannot be reloaded: {argv[0]} did not check in {_CHECK_SECONDS:g} s") from error
    if done.returncode:
        words = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise OSError(0, f"it cannot be reloaded: {words[-1] if words else f'status {done.returncode}'}")


def bequeath(daemon: Daemon, places: Mapping[str, str]) -> None:
    """Keep what its successor must know; without it that one has to find out by itself."""
    address, question, path = (placed(part, places) for part in daemon.bequest)
    if not path:
        return
    try:
        answer = ask(address, question)
        draft = Path(f"{path}.new")
        draft.write_bytes(answer)
        draft.replace(path)
    except OSError:
        Path(path).unlink(missing_ok=True)


def serves(daemon: Daemon, places: Mapping[str, str]) -> bool:
    """Whether it says itself that it serves what it was told last."""
    address, question = (placed(part, places) for part in daemon.serves)
    try:
        return daemon.reloads.encode() in ask(address, question)
    except OSError:
        return False


def _disposition(pid: int, number: int) -> tuple[bool, bool]:
    """Whether a process has a handler for a signal, and whether it has it wait."""
    try:
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    except OSError:
        return False, False
    bit = 1 << number - 1
    return bool(int(status["SigCgt"], 16) & bit), bool(int(status["SigBlk"], 16) & bit)
