"""``netloom server``: the API and the feed; with ``standalone`` set also identity, compute and images."""

import argparse

from netloom.cli import logs
from netloom.cli.processes import claim
from netloom.cli.settings import configuration
from netloom.settings.load import server_settings

PIDFILE = "server.pid"


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal."""
    conf = configuration(arguments)
    settings = server_settings(conf)
    logs.configure(conf.debug)
    claim(settings.run_dir / PIDFILE)
    import uvicorn

    from netloom.cli.compose import compose

    address, port = settings.listen
    config = uvicorn.Config(
        compose(settings),
        host=address,
        port=port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=3,
        ws_ping_interval=10,
        ws_ping_timeout=20,
        ws_max_size=64 * 2**20,
        server_header=False,
    )
    uvicorn.Server(config).run()
    return 0
