"""Which images there are, and who may see them."""

import uuid
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from netloom.api.authentication import Identity
from netloom.standalone.image.files import save
from netloom.store.database import Tx
from netloom.store.tables.images import IMAGES

Row = dict[str, Any]
GUEST = "cirros"
"""Name of the image that is there from the start."""
GUEST_FILE = b"Every image of this cloud boots the built-in guest.\n"
LOGIN_USER = "os_admin_user"
"""Property that names the user whom the guest lets in."""


def may_see(identity: Identity) -> sa.ColumnElement[bool]:
    """Which images somebody may use, if they know them."""
    if "admin" in identity.roles:
        return sa.true()
    return (IMAGES.c.owner == identity.project_id) | IMAGES.c.visibility.in_(("public", "community"))


def visible_image(tx: Tx, identity: Identity, image_id: str) -> Row | None:
    """An image by its id, if the caller may see it."""
    return tx.row(sa.select(IMAGES).where(IMAGES.c.id == image_id, may_see(identity)))


def login_user(tx: Tx, image_id: str) -> str:
    """The user whom an instance of the image lets in."""
    row = tx.row(sa.select(IMAGES.c.properties).where(IMAGES.c.id == image_id))
    return str((row["properties"] if row else {}).get(LOGIN_USER) or GUEST)


def ensure_guest_image(tx: Tx, directory: Path, project_id: str) -> None:
    """Register the built-in guest in a cloud without images. ``directory`` holds the images' files.

    Raises:
        OSError: the file cannot be written.
    """
    if tx.row(sa.select(IMAGES.c.id).limit(1)) is not None:
        return
    image_id = str(uuid.uuid4())
    written = save(directory, image_id, iter((GUEST_FILE,)))
    tx.execute(
        sa.insert(IMAGES).values(
            id=image_id,
            name=GUEST,
            owner=project_id,
            visibility="public",
            status="active",
            disk_format="raw",
            container_format="bare",
            size=written.size,
            checksum=written.md5,
            os_hash_value=written.sha512,
            properties={LOGIN_USER: GUEST},
            created_at=tx.timestamp,
            updated_at=tx.timestamp,
        )
    )
