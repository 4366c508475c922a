"""How connections are kept."""

import http.client
import select
import threading
from collections.abc import Iterator

import pytest
import uvicorn

from netloom.cli.server import http_server
from tests.sandbox import eventually

POLL = 5.0
"""Seconds between the questions of openstackclient that waits for an instance."""


async def application(scope, receive, send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


@pytest.fixture
def server() -> Iterator[uvicorn.Server]:
    made = http_server(application, "127.0.0.1", 0)
    made.config.lifespan = "off"
    thread = threading.Thread(target=made.run, daemon=True)
    thread.start()
    eventually(lambda: made.started)
    yield made
    made.should_exit = True
    thread.join()


def test_a_connection_outlives_the_pause_of_a_client_that_waits(server):
    port = server.servers[0].sockets[0].getsockname()[1]
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/")
    assert connection.getresponse().read() == b""
    ended, _, _ = select.select([connection.sock], [], [], POLL + 1.5)
    assert ended == []
    connection.request("GET", "/")
    assert connection.getresponse().status == 200
    connection.close()
