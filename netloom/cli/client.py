"""A small client of our own API, for the commands that set up and look."""

from pathlib import Path
from typing import Any

import msgspec
import urllib3
import yaml

from netloom.cli.terminal import Trouble


class Client:
    """Signed in with one of the clouds of a clouds.yaml."""

    def __init__(self, clouds: Path, cloud: str) -> None:
        """Sign in.

        Raises:
            Trouble: the file is not there, or nobody answers.
        """
        try:
            self.auth: dict[str, str] = yaml.safe_load(clouds.read_text())["clouds"][cloud]["auth"]
        except FileNotFoundError:
            raise Trouble(f"there is no cloud here ({clouds} is missing); start one with: netloom up") from None
        self._pool = urllib3.PoolManager(timeout=urllib3.Timeout(connect=2, read=30), retries=False)
        self._base = self.auth["auth_url"].removesuffix("/identity/v3")
        self._headers: dict[str, str] = {}
        self._sign_in()

    def _sign_in(self) -> None:
        domain = {"name": "Default"}
        user = {"name": self.auth["username"], "password": self.auth["password"], "domain": domain}
        scope = {"project": {"name": self.auth["project_name"], "domain": domain}}
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
        status, headers, answer = self._send("POST", "/identity/v3/auth/tokens", body)
        if status != 201:
            raise Trouble(f"cannot sign in as {self.auth['username']}: {answer}")
        self._headers = {"X-Auth-Token": headers["X-Subject-Token"]}
        self.project_id: str = answer["token"]["project"]["id"]
        self.services = {str(entry["type"]): self._place(entry) for entry in answer["token"]["catalog"]}
        """Where services are, below the root of the server, by their types."""

    def _place(self, entry: dict[str, Any]) -> str:
        """The public endpoint of an entry of the catalog."""
        urls = [str(one["url"]) for one in entry["endpoints"] if one["interface"] == "public"]
        return urls[0].removeprefix(self._base).rstrip("/") if urls else ""

    def get(self, path: str) -> Any:
        """The body of an answer to GET.

        Raises:
            Trouble: it was not 200.
        """
        return self._expect(200, "GET", path, None)

    def post(self, path: str, body: Any) -> Any:
        """The body of an answer to POST.

        Raises:
            Trouble: it was not 201 or 202.
        """
        return self._expect(201, "POST", path, body)

    def _expect(self, expected: int, method: str, path: str, body: Any) -> Any:
        status, _, answer = self._send(method, path, body)
        if status not in (expected, 202):
            raise Trouble(f"{method} {path} answers {status}: {answer}")
        return answer

    def _send(self, method: str, path: str, body: Any) -> tuple[int, Any, Any]:
        content = msgspec.json.encode(body) if body is not None else None
        try:
            answer = self._pool.request(method, self._base + path, body=content, headers=self._headers)
        except urllib3.exceptions.HTTPError as error:
            raise Trouble(f"the server does not answer at {self._base} ({error}); see: netloom status") from None
        data = answer.data
        return answer.status, answer.headers, msgspec.json.decode(data) if data[:1] in (b"{", b"[") else data.decode()
