"""Validation of tokens for the other services of the same process."""

import threading
import time

from netloom.api.authentication import Identity
from netloom.api.errors import Unauthorized
from netloom.standalone.identity import directory
from netloom.standalone.identity.directory import DOMAIN, SYSTEM
from netloom.standalone.identity.tokens import Sealer
from netloom.store.database import Store

FRESH = 5.0
"""Seconds that a validated token is believed: another server may have revoked it."""


class EmbeddedAuthenticator:
    """Checks tokens of the embedded identity; callable from several threads at once."""

    def __init__(self, store: Store, sealer: Sealer) -> None:
        """With the identity's database and key."""
        self._store, self._sealer = store, sealer
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, Identity]] = {}

    def forget(self) -> None:
        """Drop what is known: users, roles or tokens have changed."""
        with self._lock:
            self._known.clear()

    def __call__(self, token: str) -> Identity:
        """The identity behind ``token``.

        Raises:
            Unauthorized: it is not valid (any more).
        """
        now = time.monotonic()
        with self._lock:
            until, identity = self._known.get(token, (0.0, None))
        if identity is not None and now < until:
            return identity
        identity = self._validate(token)
        with self._lock:
            if len(self._known) > 10_000:
                self._known.clear()
            self._known[token] = (now + FRESH, identity)
        return identity

    def _validate(self, token: str) -> Identity:
        claim = self._sealer.open(token)
        if claim is None:
            raise Unauthorized
        with self._store.read() as tx:
            holder = directory.holder(tx, claim)
        if holder is None:
            raise Unauthorized
        project = holder.project
        return Identity(
            user_id=holder.user["id"],
            user_name=holder.user["name"],
            user_domain_id=DOMAIN["id"],
            project_id=project["id"] if project else "",
            project_name=project["name"] if project else "",
            project_domain_id=DOMAIN["id"] if project else "",
            domain_id=DOMAIN["id"] if holder.scope == "domain" else "",
            system_scope="all" if holder.scope == SYSTEM else "",
            roles=frozenset(role["name"] for role in holder.roles),
        )
