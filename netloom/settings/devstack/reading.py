"""What DevStack's files say: a plain ``localrc``, or a ``local.conf`` with ``[[phase|file]]`` sections."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from netloom.settings.devstack.shell import Unreadable, filled, first_word, words

_META = re.compile(r"\[\[\s*(?P<phase>[\w-]+)\s*\|\s*(?P<file>[^\]]+?)\s*\]\]")
_ASSIGNMENT = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_]\w*)(?P<more>\+?)=(?P<value>.*)", re.DOTALL)
_SERVICES = re.compile(r"(?P<verb>enable_service|disable_service|disable_all_services)\b(?P<names>.*)", re.DOTALL)
_OPENS, _CLOSES = (
    re.compile(r"(if|for|while|until|case)\b|\w+\s*\(\)\s*\{|function\b"),
    re.compile(r"(fi|done|esac)\b|\}"),
)
GIVEN = {"DEST": "/opt/stack", "DATA_DIR": "/opt/stack/data", "ENABLED_SERVICES": "key,n-api,n-cpu,g-api"}
"""What DevStack itself has set; of the services those that mean something here."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """``NAME=value``; an array has several values."""

    line: int
    name: str
    values: tuple[str, ...]

    @property
    def value(self) -> str:
        """All of it as one text."""
        return " ".join(self.values)


@dataclass(frozen=True, slots=True)
class Services:
    """``enable_service NAME…`` or ``disable_service NAME…``; of all services when there are no names."""

    line: int
    verb: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FileOption:
    """``name = value`` below ``[section]`` that is meant for a service's own file."""

    line: int
    file: str
    section: str
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Unread:
    """What we do not read, and why."""

    line: int
    text: str
    reason: str


Statement = Assignment | Services | FileOption | Unread


def statements(text: str) -> list[Statement]:
    """All that a file says, in its order."""
    return list(_Reader().read(text.splitlines()))


def has_phases(text: str) -> bool:
    """Whether it is a ``local.conf`` and not a plain ``localrc``."""
    return any(_META.fullmatch(line.strip()) for line in text.splitlines())


class _Reader:
    def __init__(self) -> None:
        self._variables = dict(GIVEN)
        self._depth = 0

    def read(self, lines: Sequence[str]) -> Iterator[Statement]:
        phase, file, section = "local", "localrc", ""
        for number, text in _logical(lines):
            if (meta := _META.fullmatch(text)) is not None:
                phase, file, section = meta["phase"], meta["file"], ""
            elif (phase, file) == ("local", "localrc"):
                yield self._shell(number, text)
            elif phase == "local":
                yield Unread(number, text, f"[[{phase}|{file}]] is a script or a file of DevStack itself.")
            elif text.startswith("[") and text.endswith("]"):
                section = text[1:-1].strip()
            else:
                yield self._option(number, text, file, section)

    def _shell(self, number: int, text: str) -> Statement:
        opens, closes = bool(_OPENS.match(text)), bool(_CLOSES.match(text))
        inside = self._depth > 0
        one_line = opens and bool(re.search(r"(^|[\s;])(fi|done|esac|\})\s*$", text))
        self._depth = max(0, self._depth + (opens and not one_line) - closes)
        if inside or opens:
            return Unread(
                number, text, "Only a shell can decide whether it holds: write what holds without a condition."
            )
        try:
            return self._statement(number, text)
        except Unreadable as trouble:
            return Unread(number, text, f"{trouble}: write the value itself.")

    def _statement(self, number: int, text: str) -> Statement:
        if (services := _SERVICES.fullmatch(text)) is not None:
            names = [name for word in words(services["names"], self._variables) for name in word.split(",") if name]
            return Services(number, services["verb"], tuple(names))
        if (found := _ASSIGNMENT.fullmatch(text)) is None:
            return Unread(number, text, "It is a command for DevStack, not a setting.")
        name, value = found["name"], found["value"]
        if value.startswith("("):
            inner = value[1:].rstrip().removesuffix(")").splitlines()
            values = tuple(word for each in inner for word in words(each, self._variables))
        else:
            word, rest = first_word(value, self._variables)
            if rest.strip() and not rest.strip().startswith("#"):
                raise Unreadable("Only a shell can say what follows the value")
            values = (word,)
        if found["more"]:
            before = self._variables.get(name, "")
            values = (before + values[0],) if not value.startswith("(") else (*before.split(), *values)
        self._variables[name] = " ".join(values)
        return Assignment(number, name, values)

    def _option(self, number: int, text: str, file: str, section: str) -> Statement:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not section:
            return Unread(number, text, "It is neither [section] nor an option of one.")
        try:
            return FileOption(number, file, section, name, filled(value, self._variables))
        except Unreadable as trouble:
            return Unread(number, text, f"{trouble}: write the value itself.")


def _logical(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Lines that say something, with the numbers of their first: those that go on, and arrays, are put together."""
    waiting, began = "", 0
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not waiting and (not text or text.startswith("#")):
            continue
        began = began or number
        if text.endswith("\\"):
            waiting += text[:-1]
            continue
        waiting += text
        if re.match(r"(export\s+)?\w+\+?=\(", waiting) and not waiting.endswith(")"):
            waiting += "\n"
            continue
        yield began, waiting
        waiting, began = "", 0
    if waiting:
        yield began, waiting
