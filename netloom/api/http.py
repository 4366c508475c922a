"""A request and an answer, independent of the web framework, and the JSON of their bodies."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

JSON = "application/json"
_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sent."""

    method: str
    path: str
    """As it came, still percent-encoded, without the prefix of a mount."""
    query: str
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes
    base_url: str
    """Scheme, host and prefix under which the client reached us: ``http://host:9696``."""
    id: str
    """``req-`` and a UUID."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back."""

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


def answer_json(status: int, value: Any) -> Answer:
    """An answer with ``value`` as JSON."""
    return Answer(status, _encoder.encode(value))


def decode_json(body: bytes) -> Any:
    """The value of a JSON text. Raises ``ValueError`` when it is none."""
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(str(error)) from None
