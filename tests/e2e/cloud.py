"""A whole cloud in a sandbox, and its unmodified clients."""

import json
from collections.abc import Mapping
from typing import Any

from tests.sandbox import Sandbox

CONFIG = "/etc/netloom"


class Cloud:
    """A cloud that ``netloom up`` started in a sandbox."""

    def __init__(self, machine: Sandbox, *options: str) -> None:
        """Bring it up."""
        self.machine = machine
        self.started = machine.run("netloom", "up", *options, timeout=90).stdout

    def down(self) -> None:
        """Take it down."""
        self.machine.run("netloom", "down", timeout=60)

    def environment(self, user: str = "admin") -> Mapping[str, str]:
        """What a client of this user needs."""
        return {"OS_CLIENT_CONFIG_FILE": f"{CONFIG}/clouds.yaml", "OS_CLOUD": f"netloom-{user}"}

    def openstack(self, command: str, *more: str, user: str = "admin", check: bool = True) -> Any:
        """Run the unmodified ``openstack`` client; ``command`` is split at blanks, ``more`` is not.

        Returns what it printed: as JSON where the command has a table, else as text.
        """
        words = [*command.split(), *more]
        silent = {"delete", "set", "unset", "add", "remove", "start", "stop", "reboot"} & set(words)
        tabular = [] if silent or "ssh" in words or command.startswith("console") else ["-f", "json"]
        done = self.machine.run("openstack", *words, *tabular, env=self.environment(user), check=check, timeout=120)
        if done.returncode:
            return done.stderr
        return json.loads(done.stdout) if tabular and done.stdout.strip() else done.stdout

    def inside(self, server: str, *argv: str, check: bool = True) -> str:
        """Run a command inside an instance."""
        return self.machine.run("netloom", "exec", server, "--", *argv, check=check).stdout
