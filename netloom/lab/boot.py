"""What a host of a lab does when it starts; run inside it, and safe to repeat: what runs already is left alone.

    python -m netloom.lab.boot

The first line of input is the order, in JSON: the ``Preparation`` of the host, its services, each with the words of
its command line, and on a cloud's first host what it is founded with. When the host is prepared, a line of JSON tells
the keys that were made for hosts; with the next line of input the services start.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from netloom.host.vswitch import VSwitch, daemon_pid

STATE, RUN = Path("/var/lib/netloom"), Path("/run/netloom")
OVS_RUNDIR = Path("/run/openvswitch")
LOG = STATE / "log"

# What arrives for Open vSwitch is not for the kernel too: it would answer to the host's tunnel address, which it
# finds on the bridge. Packet sockets, by which the userspace datapath reads, come before this hook.
_UPLINKS = """\
table netdev lab
delete table netdev lab
table netdev lab {{
    chain uplinks {{
        type filter hook ingress devices = {{ {devices} }} priority 0
        drop
    }}
}}
"""


def main() -> None:
    """Do what the order says."""
    order = json.loads(sys.stdin.readline())
    for directory in (STATE, RUN):
        directory.mkdir(parents=True, exist_ok=True)
    prepare(order["preparation"])
    if order["preparation"]["postgresql"]:
        from netloom.lab import postgresql

        postgresql.start(order.get("database_password", ""))
    print(json.dumps(_found(**order["cloud"]) if "cloud" in order else {}), flush=True)
    if sys.stdin.readline():
        for service, words in order["services"].items():
            start(service, words)


def _found(files: Sequence[str], url: str, hosts: Sequence[str]) -> dict[str, str]:
    from netloom.lab.founding import found  # takes half a second to load
    from netloom.settings.files import ConfigurationError

    try:
        return found([Path(file) for file in files], url, hosts)
    except ConfigurationError as error:
        raise SystemExit(str(error)) from None


def prepare(preparation: Mapping[str, Any]) -> None:
    """Bring up the host's network."""
    bridges: Mapping[str, tuple[str, str]] = preparation["bridges"]
    if preparation["openvswitch"]:
        VSwitch(OVS_RUNDIR, STATE / "openvswitch").start()
    if bridges:
        _run("ovs-vsctl", *_ensured(bridges))
        _run("nft", "-f", "-", text=_UPLINKS.format(devices=", ".join(device for device, _ in bridges.values())))
    _run("ip", "-batch", "-", text=preparation["commands"])
    for device in preparation["plain"]:
        _run("ethtool", "-K", device, "tx", "off")
    if preparation["names"]:
        _answer_for(preparation["names"])


def _ensured(bridges: Mapping[str, tuple[str, str]]) -> list[str]:
    """The words of one transaction of ovs-vsctl."""
    words: list[str] = []
    for bridge, (device, mac) in bridges.items():
        words += ["--", "--may-exist", "add-br", bridge]
        words += ["--", "set", "bridge", bridge, "datapath_type=netdev", f"other_config:hwaddr={mac}"]
        words += ["--", "--may-exist", "add-port", bridge, device]
    return words[1:]


def _answer_for(names: Mapping[str, str]) -> None:
    """Answer questions for these names by DNS."""
    pidfile = RUN / "names.pid"
    if pidfile.exists() and "dnsmasq" in _program(pidfile.read_text().strip()):
        return
    # "local": what is asked of these names and not known is answered with nothing, not refused.
    answers = [word for name, at in names.items() for word in (f"--address=/{name}/{at}", f"--local=/{name}/")]
    options = ["--no-hosts", "--no-resolv", "--conf-file=/dev/null", "--user=root", f"--pid-file={pidfile}"]
    _run("dnsmasq", *options, *answers)


def _program(pid: str) -> str:
    """The name of a process's program; empty when there is no such process."""
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def start(service: str, words: Sequence[str]) -> None:
    """Start a service of our own, with its output in a log, unless it runs."""
    if daemon_pid(RUN / f"{service}.pid"):
        return
    LOG.mkdir(exist_ok=True)
    with open(os.open(LOG / f"{service}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as output:
        subprocess.Popen(
            [sys.executable, "-m", "netloom.cli.main", *words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def _run(program: str, *words: str, text: str = "") -> None:
    path = shutil.which(program)
    if path is None:
        raise SystemExit(f"{program} is not installed")
    done = subprocess.run([path, *words], input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{program} {' '.join(words)} failed: {done.stderr.strip() or done.stdout.strip()}")


if __name__ == "__main__":
    main()
