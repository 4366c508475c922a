"""The server put together: which parts there are, and which path leads to which."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from msgspec import structs
from starlette.applications import Starlette
from starlette.routing import Mount

from netloom.api.app import create_app
from netloom.api.authentication import Authenticator
from netloom.api.keystone import KeystoneAuthenticator
from netloom.api.load_balancing import octavia, secrets
from netloom.api.policy import Policy
from netloom.feed.inbox import Beat, Listeners, Members, Passed
from netloom.feed.protocol import Report, Role
from netloom.feed.server import Feed
from netloom.model.errors import ServiceUnavailable
from netloom.rules import agents, rescheduling, router_ha, status
from netloom.rules.context import Context
from netloom.rules.load_balancing import statistics
from netloom.rules.load_balancing import status as lb_status
from netloom.settings.network import NetworkSettings
from netloom.settings.server import ServerSettings
from netloom.standalone import cloud
from netloom.store.database import Store, Tx
from netloom.store.migrate import migrate

LOG = structlog.get_logger()
COMPUTE = "compute"
"""Topic of the role that the stand-in for compute looks after."""
RESCHEDULING = 2.0
"""Seconds between looks at dead agents."""


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

    def console_log(host: str, instance_id: str) -> str | None:
        return feed.console_log(host, instance_id)

    standalone = cloud.Cloud(store, settings, console_log) if settings.standalone else None
    authenticate: Authenticator | None
    if settings.noauth:
        authenticate = None
    elif settings.keystone is not None:
        authenticate = KeystoneAuthenticator(settings.keystone)
    elif standalone is not None:
        authenticate = standalone.authenticate
    else:
        raise SystemExit("netloom server: set [keystone_authtoken] auth_url, or [netloom] standalone = true")
    policy = Policy(str(settings.policy_file))
    network = create_app(store, settings.network, authenticate, policy)
    beside = {
        "/load-balancer": octavia.create_app(store, settings.network, authenticate, policy),
        "/key-manager": secrets.create_app(store, authenticate),
    }
    feed = Feed(store, settings.network, listeners(settings, standalone))
    metadata = standalone.metadata_app if standalone is not None else None
    tasks = [feed.run, Rescheduling(store, settings.network, feed).run]
    return Composition(_Server(network, beside, feed, standalone, tasks), metadata)


def system(settings: NetworkSettings) -> Context:
    """The server itself, as rules see who asks."""
    return Context(user_id="", project_id="", roles=frozenset({"admin"}), is_admin=True, settings=settings)


def listeners(settings: ServerSettings, standalone: "cloud.Cloud | None") -> Listeners:
    """What the rules do with what agents tell."""
    context = system(settings.network)

    def present(tx: Tx, beats: Mapping[str, Beat]) -> None:
        heard = {(host, role.agent_type): beat.at for host, beat in beats.items() for role in _of_network(beat)}
        unknown = agents.beat(tx, context, heard)
        news = {host: beat for host, beat in beats.items() if beat.news or host in unknown}
        agents.heartbeats(tx, context, {host: (_of_network(beat), beat.started) for host, beat in news.items()})
        for host, beat in beats.items():
            if standalone is not None:
                standalone.present(tx, host, [role for role in beat.roles if role.topic == COMPUTE])

    def report(tx: Tx, reports: Mapping[str, Report]) -> None:
        status.reports(tx, {host: (_told(each), each.gone) for host, each in reports.items()})
        lb_status.report(tx, {host: _balanced(each) for host, each in reports.items()})
        if standalone is not None:
            for host, each in reports.items():
                standalone.report(tx, host, each.statuses, each.gone)

    def router_states(tx: Tx, host: str, states: Mapping[str, str]) -> None:
        router_ha.report_states(tx, context, host, states)
        lb_status.report_states(tx, host, states)

    def members(tx: Tx, told: Mapping[str, Members]) -> None:
        lb_status.report_members(tx, told)

    def traffic(tx: Tx, told: Mapping[str, Passed]) -> None:
        statistics.report_traffic(tx, {host: _counted(each) for host, each in told.items()})

    return Listeners(present, report, router_states, members, traffic)


def _told(report: Report) -> dict[str, status.Told]:
    return {each.fragment: (each.state, each.version, each.reason) for each in report.statuses}


def _balanced(report: Report) -> dict[str, lb_status.Applied]:
    """What is told of load balancers, by id."""
    return {
        object_id: lb_status.Applied(each.revision, each.state, each.reason)
        for each in report.statuses
        for kind, _, object_id in [each.fragment.partition("/")]
        if kind == "loadbalancer"
    }


def _counted(passed: Passed) -> dict[str, dict[str, dict[str, int]]]:
    return {
        listener: {worker: structs.asdict(traffic) for worker, traffic in workers.items()}
        for listener, workers in passed.items()
    }


def _of_network(beat: Beat) -> list[Role]:
    return [role for role in beat.roles if role.topic != COMPUTE]


class Rescheduling:
    """Moves work away from dead agents, as soon as it is certain that they are."""

    def __init__(self, store: Store, settings: NetworkSettings, feed: Feed) -> None:
        """``feed`` knows for how long it has heard all agents that there are to be heard."""
        self._store, self._settings, self._feed = store, settings, feed

    async def run(self) -> None:
        """Look now and then, until cancelled."""
        while True:
            await asyncio.sleep(RESCHEDULING)
            if self._feed.attentive > self._settings.agent_down_time:
                await self._move()

    async def _move(self) -> None:
        try:
            while await asyncio.to_thread(self._step):
                pass
        except ServiceUnavailable as error:
            LOG.warning("work could not be moved away from dead agents; it is tried again", error=str(error))
        except Exception:
            LOG.exception("work could not be moved away from dead agents; it is tried again")

    def _step(self) -> bool:
        with self._store.write() as tx:
            return rescheduling.run(tx, system(self._settings))


class _Server:
    """Dispatches by path: feed, stand-ins, and all else to the Networking API."""

    def __init__(
        self,
        network: Any,
        beside: Mapping[str, Any],
        feed: Feed,
        standalone: "cloud.Cloud | None",
        tasks: Sequence[Callable[[], Coroutine[Any, Any, None]]],
    ) -> None:
        self._network, self._standalone, self._tasks = network, standalone, tasks
        self._beside = {path: Starlette(routes=[Mount(path, app=app)]) for path, app in beside.items()}
        self._rest = Starlette(routes=[feed.route], lifespan=self._lifespan)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._rest(scope, receive, send)
            return
        first = "/" + scope["path"].split("/", 2)[1]
        service = self._beside.get(first)
        if service is None and self._standalone is not None:
            service = self._standalone.services.get(first)
        await (service or self._network)(scope, receive, send)

    @contextlib.asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        running = [asyncio.create_task(task()) for task in self._tasks]
        try:
            yield
        finally:
            for task in running:
                task.cancel()
