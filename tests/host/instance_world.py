"""A real bridge for instances, with a real DHCP server and a metadata service on it."""

import contextlib
import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from netloom.host.instances import Instances, console_log
from netloom.host.layout import Layout
from netloom.standalone.guest import build, machine
from netloom.state import Failure, HostState, Instance, Nic

RUN = uuid.uuid4().hex[:6]
BRIDGE, SERVER = f"nlb{RUN}", f"nl-guest-{RUN}"
USER_DATA = "#!/bin/bash\necho user data by $(whoami) > /dev/console\ndate >> /root/ran\n"

METADATA = """
import http.server, json, socketserver, sys
tree = json.loads(sys.argv[1])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        found = tree.get(self.client_address[0], {}).get(self.path)
        body = (found or "").encode()
        self.send_response(404 if found is None else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
socketserver.ThreadingTCPServer(("169.254.169.254", 80), Handler).serve_forever()  # HTTPServer asks DNS for its name
"""


def sh(*argv: str, check: bool = True) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
    assert not check or done.returncode == 0, f"{argv}: {done.stderr}"
    return done.stdout


def eventually(holds: Callable[[], object], seconds: float = 15, what: Callable[[], str] = lambda: "") -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, what()
        time.sleep(0.02)


def guest(number: int, **changes: Any) -> Instance:
    """Instance number 1 to 9 of this run, with the address 10.77.0.1N."""
    one = Instance(
        id=str(uuid.uuid5(uuid.NAMESPACE_OID, f"{RUN}{number}")),
        hostname=f"before-{number}",
        image="any",
        memory_mb=64,
        vcpus=1,
        nics=(Nic(port_id=str(number), device=f"tap{RUN}-{number}", mac=f"fa:16:3e:00:00:0{number}", mtu=1450),),
    )
    return replace(one, **changes)


class Cloud:
    """A host with a bridge, and what its instances need from their network."""

    def __init__(self, home: Path) -> None:
        self.layout = Layout(state_dir=home / "state", run_dir=home / "run", ovsdb="", ovs_rundir=home)
        self.root = build(home / "guest")
        self.key = home / "key"
        sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key))
        self.driver = self.agent()
        self.servers: list[subprocess.Popen[bytes]] = []

    def agent(self) -> Instances:
        """The driver of an agent that has just started."""
        return Instances(self.layout, self.root, partial(machine.build, self.root.parent, self.root))

    def serve(self, home: Path) -> None:
        sh("ip", "link", "add", BRIDGE, "type", "bridge", "forward_delay", "0")
        sh("ip", "netns", "add", SERVER)
        sh("ip", "link", "add", f"nls{RUN}", "master", BRIDGE, "type", "veth", "peer", "eth0", "netns", SERVER)
        for device in (BRIDGE, f"nls{RUN}"):
            sh("ip", "link", "set", device, "up")
        inside = ("ip", "-n", SERVER)
        sh(*inside, "link", "set", "lo", "up")
        sh(*inside, "link", "set", "eth0", "up")
        for address in ("10.77.0.1/24", "169.254.169.254/32", "fd77::1/64"):
            sh(*inside, "address", "add", address, "dev", "eth0", *(["nodad"] if ":" in address else []))
        enter = ("ip", "netns", "exec", SERVER)
        hosts = [f"--dhcp-host=fa:16:3e:00:00:0{n},10.77.0.1{n}" for n in range(1, 10)]
        self._start(
            *enter, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--interface=eth0", "--bind-dynamic",
            "--no-hosts", "--no-resolv", f"--dhcp-leasefile={home}/leases", f"--pid-file={home}/dnsmasq.pid",
            "--dhcp-range=10.77.0.2,static,255.255.255.0", "--dhcp-option=option:router,10.77.0.1", *hosts,
            "--dhcp-option=121,169.254.169.254/32,10.77.0.1,10.99.0.0/16,10.77.0.2,0.0.0.0/0,10.77.0.1",
            "--dhcp-option-force=26,1400", "--enable-ra", "--dhcp-range=fd77::,ra-only", "--user=root",
            "--address=/elsewhere.example/10.77.0.1", "--domain=example",
        )  # fmt: skip
        self._start(*enter, sys.executable, "-c", METADATA, json.dumps(self._metadata()))

    def _metadata(self) -> dict[str, dict[str, str]]:
        tree = {}
        for number in range(1, 10):
            about = {
                "meta": {"hostname": "trap", "name": 'quo"te'},
                "uuid": guest(number).id,
                "hostname": f"guest-{number}.example",
                "public_keys": {"my key": self.key.with_suffix(".pub").read_text()},
            }
            tree[f"10.77.0.1{number}"] = {"/openstack/latest/meta_data.json": json.dumps(about)}
        vendor = {"cloud-init": {"system_info": {"default_user": {"name": "ubuntu", "lock_passwd": True}}}}
        tree["10.77.0.11"] |= {"/openstack/latest/vendor_data.json": json.dumps(vendor)}
        tree["10.77.0.11"] |= {"/openstack/latest/user_data": USER_DATA}
        return tree

    def _start(self, *argv: str) -> None:
        self.servers.append(subprocess.Popen(argv, stdout=subprocess.DEVNULL))

    def close(self) -> None:
        with contextlib.ExitStack() as last:  # each of them also when one before it fails or is interrupted
            last.callback(sh, "ip", "link", "delete", BRIDGE, check=False)
            last.callback(sh, "ip", "netns", "delete", SERVER, check=False)
            for server in self.servers:
                last.callback(server.wait)
                last.callback(server.kill)
            self.apply()

    def apply(self, *wanted: Instance) -> list[Failure]:
        """What an agent does: observe, prepare, plug what is new into the switch, start."""
        changes = HostState(wanted).changes(Instance, HostState(self.driver.observe()))
        failures = self.driver.prepare(changes)
        for nic in (nic for one in wanted if one.running for nic in one.nics):
            sh("ip", "link", "set", nic.device, "master", BRIDGE, check=False)
        return failures + self.driver.start()

    def changes(self, *wanted: Instance) -> bool:
        return bool(HostState(wanted).changes(Instance, HostState(self.driver.observe())))

    def boot(self, *wanted: Instance) -> None:
        """Apply, and wait for the login line of each that starts."""
        running = {one.id: one.boot for one in self.driver.observe() if one.running}
        before = {one.id: self.logins(one) for one in wanted if running.get(one.id) != one.boot}
        assert self.apply(*wanted) == []
        assert not self.changes(*wanted)
        for one in wanted:
            if one.id in before:
                eventually(lambda one=one: self.logins(one) > before[one.id], what=lambda one=one: self.console(one))

    def console(self, one: Instance) -> str:
        return console_log(self.layout, one.id) or ""

    def logins(self, one: Instance) -> int:
        return self.console(one).count(" login:")

    def pid(self, one: Instance) -> int:
        record = json.loads((self.layout.state_dir / "instances" / one.id / "record").read_bytes())
        return int(record["process"]["pid"])

    def run(self, one: Instance, script: str) -> str:
        """Output of a shell script inside an instance."""
        return subprocess.run(
            self.exec_argv(one, script), capture_output=True, text=True, check=False, timeout=30
        ).stdout

    def exec_argv(self, one: Instance, script: str, *, tty: bool = False) -> list[str]:
        """Another process that has only the state directory runs a shell script inside an instance."""
        code = (
            "import sys; from pathlib import Path; from netloom.host.instances import Instances; "
            "from netloom.host.layout import Layout; state, one, script = sys.argv[1:]; p = Path(state); "
            f"sys.exit(Instances(Layout(p, p, '', p), p).exec_in(one, ['sh', '-c', script], tty={tty}))"
        )
        return [sys.executable, "-c", code, str(self.layout.state_dir), one.id, script]

    def ssh(self, login: str, *command: str) -> subprocess.CompletedProcess[str]:
        options = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes -o LogLevel=ERROR"
        argv = ["ip", "netns", "exec", SERVER, "ssh", *options.split(), "-i", str(self.key), login, *command]
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30, stdin=subprocess.DEVNULL)
