"""Certificates that listeners show, kept here: what a request names must be there, and be the project's."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from netloom.model.errors import BadRequest
from netloom.store.among import among
from netloom.store.database import Tx
from netloom.store.tables.loadbalancers import LB_SECRETS

ONE = (
    "default_tls_container_ref", "client_ca_tls_container_ref", "client_crl_container_ref",
    "tls_container_ref", "ca_tls_container_ref", "crl_container_ref",
)  # fmt: skip
"""Attributes that name one secret."""


class CertificateRetrievalException(BadRequest):
    """No such certificate."""

    message = "Could not retrieve certificate: {refs}"


def secret_id(reference: str) -> str:
    """The id in a reference: its last segment (``https://…/v1/secrets/ID``, or the id alone)."""
    return reference.rstrip("/").rpartition("/")[2]


def check_references(tx: Tx, project_id: str, body: Mapping[str, Any]) -> None:
    """Refuse to refer to certificates that are not the project's. Raises CertificateRetrievalException."""
    refs = [body[name] for name in ONE if body.get(name)] + list(body.get("sni_container_refs") or ())
    if not refs:
        return
    table = LB_SECRETS.c
    held = sa.select(table.id).where(table.project_id == project_id, among(tx, table.id, [*map(secret_id, refs)]))
    known = {key for (key,) in tx.tuples(held)}
    if unknown := sorted(ref for ref in refs if secret_id(ref) not in known):
        raise CertificateRetrievalException(refs=", ".join(unknown))
