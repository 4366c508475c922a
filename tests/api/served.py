"""An API behind a real server, and many clients of it at the same time."""

import contextlib
import json
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import urllib3
import uvicorn

CLIENTS = 12
Request = tuple[str, str, Any]
"""Method, path below the address, and body."""


@contextlib.contextmanager
def served(app: Any, path: str = "/v2.0") -> Iterator[str]:
    """The address of a server of an application, for a block."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False))
    sockets = [server.config.bind_socket()]
    sockets[0].listen()  # so that nobody is refused who comes before the thread
    thread = threading.Thread(target=server.run, kwargs={"sockets": sockets})
    thread.start()
    try:
        yield f"http://127.0.0.1:{sockets[0].getsockname()[1]}{path}"
    finally:
        server.should_exit = True
        thread.join()


def at_once(address: str, requests: Sequence[Request], token: str = "member:alpha") -> list[tuple[int, Any]]:
    """The answers to requests, sent by many clients at the same time."""
    pool = urllib3.PoolManager(maxsize=CLIENTS, block=True, headers={"X-Auth-Token": token})

    def send(request: Request) -> tuple[int, Any]:
        method, path, body = request
        content = None if body is None else json.dumps(body)
        answer = pool.request(method, f"{address}/{path}", body=content, retries=False)
        return answer.status, answer.json() if answer.data else None

    with ThreadPoolExecutor(CLIENTS) as executor:
        return list(executor.map(send, requests))
