"""What the host and people say to a machine, past its network: by sockets in the instance's directory.

Each socket takes one at a time. Who uses one holds the lock beside it.
"""

import contextlib
import fcntl
import os
import shlex
import socket
import subprocess
import sys
import termios
import threading
import time
import tty
from collections.abc import Iterator, Sequence
from pathlib import Path

from netloom.host import relay

CONSOLE, MONITOR, SIGNALS = "console", "monitor", "signals"
EXEC = tuple(f"exec.{number}" for number in range(8))
"""As many commands can run at the same time."""
_LEAVE = b"\x1d"
"""Ctrl-]."""
_SILENCE = 1.0
"""Seconds after which a console has said all that it will."""
_READY = b"ready\n"
_BOOT, _PAUSE = 120.0, 0.2
"""Seconds that a machine may take until it answers; seconds in which it sees that a connection has ended."""
_FAR = 100
"""Descriptors from here on are passed on by clients that close those they know."""
_NOTICE = b"dbclient: Caution, skipping hostkey check"
_RELAY = Path(relay.__file__)


def listen(directory: Path, name: str) -> socket.socket:
    """A socket for a machine to accept connections from, in place of one of the same name."""
    (directory / name).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    place = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        listener.bind(f"/proc/self/fd/{place}/{name}")
        listener.listen()
    except OSError:
        listener.close()
        raise
    finally:
        os.close(place)
    return listener


@contextlib.contextmanager
def reserved(directory: Path, names: Sequence[str]) -> Iterator[str]:
    """The first of the sockets that nobody uses, for ourselves.

    Raises:
        BlockingIOError: all are in use.
    """
    for name in names:
        lock = os.open(directory / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield name
            return
        except BlockingIOError:
            continue
        finally:
            os.close(lock)
    raise BlockingIOError(f"others use all of {', '.join(names)}")


def run(directory: Path, argv: Sequence[str], *, terminal: bool) -> int:
    """Run a command in a machine, as its root, on our standard streams; its exit status.

    A machine that is still booting is waited for.

    Raises:
        BlockingIOError: as many commands run as can at a time.
        TimeoutError: the machine does not answer.
    """
    command = f"cd /; env -- {shlex.join(argv)}; exit $?"  # found on the path, even what the shell would be itself
    with reserved(directory, EXEC) as channel, _answering(directory, channel) as connection:
        way = fcntl.fcntl(connection, fcntl.F_DUPFD, _FAR)
        there = shlex.join([sys.executable, "-I", "-S", str(_RELAY), str(way)])
        # The machine is at the other end of its own socket: there is no host key to check, and no password to give.
        client = ["dbclient", "-y", "-y", "-t" if terminal else "-T", "-l", "root", "-J", there, "guest", command]
        environment = os.environ | {"HOME": str(directory), "DROPBEAR_PASSWORD": ""}
        process = subprocess.Popen(client, stderr=subprocess.PIPE, env=environment, pass_fds=[way])
        os.close(way)
        assert process.stderr
        pump = threading.Thread(target=_pass_on_errors, args=(process.stderr.fileno(),))
        pump.start()
        try:
            return process.wait()
        finally:
            process.kill()
            process.wait()
            pump.join()
            process.stderr.close()


def open_console(directory: Path) -> None:
    """Connect our standard input and output to a machine's console, until people leave or the input ends.

    Raises:
        BlockingIOError: somebody else has it open.
    """
    with (
        reserved(directory, [CONSOLE]),
        relay.connect(directory, CONSOLE) as connection,
        _raw_terminal() as terminal,
    ):
        relay.relay(connection, 0, 1, escape=_LEAVE if terminal else b"", linger=_SILENCE)


@contextlib.contextmanager
def _raw_terminal() -> Iterator[bool]:
    """Have every key pass as it is typed; whether the input is a terminal at all."""
    if not os.isatty(0):
        yield False
        return
    usual = termios.tcgetattr(0)
    tty.setraw(0)
    try:
        yield True
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, usual)


def _answering(directory: Path, name: str) -> socket.socket:
    """A connection that the machine has taken, and not for the end of the one before: it says that it is ready."""
    until, patience = time.monotonic() + _BOOT, 1.0
    while time.monotonic() < until:
        connection = relay.connect(directory, name)
        connection.settimeout(patience)
        with contextlib.suppress(TimeoutError):
            if connection.recv(len(_READY), socket.MSG_WAITALL) == _READY:
                connection.settimeout(None)
                return connection
        connection.close()
        time.sleep(_PAUSE)
        patience *= 2
    raise TimeoutError(f"the machine does not answer within {_BOOT:g} seconds")


def _pass_on_errors(source: int) -> None:
    """Pass on what comes, without the client's own notice, a line and an empty one."""
    first = True
    while said := os.read(source, 1 << 16):
        text = said
        if first and said.startswith(_NOTICE):
            text = said.partition(b"\n")[2].removeprefix(b"\n")
        first = False
        while text:
            text = text[os.write(2, text) :]
