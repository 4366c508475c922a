"""How the stand-ins speak HTTP: plain functions from a call to a reply, run in worker threads."""

import re
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio.from_thread
import msgspec
import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response

from netloom.model.errors import ServiceUnavailable

LOG = structlog.get_logger()
MAX_BODY = 8 * 1024 * 1024
"""Octets of a request's body that is read as a whole."""


class Problem(Exception):
    """An answer other than success; ``title`` is its short name, ``str`` the message for people."""

    def __init__(self, status: int, message: str) -> None:
        """An HTTP status and what to tell."""
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Call:
    """A request: what a handler may look at."""

    method: str
    path: str
    """Below the service's own root."""
    args: Mapping[str, str]
    """Named parts of the path."""
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    """Names in lower case."""
    content: bytes
    base: str
    """Where clients reach this cloud: ``http://host:port``."""
    request_id: str
    chunks: Iterator[bytes] = field(default_factory=lambda: iter(()))
    """The body of a streaming route, as it arrives; ``content`` is empty then. Raises ``ClientDisconnect``."""

    def param(self, name: str, default: str | None = None) -> str | None:
        """The first value of a query parameter."""
        return next((value for key, value in self.query if key == name), default)

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            Problem: it is none.
        """
        if b"\\u0000" in self.content:
            raise Problem(400, "The body must not hold NUL characters")
        try:
            return msgspec.json.decode(self.content)
        except msgspec.DecodeError as error:
            raise Problem(400, f"The body is not JSON: {error}") from None

    def member(self, name: str) -> dict[str, Any]:
        """The object under ``name`` in the body.

        Raises:
            Problem: it is not there or no object.
        """
        body = self.json()
        value = body.get(name) if isinstance(body, dict) else None
        if not isinstance(value, dict):
            raise Problem(400, f"The body must have an object '{name}'")
        return value


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; ``body`` is encoded as JSON unless it is bytes, a file's path or None (no body)."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = "application/json"


Handler = Callable[[Call], Reply]
ErrorBody = Callable[[int, str, str], Any]
"""(status, title, message) to the body of an error, in the manner of the service."""

TITLES = {
    300: "Multiple Choices", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 406: "Not Acceptable", 409: "Conflict", 413: "Over Limit", 500: "Internal Server Error",
    503: "Service Unavailable",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path pattern such as ``/v3/users/{user_id}``, and who answers."""

    method: str
    pattern: str
    handler: Handler
    streams: bool = False
    """Whether the handler reads the body itself, from ``Call.chunks``: it may be large."""


class Service:
    """An ASGI application made of routes."""

    def __init__(
        self,
        root: str,
        routes: Sequence[Route],
        error_body: ErrorBody,
        decorate: Callable[[Call, Reply], Mapping[str, str]] = lambda _call, _reply: {},
    ) -> None:
        """A service below the path ``root``; ``decorate`` gives headers that every answer bears."""
        self.root = root
        self._routes = [(re.compile(_regex(route.pattern)), route) for route in routes]
        self._error_body, self._decorate = error_body, decorate

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request.

        Raises:
            NotImplementedError: it is no HTTP request (there is nothing to do at start and end either).
        """
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        request = Request(scope, receive)
        path = "/" + request.url.path.removeprefix(self.root).lstrip("/")
        streams = any(
            route.streams and route.method == request.method and pattern.fullmatch(path)
            for pattern, route in self._routes
        )
        try:
            content = b"" if streams else await _read(request)
        except ClientDisconnect:
            return
        call = Call(
            method=request.method,
            path=path,
            args={},
            query=request.query_params.multi_items(),
            headers=dict(request.headers),
            content=content or b"",
            base=f"{request.headers.get('x-forwarded-proto', request.url.scheme)}://{request.url.netloc}",
            request_id=f"req-{uuid.uuid4()}",
            chunks=_chunks(request) if streams else iter(()),
        )
        if content is None:
            reply = self._failure(Problem(413, f"The body is longer than {MAX_BODY} octets"))
        else:
            reply = await run_in_threadpool(self.answer, call)
        await self._respond(call, reply, scope, receive, send)

    async def _respond(
        self, call: Call, reply: Reply, scope: Any, receive: Any, send: Callable[..., Awaitable[None]]
    ) -> None:
        body = reply.body
        headers = {**self._decorate(call, reply), **reply.headers}
        if isinstance(body, Path):
            await FileResponse(body, reply.status, headers, reply.media_type)(scope, receive, send)
            return
        content = body if isinstance(body, bytes) else b"" if body is None else msgspec.json.encode(body)
        response = Response(content, reply.status, headers, reply.media_type if content else None)
        await response(scope, receive, send)

    def answer(self, call: Call) -> Reply:
        """The reply to a call; whatever goes wrong becomes an error in the manner of the service."""
        try:
            return self._dispatch(call)
        except Problem as problem:
            return self._failure(problem)
        except ServiceUnavailable as error:
            return self._failure(Problem(error.status, str(error)))
        except Exception:
            LOG.exception("a request failed", service=self.root, path=call.path, request_id=call.request_id)
            return self._failure(Problem(500, "The server met an unexpected condition."))

    def _failure(self, problem: Problem) -> Reply:
        status = problem.status
        return Reply(self._error_body(status, TITLES.get(status, "Error"), str(problem)), status)

    def _dispatch(self, call: Call) -> Reply:
        path = call.path.rstrip("/") or "/"
        if any("\x00" in text for text in (path, *(value for _, value in call.query))):
            raise Problem(400, "The address must not hold NUL characters")
        matched = False
        for pattern, route in self._routes:
            if (match := pattern.fullmatch(path)) is None:
                continue
            matched = True
            if route.method == call.method or (route.method == "GET" and call.method == "HEAD"):
                return route.handler(replace(call, args=match.groupdict()))
        if matched:
            raise Problem(405, f"{call.method} is not offered for {call.path}")
        raise Problem(404, "The resource could not be found.")


async def _read(request: Request) -> bytes | None:
    """The whole body; None when it is too long."""
    parts: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY:
            return None
        parts.append(chunk)
    return b"".join(parts)


def _chunks(request: Request) -> Iterator[bytes]:
    """The body as it arrives, for a worker thread; the next part is taken when the last one is dealt with."""
    stream = request.stream()

    async def following() -> bytes | None:
        return await anext(stream, None)

    while (chunk := anyio.from_thread.run(following)) is not None:
        yield chunk


def _regex(pattern: str) -> str:
    return re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(pattern))
