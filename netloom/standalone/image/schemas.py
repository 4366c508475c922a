"""The JSON schemas that clients of the image API ask for."""

from typing import Any

TEXT: dict[str, Any] = {"type": ["null", "string"]}
NUMBER: dict[str, Any] = {"type": ["null", "integer"]}
FORMATS = {
    "container_format": ["ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed"],
    "disk_format": ["ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop"],
}
VISIBILITIES = ["public", "private", "shared", "community"]
PROPERTIES: dict[str, Any] = {
    "id": {"type": "string"},
    "name": TEXT,
    "status": {"type": "string", "readOnly": True, "enum": ["queued", "saving", "active", "killed", "deleted"]},
    "visibility": {"type": "string", "enum": VISIBILITIES},
    "protected": {"type": "boolean"},
    "os_hidden": {"type": "boolean"},
    "checksum": {**TEXT, "readOnly": True},
    "os_hash_algo": {**TEXT, "readOnly": True},
    "os_hash_value": {**TEXT, "readOnly": True},
    "owner": TEXT,
    "size": {**NUMBER, "readOnly": True},
    "virtual_size": {**NUMBER, "readOnly": True},
    **{name: {"type": ["null", "string"], "enum": [None, *values]} for name, values in FORMATS.items()},
    "created_at": {"type": "string", "readOnly": True},
    "updated_at": {"type": "string", "readOnly": True},
    "tags": {"type": "array", "items": {"type": "string", "maxLength": 255}},
    "self": {"type": "string", "readOnly": True},
    "file": {"type": "string", "readOnly": True},
    "schema": {"type": "string", "readOnly": True},
    "min_ram": {"type": "integer"},
    "min_disk": {"type": "integer"},
    "locations": {"type": "array", "items": {"type": "object"}},
}
IMAGE: dict[str, Any] = {
    "name": "image",
    "properties": PROPERTIES,
    "additionalProperties": {"type": "string"},
    "links": [
        {"rel": "self", "href": "{self}"},
        {"rel": "enclosure", "href": "{file}"},
        {"rel": "describedby", "href": "{schema}"},
    ],
}
IMAGES: dict[str, Any] = {
    "name": "images",
    "properties": {
        "images": {"type": "array", "items": IMAGE},
        "schema": {"type": "string"},
        "first": {"type": "string"},
        "next": {"type": "string"},
    },
    "links": [
        {"rel": "first", "href": "{first}"},
        {"rel": "next", "href": "{next}"},
        {"rel": "describedby", "href": "{schema}"},
    ],
}
