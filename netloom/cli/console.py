"""``netloom console``: the console of an instance of this machine."""

import argparse
import sys

from netloom.cli.instances import reach
from netloom.cli.terminal import Trouble


def run(arguments: argparse.Namespace) -> int:
    """Connect our terminal, or whatever our input and output are, to the console."""
    instances, server_id = reach(arguments)
    if sys.stdin.isatty():
        print(f"console of {arguments.server}: Ctrl-] leaves it, Enter shows that it is there", file=sys.stderr)
    try:
        return instances.open_console(server_id)
    except BlockingIOError:
        raise Trouble(f"somebody else has the console of '{arguments.server}' open") from None
    except OSError as error:
        raise Trouble(str(error)) from None
