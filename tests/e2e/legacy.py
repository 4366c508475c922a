"""Unmodified ``neutron``, ``nova`` and ``glance`` clients of years ago, and the tables that they print."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.sandbox import ROOT, Machine, environment

CONFIG = "/etc/netloom"


@dataclass(frozen=True)
class Said:
    """What a client printed."""

    code: int
    text: str
    errors: str

    @property
    def heading(self) -> str:
        """What stands above the table; all of it where there is none."""
        return "\n".join(line for line in self.text.splitlines() if line[:1] not in "+|").strip()

    @property
    def columns(self) -> list[str]:
        """The names of the table's columns; empty without one."""
        return next(_lines(self.text), [])

    @property
    def rows(self) -> list[dict[str, str]]:
        """The table's rows by its columns; a cell of several lines is joined."""
        columns, *lines = list(_lines(self.text)) or [[]]
        rows: list[dict[str, str]] = []
        for line in lines:
            row = dict(zip(columns, line, strict=True))
            if row[columns[0]]:
                rows.append(row)
            else:
                rows[-1] = {name: f"{rows[-1][name]}\n{more}" if more else rows[-1][name] for name, more in row.items()}
        return rows

    @property
    def record(self) -> dict[str, str]:
        """The values by their names, where the table is of one thing."""
        assert self.columns in (["Field", "Value"], ["Property", "Value"]), self.text
        name, value = self.columns
        return {row[name]: row[value] for row in self.rows}


def _lines(text: str) -> Iterator[list[str]]:
    for line in text.splitlines():
        if line.startswith("|"):
            yield [cell.strip() for cell in line[2:-2].split(" | ")]


def _version_2(variables: Mapping[str, str]) -> dict[str, str]:
    """What a user of 2013 would have set."""
    known = ("OS_USERNAME", "OS_PASSWORD", "OS_TENANT_NAME", "OS_REGION_NAME")
    address = variables["OS_AUTH_URL"].removesuffix("v3") + "v2.0"
    return {"OS_AUTH_URL": address} | {name: variables[name] for name in known}


class Legacy:
    """The clients of one release (a file of ``tests/clients``), run on a host that has the users' credentials."""

    def __init__(self, machine: Machine, release: str, *, identity_v2: bool = False) -> None:
        """Nothing runs yet; with ``identity_v2`` they are told of no other identity."""
        self._machine, self._identity_v2 = machine, identity_v2
        self._programs = ROOT / ".cache/clients" / release / "bin"
        self._credentials: dict[str, dict[str, str]] = {}

    def neutron(self, command: str, *more: str, user: str = "admin", check: bool = True) -> Said:
        """Run ``neutron``; ``command`` is split at blanks, ``more`` is not."""
        return self._run("neutron", [*command.split(), *more], user, check)

    def nova(self, command: str, *more: str, user: str = "admin", check: bool = True) -> Said:
        """Run ``nova``; ``command`` is split at blanks, ``more`` is not."""
        return self._run("nova", [*command.split(), *more], user, check)

    def glance(self, command: str, *more: str, user: str = "admin", check: bool = True) -> Said:
        """Run ``glance``; ``command`` is split at blanks, ``more`` is not."""
        return self._run("glance", [*command.split(), *more], user, check)

    def _run(self, program: str, words: list[str], user: str, check: bool) -> Said:
        variables = environment(self._of(user))
        done = self._machine.run(str(self._programs / program), *words, check=check, env=variables)
        return Said(done.returncode, done.stdout, done.stderr)

    def _of(self, user: str) -> dict[str, str]:
        """The environment of a user, from the file that is made for shells."""
        if user not in self._credentials:
            words = shlex.split(self._machine.run("cat", f"{CONFIG}/{user}-openrc").stdout, comments=True)
            self._credentials[user] = dict(word.split("=", 1) for word in words if "=" in word)
            if self._identity_v2:
                self._credentials[user] = _version_2(self._credentials[user])
        return self._credentials[user]
