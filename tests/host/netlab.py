"""Throw-away namespaces, links and processes for tests of planned services; all go when the lab closes."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from netloom.state import Daemon, Element, File, FilterTable, HostState, Sysctl

E = TypeVar("E", bound=Element)


class Lab:
    """A run of its own: every name carries its id."""

    def __init__(self) -> None:
        self.id = uuid.uuid4().hex[:6]
        self.namespaces: list[str] = []
        self.processes: list[subprocess.Popen[bytes]] = []
        self.folder = Path(tempfile.mkdtemp(prefix=f"nl-{self.id}-"))
        self.folder.chmod(0o755)  # daemons that gave up root read it again
        self._links = 0

    def namespace(self, name: str) -> str:
        """Make a namespace of exactly this name; it should carry the lab's id."""
        self.ip("netns", "add", name)
        self.namespaces.append(name)
        self.ip("-n", name, "link", "set", "lo", "up")
        return name

    def remove_namespace(self, name: str) -> None:
        self.ip("netns", "del", name)
        self.namespaces.remove(name)

    def link(self, one: str, device: str, other: str, peer: str, *, mac: str = "") -> None:
        """A veth pair between two namespaces, up, without checksum offload; ``mac`` is that of the peer."""
        self._links += 1
        ends = f"a{self.id}{self._links}", f"b{self.id}{self._links}"
        self.ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
        for end, namespace, name in ((ends[0], one, device), (ends[1], other, peer)):
            self.ip("link", "set", end, "netns", namespace, "name", name)
        if mac:
            self.ip("-n", other, "link", "set", peer, "address", mac)
        for namespace, name in ((one, device), (other, peer)):
            self.ip("-n", namespace, "link", "set", name, "up")

    def address(self, namespace: str, device: str, *cidrs: str) -> None:
        for cidr in cidrs:
            extra = ["nodad"] if ":" in cidr else []
            self.ip("-n", namespace, "address", "add", cidr, "dev", device, *extra)

    def ip(self, *words: str) -> str:
        return self.run("", "ip", *words)

    def run(self, namespace: str, *argv: str, stdin: str = "", check: bool = True) -> str:
        """Output of a command inside a namespace."""
        words = ["ip", "netns", "exec", namespace, *argv] if namespace else list(argv)
        done = subprocess.run(words, input=stdin, text=True, capture_output=True, timeout=30, check=False)
        assert not check or done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def python(self, namespace: str, program: str, *arguments: str) -> str:
        return self.run(namespace, sys.executable, "-c", program, *arguments)

    def write(self, state: HostState) -> None:
        """The files and settings of a plan, and its filter tables."""
        for file in state.of(File).values():
            path = self.folder / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(file.text)
        for sysctl in state.of(Sysctl).values():
            self.run(sysctl.namespace, "sysctl", "-qw", f"{sysctl.name}={sysctl.value}")
        for table in state.of(FilterTable).values():
            self.run(table.namespace, "iptables-restore", stdin=table.text)

    def start(self, daemon: Daemon) -> subprocess.Popen[bytes]:
        """Start a planned daemon; its output goes to a file of its name."""
        argv = [w.replace("{state}", str(self.folder)).replace("{run}", str(self.folder)) for w in daemon.argv]
        enter = ["ip", "netns", "exec", daemon.namespace] if daemon.namespace else []
        with self.output(daemon).open("ab") as output:
            process = subprocess.Popen([*enter, *argv], stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        self.processes.append(process)
        return process

    def output(self, daemon: Daemon) -> Path:
        return self.folder / f"{daemon.name}.log"

    def close(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for name in self.namespaces:
            subprocess.run(["ip", "netns", "del", name], check=False, timeout=30)
        shutil.rmtree(self.folder, ignore_errors=True)


def only(state: HostState, kind: type[E]) -> E:
    """The one element of a class."""
    (element,) = state.of(kind).values()
    return element


def eventually(condition: Callable[[], bool], what: str, seconds: float = 10) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


def root() -> bool:
    return os.geteuid() == 0
