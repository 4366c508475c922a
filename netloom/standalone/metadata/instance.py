"""What an instance may know of itself."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from netloom.standalone.compute import views
from netloom.standalone.compute.views import Details
from netloom.standalone.image.directory import login_user
from netloom.store.among import among
from netloom.store.database import Tx
from netloom.store.tables.compute import SERVER_NICS, SERVERS
from netloom.store.tables.network import SUBNETS

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance with its network."""

    row: Row
    details: Details
    mtus: Mapping[str, int]
    """By port."""
    subnets: Mapping[str, Row]
    login_user: str
    domain: str
    """Of host names; empty: none."""

    @property
    def hostname(self) -> str:
        """The full host name."""
        return f"{self.row['hostname']}.{self.domain}" if self.domain else str(self.row["hostname"])

    @property
    def nics(self) -> Sequence[Row]:
        """As ``compute.views.details`` has them."""
        return self.details.nics.get(self.row["id"], ())

    def addresses(self, kind: str, version: int) -> list[str]:
        """Addresses: ``fixed`` or ``floating``, of an IP version."""
        entries = [entry for found in views.addresses(self.nics).values() for entry in found]
        return [entry["addr"] for entry in entries if (entry["OS-EXT-IPS:type"], entry["version"]) == (kind, version)]

    @property
    def user_data(self) -> bytes:
        """As the user gave it."""
        return base64.b64decode(self.row["user_data"] or "")


def load(tx: Tx, server_id: str, project_id: str, domain: str) -> Instance | None:
    """The instance of a project, or None; 8 statements."""
    row = tx.row(sa.select(SERVERS).where(SERVERS.c.id == server_id, SERVERS.c.project_id == project_id))
    if row is None:
        return None
    details = views.details(tx, [server_id])
    cards = sa.select(SERVER_NICS.c.port_id, SERVER_NICS.c.mtu).where(SERVER_NICS.c.server_id == server_id)
    ids = [entry["subnet_id"] for nic in details.nics.get(server_id, ()) for entry in nic["fixed"]]
    subnets = tx.rows(sa.select(SUBNETS).where(among(tx, SUBNETS.c.id, ids)))
    return Instance(
        row=row,
        details=details,
        mtus=dict(tx.tuples(cards)),
        subnets={subnet["id"]: subnet for subnet in subnets},
        login_user=login_user(tx, row["image_id"]),
        domain=domain,
    )
