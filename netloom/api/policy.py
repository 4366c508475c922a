"""The policy: oslo.policy's language and files, with each rule compiled once.

A compiled rule takes the caller's credentials and gives ``True``, ``False``, or, when it depends on the object, a
function of it. So a list of objects pays once for what concerns the caller, and often nothing for each object.
"""

import ast
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import structlog
from oslo_policy import policy as oslo_policy

from netloom.api.policy_defaults import default_rules

LOG = structlog.get_logger()
RELOAD_INTERVAL = 1.0
"""Seconds between looks at the policy file."""


class Target(Protocol):
    """The object of a request, as rules look at it."""

    def __getitem__(self, name: str) -> Any:
        """Its attribute, or one of what it belongs to (``network:project_id``). Raises ``KeyError``."""

    def of(self, plural: str, name: str) -> Any:
        """The attribute ``name`` of it or of its parent, whichever is one of ``plural``; None when there is none."""


Credentials = Mapping[str, Any]
Check = Callable[[Target], bool]
Decision = bool | Check
Rule = Callable[[Credentials], Decision]


class Policy:
    """The rules in force: the defaults, overridden by a file that is read again when it changes."""

    def __init__(self, file: str | None = None) -> None:
        """``file``: a policy.yaml (or JSON), which need not exist."""
        self._file = file
        self._lock = threading.Lock()
        self._looked = -RELOAD_INTERVAL
        self._stamp: float | None = None
        self._texts = default_rules()
        self._rules = _Compiler(self._texts).rules

    @property
    def texts(self) -> Mapping[str, str]:
        """The rules in force in the policy language, by name."""
        self._refresh()
        return self._texts

    def rules(self) -> Mapping[str, Rule]:
        """The compiled rules in force, by name. One request uses one mapping."""
        self._refresh()
        return self._rules

    def _refresh(self) -> None:
        now = time.monotonic()
        if self._file is None or now - self._looked < RELOAD_INTERVAL:
            return
        with self._lock:
            self._looked = now
            try:
                stamp = os.stat(self._file).st_mtime
            except FileNotFoundError:
                stamp = None
            if stamp != self._stamp:
                self._load(stamp)

    def _load(self, stamp: float | None) -> None:
        texts = default_rules()
        try:
            if stamp is not None and self._file is not None:
                texts |= _read(self._file)
        except (OSError, ValueError) as error:
            LOG.error("policy file not read; the rules stay as they are", file=self._file, reason=str(error))
        else:
            self._texts, self._rules = texts, _Compiler(texts).rules
        self._stamp = stamp


def _read(path: str) -> dict[str, str]:
    """The rules of a file. Raises ``OSError``, and ``ValueError`` when it holds anything else."""
    with open(path, encoding="utf-8") as file:
        texts = oslo_policy.parse_file_contents(file.read())
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        raise ValueError("expected a mapping from names of rules to texts")
    return texts


class _Compiler:
    """Turns oslo.policy's check trees into rules."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.trees = oslo_policy.Rules.from_dict(dict(texts))
        self.rules: dict[str, Rule] = {}
        for name in texts:
            self.rule(name, ())

    def rule(self, name: str, outer: tuple[str, ...]) -> Rule:
        """The rule ``name``; one that refers to itself, or that is not there, refuses."""
        if name in outer or name not in self.trees:
            return _constant(False)
        if name not in self.rules:
            self.rules[name] = self.compile(self.trees[name], (*outer, name))
        return self.rules[name]

    def compile(self, check: Any, outer: tuple[str, ...]) -> Rule:
        if isinstance(check, oslo_policy.OrCheck | oslo_policy.AndCheck):
            join = _either if isinstance(check, oslo_policy.OrCheck) else _all
            return join([self.compile(item, outer) for item in check.rules])
        if isinstance(check, oslo_policy.NotCheck):
            return _negation(self.compile(check.rule, outer))
        if str(check) in ("@", "!"):
            return _constant(str(check) == "@")
        if check.kind == "rule":
            return self.rule(check.match, outer)
        return _field(check.match) if check.kind == "field" else _comparison(check.kind, check.match)


def _constant(value: bool) -> Rule:
    return lambda _credentials: value


def _either(rules: list[Rule]) -> Rule:
    def decide(credentials: Credentials) -> Decision:
        open_checks: list[Check] = []
        for rule in rules:
            decision = rule(credentials)
            if decision is True:
                return True
            if decision is not False:
                open_checks.append(decision)
        if len(open_checks) < 2:
            return open_checks[0] if open_checks else False

        def holds(target: Target) -> bool:
            for check in open_checks:  # noqa: SIM110 - any() takes twice as long, and lists ask for each object
                if check(target):
                    return True
            return False

        return holds

    return decide


def _all(rules: list[Rule]) -> Rule:
    def decide(credentials: Credentials) -> Decision:
        open_checks: list[Check] = []
        for rule in rules:
            decision = rule(credentials)
            if decision is False:
                return False
            if decision is not True:
                open_checks.append(decision)
        if len(open_checks) < 2:
            return open_checks[0] if open_checks else True
        return lambda target: all(check(target) for check in open_checks)

    return decide


def _negation(rule: Rule) -> Rule:
    def decide(credentials: Credentials) -> Decision:
        decision = rule(credentials)
        if isinstance(decision, bool):
            return not decision
        return lambda target: not decision(target)

    return decide


def _field(match: str) -> Rule:
    """``field:networks:shared=True``, ``field:port:device_owner=~^network:``."""
    plural, _, rest = match.partition(":")
    name, _, wanted = rest.partition("=")
    if wanted.startswith("~"):
        pattern = re.compile(wanted[1:])
        return lambda _credentials: lambda target: pattern.match(str(target.of(plural, name) or "")) is not None
    return lambda _credentials: lambda target: str(target.of(plural, name)) == wanted


def _comparison(kind: str, match: str) -> Rule:
    """``role:member``, ``project_id:%(project_id)s``, ``'literal':%(name)s``."""
    values = _values(kind)
    if "%(" in match:
        wanted = _template(match)

        def compare(credentials: Credentials) -> Decision:
            found = values(credentials)
            return (lambda target: wanted(target) in found) if found else False

        return compare
    fixed = match.lower() if kind == "role" else match
    return lambda credentials: fixed in values(credentials)


def _template(match: str) -> Callable[[Target], str | None]:
    """A text with ``%(name)s`` in it as a function of the target; None when the target lacks the attribute."""
    single = re.fullmatch(r"%\(([^)]+)\)s", match)

    def fill(target: Target) -> str | None:
        try:
            return str(target[single[1]]) if single else match % target
        except KeyError:
            return None

    return fill


def _values(kind: str) -> Callable[[Credentials], frozenset[str]]:
    """The left side of a comparison: a literal, the caller's roles, or a path into the credentials."""
    if kind == "role":
        return lambda credentials: frozenset(credentials["roles"])
    try:
        literal = frozenset({str(ast.literal_eval(kind))})
    except (ValueError, SyntaxError):
        path = kind.split(".")
        return lambda credentials: _at(credentials, path)
    return lambda _credentials: literal


def _at(credentials: Credentials, path: list[str]) -> frozenset[str]:
    value: Any = credentials
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    items = value if isinstance(value, frozenset | list) else [value]
    # An empty text is "no project": it must not match the empty project of objects that belong to the service.
    return frozenset(str(item) for item in items if item not in (None, ""))
