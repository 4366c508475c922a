"""As much of the shell's language as people write into DevStack's files: words, quotes, variables and defaults."""

import re
from collections.abc import Mapping

_PART = re.compile(
    r"""
    '(?P<literal>[^']*)'
    | "(?P<quoted>(?:[^"\\]|\\.)*)"
    | \\(?P<escaped>.)
    | (?P<plain>(?:\$\{[^}]*\}|[^\s'"\\;&|()<>`])+)
    """,
    re.VERBOSE,
)
_VARIABLE = re.compile(r"\$(?:\{(?P<braced>\w+)(?P<empty>:?)(?:-(?P<default>[^{}]*))?\}|(?P<name>\w+))")


class Unreadable(Exception):
    """Only a shell could say what a text means; the message says why."""


def words(text: str, variables: Mapping[str, str]) -> list[str]:
    """The words of a text, up to a comment, with quotes taken off and variables filled in.

    Raises:
        Unreadable: it runs a command, ends within quotes, or uses a variable that is not set.
    """
    found: list[str] = []
    rest = text.strip()
    while rest and not rest.startswith("#"):
        word, rest = first_word(rest, variables)
        found.append(word)
        rest = rest.lstrip()
    return found


def first_word(text: str, variables: Mapping[str, str]) -> tuple[str, str]:
    """The word that a text begins with, empty before a blank, and what follows it.

    Raises:
        Unreadable: see ``words``.
    """
    if "$(" in text or "`" in text:
        raise Unreadable("It holds what a command prints")
    word, place = "", 0
    while (part := _PART.match(text, place)) is not None:
        place = part.end()
        if part["literal"] is not None:
            word += part["literal"]
        elif part["escaped"] is not None:
            word += part["escaped"]
        elif part["quoted"] is not None:
            word += re.sub(r'\\([$`"\\])', r"\1", filled(part["quoted"], variables))
        else:
            word += filled(part["plain"], variables)
    if place < len(text) and not text[place].isspace():
        raise Unreadable(f"Only a shell can say what {text[place]!r} does there")
    return word, text[place:]


def filled(text: str, variables: Mapping[str, str]) -> str:
    """A text with its variables filled in.

    Raises:
        Unreadable: one of them is not set, or only a shell can say what it comes to.
    """

    def value(match: re.Match[str]) -> str:
        name, default = match["braced"] or match["name"], match["default"]
        known = variables.get(name)
        if known is not None and (known or not match["empty"]):
            return known
        if default is None:
            raise Unreadable(f"It uses ${name}, which the file does not set")
        return filled(default, variables)

    if "${" in _VARIABLE.sub("", text):
        raise Unreadable("Only a shell can say what its ${…} comes to")
    return _VARIABLE.sub(value, text)
