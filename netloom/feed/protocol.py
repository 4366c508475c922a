"""The messages between server and agent: msgpack frames over one WebSocket per agent.

The agent opens the stream with ``Hello``: who it is, its roles, and what it holds. The server answers with
``Update``s that bring it to what it should hold; each fragment carries its version. Of each fragment the
agent tells in ``Report`` whether it is applied, waiting for something, or refused and why: the ack and the
nack. Nothing is replayed: after a lost connection the next ``Hello`` says what is held, and the difference
is sent. Beside that the server may ask what only the host knows; it does not wait for an answer for long.
"""

from typing import Any, Literal

import msgspec

PATH = "/feed"
VERSION = 1
CHUNK = 500
"""Fragments in one ``Update`` at most, so that a first push does not hold up other agents."""


class Role(msgspec.Struct, frozen=True):
    """A role of an agent, shown by the API as an agent of its own."""

    agent_type: str
    binary: str
    topic: str
    configurations: dict[str, Any]
    availability_zone: str | None = None


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """First message of an agent."""

    protocol: int
    roles: list[Role]
    holds: dict[str, str]
    """Versions by fragment name."""


class Status(msgspec.Struct, frozen=True):
    """What became of one fragment on the host."""

    fragment: str
    version: str
    state: Literal["applied", "waiting", "failed"]
    reason: str = ""
    revision: int = 0
    """Of the fragment, where it has one (load balancers)."""


class Report(msgspec.Struct, frozen=True, tag="report"):
    """What changed since the last report of this connection; the first one tells all."""

    statuses: list[Status]
    gone: list[str] = []
    """Fragments that are no longer held, and of which nothing is left on the host."""
    complete: bool = False
    """Whether all that the host holds is in ``statuses``: any other fragment is gone, too. So nothing is missed
    that went while there was no connection, or just before the agent died."""


class Heartbeat(msgspec.Struct, frozen=True, tag="heartbeat"):
    """The agent lives. ``roles`` carries the present counts in ``configurations``."""

    roles: list[Role]


class RouterStates(msgspec.Struct, frozen=True, tag="router_states"):
    """What this host is for its highly available routers: ``active``, ``standby`` or ``fault`` by id of the router.

    Those that changed since the last message of this connection; the first one tells all.
    """

    states: dict[str, str]


class MemberStates(msgspec.Struct, frozen=True, tag="member_states"):
    """How the members of this host's load balancers are, by id of the balancer and of the member.

    Balancers of which something changed since the last message of this connection, each with all its members; the
    first message tells all. None of a balancer that does not serve here (any more): others speak for it.
    """

    states: dict[str, dict[str, str] | None]
    """``up``, ``down``, ``unchecked`` (there is no monitor), ``draining``, ``off``. None: whatever serves them does not
    answer."""


class Traffic(msgspec.Struct, frozen=True):
    """What has passed through a listener."""

    bytes_in: int = 0
    bytes_out: int = 0
    active_connections: int = 0
    total_connections: int = 0
    request_errors: int = 0


class TrafficReport(msgspec.Struct, frozen=True, tag="traffic_report"):
    """What passed through the listeners of this host, by id of the listener and by worker.

    A worker is one process from its start to its end, here a text that no other ever has; it counts from 0. All that
    there are, whenever their counts differ from those told last, so that a lost message loses nothing.
    """

    listeners: dict[str, dict[str, Traffic]]


class ConsoleLog(msgspec.Struct, frozen=True, tag="console_log"):
    """What an instance said on its console."""

    number: int
    """Of the question."""
    text: str | None
    """None when there is no such instance on this host."""


class Piece(msgspec.Struct, frozen=True):
    """A fragment on the wire."""

    name: str
    version: str
    body: bytes


class Update(msgspec.Struct, frozen=True, tag="update"):
    """Fragments that are new or changed, names that are to go."""

    pieces: list[Piece]
    removed: list[str]
    complete: bool
    """Whether the agent now holds all that it should (false within a first push in several parts)."""


class AskConsoleLog(msgspec.Struct, frozen=True, tag="ask_console_log"):
    """What did an instance say? The answer is a ``ConsoleLog`` with the same number."""

    number: int
    instance_id: str


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """The server cannot serve this agent, and why; the connection ends."""

    reason: str


FromAgent = Hello | Report | Heartbeat | RouterStates | MemberStates | TrafficReport | ConsoleLog
FromServer = Update | Refused | AskConsoleLog

encode = msgspec.msgpack.Encoder().encode
decode_agent = msgspec.msgpack.Decoder(FromAgent).decode
decode_server = msgspec.msgpack.Decoder(FromServer).decode
