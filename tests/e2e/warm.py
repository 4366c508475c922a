"""Runs the unmodified ``openstack`` client many times over: a fork for each command saves the second of its imports.

For the client's own Python. Each line of input is a JSON list of the arguments and the environment of a command, each
line of output one of its exit code, its output and its errors.
"""

import importlib
import json
import os
import pkgutil
import sys
import tempfile

from openstackclient import shell

PACKAGES = (
    "openstackclient.compute.v2",
    "openstackclient.identity.v3",
    "openstackclient.image.v2",
    "openstackclient.network.v2",
    "openstackclient.common",
    "octaviaclient.osc.v2",
)


def main() -> None:
    """Serve until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    for package in PACKAGES:
        path = importlib.import_module(package).__path__
        for module in pkgutil.iter_modules(path):
            importlib.import_module(f"{package}.{module.name}")
    shell.main(["module", "list"])  # what else is loaded at the first command
    sys.stdout.flush()  # else every child would print what is left in the buffer
    for line in sys.stdin:
        arguments, environment = json.loads(line)
        with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
            child = os.fork()
            if not child:
                be_the_client(arguments, environment, output.fileno(), errors.fileno())
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            texts = [file.seek(0) or file.read() for file in (output, errors)]
        print(json.dumps([code, *texts]), file=answers, flush=True)


def be_the_client(arguments: list[str], environment: dict[str, str], output: int, errors: int) -> None:
    """Run one command, as a process of its own would."""
    code = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(errors, 2)
        os.environ.update(environment)
        os.chdir(environment.get("PWD", "/"))
        sys.argv[0] = "openstack"
        code = shell.main(arguments)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code or 0)


if __name__ == "__main__":
    main()
