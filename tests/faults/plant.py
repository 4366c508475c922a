"""A whole cloud in a sandbox whose parts can be killed, started and looked at."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from netloom.cli.up import CONFIGURATION
from tests.e2e.cloud import Cloud
from tests.faults.api import Api
from tests.sandbox import Sandbox, eventually

AUDIT = 2.0
"""Seconds between full looks of the agent at its host."""
PATIENCE = 40.0
"""Seconds that a busy machine may take to come to rest."""
PROBE, PORT = str(Path(__file__).with_name("probe.py")), "7777"
OURS = "cookie=0x6e6c"

LOOK = r"""
exec 2>&1
echo '== changes of the switch'; ovs-vsctl get open_vswitch . cur_cfg
echo '== switch'
ovs-vsctl -f csv --columns=_uuid,name,tag,other_config list port
ovs-vsctl -f csv --columns=_uuid,name,ofport,external_ids,ifindex list interface
for bridge in $(ovs-vsctl list-br); do
    echo "== flows of $bridge"
    ovs-ofctl -O OpenFlow14 --no-stats dump-flows $bridge
done
for ns in $(ip netns | cut -d' ' -f1); do
    echo "== links of $ns"; ip -n $ns -o link; ip -n $ns -o address show | sed 's/valid_lft.*//'
    echo "== routes of $ns"; ip -n $ns route; ip -n $ns -6 route | sed 's/expires.*//'
    echo "== filters of $ns"; ip netns exec $ns sh -c 'iptables-save; ip6tables-save' | sed '/^#/d; s/\[.*\]//'
done
echo '== links'; ip -o link; echo '== addresses'; ip -o address
echo '== filters'; nft --stateless list ruleset
echo '== daemons'; ps -eo pid,lstart,args | grep -E ' (dnsmasq|haproxy|radvd|ovs[a-z-]*:?) |/init$' | grep -v grep
echo '== files'
exec 2>/dev/null
find /var/lib/netloom/host /run/netloom -type f ! -name '*lease*' ! -name '*log' ! -path '*/disk/*' ! -name '*.pid' \
    -printf '%p %i %T@\n'
echo '== contents'; cd /var/lib/netloom/host
find dhcp radvd metadata -type f ! -name '*lease*' | xargs -r sha1sum
:
"""


class Plant:
    """The cloud and the hands that break it."""

    def __init__(self, machine: Sandbox) -> None:
        """Bring it up, with an external network and short intervals."""
        self.machine = machine
        self.root = Path(f"/proc/{machine.pid}/root")
        values = {"host": "netloom-test", "secret": "of-the-test", "physical_network": "public", "bridge": "br-ex"}
        text = CONFIGURATION.format(**values)
        text = text.replace("[netloom]", f"[netloom]\naudit_interval = {AUDIT}").replace(
            "[DEFAULT]", "[DEFAULT]\ndebug = true"
        )
        self.write("/etc/netloom/netloom.conf", text)
        self.cloud = Cloud(machine)
        self.api = Api(machine.pid)

    def write(self, path: str, text: str) -> None:
        """Write a file of the machine."""
        self.place(path).parent.mkdir(parents=True, exist_ok=True)
        self.place(path).write_text(text)

    def place(self, path: str) -> Path:
        """Where a path of the machine is seen from outside."""
        return self.root / path.lstrip("/")

    # Its processes

    def pid(self, what: str, directory: str = "/run/netloom") -> int:
        """Process number, on the machine, of ``server`` or ``agent``; 0 when it never ran."""
        pidfile = self.place(f"{directory}/{what}.pid")
        return int(pidfile.read_text() or 0) if pidfile.exists() else 0

    def runs(self, pid: int) -> bool:
        """Whether a process of the machine is there."""
        try:
            return pid > 0 and self.place(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
        except (FileNotFoundError, ProcessLookupError):
            return False

    def kill(self, *pids: int, signal: str = "KILL") -> None:
        """Send a signal and wait for the end."""
        self.machine.run("kill", f"-{signal}", *map(str, pids), check=False)  # some end with others
        eventually(lambda: not any(map(self.runs, pids)), PATIENCE, f"the end of {pids}")

    def start(self, what: str, options: str = "", directory: str = "/run/netloom") -> None:
        """Start ``server`` or ``agent`` as ``netloom up`` does."""
        command = f"setsid netloom {options} {what} >> /var/lib/netloom/log/{what}.log 2>&1 < /dev/null &"
        self.machine.run("sh", "-c", command)
        eventually(lambda: self.runs(self.pid(what, directory)), PATIENCE, f"the start of the {what}")

    def start_server(self) -> None:
        """Start the server and wait until it answers."""
        self.start("server")
        eventually(lambda: self.api.ask("GET", "/healthcheck")[0] == 200, PATIENCE, "the server's answer")

    def restart_agent(self, signal: str) -> None:
        """End the agent, start it, and wait until it has looked at all."""
        self.kill(self.pid("agent"), signal=signal)
        self.start_agent()

    def start_agent(self) -> None:
        """Start the agent and wait until it has been through its loop, alone and with the server."""
        with self.converging(3):
            self.start("agent")

    @contextmanager
    def logged(self, what: str, event: str, times: int = 1) -> Iterator[None]:
        """Wait at the end of the block until ``server`` or ``agent`` has logged that so often since its start."""
        log = self.place(f"/var/lib/netloom/log/{what}.log")
        before = log.stat().st_size
        yield

        def done() -> bool:
            with log.open("rb") as stream:
                stream.seek(before)
                return len(re.findall(event.encode(), stream.read())) >= times

        try:
            eventually(done, PATIENCE, f"'{event}' {times} times in the log of the {what}")
        except AssertionError:
            print(log.read_text()[-5000:])
            raise

    @contextmanager
    def converging(self, times: int = 1) -> Iterator[None]:
        """Wait at the end of the block until the agent has gone so often through its loop without a failure."""
        with self.logged("agent", "event='converged'.* failures=0", times):
            yield

    def daemons(self, program: str) -> list[int]:
        """Processes of a program."""
        return [int(pid) for pid in self.machine.run("pgrep", "-x", program, check=False).stdout.split()]

    def processes(self) -> dict[int, str]:
        """All processes but the first one, and what keeps that busy."""
        told = self.machine.run("ps", "-eww", "-o", "pid=,ppid=,args=").stdout
        lines = [line.split(None, 2) for line in told.splitlines()]
        return {int(pid): args for pid, parent, args in lines if pid != "1" and not args.startswith(("sleep ", "ps "))}

    def other_api(self, base: str) -> Api:
        """A client of another server, when that answers."""

        def answers() -> bool:
            return self.machine.run("curl", "-sf", f"{base}/healthcheck", check=False).returncode == 0

        eventually(answers, PATIENCE, f"the answer of {base}")
        return Api(self.machine.pid, base)

    @contextmanager
    def no_room(self, mount: str) -> Iterator[None]:
        """A file system in memory that is as large as what is in it."""
        size, used = self.machine.run("df", "-k", "--output=size,used", mount).stdout.split()[-2:]
        self.machine.run("mount", "-o", f"remount,size={used}k", mount)
        try:
            yield
        finally:
            self.machine.run("mount", "-o", f"remount,size={size}k", mount)

    # What is there

    def look(self) -> dict[str, list[str]]:
        """Everything on the machine that packets depend on, by topic."""
        found: dict[str, list[str]] = {}
        topic = ""
        for line in self.machine.run("sh", "-c", LOOK).stdout.splitlines():
            if line.startswith("== "):
                found[topic := line[3:]] = []
            elif not topic.startswith("flows") or OURS in line:
                found[topic].append(line.strip())
        return {topic: sorted(lines) for topic, lines in found.items()}

    def youngest_flow(self) -> float:
        """Seconds since the last flow of ours was written."""
        ages = []
        for bridge in self.machine.run("ovs-vsctl", "list-br").stdout.split():
            flows = self.machine.run("ovs-ofctl", "-O", "OpenFlow14", "dump-flows", bridge).stdout.splitlines()
            ages += [
                float(age[1]) for flow in flows if OURS in flow and (age := re.search(r"duration=([\d.]+)s", flow))
            ]
        return min(ages)

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Whatever happens in the block must leave the machine exactly as it is, down to process numbers."""
        before, began = self.look(), time.monotonic()
        yield
        took = time.monotonic() - began
        assert differences(before, self.look()) == []
        assert self.youngest_flow() >= took

    def at_rest(self) -> dict[str, list[str]]:
        """How the machine looks once a round of the agent leaves it so."""
        for _ in range(10):
            before = self.look()
            with self.converging():
                pass
            left = differences(before, self.look())
            if not left:
                return before
        raise AssertionError(f"the machine does not come to rest: {left}")

    def becomes(self, wanted: Mapping[str, list[str]], *ignored: str) -> None:
        """Wait until the machine looks like this again, but for topics that begin so."""

        def left() -> list[str]:
            return [line for line in differences(wanted, self.look()) if not line.startswith(ignored)]

        try:
            eventually(lambda: not left(), PATIENCE, "the state before")
        except AssertionError:
            assert left() == []

    # Instances and traffic

    def instance(self, server_id: str) -> int:
        """First process of an instance."""
        record = json.loads(self.place(f"/var/lib/netloom/host/instances/{server_id}/record").read_text())
        return int(record["process"]["pid"])

    def probe(self, *words: str, inside: str = "") -> "Probe":
        """Start the probe on the machine, or in the network of an instance."""
        entering = ["nsenter", f"--target={self.instance(inside)}", "--net"] if inside else []
        return Probe(self.machine.enter([*entering, sys.executable, PROBE, *words]))

    def inside(self, server: str, command: str) -> str:
        """What a shell command inside an instance says."""
        return self.cloud.inside(server, "sh", "-c", command, check=False)

    # Networks

    def ready(self, name: str, count: int = 1) -> list[dict[str, Any]]:
        """The instances of that name, once all of them are active."""

        def active() -> bool:
            return [server["status"] for server in self.api.servers(name)] == ["ACTIVE"] * count

        eventually(active, PATIENCE, f"{count} instances {name} active")
        return self.api.servers(name)


class Probe:
    """A running probe."""

    def __init__(self, argv: list[str]) -> None:
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        self._out = self._process.stdout
        assert self._out.readline() == "ready\n"

    def stop(self) -> None:
        """Tell it to end."""
        assert self._process.stdin
        self._process.stdin.close()

    def end(self) -> str:
        """Let it end; what it told."""
        self.stop()
        try:
            return self._out.read()
        finally:
            self._process.kill()
            self._process.wait()


def differences(before: Mapping[str, list[str]], after: Mapping[str, list[str]]) -> list[str]:
    """What went (``-``) and what came (``+``)."""
    found = []
    for topic in sorted({*before, *after}):
        old, new = before.get(topic, []), after.get(topic, [])
        found += [f"{topic}: -{line}" for line in old if line not in new]
        found += [f"{topic}: +{line}" for line in new if line not in old]
    return found
