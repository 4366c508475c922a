"""Kinds of values: how a value from a client is checked and brought to its stored form.

``parse`` takes what JSON gave (legacy clients send booleans and numbers as text) and returns the stored
form; it raises ``Invalid`` with a reason for people. ``schema`` is the JSON Schema of what is accepted,
``sql`` the column type that holds it (``""``: not a column of the resource's own table).
"""

import ipaddress
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

Schema = dict[str, Any]


class Invalid(ValueError):
    """A value does not fit its kind; the text is the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of value. ``nullable`` values may be null; ``null_as`` gives what null then stands for."""

    nullable: bool = False
    null_as: Callable[[], Any] | None = None
    sql: ClassVar[str] = "json"
    body: ClassVar[Schema] = {}

    def parse(self, value: Any) -> Any:
        """The stored form of ``value``."""
        if value is None:
            if self.null_as is not None:
                return self.null_as()
            if self.nullable:
                return None
            raise Invalid("'None' is not a valid value")
        return self.check(value)

    def check(self, value: Any) -> Any:
        """The stored form of a value that is not null."""
        return value

    def schema(self) -> Schema:
        """JSON Schema of what clients may send."""
        body = self.describe()
        return {"anyOf": [body, {"type": "null"}]} if self.nullable or self.null_as else body

    def describe(self) -> Schema:
        """JSON Schema of a value that is not null."""
        return dict(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Anything(Kind):
    """Any JSON value; the rules look at it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text(Kind):
    """A string of at most ``most`` characters."""

    most: int = 255
    least: int = 0
    lower: bool = False
    pattern: str = ""
    sql: ClassVar[str] = "text"

    def check(self, value: Any) -> Any:
        if not isinstance(value, str):
            raise Invalid(f"'{value}' is not a valid string")
        if len(value) > self.most:
            raise Invalid(f"'{value}' exceeds maximum length of {self.most}")
        if len(value) < self.least or "\x00" in value:
            raise Invalid(f"'{value}' is not a valid string of {self.least} to {self.most} characters")
        if self.pattern and not re.fullmatch(self.pattern, value):
            raise Invalid(f"'{value}' is not of the form {self.pattern}")
        return value.lower() if self.lower else value

    def describe(self) -> Schema:
        schema: Schema = {"type": "string", "maxLength": self.most}
        return (
            schema
            | ({"minLength": self.least} if self.least else {})
            | ({"pattern": f"^{self.pattern}$"} if self.pattern else {})
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Name(Text):
    """A name: a string without blanks at its ends."""

    def check(self, value: Any) -> Any:
        text = Text.check(self, value)
        if text != text.strip():
            raise Invalid(f"'{value}' has leading or trailing blanks")
        if self.least and not text:
            raise Invalid("a name must not be empty")
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Boolean(Kind):
    """True or false, also as the words and numbers that clients use for them."""

    sql: ClassVar[str] = "boolean"
    words: ClassVar[Mapping[str, bool]] = {
        "true": True, "1": True, "yes": True, "on": True, "t": True, "y": True,
        "false": False, "0": False, "no": False, "off": False, "f": False, "n": False,
    }  # fmt: skip

    def check(self, value: Any) -> Any:
        if isinstance(value, bool):
            return value
        if (known := self.words.get(str(value).strip().lower())) is not None and isinstance(value, int | str):
            return known
        raise Invalid(f"'{value}' cannot be converted to boolean")

    def describe(self) -> Schema:
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Integer(Kind):
    """A whole number, also as text."""

    least: int | None = None
    most: int | None = None
    sql: ClassVar[str] = "bigint"

    def check(self, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise Invalid(f"'{value}' is not an integer")
        try:
            number = int(value)
        except ValueError:
            raise Invalid(f"'{value}' is not an integer") from None
        if self.least is not None and number < self.least:
            raise Invalid(f"'{value}' is too small - must be at least '{self.least}'")
        if self.most is not None and number > self.most:
            raise Invalid(f"'{value}' is too large - must be no larger than '{self.most}'")
        if abs(number) > 2**63 - 1:
            raise Invalid(f"'{value}' is too large")
        return number

    def describe(self) -> Schema:
        schema: Schema = {"type": "integer"}
        schema |= {"minimum": self.least} if self.least is not None else {}
        return schema | ({"maximum": self.most} if self.most is not None else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenInteger(Integer):
    """A whole number that answers show as text, as clients of the reference know it."""

    def describe(self) -> Schema:
        return {"anyOf": [Integer.describe(self), {"type": "string", "pattern": r"^\d+$"}]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice(Kind):
    """One of some values; a number may come as text, ``fold`` ignores case and gives the listed spelling."""

    values: tuple[str | int | None, ...]
    fold: bool = False
    sql: ClassVar[str] = "text"

    def check(self, value: Any) -> Any:
        for known in self.values:
            if value == known and not isinstance(value, bool):
                return known
            if isinstance(known, int) and value == str(known):
                return known
            if self.fold and isinstance(known, str) and isinstance(value, str) and value.lower() == known.lower():
                return known
        raise Invalid(f"'{value}' is not in {list(self.values)}")

    def describe(self) -> Schema:
        return {"enum": list(self.values)}


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegerChoice(Choice):
    """One of some whole numbers."""

    sql: ClassVar[str] = "bigint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Uuid(Kind):
    """A UUID in its usual form."""

    sql: ClassVar[str] = "text"

    def check(self, value: Any) -> Any:
        if not is_uuid(value):
            raise Invalid(f"'{value}' is not a valid UUID")
        return value

    def describe(self) -> Schema:
        return {"type": "string", "format": "uuid"}


@dataclass(frozen=True, slots=True, kw_only=True)
class IpAddress(Kind):
    """An IPv4 or IPv6 address, in canonical form, or in that in which it was given."""

    as_given: bool = False
    sql: ClassVar[str] = "text"

    def check(self, value: Any) -> Any:
        try:
            if not isinstance(value, str) or "%" in value:
                raise ValueError
            canonical = str(ipaddress.ip_address(value))
            return value if self.as_given else canonical
        except ValueError:
            raise Invalid(f"'{value}' is not a valid IP address") from None

    def describe(self) -> Schema:
        return {"anyOf": [{"type": "string", "format": "ipv4"}, {"type": "string", "format": "ipv6"}]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cidr(Kind):
    """A prefix ``address/length``. With ``strict`` its host bits must be zero, else they are cleared."""

    strict: bool = False
    sql: ClassVar[str] = "text"

    def check(self, value: Any) -> Any:
        if not isinstance(value, str) or "/" not in value or "%" in value:
            raise Invalid(f"'{value}' is not a valid IP subnet")
        try:
            network = ipaddress.ip_network(value, strict=False)
        except ValueError:
            raise Invalid(f"'{value}' is not a valid IP subnet") from None
        if self.strict and ipaddress.ip_interface(value).ip != network.network_address:
            raise Invalid(f"'{value}' isn't a recognized IP subnet cidr, '{network}' is recommended")
        return str(network)

    def describe(self) -> Schema:
        return {"type": "string", "pattern": r"^[0-9a-fA-F.:]+/\d+$"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mac(Kind):
    """A unicast MAC address, lower case with colons."""

    sql: ClassVar[str] = "text"

    def check(self, value: Any) -> Any:
        digits = re.sub(r"[-:.]", "", value).lower() if isinstance(value, str) else ""
        if not re.fullmatch(r"[0-9a-f]{12}", digits) or digits in ("0" * 12, "f" * 12):
            raise Invalid(f"'{value}' is not a valid MAC address")
        return ":".join(digits[i : i + 2] for i in range(0, 12, 2))

    def describe(self) -> Schema:
        return {"type": "string", "pattern": "^([0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}$"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOf(Kind):
    """A list, with ``distinct`` items when asked for."""

    item: Kind
    distinct: bool = False
    most: int | None = None

    def check(self, value: Any) -> Any:
        if not isinstance(value, list):
            raise Invalid(f"'{value}' is not a list")
        items = [self.item.parse(entry) for entry in value]
        if self.distinct and any(entry in items[:i] for i, entry in enumerate(items)):
            raise Invalid(f"Duplicate items in the list: '{value}'")
        if self.most is not None and len(items) > self.most:
            raise Invalid(f"the list has more than {self.most} items")
        return items

    def describe(self) -> Schema:
        return {"type": "array", "items": self.item.schema()} | ({"uniqueItems": True} if self.distinct else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(Kind):
    """An object with known members. Old clients send ``a=b,c=d`` texts where ``texts`` is set."""

    members: Mapping[str, Kind]
    required: frozenset[str] = frozenset()
    texts: bool = False

    def check(self, value: Any) -> Any:
        if self.texts and isinstance(value, str) and "=" in value:
            value = dict(part.split("=", 1) for part in value.split(",") if "=" in part)
        if not isinstance(value, dict):
            raise Invalid(f"'{value}' is not a dictionary")
        if missing := sorted(self.required - value.keys()):
            raise Invalid(f"Validation of dictionary's keys failed. Expected keys: {missing}")
        if unknown := sorted(str(key) for key in value.keys() - self.members.keys()):
            raise Invalid(f"Validation of dictionary's keys failed. Unexpected keys: {unknown}")
        return {key: self.members[key].parse(entry) for key, entry in value.items()}

    def describe(self) -> Schema:
        return {
            "type": "object",
            "properties": {name: kind.schema() for name, kind in self.members.items()},
            "required": sorted(self.required),
            "additionalProperties": False,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Object(Kind):
    """An object with free members."""

    def check(self, value: Any) -> Any:
        if not isinstance(value, dict):
            raise Invalid(f"'{value}' is not a dictionary")
        return value

    def describe(self) -> Schema:
        return {"type": "object"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Time(Kind):
    """A point in time, UTC; stored as the text that the API shows."""

    sql: ClassVar[str] = "text"

    def describe(self) -> Schema:
        return {"type": "string", "format": "date-time"}


def is_uuid(value: Any) -> bool:
    """Whether ``value`` is a UUID in its usual, hyphenated form (or 32 hex digits)."""
    try:
        return isinstance(value, str) and str(uuid.UUID(value)).replace("-", "") == value.lower().replace("-", "")
    except ValueError:
        return False
