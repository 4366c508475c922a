"""The server put together: which parts there are, and which path leads to which."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette

from netloom.api.app import create_app
from netloom.api.authentication import Authenticator
from netloom.api.keystone import KeystoneAuthenticator
from netloom.api.policy import Policy
from netloom.feed.protocol import Role, Status
from netloom.feed.server import Feed, Listeners
from netloom.rules import agents, status
from netloom.rules.context import Context
from netloom.settings.server import ServerSettings
from netloom.standalone import cloud
from netloom.store.database import Store, Tx
from netloom.store.migrate import migrate


@dataclass(frozen=True, slots=True)
class Composition:
    """What the server process serves."""

    api: Any
    """ASGI application of the API, the feed and the stand-ins."""
    metadata: Any
    """ASGI application of the stand-in for Nova's metadata service, on a port of its own; None without it."""


def compose(settings: ServerSettings) -> Composition:
    """All parts of this server."""
    store = Store(settings.database)
    migrate(store)
    standalone = cloud.Cloud(store, settings) if settings.standalone else None
    authenticate: Authenticator | None
    if settings.noauth:
        authenticate = None
    elif settings.keystone is not None:
        authenticate = KeystoneAuthenticator(settings.keystone)
    elif standalone is not None:
        authenticate = standalone.authenticate
    else:
        raise SystemExit("netloom server: set [keystone_authtoken] auth_url, or [netloom] standalone = true")
    network = create_app(store, settings.network, authenticate, Policy(str(settings.policy_file)))
    feed = Feed(store, settings.network, listeners(settings, standalone))
    metadata = standalone.metadata_app if standalone is not None else None
    return Composition(_Server(network, feed, standalone), metadata)


def listeners(settings: ServerSettings, standalone: "cloud.Cloud | None") -> Listeners:
    """What the rules do with what agents tell."""

    system = Context(user_id="", project_id="", roles=frozenset({"admin"}), is_admin=True, settings=settings.network)

    def present(tx: Tx, host: str, roles: Sequence[Role], started: bool) -> None:
        agents.heartbeat(tx, system, host, [role for role in roles if role.topic != "compute"], started)
        if standalone is not None:
            standalone.present(tx, host, [role for role in roles if role.topic == "compute"])

    def report(tx: Tx, host: str, statuses: Sequence[Status], gone: Collection[str]) -> None:
        told = {entry.fragment: (entry.state, entry.version, entry.reason) for entry in statuses}
        status.report(tx, host, told, gone)
        if standalone is not None:
            standalone.report(tx, host, statuses, gone)

    return Listeners(present, report)


class _Server:
    """Dispatches by path: feed, stand-ins, and all else to the Networking API."""

    def __init__(self, network: Any, feed: Feed, standalone: "cloud.Cloud | None") -> None:
        self._network, self._feed, self._standalone = network, feed, standalone
        self._rest = Starlette(routes=[feed.route], lifespan=self._lifespan)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._rest(scope, receive, send)
            return
        first = "/" + scope["path"].split("/", 2)[1]
        service = self._standalone.services.get(first) if self._standalone is not None else None
        await (service or self._network)(scope, receive, send)

    @contextlib.asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        following = asyncio.create_task(self._feed.run())
        try:
            yield
        finally:
            following.cancel()
