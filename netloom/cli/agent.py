"""``netloom agent``: the agent of one host."""

import argparse
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import structlog

from netloom.agent.loop import OVS_RUNDIR, Agent
from netloom.cli import logs
from netloom.cli.processes import AGENT, claim
from netloom.cli.settings import configuration
from netloom.cli.terminal import Trouble, require_root
from netloom.host.instances import no_machines
from netloom.host.vswitch import VSwitch
from netloom.settings.load import host_settings

LOG = structlog.get_logger()


def run(arguments: argparse.Namespace) -> int:
    """Run until a signal; what runs on the host goes on afterwards."""
    require_root("the agent")
    conf = configuration(arguments)
    settings = host_settings(conf)
    if not settings.key_file.exists():
        raise Trouble(
            f"this host has no key ({settings.key_file}); on a server, run: netloom host add {settings.host} > host.key"
        )
    if settings.dnsmasq_config_file and not Path(settings.dnsmasq_config_file).is_file():
        raise Trouble(f"there is no file {settings.dnsmasq_config_file} ([DEFAULT] dnsmasq_config_file)")
    logs.configure(conf.debug)
    claim(settings.run_dir / AGENT)
    if settings.firewall_driver == "noop":
        LOG.warning("security groups are NOT enforced on this host: firewall_driver or enable_security_group says so")
    guest_root: Path | None = None
    boot_files: Callable[[], Path] = no_machines
    if "compute" in settings.roles:
        from netloom.standalone.guest import build, machine

        guest_root = build(settings.state_dir / "guest")
        boot_files = partial(machine.build, settings.state_dir / "guest", guest_root)
    switch = VSwitch(OVS_RUNDIR, settings.state_dir / "openvswitch")
    ours = settings.ovsdb == switch.connection and switch.dbdir.exists()  # "netloom up" has made it
    agent = Agent(settings, guest_root, switch if ours else None, boot_files)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: agent.stop())
    agent.run()
    return 0
