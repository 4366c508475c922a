"""Making instances: from a request to rows, ports and a host."""

import base64
import secrets
import string
import time
import uuid
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from netloom.standalone.compute import hypervisors, placement, plugging, quotas, views
from netloom.standalone.compute.context import Asked, Compute, Row
from netloom.standalone.compute.flavors import find_flavor
from netloom.standalone.compute.networking import Refusal
from netloom.standalone.compute.wishes import Wish, hostname_of, parse
from netloom.standalone.image.directory import visible_image
from netloom.standalone.web import Problem, Reply
from netloom.store.database import Tx
from netloom.store.tables.compute import KEYPAIRS, SERVER_ACTIONS, SERVERS

NO_HOST = "No valid host was found. There are not enough hosts available."
PASSWORD_LETTERS = string.ascii_letters + string.digits


def create(compute: Compute, asked: Asked) -> Reply:
    """POST servers."""
    wish = parse(asked)
    with compute.store.read() as tx:
        flavor = _flavor(tx, asked, wish)
        kind = hypervisors.chosen(fitting_image(tx, asked, wish.image_id, flavor), flavor)
        key = _key(tx, asked, wish)
        placement.check_zone(tx, wish.zone, wish.host)
    wanted = plugging.resolve(compute.networking, asked, wish.networks)
    groups = plugging.resolve_groups(compute.networking, asked, wish.security_groups)
    with compute.store.write() as tx:
        count = quotas.check_room(tx, asked.project_id, flavor, wish.least, wish.most)
        hosts = placement.place(tx, compute.settings, flavor, wish.zone, wish.host, count)
        rows = [row | {"hypervisor_type": kind} for row in _rows(tx, asked, wish, flavor, key, hosts)]
        tx.execute(sa.insert(SERVERS), rows)
        note_action(tx, asked, [row["id"] for row in rows], "create")
    _plug(compute, asked, [row for row in rows if row["host"]], wanted, groups)
    return _answer(asked, wish, rows[0])


def _flavor(tx: Tx, asked: Asked, wish: Wish) -> Row:
    flavor = find_flavor(tx, asked, wish.flavor_id)
    if flavor is None:
        raise Problem(400, f"Flavor {wish.flavor_id} could not be found.")
    return flavor


def fitting_image(tx: Tx, asked: Asked, image_id: str, flavor: Row) -> Row:
    """An image that the caller may use with a flavor.

    Raises:
        Problem: 400.
    """
    image = visible_image(tx, asked.identity, image_id)
    if image is None:
        raise Problem(400, f"Can not find requested image {image_id}")
    if image["status"] != "active":
        raise Problem(400, f"Image {image_id} is not active.")
    if image["min_ram"] > flavor["ram"]:
        raise Problem(400, "Flavor's memory is too small for requested image.")
    if flavor["disk"] and image["min_disk"] > flavor["disk"]:
        raise Problem(400, "Flavor's disk is too small for requested image.")
    return image


def _key(tx: Tx, asked: Asked, wish: Wish) -> Row:
    if wish.key_name is None:
        return {"name": None, "type": None, "public_key": None}
    table = KEYPAIRS.c
    key = tx.row(sa.select(KEYPAIRS).where(table.user_id == asked.identity.user_id, table.name == wish.key_name))
    if key is None:
        raise Problem(400, "Invalid key_name provided.")
    return key


def moment(tx: Tx) -> str:
    """The time of a transaction as servers' rows hold it."""
    return tx.now.strftime("%Y-%m-%dT%H:%M:%S.%f")


def _rows(tx: Tx, asked: Asked, wish: Wish, flavor: Row, key: Row, hosts: Sequence[Row | None]) -> list[Row]:
    now, reservation = moment(tx), "r-" + secrets.token_hex(4)
    common: Row = {
        "description": wish.description,
        "project_id": asked.project_id,
        "user_id": asked.identity.user_id,
        "image_id": wish.image_id,
        "flavor": flavor,
        "memory_mb": flavor["ram"],
        "vcpus": flavor["vcpus"],
        "disk_gb": flavor["disk"],
        "key_name": key["name"],
        "key_type": key["type"],
        "public_key": key["public_key"],
        "user_data": wish.user_data,
        "metadata": wish.metadata,
        "tags": sorted(wish.tags),
        "security_groups": list(wish.security_groups) or ["default"],
        "config_drive": wish.config_drive,
        "disk_config": wish.disk_config,
        "access_ip_v4": wish.access.get("access_ip_v4"),
        "access_ip_v6": wish.access.get("access_ip_v6"),
        "reservation_id": reservation,
        "created_at": now,
        "updated_at": now,
        "task_since": time.time(),
    }
    rows = []
    for index, host in enumerate(hosts):
        server_id = str(uuid.uuid4())
        name = wish.name if len(hosts) == 1 else f"{wish.name}-{index + 1}"
        identity = {"id": server_id, "name": name, "launch_index": index}
        hostname = wish.hostname if wish.hostname and len(hosts) == 1 else hostname_of(name, server_id)
        rows.append(common | identity | {"hostname": hostname} | _placed(host, wish, now))
    return rows


def _placed(host: Row | None, wish: Wish, now: str) -> Row:
    if host is None:
        state: Row = {"vm_state": "error", "task_state": None, "fault": fault_of(NO_HOST, now)}
        return state | {"host": None, "availability_zone": wish.zone}
    state = {"vm_state": "building", "task_state": "scheduling", "fault": None}
    return state | {"host": host["host"], "availability_zone": host["zone"]}


def fault_of(message: str, now: str) -> Row:
    """A fault as the API shows it."""
    return {"code": 500, "message": message, "created": f"{now[:19]}Z"}


def _plug(
    compute: Compute, asked: Asked, rows: Sequence[Row], wanted: Sequence[plugging.Wanted], groups: Sequence[str]
) -> None:
    """Give instances their ports; then their hosts may have them. What fails here is told by their faults.

    Raises:
        Problem: what Nova refuses at once; the instances are gone then.
    """
    if not rows:
        return
    ids = [row["id"] for row in rows]
    try:
        known = plugging.with_networks(compute.networking, asked, wanted)
        nics = plugging.make_ports(compute.networking, rows, known, groups)
    except (Refusal, plugging.BuildFailure) as failure:
        problem = _refused_at_once(failure)
        with compute.store.write() as tx:
            if problem is not None:
                tx.execute(sa.delete(SERVER_ACTIONS).where(SERVER_ACTIONS.c.server_id.in_(ids)))
                tx.execute(sa.delete(SERVERS).where(SERVERS.c.id.in_(ids)))
            else:
                fail(tx, ids, f"Failed to allocate the network(s), not rescheduling. {failure}")
        if problem is not None:
            raise problem from None
        return
    with compute.store.write() as tx:
        table = SERVERS.c
        still = sa.select(table.id).where(table.id.in_(ids), table.task_state == "scheduling").with_for_update()
        present = set(tx.execute(still).scalars())
        plugging.save_nics(tx, [nic for nic in nics if nic["server_id"] in present])
        tx.execute(sa.update(SERVERS).where(table.id.in_(present)).values(prepared=True))
        for row in rows:
            tx.changed("server", row["id"])
            tx.changed("host", row["host"])
    deleted = [nic for nic in nics if nic["server_id"] not in present]  # by somebody quick
    plugging.release_nics(compute.networking, deleted)


def fail(tx: Tx, ids: Sequence[str], message: str) -> None:
    """Set instances to ERROR, and tell why."""
    values = {"vm_state": "error", "task_state": None, "fault": fault_of(message, moment(tx)), "updated_at": moment(tx)}
    tx.execute(sa.update(SERVERS).where(SERVERS.c.id.in_(ids)).values(values))


def _refused_at_once(failure: Exception) -> Problem | None:
    if not isinstance(failure, Refusal):
        return None
    if failure.kind == "OverQuota":
        return Problem(403, "Maximum number of ports exceeded")
    if failure.kind.startswith(("IpAddressInUse", "IpAddressAlreadyAllocated")):
        return Problem(400, f"Fixed IP address is already in use. {failure}")
    if failure.kind == "PortInUse":
        return Problem(409, str(failure))
    return Problem(400, str(failure)) if failure.status == 400 else None


def note_action(tx: Tx, asked: Asked, server_ids: Sequence[str], action: str) -> None:
    """Keep what was asked of instances, for ``os-instance-actions``."""
    common: dict[str, Any] = {
        "request_id": asked.call.request_id,
        "action": action,
        "user_id": asked.identity.user_id,
        "project_id": asked.project_id,
        "start_time": moment(tx),
    }
    tx.execute(sa.insert(SERVER_ACTIONS), [common | {"server_id": server_id} for server_id in server_ids])


def new_password() -> str:
    """The password that clients expect. It opens nothing: the guests let people in by key alone."""
    return "".join(secrets.choice(PASSWORD_LETTERS) for _ in range(12))


def _answer(asked: Asked, wish: Wish, row: Row) -> Reply:
    if wish.reservation:
        return Reply({"reservation_id": row["reservation_id"]}, 202)
    links = views.links(row["id"], asked)
    body = {
        "id": row["id"],
        "links": links,
        "OS-DCF:diskConfig": row["disk_config"],
        "security_groups": [{"name": name} for name in row["security_groups"]],
        "adminPass": new_password(),
    }
    return Reply({"server": body}, 202, {"Location": links[0]["href"]})


def decoded_user_data(row: Row) -> bytes:
    """User data as the instance sees it."""
    return base64.b64decode(row["user_data"]) if row["user_data"] else b""
