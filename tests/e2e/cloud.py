"""A whole cloud in a sandbox, and its unmodified clients."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.sandbox import CLIENT_BIN, Machine, Sandbox, environment

CONFIG = "/etc/netloom"
SILENT = {"delete", "set", "unset", "reset", "add", "remove", "start", "stop", "reboot"}
"""Words of commands that print nothing."""


class Clients:
    """A cloud's unmodified clients."""

    def __init__(self, machine: Machine) -> None:
        """``machine`` is where they run."""
        self.machine = machine
        self.client = Warm(machine)
        """Ready to run commands."""

    def close(self) -> None:
        """End them."""
        self.client.close()

    def machine_of(self, _server: str) -> Machine:
        """Where an instance runs."""
        return self.machine

    def environment(self, user: str = "admin") -> Mapping[str, str]:
        """What a client of this user needs."""
        return {"OS_CLIENT_CONFIG_FILE": f"{CONFIG}/clouds.yaml", "OS_CLOUD": f"netloom-{user}"}

    def openstack(self, command: str, *more: str, user: str = "admin", check: bool = True) -> Any:
        """Run the unmodified ``openstack`` client; ``command`` is split at blanks, ``more`` is not.

        Returns what it printed: as JSON where the command has a table, else as text; its errors when it failed.
        """
        words = [*command.split(), *more]
        plain = SILENT & set(words) or "ssh" in words or command.startswith("console")
        code, output, errors = self.client.run([*words, *([] if plain else ["-f", "json"])], self.environment(user))
        if code and check:
            raise AssertionError(f"openstack {' '.join(words)} ended with {code}\n{output}\n{errors}")
        if code:
            return errors
        return json.loads(output) if not plain and output.strip() else output

    def inside(self, server: str, *argv: str, check: bool = True) -> str:
        """Run a command inside an instance."""
        return self.machine_of(server).run("netloom", "exec", server, "--", *argv, check=check).stdout


class Cloud(Clients):
    """A cloud that ``netloom up`` started in a sandbox."""

    def __init__(self, machine: Sandbox, *options: str) -> None:
        """Bring it up."""
        self.started = machine.run("netloom", "up", *options, timeout=90).stdout
        super().__init__(machine)

    def down(self) -> None:
        """Take it down."""
        self.close()
        self.machine.run("netloom", "down", timeout=60)


class Warm:
    """The ``openstack`` client, ready to run."""

    def __init__(self, machine: Machine) -> None:
        """Start it."""
        argv = [str(CLIENT_BIN / "python"), str(Path(__file__).with_name("warm.py"))]
        self._process = subprocess.Popen(
            machine.enter(argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment()
        )

    def run(self, arguments: list[str], environment: Mapping[str, str]) -> tuple[int, str, str]:
        """Run one command; returns its exit code, its output and its errors."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([arguments, dict(environment)]) + "\n")
        self._process.stdin.flush()
        code, output, errors = json.loads(self._process.stdout.readline())
        return code, output, errors

    def close(self) -> None:
        """End it."""
        self._process.communicate(timeout=10)
