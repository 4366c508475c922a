"""Tokens: sealed statements (Fernet) of who has signed in, for which scope, until when."""

import secrets
import time

import msgspec
import sqlalchemy as sa
from cryptography.fernet import Fernet, InvalidToken

from netloom.store.allocation import insert_new
from netloom.store.database import Store
from netloom.store.tables.identity import TOKEN_KEYS

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
    def of(cls, store: Store) -> "Sealer":
        """A sealer with the key of all servers of a database; the first one makes it."""
        with store.write() as tx:
            insert_new(tx, TOKEN_KEYS, [{"id": 1, "key": Fernet.generate_key().decode()}], "id")
            return cls(tx.execute(sa.select(TOKEN_KEYS.c.key)).scalar_one().encode())

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
