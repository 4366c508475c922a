"""A place for tests of the Linux drivers: a host network namespace and directories of its own, swept afterwards."""

import os
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from netloom.host.daemons import Daemons
from netloom.host.layout import Layout
from netloom.host.namespaces import RUN_NETNS, Namespaces, inside
from netloom.state import Changes, HostState, Namespace


class Sandbox:
    """Names and directories of one test."""

    def __init__(self, home: Path) -> None:
        self.run = secrets.token_hex(3)
        self.home = home
        self.layout = Layout(
            state_dir=home / "state", run_dir=home / "run", ovsdb=f"unix:{home}/ovs/db.sock", ovs_rundir=home / "ovs"
        )
        self.layout.state_dir.mkdir(parents=True)
        self.layout.run_dir.mkdir(parents=True)

    def router(self, number: int = 0) -> str:
        """Name of a namespace of this test."""
        return f"qrouter-{self.run}-{number}"

    def device(self, number: int = 0) -> str:
        """Name of a device of this test."""
        return f"qr-{self.run}-{number}"


def changes(kind, wanted, actual=()):
    """What turns the actual elements into the wanted ones."""
    return HostState(wanted).changes(kind, HostState(actual))


def run(*argv: str) -> str:
    """Output of a command, as an operator would type it."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr}"
    return done.stdout


def eventually(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.01)


@contextmanager
def host_namespace(name: str) -> Iterator[None]:
    run("ip", "netns", "add", name)
    try:
        with inside(name):
            run("ip", "link", "set", "lo", "up")
            yield
    finally:
        run("ip", "netns", "del", name)


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """A sandbox, in which the test's own thread is in a network namespace that plays the host's."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    box = Sandbox(tmp_path)
    with host_namespace(f"nlhost-{box.run}"):
        try:
            yield box
        finally:
            daemons = Daemons(box.layout)
            daemons.delete(Changes((), (), tuple(daemons.observe())))
            daemons.close()
            for name in os.listdir(RUN_NETNS):
                if name.startswith("qrouter-" + box.run):
                    run("ip", "netns", "del", name)
            assert not list(Namespaces(box.layout).observe())


def namespaces(box: Sandbox, count: int) -> list[Namespace]:
    """Make namespaces."""
    wanted = [Namespace(name=box.router(i)) for i in range(count)]
    assert Namespaces(box.layout).create(changes(Namespace, wanted)) == []
    return wanted
