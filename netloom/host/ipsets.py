"""Sets of addresses that filter rules of the host's own namespace look into (ipset(8)).

Ours are those of type ``hash:net`` whose names are ``NIPv4…`` or ``NIPv6…``, as runbooks know them.
"""

import re
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TypeAlias

from netloom.host.failures import failure
from netloom.state import Changes, Failure, IpSet

_OURS = re.compile(r"create (NIPv([46])\S+) hash:net ")
_FAMILIES = {4: "inet", 6: "inet6"}
_MOST = 1 << 20
"""Members of a set; the kernel makes room for them as they come."""
_PATIENCE = 30
"""Seconds for one run of the tool."""
_LETTING_GO = 1.0
"""Seconds that the kernel may take to forget that a rule looked into a set."""
_Pair: TypeAlias = tuple[IpSet, IpSet]
"""A set as it is, and as it shall be."""


class IpSets:
    """The driver of sets."""

    def observe(self) -> Iterator[IpSet]:
        """The sets that are ours. A host without the tool, or the kernel's part of it, has none."""
        try:
            saved = _run("save").splitlines()
        except OSError:
            return
        found = {m[1]: int(m[2]) for line in saved if (m := _OURS.match(line))}
        members: dict[str, list[str]] = {name: [] for name in found}
        for line in saved:
            words = line.split()
            if words[0] == "add" and words[1] in found:
                members[words[1]].append(words[2])
        for name, family in found.items():
            yield IpSet(name=name, family=family, members=tuple(sorted(members[name])))

    def put(self, changes: Changes[IpSet]) -> list[Failure]:
        """Make the missing sets, and change the others: before the rules that look into them."""
        fresh = [(replace(want, members=()), want) for want in changes.create]
        return _restore([*fresh, *changes.update], _put)

    def delete(self, changes: Changes[IpSet]) -> list[Failure]:
        """Remove the unwanted sets: after the rules that looked into them, which the kernel lets go a moment later."""
        until = time.monotonic() + _LETTING_GO
        pairs = [(have, have) for have in changes.delete]
        while (failures := _restore(pairs, _delete)) and time.monotonic() < until:
            lost = {failed.element for failed in failures}
            pairs = [pair for pair in pairs if str(pair[0]) in lost]
            time.sleep(0.02)
        return failures


def _restore(pairs: list[_Pair], lines: Callable[[_Pair], Iterable[str]]) -> list[Failure]:
    """All at once; when that is refused, one by one, so that only the faulty one is missing."""
    try:
        if pairs:
            _run("restore", "-exist", stdin="".join(f"{line}\n" for pair in pairs for line in lines(pair)))
    except (OSError, subprocess.TimeoutExpired) as error:
        if len(pairs) == 1:
            return [failure(pairs[0][1], error)]
        return [failed for pair in pairs for failed in _restore([pair], lines)]
    return []


def _put(pair: _Pair) -> Iterator[str]:
    have, want = pair
    yield f"create {want.name} hash:net family {_FAMILIES[want.family]} maxelem {_MOST}"
    yield from (f"del {want.name} {member}" for member in sorted(set(have.members) - set(want.members)))
    yield from (f"add {want.name} {member}" for member in sorted(set(want.members) - set(have.members)))


def _delete(pair: _Pair) -> Iterator[str]:
    yield f"destroy {pair[0].name}"


def _run(*arguments: str, stdin: str = "") -> str:
    command = ["ipset", *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    if done.returncode != 0:
        raise OSError(0, f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
