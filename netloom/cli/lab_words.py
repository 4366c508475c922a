"""The words of ``netloom lab``; what they do is in ``lab``."""

import argparse

EPILOG = """\
examples:
  netloom lab up ha                                   one controller, two network and two compute nodes
  netloom lab exec controller -- openstack network agent list
  netloom lab exec network1 -- ip netns
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
    _verb(verbs, "down", "end a lab", "End a lab and leave nothing behind.")


def _verb(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, help: str, description: str
) -> argparse.ArgumentParser:
    verb = verbs.add_parser(name, help=help, description=description)
    verb.add_argument("--name", default="lab", help="the lab's name, when there are several (default: %(default)s)")
    return verb
