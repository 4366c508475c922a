"""Key pairs of users."""

import base64
import binascii
import hashlib
import re

import sqlalchemy as sa
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from netloom.standalone.compute import quotas
from netloom.standalone.compute.context import Asked, Compute, Routes, Row
from netloom.standalone.web import Problem, Reply
from netloom.store.database import Tx
from netloom.store.tables.compute import KEYPAIRS

RSA_BITS = 2048


def generate(kind: str = "rsa") -> tuple[str, str]:
    """A new private key in OpenSSH's (ed25519) or PEM's form (RSA), and its public key in OpenSSH's."""
    key = ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else rsa.generate_private_key(65537, RSA_BITS)
    layout = form.PrivateFormat.OpenSSH if kind == "ed25519" else form.PrivateFormat.TraditionalOpenSSL
    private = key.private_bytes(form.Encoding.PEM, layout, form.NoEncryption())
    public = key.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH)
    return private.decode(), f"{public.decode()} Generated-by-Netloom"


def fingerprint(public_key: str) -> str:
    """The fingerprint of a public key in OpenSSH's form: MD5, as Nova shows it.

    Raises:
        Problem: 400, it is no such key.
    """
    parts = public_key.split()
    try:
        blob = base64.b64decode(parts[1], validate=True)
        if parts[0].encode() not in blob:
            raise ValueError
        form.load_ssh_public_key(public_key.encode())
    except UnsupportedAlgorithm:
        pass  # a kind of key that is for the guest to know
    except (IndexError, binascii.Error, ValueError):
        raise Problem(400, "Keypair data is invalid: failed to generate fingerprint") from None
    return hashlib.md5(blob, usedforsecurity=False).digest().hex(":")


def _owner(asked: Asked) -> str:
    """Whose key pairs: one's own; an administrator may name another user from 2.10."""
    user_id = asked.call.param("user_id")
    if asked.minor < 10 or user_id in (None, asked.identity.user_id):
        return asked.identity.user_id
    asked.require_admin("os-keypairs:index")
    return str(user_id)


def _view(row: Row, asked: Asked, names: tuple[str, ...]) -> Row:
    shown = {name: row[name] for name in ("name", "public_key", "fingerprint", *names)}
    return shown | ({"type": row["type"]} if asked.minor >= 2 else {})


def list_all(compute: Compute, asked: Asked) -> Reply:
    """GET os-keypairs."""
    query = sa.select(KEYPAIRS).where(KEYPAIRS.c.user_id == _owner(asked)).order_by(KEYPAIRS.c.name)
    with compute.store.read() as tx:
        rows = tx.rows(query)
    if marker := asked.call.param("marker"):
        rows = [row for row in rows if row["name"] > marker]
    limit = asked.call.param("limit") or ""
    rows = rows[: int(limit)] if limit.isdecimal() else rows
    return Reply({"keypairs": [{"keypair": _view(row, asked, ())} for row in rows]})


def create(compute: Compute, asked: Asked) -> Reply:
    """POST os-keypairs: with a public key, or (below 2.92) without: the answer has the private key then."""
    given = asked.call.member("keypair")
    name, kind = given.get("name"), given.get("type", "ssh")
    if not isinstance(name, str) or not re.fullmatch(r"[\w\- .@]{1,255}", name, re.ASCII) or not name.strip():
        raise Problem(400, f"Keypair data is invalid: Keypair name contains unsafe characters, or none: {name}")
    if kind != "ssh":
        raise Problem(400, f"Invalid input for field/attribute type. Value: {kind}. Only 'ssh' is offered")
    private, public = None, given.get("public_key")
    if public is None:
        if asked.minor >= 92:
            raise Problem(400, "Invalid input for field/attribute keypair. 'public_key' is a required property")
        private, public = generate()
    if not isinstance(public, str):
        raise Problem(400, "Keypair data is invalid: the public key must be a text")
    user_id = str(given.get("user_id") or asked.identity.user_id) if asked.minor >= 10 else asked.identity.user_id
    if user_id != asked.identity.user_id:
        asked.require_admin("os-keypairs:create")
    row = {"user_id": user_id, "name": name, "type": kind, "public_key": public, "fingerprint": fingerprint(public)}
    with compute.store.write() as tx:
        if _find(tx, user_id, name) is not None:
            raise Problem(409, f"Key pair '{name}' already exists.")
        quotas.check_keypairs(tx, asked.project_id, user_id)
        tx.execute(sa.insert(KEYPAIRS).values(**row, created_at=tx.timestamp[:19]))
    shown = _view(row, asked, ("user_id",)) | ({"private_key": private} if private else {})
    return Reply({"keypair": shown}, 201 if asked.minor >= 2 else 200)


def _find(tx: Tx, user_id: str, name: str) -> Row | None:
    return tx.row(sa.select(KEYPAIRS).where(KEYPAIRS.c.user_id == user_id, KEYPAIRS.c.name == name))


def _missing(asked: Asked) -> Problem:
    return Problem(404, f"Keypair {asked.call.args['name']} not found for user {_owner(asked)}")


def show(compute: Compute, asked: Asked) -> Reply:
    """GET os-keypairs/NAME."""
    with compute.store.read() as tx:
        row = _find(tx, _owner(asked), asked.call.args["name"])
    if row is None:
        raise _missing(asked)
    created = f"{row['created_at']}.000000"
    more = {"id": 1, "deleted": False, "deleted_at": None, "updated_at": None, "created_at": created}
    return Reply({"keypair": _view(row, asked, ("user_id",)) | more})


def delete(compute: Compute, asked: Asked) -> Reply:
    """DELETE os-keypairs/NAME. Instances keep their copies."""
    table = KEYPAIRS.c
    with compute.store.write() as tx:
        wanted = (table.user_id == _owner(asked), table.name == asked.call.args["name"])
        if not tx.execute(sa.delete(KEYPAIRS).where(*wanted)).rowcount:
            raise _missing(asked)
    return Reply(status=204 if asked.minor >= 2 else 202)


ROUTES: Routes = (
    ("GET", "/os-keypairs", list_all),
    ("POST", "/os-keypairs", create),
    ("GET", "/os-keypairs/{name}", show),
    ("DELETE", "/os-keypairs/{name}", delete),
)
