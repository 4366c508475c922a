"""The Networking API as an ASGI application: each request is one hop to a worker thread, where all the work is."""

import gc
import re
import time
import uuid
from collections.abc import Callable
from typing import Any

import anyio.to_thread
import structlog
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from netloom.api.authentication import Authenticator
from netloom.api.errors import HTTPRequestEntityTooLarge, error_answer
from netloom.api.http import Answer, Request
from netloom.api.policy import Policy
from netloom.api.service import Service
from netloom.settings.network import NetworkSettings
from netloom.store.database import Store

LOG = structlog.get_logger()
WORKERS = 4
"""Requests that are worked on at the same time: enough to wait for the disk meanwhile. More only take Python's lock
from each other in the middle of a transaction (measured: 16 make a fifth less)."""
MAX_BODY = 8 * 1024 * 1024
"""Octets of a request's body."""
_GLOBAL_ID = re.compile(r"req-[0-9a-fA-F-]{36}")


def create_app(
    store: Store, settings: NetworkSettings, authenticate: Authenticator | None, policy: Policy
) -> Starlette:
    """The Networking API v2.0, to be served or mounted. Without ``authenticate`` everybody is believed."""
    return Starlette(routes=[Mount("/", app=Endpoint(Service(store, settings, authenticate, policy)))])


def calm_collector() -> None:
    """For a server's start, after all imports: what is there stays, and is not looked at again by the collector.

    Requests make trees of dictionaries, no cycles; at its usual pace the collector takes half the time of a long list.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


class Endpoint:
    """Carries requests to the service and its answers back, and writes the access log."""

    def __init__(self, service: Callable[[Request], Answer]) -> None:
        self._service = service
        self._limiter: anyio.CapacityLimiter | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        start = time.perf_counter()
        body = await _read(receive)
        if body is None:
            request = _request(scope, b"")
            answer = error_answer(HTTPRequestEntityTooLarge())
        else:
            request = _request(scope, body)
            if self._limiter is None:
                self._limiter = anyio.CapacityLimiter(WORKERS)
            answer = await anyio.to_thread.run_sync(self._service, request, limiter=self._limiter)
        await _send(send, request, answer)
        LOG.info(
            "request",
            method=request.method,
            path=request.path,
            status=answer.status,
            ms=round((time.perf_counter() - start) * 1000, 1),
            octets=len(answer.body),
            request_id=request.id,
            **_global_id(request),
        )


async def _read(receive: Receive) -> bytes | None:
    """The request's body; None when it is too long."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY:
            return None
        if not message.get("more_body", False):
            return b"".join(parts)


def _request(scope: Scope, body: bytes) -> Request:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    root = scope.get("root_path", "").rstrip("/")
    # raw_path keeps what was percent-encoded apart from real slashes.
    path = (scope.get("raw_path") or scope["path"].encode()).partition(b"?")[0].decode("latin-1")
    scheme = headers.get("x-forwarded-proto", scope.get("scheme", "http"))
    return Request(
        method=scope["method"],
        path=path.removeprefix(root),
        query=scope.get("query_string", b"").decode("latin-1"),
        headers=headers,
        body=body,
        base_url=f"{scheme}://{headers.get('host', 'localhost')}{root}",
        id=f"req-{uuid.uuid4()}",
    )


async def _send(send: Send, request: Request, answer: Answer) -> None:
    headers = [(b"x-openstack-request-id", request.id.encode())]
    if answer.body or answer.status != 204:
        headers.append((b"content-type", answer.content_type.encode()))
        headers.append((b"content-length", str(len(answer.body)).encode()))
    headers += [(name.encode(), value.encode()) for name, value in answer.headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def _global_id(request: Request) -> dict[str, Any]:
    """The id under which the caller's service logs this, when it sent one."""
    text = request.headers.get("x-openstack-request-id", "")
    return {"global_request_id": text} if _GLOBAL_ID.fullmatch(text) else {}
