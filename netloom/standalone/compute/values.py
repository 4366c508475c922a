"""Values in requests: of the right kind, or refused as Nova refuses them."""

from collections.abc import Mapping
from typing import Any

from netloom.standalone.web import Problem

LARGEST = 2**31 - 1


def invalid(name: str, value: Any, reason: str) -> Problem:
    """The error for a member of the wrong kind."""
    return Problem(400, f"Invalid input for field/attribute {name}. Value: {value}. {reason}")


def optional_text(given: Mapping[str, Any], name: str, most: int = 255) -> str | None:
    """A text of at most ``most`` characters, or None.

    Raises:
        Problem: 400, it is something else.
    """
    value = given.get(name)
    if value is not None and (not isinstance(value, str) or len(value) > most):
        raise invalid(name, value, f"It must be a text of at most {most} characters")
    return value


def whole(given: Mapping[str, Any], name: str, least: int, default: int | None = None) -> int:
    """A whole number from ``least``, as a number or a text.

    Raises:
        Problem: 400, it is something else, or there is neither it nor a default.
    """
    value = given.get(name)
    if value in (None, "") and default is not None:
        return default
    text = str(value)
    number = int(text) if text.removeprefix("-").isascii() and text.removeprefix("-").isdecimal() else None
    if isinstance(value, bool) or number is None or not least <= number <= LARGEST:
        raise invalid(name, value, f"It must be a number from {least} to {LARGEST}")
    return number
