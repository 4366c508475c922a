"""A machine of its own for a test: private mounts, network and processes, gone without trace at the end.

Inside, every default path is usable (/etc, /run and /var/lib are private), ``ip netns`` shows only what is made
there, and Open vSwitch, the server and the agent run as on a fresh machine. When the first process ends, the
kernel ends all others.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
CLIENT_BIN = ROOT / ".cache/clients/modern/bin"

PREPARE = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mount -t sysfs sysfs /sys
mkdir -p /run/netns /run/lock /run/etc/upper /run/etc/work
mount -t overlay -o lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work overlay /etc
mount -t tmpfs tmpfs /var/lib
hostname netloom-test
echo 127.0.0.1 netloom-test >> /etc/hosts
ip link set lo up
echo ready
while :; do sleep 1000 & wait; done  # the first process buries orphans
"""


class Machine:
    """A machine made of namespaces, known by one of its processes."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def place(self, path: str) -> Path:
        """Where a path of the machine is seen from outside."""
        return Path(f"/proc/{self.pid}/root") / path.lstrip("/")

    def enter(self, argv: Sequence[str]) -> list[str]:
        """The command line that runs ``argv`` inside."""
        return ["nsenter", f"--target={self.pid}", "--mount", "--net", "--pid", "--uts", "--wdns=/", *argv]

    def run(
        self,
        *argv: str,
        check: bool = True,
        env: Mapping[str, str] | None = None,
        timeout: float = 60,
        text: str | None = None,
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command inside to its end; with ``check``, a failure shows what the command said."""
        done = subprocess.run(
            self.enter(argv),
            input=text,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env=environment(env),
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(argv)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def popen(self, *argv: str, env: Mapping[str, str] | None = None) -> "subprocess.Popen[str]":
        """Start a command inside."""
        return subprocess.Popen(
            self.enter(argv), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(env)
        )


class Sandbox(Machine):
    """A private machine."""

    def __init__(self) -> None:
        """Make it; takes some ten milliseconds."""
        self._keeper = subprocess.Popen(
            [
                "unshare",
                "--mount",
                "--net",
                "--pid",
                "--uts",
                "--fork",
                "--kill-child",
                "--mount-proc",
                "sh",
                "-c",
                PREPARE,
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._keeper.stdout is not None
        if self._keeper.stdout.readline().strip() != "ready":
            raise RuntimeError("the sandbox could not be made (are we root?)")
        children = Path(f"/proc/{self._keeper.pid}/task/{self._keeper.pid}/children").read_text().split()
        super().__init__(int(children[0]))

    def close(self) -> None:
        """End it and all that runs in it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self._keeper.wait(timeout=10)


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a command: our tools and the clients on the path, and no credentials but ``extra``'s."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
    path = f"{BIN}:{CLIENT_BIN}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return kept | {"PATH": path, "HOME": "/root"} | dict(extra or {})


@contextlib.contextmanager
def sandbox() -> Iterator[Sandbox]:
    """A private machine for a block."""
    machine = Sandbox()
    try:
        yield machine
    finally:
        machine.close()


def eventually(condition: object, seconds: float = 20, what: str = "the condition") -> None:
    """Wait until ``condition()`` is true."""
    until = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        if time.monotonic() > until:
            raise AssertionError(f"{what} did not come true within {seconds} s")
        time.sleep(0.05)
