"""Flavors: the sizes of instances."""

import uuid
from typing import Any

import sqlalchemy as sa

from netloom.standalone.compute.context import Asked, Compute, Routes, Row
from netloom.standalone.compute.values import invalid, optional_text, whole
from netloom.standalone.web import Problem, Reply
from netloom.store.database import Tx
from netloom.store.tables.compute import FLAVORS

CLASSICS = (
    ("0", "m1.nano", 64, 1, 0), ("1", "m1.tiny", 512, 1, 1), ("2", "m1.small", 2048, 1, 20),
    ("3", "m1.medium", 4096, 2, 40), ("4", "m1.large", 8192, 4, 80), ("5", "m1.xlarge", 16384, 8, 160),
)  # fmt: skip
"""(id, name, MiB of memory, CPUs, GiB of disk)."""


def ensure_flavors(tx: Tx) -> None:
    """Make the classic flavors in a cloud that has none."""
    if tx.row(sa.select(FLAVORS.c.id).limit(1)) is None:
        rows = [{"id": i, "name": n, "ram": ram, "vcpus": cpus, "disk": disk} for i, n, ram, cpus, disk in CLASSICS]
        tx.execute(sa.insert(FLAVORS), rows)


def find_flavor(tx: Tx, asked: Asked, flavor_id: str) -> Row | None:
    """A flavor by its id, if the caller may see it."""
    row = tx.row(sa.select(FLAVORS).where(FLAVORS.c.id == flavor_id))
    return row if row is not None and _visible(row, asked) else None


def _visible(row: Row, asked: Asked) -> bool:
    return bool(asked.is_admin or row["is_public"] or asked.project_id in row["projects"])


def _existing(tx: Tx, asked: Asked) -> Row:
    row = find_flavor(tx, asked, asked.call.args["id"])
    if row is None:
        raise Problem(404, f"Flavor {asked.call.args['id']} could not be found.")
    return row


def _view(row: Row, asked: Asked) -> Row:
    shown: Row = {
        "id": row["id"],
        "name": row["name"],
        "ram": row["ram"],
        "vcpus": row["vcpus"],
        "disk": row["disk"],
        "swap": row["swap"] or (0 if asked.minor >= 75 else ""),
        "OS-FLV-EXT-DATA:ephemeral": row["ephemeral"],
        "OS-FLV-DISABLED:disabled": False,
        "os-flavor-access:is_public": row["is_public"],
        "rxtx_factor": row["rxtx_factor"],
        "links": _links(row, asked),
    }
    if asked.minor >= 55:
        shown["description"] = row["description"]
    if asked.minor >= 61:
        shown["extra_specs"] = row["extra_specs"]
    return shown


def _links(row: Row, asked: Asked) -> list[Row]:
    return [
        {"rel": "self", "href": f"{asked.root}/flavors/{row['id']}"},
        {"rel": "bookmark", "href": f"{asked.call.base}/compute/flavors/{row['id']}"},
    ]


def _brief(row: Row, asked: Asked) -> Row:
    shown = {"id": row["id"], "name": row["name"], "links": _links(row, asked)}
    return shown | ({"description": row["description"]} if asked.minor >= 55 else {})


def _found(compute: Compute, asked: Asked) -> list[Row]:
    with compute.store.read() as tx:
        rows = tx.rows(sa.select(FLAVORS).order_by(FLAVORS.c.ram, FLAVORS.c.id))
    rows = [row for row in rows if _visible(row, asked)]
    public = asked.call.param("is_public")
    if not asked.is_admin or public is None:
        public = "true"
    if public.lower() != "none":
        wanted = public.lower() in ("true", "1", "t", "yes")
        rows = [row for row in rows if row["is_public"] is wanted or (wanted and asked.project_id in row["projects"])]
    for column, name in (("ram", "minRam"), ("disk", "minDisk")):
        least = asked.call.param(name, "0") or "0"
        if not least.isdecimal():
            raise Problem(400, f"Invalid {name} filter [{least}]")
        rows = [row for row in rows if row[column] >= int(least)]
    marker, limit = asked.call.param("marker"), asked.call.param("limit")
    if marker:
        ids = [row["id"] for row in rows]
        if marker not in ids:
            raise Problem(400, f"marker [{marker}] not found")
        rows = rows[ids.index(marker) + 1 :]
    return rows[: int(limit)] if limit and limit.isdecimal() else rows


def list_brief(compute: Compute, asked: Asked) -> Reply:
    """GET flavors."""
    return Reply({"flavors": [_brief(row, asked) for row in _found(compute, asked)]})


def list_detail(compute: Compute, asked: Asked) -> Reply:
    """GET flavors/detail."""
    return Reply({"flavors": [_view(row, asked) for row in _found(compute, asked)]})


def show(compute: Compute, asked: Asked) -> Reply:
    """GET flavors/ID."""
    with compute.store.read() as tx:
        return Reply({"flavor": _view(_existing(tx, asked), asked)})


def create(compute: Compute, asked: Asked) -> Reply:
    """POST flavors."""
    asked.require_admin("os-flavor-manage:create")
    given = asked.call.member("flavor")
    name, flavor_id = given.get("name"), given.get("flavorid", given.get("id"))
    if not isinstance(name, str) or not name.strip() or len(name) > 255:
        raise Problem(400, f"Invalid input for field/attribute name. Value: {name}. It must have 1 to 255 characters")
    row: Row = {
        "id": str(flavor_id) if flavor_id not in (None, "auto") else str(uuid.uuid4()),
        "name": name.strip(),
        "ram": whole(given, "ram", 1),
        "vcpus": whole(given, "vcpus", 1),
        "disk": whole(given, "disk", 0),
        "ephemeral": whole(given, "OS-FLV-EXT-DATA:ephemeral", 0, 0),
        "swap": whole(given, "swap", 0, 0),
        "rxtx_factor": _factor(given.get("rxtx_factor")),
        "is_public": given.get("os-flavor-access:is_public", True) in (True, "True", "true"),
        "description": optional_text(given, "description", 65535),
        "extra_specs": {},
        "projects": [],
    }
    with compute.store.write() as tx:
        for column in ("name", "id"):
            if tx.row(sa.select(FLAVORS.c.id).where(FLAVORS.c[column] == row[column])) is not None:
                what = "name" if column == "name" else "ID"
                raise Problem(409, f"Flavor with {what} {row[column]} already exists.")
        tx.execute(sa.insert(FLAVORS).values(row))
    return Reply({"flavor": _view(row, asked)})


def _factor(value: Any) -> float:
    try:
        return float(value or 1.0)
    except (TypeError, ValueError):
        raise invalid("rxtx_factor", value, "It must be a number") from None


def update(compute: Compute, asked: Asked) -> Reply:
    """PUT flavors/ID: the description."""
    asked.require_admin("os-flavor-manage:update")
    description = optional_text(asked.call.member("flavor"), "description", 65535)
    with compute.store.write() as tx:
        row = _existing(tx, asked)
        tx.execute(sa.update(FLAVORS).where(FLAVORS.c.id == row["id"]).values(description=description))
    return Reply({"flavor": _view(row | {"description": description}, asked)})


def delete(compute: Compute, asked: Asked) -> Reply:
    """DELETE flavors/ID."""
    asked.require_admin("os-flavor-manage:delete")
    with compute.store.write() as tx:
        tx.execute(sa.delete(FLAVORS).where(FLAVORS.c.id == _existing(tx, asked)["id"]))
    return Reply(status=202)


def list_specs(compute: Compute, asked: Asked) -> Reply:
    """GET flavors/ID/os-extra_specs."""
    with compute.store.read() as tx:
        return Reply({"extra_specs": _existing(tx, asked)["extra_specs"]})


def set_specs(compute: Compute, asked: Asked) -> Reply:
    """POST flavors/ID/os-extra_specs."""
    asked.require_admin("os-flavor-extra-specs:create")
    given = {key: str(value) for key, value in asked.call.member("extra_specs").items()}
    _save(compute, asked, "extra_specs", lambda specs: specs | given)
    return Reply({"extra_specs": given})


def delete_spec(compute: Compute, asked: Asked) -> Reply:
    """DELETE flavors/ID/os-extra_specs/KEY."""
    asked.require_admin("os-flavor-extra-specs:delete")
    name = asked.call.args["key"]

    def without(specs: Row) -> Row:
        if name not in specs:
            raise Problem(404, f"Flavor {asked.call.args['id']} has no extra specs with key {name}.")
        return {key: value for key, value in specs.items() if key != name}

    _save(compute, asked, "extra_specs", without)
    return Reply()


def list_access(compute: Compute, asked: Asked) -> Reply:
    """GET flavors/ID/os-flavor-access."""
    asked.require_admin("os-flavor-access")
    with compute.store.read() as tx:
        row = _existing(tx, asked)
    if row["is_public"]:
        raise Problem(404, "Access list not available for public flavors.")
    return _access(row["id"], row["projects"])


def change_access(compute: Compute, asked: Asked) -> Reply:
    """POST flavors/ID/action: addTenantAccess, removeTenantAccess."""
    asked.require_admin("os-flavor-access:add_tenant_access")
    body = asked.call.json()
    action = next(iter(body), None) if isinstance(body, dict) else None
    if action not in ("addTenantAccess", "removeTenantAccess"):
        raise Problem(400, f"There is no such action: {action}")
    project = optional_text(asked.call.member(action), "tenant")
    if not project:
        raise invalid("tenant", project, "It must be a project's id")
    added = [project] if action == "addTenantAccess" else []
    projects = _save(compute, asked, "projects", lambda known: [p for p in known if p != project] + added)
    return _access(asked.call.args["id"], projects)


def _access(flavor_id: str, projects: list[str]) -> Reply:
    return Reply({"flavor_access": [{"flavor_id": flavor_id, "tenant_id": project} for project in projects]})


def _save(compute: Compute, asked: Asked, column: str, change: Any) -> Any:
    with compute.store.write() as tx:
        row = _existing(tx, asked)
        value = change(row[column])
        tx.execute(sa.update(FLAVORS).where(FLAVORS.c.id == row["id"]).values({column: value}))
    return value


ROUTES: Routes = (
    ("GET", "/flavors", list_brief),
    ("POST", "/flavors", create),
    ("GET", "/flavors/detail", list_detail),
    ("GET", "/flavors/{id}", show),
    ("PUT", "/flavors/{id}", update),
    ("DELETE", "/flavors/{id}", delete),
    ("GET", "/flavors/{id}/os-extra_specs", list_specs),
    ("POST", "/flavors/{id}/os-extra_specs", set_specs),
    ("DELETE", "/flavors/{id}/os-extra_specs/{key}", delete_spec),
    ("GET", "/flavors/{id}/os-flavor-access", list_access),
    ("POST", "/flavors/{id}/action", change_access),
)
