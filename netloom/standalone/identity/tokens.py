"""Tokens: sealed statements (Fernet) of who has signed in, for which scope, until when."""

import os
import secrets
import time
from pathlib import Path

import msgspec
from cryptography.fernet import Fernet, InvalidToken

LIFETIME = 4 * 3600.0
"""Seconds that a token is valid."""


class Claim(msgspec.Struct, frozen=True):
    """What a token says."""

    user_id: str
    scope: str
    """A project's id, ``system``, ``domain``, or empty when unscoped."""
    methods: list[str]
    issued: float
    expires: float
    audit_id: str
    credential_id: str = ""
    """The application credential that it was made with."""


class Sealer:
    """Makes and opens tokens with one key."""

    def __init__(self, key: bytes) -> None:
        """A Fernet key."""
        self._fernet = Fernet(key)

    @classmethod
    def at(cls, path: Path) -> "Sealer":
        """A sealer with the key in a file of our own; the file is made when it is not there."""
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(Fernet.generate_key())
        return cls(path.read_bytes())

    def seal(
        self, user_id: str, scope: str, methods: list[str], expires: float | None = None, credential_id: str = ""
    ) -> tuple[str, Claim]:
        """A new token and what it says; it lasts until ``expires`` (seconds since 1970) at most."""
        now = time.time()
        end = min(now + LIFETIME, expires or float("inf"))
        claim = Claim(user_id, scope, methods, now, end, secrets.token_urlsafe(16), credential_id)
        return self._fernet.encrypt(msgspec.msgpack.encode(claim)).decode().rstrip("="), claim

    def open(self, token: str) -> Claim | None:
        """What a token says, or None when it is not ours, damaged or has expired."""
        try:
            padded = token + "=" * (-len(token) % 4)
            claim = msgspec.msgpack.decode(self._fernet.decrypt(padded.encode()), type=Claim)
        except (InvalidToken, ValueError):
            return None
        return claim if claim.expires > time.time() else None
