"""``netloom exec``: run a command inside an instance of this machine."""

import argparse
import sys

from netloom.cli.instances import reach
from netloom.cli.terminal import Trouble


def run(arguments: argparse.Namespace) -> int:
    """Run the command; its exit code is ours."""
    instances, server_id = reach(arguments)
    tty = sys.stdin.isatty() and sys.stdout.isatty()
    try:
        return instances.exec_in(server_id, arguments.argv, tty=tty)
    except (ProcessLookupError, BlockingIOError, TimeoutError) as error:
        raise Trouble(str(error)) from None
