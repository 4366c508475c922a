"""``netloom lab``: many hosts on one machine."""

import argparse
import os

from netloom.cli.terminal import Trouble, require_root, step, table
from netloom.lab.errors import LabError
from netloom.lab.lab import Lab

READY = """
The lab is up: {hosts}.

Try:
  netloom lab list{name}
  netloom lab exec{name} {server} -- openstack network agent list
  netloom lab exec{name} {server} -- bash
"""


def run(arguments: argparse.Namespace) -> int:
    """Do what the verb says."""
    require_root("a lab")
    verbs = {"up": run_up, "list": run_list, "exec": run_exec, "kill": run_kill, "heal": run_heal, "down": run_down}
    try:
        return verbs.get(arguments.verb, run_fault)(arguments)
    except (LabError, OSError) as error:
        raise Trouble(str(error)) from None


def run_up(arguments: argparse.Namespace) -> int:
    """Build a lab."""
    from netloom.cli.up import require_programs  # loads much that the other verbs do without

    require_programs()
    lab = Lab.up(arguments.layout, arguments.name, step)
    name = f" --name {lab.name}" if lab.name != "lab" else ""
    print(READY.format(hosts=", ".join(lab.layout.hosts), name=name, server=lab.layout.servers[0].name), end="")
    return 0


def run_list(arguments: argparse.Namespace) -> int:
    """Show the hosts."""
    lab = Lab.open(arguments.name)
    rows = []
    for host in lab.layout.hosts.values():
        addresses = (str(each.ip) for link in host.links for each in link.addresses)
        faults = ", ".join(lab.faults(host.name))
        rows.append((host.name, ", ".join(sorted(host.roles)), ", ".join(addresses), faults or "well"))
    table(["HOST", "ROLES", "ADDRESSES", "STATE"], rows)
    return 0


def run_exec(arguments: argparse.Namespace) -> int:
    """Become the command."""
    argv = arguments.argv[1:] if arguments.argv[:1] == ["--"] else arguments.argv
    if not argv:
        raise Trouble(f"say what to run: netloom lab exec {arguments.host} -- COMMAND")
    line, environment = Lab.open(arguments.name).command(arguments.host, argv, arguments.user)
    os.execvpe(line[0], line, environment)  # noqa: S606 - no shell is wanted


def run_fault(arguments: argparse.Namespace) -> int:
    """Break something, or switch a host on."""
    lab = Lab.open(arguments.name)
    match arguments.verb:
        case "cut":
            lab.cut(arguments.link)
        case "freeze":
            lab.freeze(arguments.host)
        case "power-off":
            lab.power_off(arguments.host)
        case "power-on":
            lab.power_on(arguments.host)
    return 0


def run_kill(arguments: argparse.Namespace) -> int:
    """Kill processes of a host."""
    killed = Lab.open(arguments.name).kill(arguments.host, arguments.process, arguments.of)
    print(f"killed: {', '.join(map(str, killed))}" if killed else f"no {arguments.process} runs on {arguments.host}")
    return 0


def run_heal(arguments: argparse.Namespace) -> int:
    """Undo faults, and wait until all agents are alive when all are undone."""
    lab = Lab.open(arguments.name)
    with step(arguments.target or "all faults"):
        lab.heal(arguments.target)
        if not arguments.target:
            lab.wait_ready()
    return 0


def run_down(arguments: argparse.Namespace) -> int:
    """End a lab."""
    with step(f"lab {arguments.name}"):
        Lab.end(arguments.name)
    return 0
