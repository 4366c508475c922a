"""Flows of the bridges, by ``ovs-ofctl``: one process for each bridge and change, one atomic bundle.

What is ours, also for an agent that starts anew: flows whose cookie begins with ``COOKIE_MARK``. Others,
also those that a ``learn`` action makes (it must not give them our mark), are never touched. A flow on the
switch is the planned one exactly when its cookie is there, see ``cookie``.

Reference: ovs-ofctl(8); OpenFlow 1.4, section 6.9 (bundles).
"""

import hashlib
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

from netloom.state import Failure, Flow
from netloom.state.switch import COOKIE_MARK

OURS = f"cookie={COOKIE_MARK << 48:#x}/{0xFFFF << 48:#x}"
TIMEOUT_SECONDS = 60
REFUSALS = 32
"""So many times a change is tried again without the flows that the switch refused."""
REMEMBERED = 1 << 16
"""Flows of which the words and the cookie are kept: from one plan to the next most are the same."""

Cookies: TypeAlias = frozenset[int]
Identity: TypeAlias = tuple[int, int]

_COOKIE = re.compile(rf"^ cookie=0x({COOKIE_MARK:x}[0-9a-f]{{12}}),", re.MULTILINE)
_WORD = re.compile(r"[\w.-]+")
_REFUSED_BY_US = re.compile(r"^ovs-ofctl: -:(\d+): (.*)$", re.MULTILINE)
_REFUSED_BY_SWITCH = re.compile(rf"^Error (\S+) for: .*\bcookie:0x({COOKIE_MARK:x}[0-9a-f]{{12}})\b", re.MULTILINE)
_UNKNOWN_PORT = re.compile(r"(\S+): .*\bunknown port\b")


def cookie(flow: Flow, ports: Mapping[str, int]) -> int:
    """The cookie of a flow on a bridge with these ports (numbers by name).

    ovs-ofctl puts numbers for the names in a flow. So that the flow is written again when a port has been
    plugged anew under another number, the numbers of the ports that it names are part of the digest.
    """
    return _cookie(flow, tuple((word, ports[word]) for word in _words(flow) if word in ports))


@lru_cache(maxsize=REMEMBERED)
def _cookie(flow: Flow, named: tuple[tuple[str, int], ...]) -> int:
    if not named:
        return flow.cookie
    digest = hashlib.blake2b(f"{flow} {list(named)}".encode(), digest_size=6).digest()
    return COOKIE_MARK << 48 | int.from_bytes(digest, "big")


class OpenFlow:
    """The flows of the bridges of one Open vSwitch.

    ``ofports`` gives the numbers of a bridge's ports by name (``Ovsdb.ofports``).

    Observed cookies are kept as long as the bridge's management socket is the same file: a restart of
    ovs-vswitchd, which loses all flows, makes a new one, and so does a bridge that is made anew. What others
    do to our flows meanwhile (``ovs-ofctl del-flows``) is seen after ``invalidate``.
    """

    def __init__(self, rundir: Path, ofports: Callable[[str], Mapping[str, int]]) -> None:
        self._rundir = rundir
        self._ofports = ofports
        self._known: dict[str, tuple[Identity, Cookies]] = {}

    def observe(self, bridges: Iterable[str]) -> dict[str, Cookies]:
        """Cookies of our flows by bridge; a bridge that does not answer is left out."""
        observed = {}
        for bridge in bridges:
            try:
                observed[bridge] = self._cookies(bridge)
            except _BridgeError:
                continue
        return observed

    def invalidate(self) -> None:
        """Look at the switch itself at the next call."""
        self._known.clear()

    def apply(self, bridge: str, wanted: Iterable[Flow]) -> list[Failure]:
        """Make our flows of a bridge the wanted ones; a packet meets all the old flows or all the new.

        A flow that the switch refuses is left out and told; the others are applied.
        """
        ports = self._ofports(bridge)
        plan = {cookie(flow, ports): flow for flow in wanted}
        failures: list[Failure] = []
        for _ in range(REFUSALS):
            try:
                refused = self._change(bridge, plan)
            except _BridgeError as error:
                return failures + list(_one_for_each_origin(plan.values(), str(error)))
            if not refused:
                return failures
            failures += [Failure(plan[c].origin, str(plan[c]), reason) for c, reason in refused.items()]
            plan = {c: flow for c, flow in plan.items() if c not in refused}
        reason = f"bridge {bridge} refused too many other flows; no flow of this change was applied"
        return failures + list(_one_for_each_origin(plan.values(), reason))

    def _change(self, bridge: str, plan: Mapping[int, Flow]) -> dict[int, str]:
        """Bring the bridge to the plan; or change nothing, and return cookies and reasons of refused flows."""
        identity, actual = self._identity(bridge), self._cookies(bridge)
        if plan.keys() == actual:
            return {}
        # Deletions first. By cookie, so that they cannot hit a new flow of the same match and priority.
        unwanted, missing = sorted(actual - plan.keys()), [c for c in plan if c not in actual]
        lines = [f"delete cookie={c:#x}/-1" for c in unwanted] + [_line(c, plan[c]) for c in missing]
        done = self._ofctl("--bundle", "add-flows", self._remote(bridge), "-", text="\n".join(lines) + "\n")
        if not done.returncode:
            self._known[bridge] = (identity, frozenset(plan))
            return {}
        refused = dict(_refused(done.stderr, [*unwanted, *missing], plan)) or self._unusable(bridge, missing, plan)
        if not refused:
            raise _BridgeError(f"bridge {bridge}: {done.stderr.strip()}")
        return refused

    def _unusable(self, bridge: str, cookies: Sequence[int], plan: Mapping[int, Flow]) -> dict[int, str]:
        """The first flow that OpenFlow 1.4 cannot express, by halving: ovs-ofctl says that there is one, not which.

        For instance an action whose prerequisite is not in the match.
        """
        ports = self._ofports(bridge)

        def error(part: Sequence[int]) -> str:
            lines = (_line(c, plan[c]) for c in part)
            # Without a switch ovs-ofctl knows no names of ports.
            text = _WORD.sub(lambda word: str(ports.get(word[0], word[0])), "\n".join(lines))
            return self._ofctl("parse-flows", "-", text=text + "\n").stderr.strip()

        while len(cookies) > 1:
            half = cookies[: len(cookies) // 2]
            cookies = half if error(half) else cookies[len(half) :]
        reason = error(cookies) if cookies else ""
        return {cookies[0]: f"it cannot be said in OpenFlow 1.4: {reason}"} if reason else {}

    def _cookies(self, bridge: str) -> Cookies:
        identity = self._identity(bridge)
        known = self._known.get(bridge)
        if known and known[0] == identity:
            return known[1]
        done = self._ofctl("dump-flows", self._remote(bridge), OURS)
        if done.returncode:
            raise _BridgeError(f"bridge {bridge} does not tell its flows: {done.stderr.strip()}")
        cookies = frozenset(int(found, 16) for found in _COOKIE.findall(done.stdout))
        self._known[bridge] = (identity, cookies)
        return cookies

    def _identity(self, bridge: str) -> Identity:
        """Of the bridge's life in ovs-vswitchd."""
        try:
            status = self._socket(bridge).stat()
        except FileNotFoundError:
            raise _BridgeError(f"bridge {bridge} does not exist, or ovs-vswitchd is not running") from None
        return status.st_ino, status.st_ctime_ns

    def _socket(self, bridge: str) -> Path:
        return self._rundir / f"{bridge}.mgmt"

    def _remote(self, bridge: str) -> str:
        return f"unix:{self._socket(bridge)}"

    def _ofctl(self, *arguments: str, text: str = "") -> "subprocess.CompletedProcess[str]":
        argv = ["ovs-ofctl", "-O", "OpenFlow14", *arguments]
        try:
            return subprocess.run(
                argv, input=text, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise _BridgeError(f"{' '.join(argv)} did not end within {TIMEOUT_SECONDS} s") from None


class _BridgeError(Exception):
    """Nothing can be read from or done to a bridge; the text says why."""


@lru_cache(maxsize=REMEMBERED)
def _words(flow: Flow) -> tuple[str, ...]:
    """What may be port names in a flow, and much else; each once, sorted."""
    return tuple(sorted(set(_WORD.findall(f"{flow.match} {flow.actions}"))))


def _line(number: int, flow: Flow) -> str:
    match = f",{flow.match}" if flow.match else ""
    return f"cookie={number:#x},table={flow.table},priority={flow.priority}{match},actions={flow.actions}"


def _refused(error: str, lines: list[int], plan: Mapping[int, Flow]) -> Iterator[tuple[int, str]]:
    """Cookies and reasons of the flows that an error text of ovs-ofctl complains of.

    ovs-ofctl stops at the first line that it does not understand. For an unknown port all flows that name it
    are returned at once: it has just been unplugged.
    """
    for number, reason in _REFUSED_BY_US.findall(error):
        unknown = _UNKNOWN_PORT.match(reason)
        if unknown:
            yield from ((c, reason) for c, flow in plan.items() if unknown[1] in _words(flow))
        yield lines[int(number) - 1], reason
    for reason, found in _REFUSED_BY_SWITCH.findall(error):
        yield int(found, 16), f"the switch refuses it: {reason}"


def _one_for_each_origin(flows: Iterable[Flow], reason: str) -> Iterator[Failure]:
    """A bridge's fault concerns all its flows; one of each origin is enough to tell."""
    for origin, flow in {flow.origin: flow for flow in flows}.items():
        yield Failure(origin, str(flow), reason)
