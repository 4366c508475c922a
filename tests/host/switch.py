"""A private Open vSwitch for tests: own network namespace, own directories, userspace datapath."""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from netloom.host.openflow import OpenFlow
from netloom.host.ovsdb import Ovsdb
from netloom.host.vswitch import VSwitch, daemon_pid


class Switch:
    """The switch, the drivers on it, and a few commands as an operator would type them."""

    def __init__(self, home: Path, namespace: str) -> None:
        self.namespace = namespace
        self.vswitch = VSwitch(home / "run", home / "db", namespace)
        self.vswitch.start()
        self.db = Ovsdb(self.vswitch.connection)
        self.flows = OpenFlow(self.vswitch.rundir, self.db.ofports)

    def ip(self, *arguments: str) -> str:
        """``ip`` inside the switch's namespace."""
        return _run("ip", "-n", self.namespace, *arguments)

    def run(self, *argv: str) -> None:
        """Any command inside the switch's namespace; its outcome does not matter."""
        subprocess.run(["ip", "netns", "exec", self.namespace, *argv], capture_output=True, timeout=30, check=False)

    def veth(self, *names: str) -> None:
        """Make veth pairs NAME and NAMEp, both up, in the switch's namespace."""
        for name in names:
            self.ip("link", "add", name, "up", "type", "veth", "peer", "name", f"{name}p")
            self.ip("link", "set", f"{name}p", "up")

    def vsctl(self, *arguments: str) -> str:
        """``ovs-vsctl``, stripped."""
        return _run("ovs-vsctl", f"--db={self.vswitch.connection}", *arguments).strip()

    def ofctl(self, command: str, bridge: str, *arguments: str) -> str:
        """``ovs-ofctl -O OpenFlow14``; flows are printed with the names of ports."""
        socket = f"unix:{self.vswitch.rundir / bridge}.mgmt"
        return _run("ovs-ofctl", "-O", "OpenFlow14", "--names", command, socket, *arguments)

    def kill(self, daemon: str) -> None:
        """End ``ovs-vswitchd`` or ``ovsdb-server`` as a crash of the host would: at once."""
        pidfile = self.vswitch.rundir / f"{daemon}.pid"
        os.kill(daemon_pid(pidfile), signal.SIGKILL)
        eventually(lambda: not daemon_pid(pidfile))

    def close(self) -> None:
        """Stop the daemons and delete their files."""
        self.db.close()
        self.vswitch.stop(remove=True)


def eventually(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.01)


@pytest.fixture
def switch() -> Iterator[Switch]:
    """A running, empty Open vSwitch."""
    namespace = f"nltest-{secrets.token_hex(4)}"
    home = Path(tempfile.mkdtemp(prefix="nltest-"))
    _run("ip", "netns", "add", namespace)
    running = None
    try:
        _run("ip", "netns", "exec", namespace, "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
        running = Switch(home, namespace)
        yield running
    finally:
        if running is not None:
            running.close()
        else:
            VSwitch(home / "run", home / "db").stop(remove=True)
        _run("ip", "netns", "del", namespace)
        shutil.rmtree(home)


def _run(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr}"
    return done.stdout
