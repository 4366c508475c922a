"""A small client of a lab's API, asked from inside the network of one of its servers."""

from typing import Any

import msgspec
import urllib3
import yaml

from netloom.lab.configuration import DIRECTORY, PORT
from netloom.lab.machine import Machine


class Unanswered(Exception):
    """The API did not answer, or not as it should."""


class Api:
    """Signed in as admin when first asked."""

    def __init__(self, machine: Machine) -> None:
        """``machine`` runs a server."""
        self._machine = machine
        self._pool = urllib3.PoolManager(timeout=urllib3.Timeout(connect=2, read=30), retries=False)
        self._headers: dict[str, str] = {}
        self.project_id = ""

    def get(self, path: str) -> Any:
        """The body of an answer to GET.

        Raises:
            Unanswered: there is none, or it is not 200.
        """
        if not self._headers:
            self._sign_in()
        return self._send("GET", path, None, 200)[1]

    def _sign_in(self) -> None:
        clouds = yaml.safe_load(self._machine.place(f"{DIRECTORY}/clouds.yaml").read_text())
        auth = clouds["clouds"]["netloom-admin"]["auth"]
        domain = {"name": "Default"}
        user = {"name": auth["username"], "password": auth["password"], "domain": domain}
        scope = {"project": {"name": auth["project_name"], "domain": domain}}
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
        headers, answer = self._send("POST", "/identity/v3/auth/tokens", body, 201)
        self._headers = {"X-Auth-Token": headers["X-Subject-Token"]}
        self.project_id = answer["token"]["project"]["id"]

    def _send(self, method: str, path: str, body: Any, expected: int) -> tuple[Any, Any]:
        content = None if body is None else msgspec.json.encode(body)
        try:
            with self._machine.network():
                answer = self._pool.request(
                    method, f"http://127.0.0.1:{PORT}{path}", body=content, headers=self._headers
                )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Unanswered(f"{method} {path}: {error}") from error
        if answer.status != expected:
            raise Unanswered(f"{method} {path}: {answer.status} {answer.data[:300].decode(errors='replace')}")
        return answer.headers, msgspec.json.decode(answer.data)
