"""Tokens validated by a Keystone (Identity API v3, ``GET /v3/auth/tokens``), with an account of our own."""

import hashlib
import threading
import time
from datetime import datetime
from typing import Any

import structlog
import urllib3

from netloom.api.authentication import Identity
from netloom.api.errors import Unauthorized
from netloom.api.http import decode_json
from netloom.model.errors import ServiceUnavailable
from netloom.settings.server import KeystoneSettings

LOG = structlog.get_logger()
CACHE_SECONDS = 300.0
"""How long an answer of Keystone is trusted at most."""
CACHE_SIZE = 10_000
TIMEOUT = urllib3.Timeout(connect=5, read=15)


class KeystoneAuthenticator:
    """Asks Keystone about tokens, and remembers its answers for a while. Safe to call from several threads."""

    def __init__(self, settings: KeystoneSettings) -> None:
        self._settings = settings
        self._url = f"{settings.auth_url.rstrip('/').removesuffix('/v3')}/v3/auth/tokens"
        self._http = urllib3.PoolManager(maxsize=16, timeout=TIMEOUT, retries=urllib3.Retry(2, status=0))
        self._lock = threading.Lock()
        self._known: dict[bytes, tuple[Identity, float]] = {}
        """Identity and end of trust (monotonic seconds) by the token's digest: tokens are not kept."""
        self._own_token: str | None = None

    def __call__(self, token: str) -> Identity:
        """The identity behind ``token``. Raises ``Unauthorized``, and ``ServiceUnavailable`` without Keystone."""
        digest = hashlib.sha256(token.encode()).digest()
        known = self._known.get(digest)
        if known is not None and time.monotonic() < known[1]:
            return known[0]
        identity, seconds = self._validate(token)
        with self._lock:
            if len(self._known) >= CACHE_SIZE:
                self._forget()
            self._known[digest] = (identity, time.monotonic() + min(seconds, CACHE_SECONDS))
        return identity

    def _forget(self) -> None:
        """Make room: drop what has expired, then the oldest half."""
        now = time.monotonic()
        self._known = {key: entry for key, entry in self._known.items() if entry[1] > now}
        for key in list(self._known)[: max(0, len(self._known) - CACHE_SIZE // 2)]:
            del self._known[key]

    def _validate(self, token: str) -> tuple[Identity, float]:
        """What Keystone says of a token, and for how many seconds it is valid."""
        if not token.isascii() or not token.isprintable():
            raise Unauthorized
        answer = self._ask(token, self._own_token or self._log_in())
        if answer.status == 401:
            answer = self._ask(token, self._log_in())
        if answer.status == 404:
            raise Unauthorized
        if answer.status != 200:
            LOG.error("Keystone did not validate a token", status=answer.status)
            raise ServiceUnavailable("The identity service cannot be asked at the moment; try again.")
        described = decode_json(answer.data)["token"]
        seconds = _seconds_until(described["expires_at"])
        if seconds <= 0:
            raise Unauthorized
        return identity_of(described), seconds

    def _ask(self, token: str, own: str) -> urllib3.BaseHTTPResponse:
        return self._request("GET", {"X-Auth-Token": own, "X-Subject-Token": token})

    def _log_in(self) -> str:
        """A token of our own."""
        settings = self._settings
        user = {
            "name": settings.username,
            "password": settings.password,
            "domain": dict(settings.user_domain),
        }
        project = {"name": settings.project_name, "domain": dict(settings.project_domain)}
        identity = {"methods": ["password"], "password": {"user": user}}
        answer = self._request("POST", {}, {"auth": {"identity": identity, "scope": {"project": project}}})
        if answer.status != 201:
            LOG.error("Keystone refused our own account", user=settings.username, status=answer.status)
            raise ServiceUnavailable("The identity service cannot be asked at the moment; try again.")
        self._own_token = str(answer.headers["X-Subject-Token"])
        return self._own_token

    def _request(self, method: str, headers: dict[str, str], body: Any = None) -> urllib3.BaseHTTPResponse:
        try:
            return self._http.request(method, self._url, headers={"Accept": "application/json"} | headers, json=body)
        except urllib3.exceptions.HTTPError as error:
            LOG.error("Keystone not reached", url=self._url, reason=str(error))
            raise ServiceUnavailable("The identity service cannot be reached at the moment; try again.") from None


def identity_of(token: dict[str, Any]) -> Identity:
    """The identity that a token's description (Identity API v3, ``token``) stands for."""
    user, project = token["user"], token.get("project", {})
    return Identity(
        user_id=user["id"],
        user_name=user.get("name", ""),
        user_domain_id=user.get("domain", {}).get("id", ""),
        project_id=project.get("id", ""),
        project_name=project.get("name", ""),
        project_domain_id=project.get("domain", {}).get("id", ""),
        domain_id=token.get("domain", {}).get("id", ""),
        system_scope="all" if token.get("system", {}).get("all") else "",
        roles=frozenset(role["name"] for role in token.get("roles", [])),
    )


def _seconds_until(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp() - time.time()
