"""The words of ``netloom lab``; what they do is in ``lab``."""

import argparse

EPILOG = """\
examples:
  netloom lab up ha                                   one controller, two network and two compute nodes
  netloom lab exec controller -- openstack network agent list
  netloom lab exec network1 -- ip netns
  netloom lab cut network1/tunnels                    pull a cable
  netloom lab kill network1 keepalived                end a process by SIGKILL
  netloom lab freeze network1                         stop all of a host
  netloom lab power-off compute1                      take all of a host away but for its disk
  netloom lab heal                                    undo all that
  netloom lab down
"""


def lab_words(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``lab`` and its verbs."""
    lab = commands.add_parser(
        "lab",
        help="build a cloud of many hosts on this machine, and break it",
        description="Many hosts on this machine: each has its own network, mounts, processes and Open vSwitch.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = lab.add_subparsers(dest="verb", metavar="VERB", required=True)
    up = _verb(verbs, "up", "build a lab", "Build a lab and wait until all its agents are alive.")
    up.add_argument(
        "layout",
        metavar="FILE",
        nargs="?",
        default="ha",
        help="a layout's file, or the name of one that comes with Netloom: ha, two, twenty (default: %(default)s)",
    )
    _verb(verbs, "list", "show the hosts", "Show the hosts: their roles, addresses, and how they are.")
    run = _verb(
        verbs,
        "exec",
        "run a command on a host",
        "Run a command on a host as root; its exit code is ours. Clients find the credentials of the user, on hosts"
        " with the role server.",
    )
    run.add_argument("--user", choices=["admin", "demo"], default="admin", help="whose credentials (default: admin)")
    run.add_argument("host", metavar="HOST")
    run.add_argument(
        "argv", metavar="COMMAND", nargs=argparse.REMAINDER, help="the command and its arguments, after --"
    )
    _fault_words(verbs)
    _verb(verbs, "down", "end a lab", "End a lab and leave nothing behind.")


def _fault_words(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    cut = _verb(verbs, "cut", "pull a cable", "Pull a cable: the host's device loses its carrier.")
    cut.add_argument("link", metavar="HOST/NETWORK")
    kill = _verb(verbs, "kill", "kill a process", "Kill processes of a host by SIGKILL.")
    kill.add_argument("host", metavar="HOST")
    kill.add_argument("process", metavar="PROCESS", help="agent, server, keepalived, dnsmasq, vswitchd, ovsdb, …")
    kill.add_argument("of", metavar="ID", nargs="?", default="", help="only those of this router or network")
    for name, help, description in (
        ("freeze", "stop a host as it is", "Stop a host as it is: it answers nothing, though its links have carrier."),
        ("power-off", "switch a host off", "Take everything of a host away at once, but for its disk."),
        ("power-on", "switch a host on", "Start a host as after a reboot, and what does not run on it."),
    ):
        _verb(verbs, name, help, description).add_argument("host", metavar="HOST")
    heal = _verb(verbs, "heal", "undo faults", "Undo all faults, those of a host, or the cut of a link.")
    heal.add_argument("target", metavar="HOST or HOST/NETWORK", nargs="?", default="")


def _verb(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, help: str, description: str
) -> argparse.ArgumentParser:
    verb = verbs.add_parser(name, help=help, description=description)
    verb.add_argument("--name", default="lab", help="the lab's name, when there are several (default: %(default)s)")
    return verb
