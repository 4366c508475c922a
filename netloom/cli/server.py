"""``netloom server``: the API and the feed; with ``standalone`` set also identity, compute and images."""

import argparse
import asyncio
from typing import Any

import uvicorn
import uvloop

from netloom.api.app import calm_collector
from netloom.cli import logs
from netloom.cli.compose import compose
from netloom.cli.processes import SERVER, claim
from netloom.cli.settings import configuration
from netloom.settings.load import server_settings
from netloom.settings.server import ServerSettings

KEEP_ALIVE = 75
"""Seconds that a connection may be idle. Clients ask every few seconds how an instance does, and would meet the end of
theirs just when they ask again."""


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal."""
    conf = configuration(arguments)
    settings = server_settings(conf)
    logs.configure(conf.debug)
    claim(settings.run_dir / SERVER)
    parts = compose(settings)
    calm_collector()
    servers = [http_server(parts.api, *settings.listen)]
    if parts.metadata is not None:
        addresses = _metadata_addresses(settings)
        servers += [http_server(parts.metadata, address, settings.metadata_port) for address in addresses]

    async def serve() -> None:
        await asyncio.gather(*(server.serve() for server in servers))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
    return 0


def _metadata_addresses(settings: ServerSettings) -> list[str]:
    """Where proxies on other hosts reach the metadata service, if there is a secret that they sign with."""
    address = settings.listen[0]
    if not settings.metadata_secret:
        return ["127.0.0.1"]
    return [address] if address == "0.0.0.0" else sorted({"127.0.0.1", address})  # noqa: S104 - asked for


def http_server(application: Any, address: str, port: int) -> uvicorn.Server:
    """A server of an ASGI application, not yet started."""
    return uvicorn.Server(
        uvicorn.Config(
            application,
            host=address,
            port=port,
            log_level="warning",
            access_log=False,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=3,
            ws_ping_interval=10,
            ws_ping_timeout=20,
            ws_per_message_deflate=False,  # it would cost memory and time for each agent
            ws_max_size=64 * 2**20,
            server_header=False,
        )
    )
