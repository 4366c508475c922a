"""The metadata tree of EC2, by the versions that Nova has."""

from typing import Any

from netloom.standalone.metadata.instance import Instance

VERSIONS = (
    "1.0", "2007-01-19", "2007-03-01", "2007-08-29", "2007-10-10", "2007-12-15", "2008-02-01", "2008-09-01",
    "2009-04-04",
)  # fmt: skip
LATEST = "latest"
Tree = dict[str, Any]
"""Names to texts, bytes, lists of texts or further trees."""


def tree(instance: Instance, version: str) -> Tree | None:
    """All that a version tells; None when there is no such version."""
    if version == LATEST:
        version = VERSIONS[-1]
    if version not in VERSIONS:
        return None
    data: Tree = {"meta-data": _meta_data(instance, version)}
    if instance.row["user_data"]:
        data["user-data"] = instance.user_data
    return data


def _meta_data(instance: Instance, version: str) -> Tree:
    row = instance.row
    since = {
        "1.0": {
            "ami-id": _ec2_id("ami", row["image_id"]),
            "ami-launch-index": str(row["launch_index"]),
            "ami-manifest-path": "FIXME",
            "hostname": instance.hostname,
            "instance-id": _ec2_id("i", row["id"]),
            "local-ipv4": next(iter(instance.addresses("fixed", 4)), ""),
            "reservation-id": row["reservation_id"],
            "security-groups": list(instance.details.groups.get(row["id"], ())),
        },
        "2007-01-19": {
            "local-hostname": instance.hostname,
            "public-hostname": instance.hostname,
            "public-ipv4": next(iter(instance.addresses("floating", 4)), ""),
        },
        "2007-08-29": {"instance-type": row["flavor"]["name"]},
        "2007-12-15": {
            "block-device-mapping": {"ami": "vda", "root": "/dev/vda"},
            "kernel-id": _ec2_id("aki", row["image_id"]),
            "ramdisk-id": _ec2_id("ari", row["image_id"]),
        },
        "2008-02-01": {"placement": {"availability-zone": row["availability_zone"]}},
        "2008-09-01": {"instance-action": "none"},
    }
    data: Tree = {}
    for first, values in since.items():
        if VERSIONS.index(version) >= VERSIONS.index(first):
            data |= values
    if row["public_key"]:
        data["public-keys"] = {"0": {"_name": f"0={row['key_name']}", "openssh-key": row["public_key"]}}
    return data


def _ec2_id(kind: str, object_id: str) -> str:
    """An id of eight hex digits, as EC2 has them."""
    return f"{kind}-{object_id.replace('-', '')[:8]}"


def lookup(data: Tree, path: list[str]) -> bytes | None:
    """What is at a path: a listing, a text, or None when nothing is there."""
    value: Any = data
    for part in path:
        if not isinstance(value, dict) or part not in value or part == "_name":
            return None
        value = value[part]
    if isinstance(value, dict):
        return "\n".join(sorted(_entry(name, inner) for name, inner in value.items() if name != "_name")).encode()
    if isinstance(value, list):
        return "\n".join(value).encode()
    return value if isinstance(value, bytes) else str(value).encode()


def _entry(name: str, value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("_name", f"{name}/"))
    return name
