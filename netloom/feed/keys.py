"""Keys of hosts: each agent has its own and is shown its own slice only."""

import hashlib
import hmac
import secrets

import sqlalchemy as sa

from netloom.store.database import Tx
from netloom.store.tables.feed import HOSTS


def digest(key: str) -> str:
    """What is stored of a key. Keys are 256 random bits, so a plain digest withstands guessing."""
    return hashlib.sha256(key.encode()).hexdigest()


def issue(tx: Tx, host: str) -> str:
    """Give ``host`` a new key, which replaces any older one, and return it; it is not kept."""
    key = secrets.token_urlsafe(32)
    tx.execute(sa.delete(HOSTS).where(HOSTS.c.name == host))
    tx.execute(sa.insert(HOSTS).values(name=host, key_digest=digest(key)))
    return key


def verify(tx: Tx, host: str, key: str) -> bool:
    """Whether ``key`` is the present key of ``host``."""
    known = tx.row(sa.select(HOSTS.c.key_digest).where(HOSTS.c.name == host))
    return known is not None and hmac.compare_digest(known["key_digest"], digest(key))
