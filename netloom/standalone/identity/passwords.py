"""Passwords and secrets at rest: scrypt (RFC 7914)."""

import base64
import hashlib
import hmac
import secrets

COST = {"n": 2**13, "r": 8, "p": 1, "dklen": 32}


def conceal(password: str) -> str:
    """What is stored of a password: salt and digest."""
    salt = secrets.token_bytes(16)
    return f"{base64.b64encode(salt).decode()}${base64.b64encode(_digest(password, salt)).decode()}"


def matches(password: str, concealed: str) -> bool:
    """Whether ``password`` is the one of which ``concealed`` was made."""
    salt, _, digest = concealed.partition("$")
    return hmac.compare_digest(_digest(password, base64.b64decode(salt)), base64.b64decode(digest))


def _digest(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, **COST)
