"""The Networking API as compute uses it: over HTTP, like a Nova of its own."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec
import urllib3

TIMEOUT = 60.0


class Refusal(Exception):
    """The Networking API said no; ``str`` is its message."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status, self.kind = status, kind


class Networking:
    """A client of the Networking API. Callable from several threads at once."""

    def __init__(self, address: tuple[str, int], service_token: Callable[[], str]) -> None:
        """``service_token`` gives a token of the service's own user, for what users may not do themselves."""
        host, port = address
        self._pool = urllib3.HTTPConnectionPool(host, port, maxsize=32, timeout=TIMEOUT, retries=urllib3.Retry(0))
        self._service_token = service_token

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str = "",
        query: Mapping[str, str | list[str]] | None = None,
    ) -> Any:
        """The answer's body (None when empty) to a request for ``/v2.0/PATH``; without ``token`` as the service.

        Raises:
            Refusal: the answer is an error, or there is none (status 503).
        """
        own = self._service_token()
        headers = {"X-Auth-Token": token or own, "X-Service-Token": own, "Content-Type": "application/json"}
        target = f"/v2.0/{path}" + (f"?{urlencode(query, doseq=True)}" if query else "")
        content = msgspec.json.encode(body) if body is not None else None
        try:
            answer = self._pool.urlopen(method, target, body=content, headers=headers, redirect=False)
        except urllib3.exceptions.HTTPError as error:
            raise Refusal(503, "ServiceUnavailable", f"The Networking API does not answer: {error}") from None
        if answer.status >= 400:
            raise _refusal(answer.status, answer.data)
        return msgspec.json.decode(answer.data) if answer.data else None

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()


def _refusal(status: int, content: bytes) -> Refusal:
    try:
        error = msgspec.json.decode(content)["NeutronError"]
        return Refusal(status, error["type"], error["message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return Refusal(status, "", content.decode(errors="replace")[:200])
