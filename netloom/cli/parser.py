"""The words of the command line; what they do is in the modules of the same names."""

import argparse
import ipaddress
from pathlib import Path

from netloom import __version__
from netloom.cli.lab_words import lab_words

CONFIG = Path("/etc/netloom/netloom.conf")

EPILOG = """\
examples:
  netloom up                            a whole cloud on this machine
  netloom status                        every part and its health
  netloom status tap1b2c3d4e-5f         why a port is, or is not, ACTIVE
  netloom exec web1 -- ip address       run a command inside an instance
  netloom console web1                  log in on its console
  netloom draw web1                     how its cards are wired to bridges, VLANs and routers
  netloom config show                   what the configuration files come to, line by line
  netloom tempest-config                the configuration with which Tempest tests the cloud
  netloom down                          stop it all and leave nothing behind
"""


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    top = argparse.ArgumentParser(
        prog="netloom",
        description="A cloud networking service with the API of OpenStack Networking.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"netloom {__version__}")
    top.add_argument(
        "--config-file",
        action="append",
        type=Path,
        metavar="FILE",
        help=f"configuration, later files over earlier ones (default: {CONFIG} if it is there)",
    )
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _all_in_one(commands)
    _exec(commands)
    _console(commands)
    _draw(commands)
    commands.add_parser(
        "server",
        help="run the API server",
        description="Serve the API and the agents' streams; standalone: identity, compute, images too.",
    )
    commands.add_parser("agent", help="run this host's agent", description="Run this host's agent, with all its roles.")
    _host(commands)
    _config(commands)
    _tempest_config(commands)
    lab_words(commands)
    return top


def _all_in_one(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    up = commands.add_parser(
        "up",
        help="start a whole cloud on this machine",
        description="Start the server, the agent and, where none runs, Open vSwitch; safe to repeat.",
    )
    up.add_argument(
        "--external",
        type=ipaddress.IPv4Interface,
        default=ipaddress.IPv4Interface("172.24.4.1/24"),
        metavar="ADDRESS/LENGTH",
        help="this machine's address on the external network (default: %(default)s)",
    )
    up.add_argument(
        "--external-device",
        metavar="DEVICE",
        help="a network device of this machine to put into the external bridge (its addresses are not moved)",
    )
    up.add_argument("--bare", action="store_true", help="make no external network 'public' in the API")
    down = commands.add_parser(
        "down",
        help="stop the cloud of this machine",
        description="Stop everything and remove it: processes, namespaces, bridges, instances, files, the database.",
    )
    down.add_argument("--keep", action="store_true", help="keep the database, the configuration and the credentials")
    status = commands.add_parser(
        "status",
        help="show every part and its health, or why a port or load balancer is not ACTIVE",
        description="Show every part of this machine's cloud and its health, or the status of a port or load balancer"
        " and the reason; the exit code is 0 when all is well.",
    )
    status.add_argument(
        "port",
        metavar="PORT",
        nargs="?",
        help="id of a port or load balancer, its beginning, or the device (tap…, qr-…)",
    )


def _exec(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "exec",
        help="run a command inside an instance",
        description="Run a command inside an instance of this machine, as its root.",
        epilog="example: netloom exec web1 -- ping -c 3 10.0.0.1",
    )
    command.add_argument("server", metavar="SERVER", help="name or id of the instance")
    command.add_argument("argv", metavar="COMMAND", nargs="+", help="the command and its arguments, after --")


def _draw(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "draw",
        help="draw this host's bridges, ports and VLANs as they are",
        description="Draw what is wired to what on this host, from Open vSwitch's database and the kernel: bridges,"
        " patch ports, veth pairs, namespaces, instances and VLANs.",
        epilog="example: netloom draw web1 --svg web1.svg",
    )
    command.add_argument(
        "thing",
        metavar="THING",
        nargs="?",
        help="only what concerns this instance, port, network or router: its name, its id or the beginning of one, or"
        " a device (default: all)",
    )
    command.add_argument("--svg", type=Path, metavar="FILE", help="write the picture to a file, for browsers")


def _console(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "console",
        help="open the console of an instance",
        description="Open the serial console of a virtual machine of this machine; Ctrl-] leaves it. When the input is"
        " no terminal, it is typed as it comes, and the console is left when the input has ended and nothing has been"
        " said for a second. A container has no serial console: people can log in, and a pipe gets root's shell.",
        epilog="example: netloom console vm1",
    )
    command.add_argument("server", metavar="SERVER", help="name or id of the instance")


def _host(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "host",
        help="admit hosts, list or remove them",
        description="The hosts that may connect, each with its own key.",
    )
    verbs = command.add_subparsers(dest="verb", metavar="VERB", required=True)
    add = verbs.add_parser("add", help="print a new key for a host (an older one ends)")
    add.add_argument("name", help="the host's name, as its agent says it")
    verbs.add_parser("remove", help="refuse a host from now on").add_argument("name")
    verbs.add_parser("list", help="list the hosts that have a key")


def _config(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "config",
        help="show the effective configuration, check it, or convert one",
        description="Show what the configuration files come to, or check them. Files of Neutron (neutron.conf,"
        " ml2_conf.ini, openvswitch_agent.ini, l3_agent.ini, dhcp_agent.ini, metadata_agent.ini) are understood.",
        epilog="example: netloom --config-file /etc/neutron/neutron.conf config show --section ml2 --all",
    )
    verbs = command.add_subparsers(dest="verb", metavar="VERB", required=True)
    show = verbs.add_parser(
        "show",
        help="print values and the file and line of each",
        description="Print effective values and where each is from; secrets are masked.",
    )
    show.add_argument("--section", metavar="SECTION", help="only this section, such as ml2")
    show.add_argument("--all", action="store_true", help="defaults too, not only what files set")
    _from_devstack(verbs)
    verbs.add_parser(
        "check",
        help="say what is wrong",
        description="Say what is wrong with the files, line by line; the exit code is 0 when nothing is.",
    )


def _tempest_config(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "tempest-config",
        help="write the configuration with which Tempest tests this cloud",
        description="Write a tempest.conf for the cloud that runs on this machine: accounts, what the network service"
        " and compute can do, image, flavor, external network. It holds the password of admin. 'make tempest' runs"
        " the tests.",
        epilog="example: netloom tempest-config --output etc/tempest.conf",
    )
    command.add_argument(
        "--output", type=Path, metavar="FILE", help="where to write it, readable by you alone (default: print it)"
    )


def _from_devstack(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = verbs.add_parser(
        "from-devstack",
        help="convert the localrc or local.conf of a DevStack",
        description="Write the configuration that equals a DevStack's settings: services, types of networks, tunnels,\n"
        "VLANs, bridges, and what [[post-config|…]] says for files of Neutron. A comment above each\n"
        "option names the line that it is from. Lines that are left out are listed on standard error,\n"
        "each with the reason. Nothing of DevStack's file is run: variables are filled in, and commands\n"
        "and conditions, which only a shell can decide, are left out.",
        epilog="examples:\n"
        "  netloom config from-devstack localrc                                      look at it\n"
        "  netloom config from-devstack local.conf --output-directory /etc/netloom   then: netloom up\n\n"
        "ENABLE_TENANT_TUNNELS=True in a plain localrc (2013) means GRE; in a local.conf with [[…]] VXLAN,\n"
        "unless Q_ML2_TENANT_NETWORK_TYPE says another type.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("file", metavar="FILE", type=Path, help="a localrc, or a local.conf with [[local|localrc]]")
    command.add_argument(
        "--output-directory",
        type=Path,
        metavar="DIR",
        help="write DIR/netloom.conf, readable by its owner only, with a new secret for metadata (default: print it,"
        " without a secret)",
    )
