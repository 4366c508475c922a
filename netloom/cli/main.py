"""The ``netloom`` command: from its words to what they do.

Each command's module is imported only when it is asked for: ``netloom --help`` answers at once.
"""

import argparse
import sys
from collections.abc import Sequence

from netloom.cli.parser import CONFIG, parser
from netloom.cli.terminal import Trouble
from netloom.model.errors import ServiceUnavailable


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    arguments = parser().parse_args(argv)
    if arguments.config_file is None:
        arguments.config_file = [CONFIG] if CONFIG.exists() else []
    try:
        return _run(arguments)
    except (Trouble, ServiceUnavailable) as trouble:
        print(f"netloom {arguments.command}: {trouble}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _run(arguments: argparse.Namespace) -> int:
    match arguments.command:
        case "up":
            from netloom.cli import up

            return up.run(arguments)
        case "down":
            from netloom.cli import down

            return down.run(arguments)
        case "status":
            from netloom.cli import status

            return status.run(arguments)
        case "exec":
            from netloom.cli import execute

            return execute.run(arguments)
        case "console":
            from netloom.cli import console

            return console.run(arguments)
        case "draw":
            from netloom.cli import draw

            return draw.run(arguments)
        case "server":
            from netloom.cli import server

            return server.run(arguments)
        case "agent":
            from netloom.cli import agent

            return agent.run(arguments)
        case "host":
            from netloom.cli import host

            return host.run(arguments)
        case "lab":
            from netloom.cli import lab

            return lab.run(arguments)
        case "config":
            from netloom.cli import config

            return config.run(arguments)
        case "tempest-config":
            from netloom.cli import tempest_config

            return tempest_config.run(arguments)
    raise Trouble(f"there is no command '{arguments.command}'")


if __name__ == "__main__":
    sys.exit(main())
