"""Instances: list, show, change, delete."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from netloom.standalone.compute import plugging, views, wishes
from netloom.standalone.compute.context import Asked, Compute, Routes, Row
from netloom.standalone.compute.creation import create, moment, note_action
from netloom.standalone.compute.networking import Refusal
from netloom.standalone.compute.placement import alive
from netloom.standalone.compute.values import optional_text
from netloom.standalone.web import Problem, Reply
from netloom.store.database import Tx
from netloom.store.tables.compute import COMPUTE_HOSTS, SERVER_ACTIONS, SERVER_NICS, SERVERS
from netloom.store.tables.network import PORTS

MOST = 1000
"""Instances in one answer at most."""
DELETING = "deleting"


def existing(tx: Tx, asked: Asked, *, lock: bool = False) -> Row:
    """The instance of the path.

    Raises:
        Problem: 404, there is none that the caller may see.
    """
    server_id = asked.call.args["id"]
    query = sa.select(SERVERS).where(SERVERS.c.id == server_id)
    row = tx.row(query.with_for_update() if lock else query)
    if row is None or (row["project_id"] != asked.project_id and not asked.is_admin):
        raise Problem(404, f"Instance {server_id} could not be found.")
    return row


def changeable(tx: Tx, asked: Asked, verb: str, states: Sequence[str]) -> Row:
    """The instance of the path, locked, when an action may begin that instances in these states allow.

    Raises:
        Problem: 404, there is none; 409, it is locked, in another state, or something else is under way.
    """
    row = existing(tx, asked, lock=True)
    if row["locked_reason"] is not None and not asked.is_admin:
        raise Problem(409, f"Instance {row['id']} is locked")
    for what, wrong in (("vm_state", row["vm_state"] not in states), ("task_state", row["task_state"] is not None)):
        if wrong:
            raise Problem(409, f"Cannot '{verb}' instance {row['id']} while it is in {what} {row[what]}")
    return row


def show(compute: Compute, asked: Asked) -> Reply:
    """GET servers/ID."""
    with compute.store.read() as tx:
        row = existing(tx, asked)
        return Reply({"server": views.server(row, asked, views.details(tx, [row["id"]]))})


def list_brief(compute: Compute, asked: Asked) -> Reply:
    """GET servers."""
    with compute.store.read() as tx:
        rows = _page(_found(tx, asked), asked)
    return _listing(rows, [views.brief(row, asked) for row in rows], asked, "/servers")


def list_detail(compute: Compute, asked: Asked) -> Reply:
    """GET servers/detail."""
    with compute.store.read() as tx:
        rows = _page(_found(tx, asked), asked)
        known = views.details(tx, [row["id"] for row in rows])
    return _listing(rows, [views.server(row, asked, known) for row in rows], asked, "/servers/detail")


def _found(tx: Tx, asked: Asked) -> list[Row]:
    query = sa.select(SERVERS).order_by(SERVERS.c.created_at.desc(), SERVERS.c.launch_index, SERVERS.c.id)
    everywhere = (asked.call.param("all_tenants") or "").lower() in ("1", "true", "yes", "t", "on")
    if "all_tenants" in dict(asked.call.query) and asked.call.param("all_tenants") == "":
        everywhere = True
    if everywhere:
        asked.require_admin("servers:index:get_all_tenants")
        if project := asked.call.param("project_id") or asked.call.param("tenant_id"):
            query = query.where(SERVERS.c.project_id == project)
    else:
        query = query.where(SERVERS.c.project_id == asked.project_id)
    if (asked.call.param("deleted") or "").lower() in ("1", "true", "yes"):
        return []  # what is gone is gone
    rows = tx.rows(query)
    for name, values in _grouped(asked).items():
        if (filter_ := FILTERS.get(name)) is not None:
            rows = filter_(tx, rows, values)
    return _sorted(rows, asked)


def _grouped(asked: Asked) -> Mapping[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, value in asked.call.query:
        grouped.setdefault(name, []).append(value)
    return grouped


Filter = Callable[[Tx, list[Row], list[str]], list[Row]]


def _equal(column: str) -> Filter:
    def equal(_tx: Tx, rows: list[Row], values: list[str]) -> list[Row]:
        return [row for row in rows if ("" if row[column] is None else str(row[column])) in values]

    return equal


def _pattern(text: str) -> "re.Pattern[str]":
    try:
        return re.compile(text)
    except re.error:
        raise Problem(400, f"Invalid filter value: '{text}' is no regular expression") from None


def _by_name(_tx: Tx, rows: list[Row], values: list[str]) -> list[Row]:
    patterns = [_pattern(value) for value in values]
    return [row for row in rows if any(pattern.search(row["name"]) for pattern in patterns)]


def _by_status(_tx: Tx, rows: list[Row], values: list[str]) -> list[Row]:
    wanted = {value.upper() for value in values}
    return [row for row in rows if views.status(row) in wanted]


def _by_address(version: int) -> Filter:
    def by_address(tx: Tx, rows: list[Row], values: list[str]) -> list[Row]:
        patterns = [_pattern(value) for value in values]
        known = views.details(tx, [row["id"] for row in rows])

        def matches(row: Row) -> bool:
            found = [entry for nics in views.addresses(known.nics.get(row["id"], ())).values() for entry in nics]
            texts = [entry["addr"] for entry in found if entry["version"] == version]
            return any(pattern.search(text) for pattern in patterns for text in texts)

        return [row for row in rows if matches(row)]

    return by_address


def _by_flavor(_tx: Tx, rows: list[Row], values: list[str]) -> list[Row]:
    return [row for row in rows if row["flavor"]["id"] in values]


def _by_tags(_tx: Tx, rows: list[Row], values: list[str]) -> list[Row]:
    wanted = {tag for value in values for tag in value.split(",")}
    return [row for row in rows if wanted <= set(row["tags"])]


FILTERS: Mapping[str, Filter] = {
    "name": _by_name,
    "status": _by_status,
    "ip": _by_address(4),
    "ip6": _by_address(6),
    "flavor": _by_flavor,
    "tags": _by_tags,
    "image": _equal("image_id"),
    "uuid": _equal("id"),
    "host": _equal("host"),
    "node": _equal("host"),
    "hostname": _equal("hostname"),
    "user_id": _equal("user_id"),
    "key_name": _equal("key_name"),
    "availability_zone": _equal("availability_zone"),
    "reservation_id": _equal("reservation_id"),
    "vm_state": _equal("vm_state"),
    "task_state": _equal("task_state"),
    "power_state": _equal("power_state"),
}
SORTS = {
    "created_at": "created_at", "updated_at": "updated_at", "display_name": "name", "name": "name", "uuid": "id",
    "host": "host", "key_name": "key_name", "project_id": "project_id", "user_id": "user_id", "vm_state": "vm_state",
    "task_state": "task_state", "power_state": "power_state", "launched_at": "launched_at", "image_ref": "image_id",
    "availability_zone": "availability_zone", "launch_index": "launch_index",
}  # fmt: skip


def _sorted(rows: list[Row], asked: Asked) -> list[Row]:
    keys = [value for name, value in asked.call.query if name == "sort_key"]
    directions = [value for name, value in asked.call.query if name == "sort_dir"]
    for index in reversed(range(len(keys))):
        column = SORTS.get(keys[index])
        if column is None:
            raise Problem(400, f"Invalid input for query parameters sort_key. Value: {keys[index]}.")
        down = (directions[index] if index < len(directions) else "desc") == "desc"
        rows = sorted(rows, key=lambda row, column=column: _comparable(row[column]), reverse=down)  # type: ignore[misc]
    return rows


def _comparable(value: Any) -> tuple[bool, Any]:
    return value is not None, "" if value is None else value


def _limit(asked: Asked) -> int:
    text = asked.call.param("limit")
    if text is None:
        return MOST
    if not text.isdecimal():
        raise Problem(400, f"Invalid input for query parameters limit. Value: {text}.")
    return min(MOST, int(text))


def _page(rows: list[Row], asked: Asked) -> list[Row]:
    if marker := asked.call.param("marker"):
        ids = [row["id"] for row in rows]
        if marker not in ids:
            raise Problem(400, f"marker [{marker}] not found")
        rows = rows[ids.index(marker) + 1 :]
    return rows[: _limit(asked)]


def _listing(rows: list[Row], shown: list[Row], asked: Asked, path: str) -> Reply:
    body: Row = {"servers": shown}
    if rows and len(rows) == _limit(asked):
        query = "".join(f"{name}={value}&" for name, value in asked.call.query if name != "marker")
        body["servers_links"] = [{"rel": "next", "href": f"{asked.root}{path}?{query}marker={rows[-1]['id']}"}]
    return Reply(body)


def update(compute: Compute, asked: Asked) -> Reply:
    """PUT servers/ID: name, description, host name, addresses that it is reached by."""
    given = asked.call.member("server")
    values: Row = wishes.access_of(given)
    if "name" in given:
        values["name"] = wishes.checked_name(given["name"])
    if "description" in given and asked.minor >= 19:
        values["description"] = optional_text(given, "description")
    if "hostname" in given and asked.minor >= 90:
        values["hostname"] = wishes.hostname_of(str(given["hostname"]), asked.call.args["id"])
    with compute.store.write() as tx:
        row = existing(tx, asked, lock=True)
        values["updated_at"] = moment(tx)
        tx.execute(sa.update(SERVERS).where(SERVERS.c.id == row["id"]).values(values))
        tx.changed("server", row["id"])
        return Reply({"server": views.changed(row | values, asked, views.details(tx, [row["id"]]))})


def delete(compute: Compute, asked: Asked) -> Reply:
    """DELETE servers/ID: its ports go at once, the instance when its host has dropped it."""
    with compute.store.write() as tx:
        row = existing(tx, asked, lock=True)
        if row["locked_reason"] is not None and not asked.is_admin:
            raise Problem(409, f"Instance {row['id']} is locked")
        values = {"task_state": DELETING, "task_since": time.time(), "updated_at": moment(tx)}
        tx.execute(sa.update(SERVERS).where(SERVERS.c.id == row["id"]).values(values))
        note_action(tx, asked, [row["id"]], "delete")
        nics = tx.rows(sa.select(SERVER_NICS).where(SERVER_NICS.c.server_id == row["id"]))
        nics += _strays(tx, row["id"], {nic["port_id"] for nic in nics})
        tx.changed("server", row["id"])
        if row["host"]:
            tx.changed("host", row["host"])
    try:
        plugging.release_nics(compute.networking, nics)
    except Refusal as refusal:
        message = f"The ports of instance {row['id']} could not be released, delete it again: {refusal}"
        raise Problem(500, message) from None
    with compute.store.write() as tx:
        tx.execute(sa.delete(SERVER_NICS).where(SERVER_NICS.c.server_id == row["id"]))
        now = tx.row(sa.select(SERVERS).where(SERVERS.c.id == row["id"]).with_for_update())
        if now is not None and (not now["prepared"] or not _reachable(tx, compute, now)):
            remove(tx, [row["id"]])  # no host has it, or none that could tell
    return Reply(status=204)


def _strays(tx: Tx, server_id: str, known: set[str]) -> list[Row]:
    """Ports that were made for an instance before its build was cut short."""
    owned = (PORTS.c.device_id == server_id, PORTS.c.device_owner.startswith("compute:"))
    ids = tx.execute(sa.select(PORTS.c.id).where(*owned)).scalars()
    return [{"port_id": port_id, "ours": True} for port_id in ids if port_id not in known]


def _reachable(tx: Tx, compute: Compute, row: Row) -> bool:
    host = tx.row(sa.select(COMPUTE_HOSTS).where(COMPUTE_HOSTS.c.host == row["host"]))
    return host is not None and alive(host, compute.settings)


def remove(tx: Tx, server_ids: list[str]) -> None:
    """Forget instances."""
    tx.execute(sa.delete(SERVER_ACTIONS).where(SERVER_ACTIONS.c.server_id.in_(server_ids)))
    tx.execute(sa.delete(SERVERS).where(SERVERS.c.id.in_(server_ids)))


ROUTES: Routes = (
    ("GET", "/servers", list_brief),
    ("POST", "/servers", create),
    ("GET", "/servers/detail", list_detail),
    ("GET", "/servers/{id}", show),
    ("PUT", "/servers/{id}", update),
    ("DELETE", "/servers/{id}", delete),
)
