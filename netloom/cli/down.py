"""``netloom down``: stop the cloud of this machine and leave nothing behind."""

import argparse
import shutil
import time
from pathlib import Path
from typing import Any

from netloom.agent.loop import layout
from netloom.cli import external
from netloom.cli.processes import AGENT, SERVER, stop
from netloom.cli.settings import configuration
from netloom.cli.terminal import Trouble, require_root, step
from netloom.cli.up import OVS_RUNDIR
from netloom.host import isolation
from netloom.host.host import Host
from netloom.host.vswitch import VSwitch
from netloom.settings.load import host_settings
from netloom.state import HostState

SWEEP_SECONDS = 20.0


def run(arguments: argparse.Namespace) -> int:
    """Take the cloud down."""
    require_root("taking the cloud down")
    conf = configuration(arguments)
    settings = host_settings(conf)
    with step("agent"):
        stop(settings.run_dir / AGENT)
    with step("server"):
        stop(settings.run_dir / SERVER)
    switch = VSwitch(OVS_RUNDIR, settings.state_dir / "openvswitch")
    with step("instances, routers, networks"):
        if switch.dbdir.exists():
            switch.start()  # should it have died: what is left can only be taken out of a running one
        if Path(settings.ovsdb.removeprefix("unix:")).exists():
            _sweep(conf)
    with step("Open vSwitch"):
        external.remove(settings.state_dir)
        isolation.remove(layout(settings))
        if switch.dbdir.exists():
            switch.stop(remove=True)
    with step("files"):
        shutil.rmtree(settings.run_dir, ignore_errors=True)
        if not arguments.keep:
            shutil.rmtree(settings.state_dir, ignore_errors=True)
            shutil.rmtree(conf.netloom.config_path, ignore_errors=True)
    return 0


def _sweep(conf: Any) -> None:
    """Bring the host to the empty plan: every thing that is ours goes."""
    from netloom.standalone.guest.build import build

    settings = host_settings(conf)
    try:
        host = Host(layout(settings), build(settings.state_dir / "guest"))
    except ConnectionError as error:
        raise Trouble(f"{error} Start it, and run 'netloom down' again.") from None
    try:
        until = time.monotonic() + SWEEP_SECONDS
        while host.apply(HostState()) and time.monotonic() < until:
            time.sleep(0.2)
    finally:
        host.close()
