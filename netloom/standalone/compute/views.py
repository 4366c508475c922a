"""How compute shows instances."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from netloom.standalone.compute.context import ROOT, Asked, Row
from netloom.store.among import among
from netloom.store.database import Tx
from netloom.store.tables.compute import SERVER_NICS
from netloom.store.tables.network import (
    FLOATINGIPS,
    IP_ALLOCATIONS,
    NETWORKS,
    PORT_SECURITY_GROUPS,
    PORTS,
    SECURITY_GROUPS,
)

STATUS = {
    "building": "BUILD", "active": "ACTIVE", "stopped": "SHUTOFF", "resized": "VERIFY_RESIZE", "error": "ERROR",
    "deleted": "DELETED",
}  # fmt: skip
RESHAPING = {"rebuilding": "REBUILD", "resize_finish": "RESIZE", "resize_reverting": "REVERT_RESIZE"}
UNDER_WAY = RESHAPING | {"rebooting": "REBOOT", "rebooting_hard": "HARD_REBOOT"}
"""What is shown of an active instance while something is under way."""

EXTENDED = (
    "OS-EXT-", "OS-SRV-USG:", "os-extended-volumes:", "config_drive", "host_status", "key_name", "security_groups",
)  # fmt: skip
"""What names begin with that extensions of the API added to instances and addresses."""


@dataclass(frozen=True, slots=True)
class Details:
    """What the network knows of instances, by their ids."""

    nics: Mapping[str, Sequence[Row]]
    """Of each: port_id, network_id, network_name, mac, status, fixed (subnet_id, ip_address) and floating."""
    groups: Mapping[str, Sequence[str]]
    """Names of security groups."""


def details(tx: Tx, server_ids: Sequence[str]) -> Details:
    """What is known of these instances; 4 statements."""
    table = SERVER_NICS.c
    ours = among(tx, table.server_id, server_ids)
    fixed: dict[str, list[Row]] = defaultdict(list)
    allocations = sa.select(IP_ALLOCATIONS).join(SERVER_NICS, table.port_id == IP_ALLOCATIONS.c.port_id).where(ours)
    for row in tx.rows(allocations.order_by(IP_ALLOCATIONS.c.position)):
        fixed[row["port_id"]].append({"subnet_id": row["subnet_id"], "ip_address": row["ip_address"]})
    floating: dict[str, list[str]] = defaultdict(list)
    addresses = sa.select(FLOATINGIPS.c.port_id, FLOATINGIPS.c.floating_ip_address)
    for port_id, address in tx.tuples(addresses.join(SERVER_NICS, table.port_id == FLOATINGIPS.c.port_id).where(ours)):
        floating[port_id].append(address)
    groups: dict[str, list[str]] = defaultdict(list)
    memberships = (
        sa.select(table.server_id, SECURITY_GROUPS.c.name)
        .join(PORT_SECURITY_GROUPS, PORT_SECURITY_GROUPS.c.port_id == table.port_id)
        .join(SECURITY_GROUPS, SECURITY_GROUPS.c.id == PORT_SECURITY_GROUPS.c.security_group_id)
        .where(ours)
        .distinct()
        .order_by(SECURITY_GROUPS.c.name)
    )
    for server_id, name in tx.tuples(memberships):
        groups[server_id].append(name)
    nics: dict[str, list[Row]] = defaultdict(list)
    columns = (
        table.server_id, table.port_id, table.tag, table.network_id, NETWORKS.c.name.label("network_name"),
        PORTS.c.mac_address.label("mac"), PORTS.c.status,
    )  # fmt: skip
    ports = sa.select(*columns).join(PORTS, PORTS.c.id == table.port_id)
    ports = ports.join(NETWORKS, NETWORKS.c.id == table.network_id)
    for row in tx.rows(ports.where(ours).order_by(table.position, table.port_id)):
        port_id = row["port_id"]
        nics[row["server_id"]].append(row | {"fixed": fixed[port_id], "floating": sorted(floating[port_id])})
    return Details(nics, groups)


def status(row: Row) -> str:
    """The one word that clients show."""
    tasks = UNDER_WAY if row["vm_state"] == "active" else RESHAPING
    return tasks.get(row["task_state"], STATUS[row["vm_state"]])


def brief(row: Row, asked: Asked) -> Row:
    """An instance in a list without details."""
    return {"id": row["id"], "name": row["name"], "links": links(row["id"], asked)}


def links(server_id: str, asked: Asked) -> list[Row]:
    """Links to an instance."""
    return [
        {"rel": "self", "href": f"{asked.root}/servers/{server_id}"},
        {"rel": "bookmark", "href": f"{asked.call.base}{ROOT}/servers/{server_id}"},
    ]


def addresses(nics: Sequence[Row]) -> dict[str, list[Row]]:
    """Addresses by the names of networks; fixed ones before floating ones."""
    fixed: dict[str, list[Row]] = {}
    floating: dict[str, list[Row]] = defaultdict(list)
    for nic in nics:
        name = nic["network_name"]
        fixed.setdefault(name, []).extend(_address(nic, entry["ip_address"], "fixed") for entry in nic["fixed"])
        floating[name] += [_address(nic, address, "floating") for address in nic["floating"]]
    return {name: found + floating[name] for name, found in fixed.items() if found or floating[name]}


def _address(nic: Row, address: str, kind: str) -> Row:
    return {
        "version": 6 if ":" in address else 4,
        "addr": address,
        "OS-EXT-IPS:type": kind,
        "OS-EXT-IPS-MAC:mac_addr": nic["mac"],
    }


def server(row: Row, asked: Asked, known: Details) -> Row:
    """An instance with all that the caller and the microversion may see."""
    name = status(row)
    shown: Row = {
        "id": row["id"],
        "name": row["name"],
        "status": name,
        "tenant_id": row["project_id"],
        "user_id": row["user_id"],
        "metadata": row["metadata"],
        "hostId": host_id(row),
        "image": {"id": row["image_id"], "links": [_bookmark(asked, "images", row["image_id"])]},
        "flavor": _flavor(row["flavor"], asked),
        "created": f"{row['created_at'][:19]}Z",
        "updated": f"{row['updated_at'][:19]}Z",
        "addresses": addresses(known.nics.get(row["id"], ())),
        "accessIPv4": row["access_ip_v4"] or "",
        "accessIPv6": row["access_ip_v6"] or "",
        "links": links(row["id"], asked),
        "OS-DCF:diskConfig": row["disk_config"],
        "OS-EXT-AZ:availability_zone": row["availability_zone"],
        "config_drive": row["config_drive"],
        "key_name": row["key_name"],
        "OS-SRV-USG:launched_at": row["launched_at"],
        "OS-SRV-USG:terminated_at": None,
        "OS-EXT-STS:task_state": row["task_state"],
        "OS-EXT-STS:vm_state": row["vm_state"],
        "OS-EXT-STS:power_state": row["power_state"],
        "os-extended-volumes:volumes_attached": [],
    }
    if name in ("BUILD", "ACTIVE", "REBOOT"):
        shown["progress"] = 0
    if groups := known.groups.get(row["id"]) or (row["vm_state"] == "building" and row["security_groups"]):
        shown["security_groups"] = [{"name": group} for group in groups]
    if row["fault"] and name == "ERROR":
        shown["fault"] = {key: value for key, value in row["fault"].items() if key != "details" or asked.is_admin}
    return shown | _newer(row, asked) | (_for_admins(row, asked) if asked.is_admin else {})


def changed(row: Row, asked: Asked, known: Details) -> Row:
    """An instance as the answer to a change of it shows it: before microversion 2.75 without what extensions added."""
    shown = server(row, asked, known)
    if asked.minor >= 75:
        return shown
    for address in (entry for entries in shown["addresses"].values() for entry in entries):
        for name in [name for name in address if name.startswith(EXTENDED)]:
            del address[name]
    return {name: value for name, value in shown.items() if not name.startswith(EXTENDED)}


def rebuilt(row: Row, asked: Asked, known: Details) -> Row:
    """An instance as the answer to its rebuild shows it: with what a rebuild may change."""
    added = {name: row[name] for minor, name in ((54, "key_name"), (57, "user_data")) if asked.minor >= minor}
    shown = changed(row, asked, known)
    shown.pop("OS-EXT-SRV-ATTR:user_data", None)
    return shown | added


def _newer(row: Row, asked: Asked) -> Row:
    """What microversions have added for everybody."""
    added: list[tuple[int, str, Any]] = [
        (9, "locked", row["locked_reason"] is not None),
        (19, "description", row["description"]),
        (26, "tags", row["tags"]),
        (63, "trusted_image_certificates", None),
        (71, "server_groups", []),
        (73, "locked_reason", row["locked_reason"] or None),
        (90, "OS-EXT-SRV-ATTR:hostname", row["hostname"]),
    ]
    return {name: value for minor, name, value in added if asked.minor >= minor}


def _for_admins(row: Row, asked: Asked) -> Row:
    added: list[tuple[int, str, Any]] = [
        (1, "OS-EXT-SRV-ATTR:host", row["host"]),
        (1, "OS-EXT-SRV-ATTR:hypervisor_hostname", row["host"]),
        (1, "OS-EXT-SRV-ATTR:instance_name", f"instance-{row['id'][:8]}"),
        (3, "OS-EXT-SRV-ATTR:hostname", row["hostname"]),
        (3, "OS-EXT-SRV-ATTR:reservation_id", row["reservation_id"]),
        (3, "OS-EXT-SRV-ATTR:launch_index", row["launch_index"]),
        (3, "OS-EXT-SRV-ATTR:kernel_id", ""),
        (3, "OS-EXT-SRV-ATTR:ramdisk_id", ""),
        (3, "OS-EXT-SRV-ATTR:root_device_name", "/dev/vda"),
        (3, "OS-EXT-SRV-ATTR:user_data", row["user_data"]),
        (16, "host_status", "UP" if row["host"] else ""),
    ]
    return {name: value for minor, name, value in added if asked.minor >= minor}


def host_id(row: Row) -> str:
    """Tells a project which of its instances share a host, and nobody which host it is."""
    return hashlib.sha224((row["project_id"] + row["host"]).encode()).hexdigest() if row["host"] else ""


def _flavor(flavor: Row, asked: Asked) -> Row:
    if asked.minor < 47:
        return {"id": flavor["id"], "links": [_bookmark(asked, "flavors", flavor["id"])]}
    shown = {key: flavor[key] for key in ("vcpus", "ram", "disk", "ephemeral", "swap", "extra_specs")}
    return shown | {"original_name": flavor["name"]}


def _bookmark(asked: Asked, kind: str, object_id: str) -> Row:
    return {"rel": "bookmark", "href": f"{asked.call.base}{ROOT}/{kind}/{object_id}"}
