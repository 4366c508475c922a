"""How images are shown, and which values their attributes may have."""

from collections.abc import Callable, Mapping
from typing import Any

from netloom.standalone.image.schemas import FORMATS, VISIBILITIES


def _text(value: Any) -> bool:
    return value is None or (isinstance(value, str) and len(value) <= 255)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def _truth(value: Any) -> bool:
    return isinstance(value, bool)


def _tags(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(tag, str) and len(tag) <= 255 for tag in value)


def _format(name: str) -> Callable[[Any], bool]:
    return lambda value: value is None or value in FORMATS[name]


COLUMNS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "name": ("name", _text),
    "owner": ("owner", _text),
    "visibility": ("visibility", lambda value: value in VISIBILITIES),
    "disk_format": ("disk_format", _format("disk_format")),
    "container_format": ("container_format", _format("container_format")),
    "min_disk": ("min_disk", _whole),
    "min_ram": ("min_ram", _whole),
    "protected": ("protected", _truth),
    "os_hidden": ("hidden", _truth),
    "tags": ("tags", _tags),
}
"""Attributes that users may set: their columns, and what they may be."""


def image(row: Mapping[str, Any]) -> dict[str, Any]:
    """An image."""
    own = f"/v2/images/{row['id']}"
    shown = {
        "id": row["id"],
        "status": row["status"],
        **{name: row[column] for name, (column, _) in COLUMNS.items()},
        "size": row["size"],
        "virtual_size": None,
        "checksum": row["checksum"],
        "os_hash_algo": "sha512" if row["os_hash_value"] else None,
        "os_hash_value": row["os_hash_value"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
        "self": own,
        "file": f"{own}/file",
        "schema": "/v2/schemas/image",
    }
    return {**row["properties"], **shown}
