"""The command line: what there is, and who does it."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from netloom import __version__
from netloom.cli import agent, down, execute, host, server, status, up
from netloom.cli.terminal import Trouble

COMMANDS = (up, down, status, execute, server, agent, host)
CONFIG = Path("/etc/netloom/netloom.conf")

EPILOG = """\
examples:
  netloom up                            a whole cloud on this machine
  netloom status                        every part and its health
  netloom exec web1 -- ip address       run a command inside an instance
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
    for module in COMMANDS:
        module.add_parser(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    arguments = parser().parse_args(argv)
    if arguments.config_file is None:
        arguments.config_file = [CONFIG] if CONFIG.exists() else []
    try:
        return int(arguments.run(arguments))
    except Trouble as trouble:
        print(f"netloom {arguments.command}: {trouble}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
