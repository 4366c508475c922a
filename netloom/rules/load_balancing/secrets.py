"""Certificates that listeners show, kept here: what a request names must be there, and be the project's."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)

from netloom.model.errors import BadRequest, Conflict, NotFound
from netloom.rules.load_balancing.changes import lb_time
from netloom.store.among import among
from netloom.store.database import Tx
from netloom.store.tables.loadbalancers import LB_SECRETS, LISTENERS, POOLS

ONE = (
    "default_tls_container_ref", "client_ca_tls_container_ref", "client_crl_container_ref",
    "tls_container_ref", "ca_tls_container_ref", "crl_container_ref",
)  # fmt: skip
"""Attributes that name one secret."""


class CertificateRetrievalException(BadRequest):
    """No such certificate."""

    message = "Could not retrieve certificate: {refs}"


class InvalidSecret(BadRequest):
    """Nothing that a listener could use."""

    message = "The payload is neither PEM nor PKCS #12 of a certificate that fits its key: {reason}."


class SecretNotFound(NotFound):
    """The project keeps no such secret."""

    message = "Secret {id} not found."


class SecretInUse(Conflict):
    """A listener or pool needs it."""

    message = "Secret {id} is in use by {user}."


def secret_id(reference: str) -> str:
    """The id in a reference: its last segment (``https://…/v1/secrets/ID``, or the id alone)."""
    return reference.rstrip("/").rpartition("/")[2]


def check_references(tx: Tx, project_id: str, *bodies: Mapping[str, Any]) -> None:
    """Refuse to refer to certificates that are not the project's, or to show one without its key; 1 statement at most.

    ``bodies`` are those of listeners and pools. Raises CertificateRetrievalException.
    """
    shown = {ref for body in bodies for ref in (body.get("default_tls_container_ref"), *_sni(body)) if ref}
    refs = shown | {body[name] for body in bodies for name in ONE if body.get(name)}
    if not refs:
        return
    table = LB_SECRETS.c
    keyed = table.payload.contains("PRIVATE KEY").label("keyed")
    mine = (table.project_id == project_id, among(tx, table.id, [*map(secret_id, refs)]))
    known = {key: bool(has) for key, has in tx.tuples(sa.select(table.id, keyed).where(*mine))}
    if unknown := sorted(ref for ref in refs if secret_id(ref) not in known):
        raise CertificateRetrievalException(refs=", ".join(unknown))
    if bare := sorted(ref for ref in shown if not known[secret_id(ref)]):
        raise CertificateRetrievalException(refs=f"{', '.join(bare)}: there is no private key")


def _sni(listener: Mapping[str, Any]) -> Sequence[str]:
    return listener.get("sni_container_refs") or ()


def create(tx: Tx, project_id: str, name: str, content: bytes) -> str:
    """Keep a certificate with its key and chain, certificates alone, or a list of revoked ones. Its id.

    ``content`` is PEM or PKCS #12 (RFC 7292) without a passphrase. Raises InvalidSecret.
    """
    key = str(uuid.uuid4())
    row = {"id": key, "project_id": project_id, "name": name, "payload": pem_of(content), "created_at": lb_time(tx)}
    tx.execute(LB_SECRETS.insert(), row)
    return key


def find(tx: Tx, project_id: str) -> list[dict[str, Any]]:
    """What a project keeps, without contents."""
    table = LB_SECRETS.c
    columns = (table.id, table.name, table.created_at)
    return tx.rows(sa.select(*columns).where(table.project_id == project_id).order_by(table.created_at, table.id))


def get(tx: Tx, project_id: str, key: str) -> dict[str, Any]:
    """One secret of a project, with its contents. Raises SecretNotFound."""
    found = tx.row(sa.select(LB_SECRETS).where(LB_SECRETS.c.id == key, LB_SECRETS.c.project_id == project_id))
    if found is None:
        raise SecretNotFound(id=key)
    return found


def delete(tx: Tx, project_id: str, key: str) -> None:
    """Forget a secret. Raises SecretNotFound, SecretInUse."""
    get(tx, project_id, key)
    table = LISTENERS.c
    named = [table[name].endswith(key) for name in ONE if name in table]
    sni = sa.cast(table.sni_container_refs, sa.Text).contains(key)
    pooled = [POOLS.c[name].endswith(key) for name in ONE if name in POOLS.c]
    used = sa.select(table.id).where(sa.or_(*named, sni)).union_all(sa.select(POOLS.c.id).where(sa.or_(*pooled)))
    if (user := tx.execute(used).scalars().first()) is not None:
        raise SecretInUse(id=key, user=user)
    tx.execute(LB_SECRETS.delete().where(LB_SECRETS.c.id == key))


def pem_of(content: bytes) -> str:
    """What a secret holds, as PEM: the key, its certificate, then the others. Raises InvalidSecret."""
    try:
        if b"-----BEGIN X509 CRL-----" in content:
            revoked: bytes = x509.load_pem_x509_crl(content).public_bytes(Encoding.PEM)
            return revoked.decode()
        key, certificates = _parts(content)
    except (ValueError, TypeError, UnsupportedAlgorithm) as reason:
        raise InvalidSecret(reason=str(reason)) from None
    if not certificates:
        raise InvalidSecret(reason="there is no certificate in it")
    chain = "".join(each.public_bytes(Encoding.PEM).decode() for each in certificates)
    if key is None:
        return chain
    if key.public_key() != certificates[0].public_key():
        raise InvalidSecret(reason="the key is not that of the first certificate")
    private: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private.decode() + chain


def _parts(content: bytes) -> tuple[Any, list[x509.Certificate]]:
    """Private key, if any, and certificates. Raises ValueError and others of the library."""
    if b"-----BEGIN" not in content:
        key, first, more = pkcs12.load_key_and_certificates(content, None)
        return key, [each for each in (first, *more) if each is not None]
    key = load_pem_private_key(content, None) if b"PRIVATE KEY-----" in content else None
    return key, x509.load_pem_x509_certificates(content)
