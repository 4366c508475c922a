"""Instances that become others: rebuilt from an image, or resized to another flavor, on the host where they are."""

import time
from typing import Any

import sqlalchemy as sa

from netloom.standalone.compute import hypervisors, placement, quotas, views
from netloom.standalone.compute.context import Asked, Compute, Row
from netloom.standalone.compute.creation import NO_HOST, fitting_image, moment, new_password, note_action
from netloom.standalone.compute.flavors import find_flavor
from netloom.standalone.compute.servers import changeable, existing
from netloom.standalone.compute.values import optional_text
from netloom.standalone.compute.wishes import access_of, checked_name, metadata_of, user_data_of
from netloom.standalone.web import Problem, Reply
from netloom.store.database import Tx
from netloom.store.tables.compute import SERVERS

REBUILDABLE = {
    "imageRef", "name", "metadata", "description", "user_data", "adminPass", "OS-DCF:diskConfig", "accessIPv4",
    "accessIPv6",
}  # fmt: skip


def rebuild(compute: Compute, asked: Asked, argument: Any) -> Reply:
    """Begin anew from an image: with the same ports, flavor and id, and nothing of the disk."""
    given = _object("rebuild", argument)
    if unknown := given.keys() - REBUILDABLE:
        raise Problem(400, f"A rebuild cannot change {', '.join(sorted(unknown))}.")
    with compute.store.write() as tx:
        row = changeable(tx, asked, "rebuild", ("active", "stopped", "error"))
        image = fitting_image(tx, asked, _reference(given, "imageRef"), row["flavor"])
        values = {
            "image_id": image["id"],
            "hypervisor_type": hypervisors.chosen(image, row["flavor"]),
            "life": row["life"] + 1,
            "running": row["vm_state"] != "stopped",
        } | _described(given, asked)
        _begin(tx, asked, row, "rebuild", "rebuilding", values)
        row = existing(tx, asked)
        shown = views.rebuilt(row, asked, views.details(tx, [row["id"]]))
    shown["adminPass"] = given.get("adminPass") or new_password()
    return Reply({"server": shown}, 202)


def _described(given: Row, asked: Asked) -> Row:
    """What else a rebuild may change, where it says so."""
    values = access_of(given)
    if "name" in given:
        values["name"] = checked_name(given["name"])
    if "metadata" in given:
        values["metadata"] = metadata_of(given["metadata"])
    if "description" in given and asked.minor >= 19:
        values["description"] = optional_text(given, "description")
    if "user_data" in given and asked.minor >= 57:
        values["user_data"] = user_data_of(given["user_data"])
    return values


def resize(compute: Compute, asked: Asked, argument: Any) -> Reply:
    """Take another flavor; it starts anew with that, and waits for somebody to confirm or to revert it."""
    given = _object("resize", argument)
    with compute.store.write() as tx:
        row = changeable(tx, asked, "resize", ("active", "stopped"))
        flavor_id = _reference(given, "flavorRef")
        flavor = find_flavor(tx, asked, flavor_id)
        if flavor is None:
            raise Problem(400, f"Flavor {flavor_id} could not be found.")
        if flavor_id == row["flavor"]["id"]:
            raise Problem(400, "When resizing, instances must change flavor!")
        if hypervisors.chosen(fitting_image(tx, asked, row["image_id"], flavor), flavor) != row["hypervisor_type"]:
            raise Problem(400, f"Flavor {flavor_id} is for another type of hypervisor than the instance's.")
        _check_growth(tx, compute, row, flavor)
        values = _sized(flavor) | {"old_flavor": row["flavor"], "boot": row["boot"] + 1}
        _begin(tx, asked, row, "resize", "resize_finish", values)
    return Reply(status=202)


def _check_growth(tx: Tx, compute: Compute, row: Row, flavor: Row) -> None:
    more = {name: max(0, flavor[name] - row["flavor"][name]) for name in ("vcpus", "ram")}
    quotas.check_growth(tx, row["project_id"], cores=more["vcpus"], ram=more["ram"])
    if placement.place(tx, compute.settings, more, "", row["host"], 1) == [None]:
        raise Problem(400, NO_HOST)


def confirm(compute: Compute, asked: Asked, _argument: Any) -> Reply:
    """Keep the new flavor."""
    with compute.store.write() as tx:
        row = changeable(tx, asked, "confirmResize", ("resized",))
        state = "active" if row["running"] else "stopped"
        values = {"vm_state": state, "old_flavor": None, "updated_at": moment(tx)}
        tx.execute(sa.update(SERVERS).where(SERVERS.c.id == row["id"]).values(values))
        note_action(tx, asked, [row["id"]], "confirmResize")
    return Reply(status=204)


def revert(compute: Compute, asked: Asked, _argument: Any) -> Reply:
    """Go back to the old flavor."""
    with compute.store.write() as tx:
        row = changeable(tx, asked, "revertResize", ("resized",))
        values = _sized(row["old_flavor"]) | {"old_flavor": None, "boot": row["boot"] + 1}
        _begin(tx, asked, row, "revertResize", "resize_reverting", values)
    return Reply(status=202)


def _begin(tx: Tx, asked: Asked, row: Row, verb: str, task: str, values: Row) -> None:
    """Tell the host what the instance is to be; it does the rest."""
    values = values | {"task_state": task, "task_since": time.time(), "updated_at": moment(tx)}
    tx.execute(sa.update(SERVERS).where(SERVERS.c.id == row["id"]).values(values))
    note_action(tx, asked, [row["id"]], verb)
    tx.changed("server", row["id"])


def _sized(flavor: Row) -> Row:
    sizes = {"memory_mb": flavor["ram"], "vcpus": flavor["vcpus"], "disk_gb": flavor["disk"]}
    return {"flavor": flavor} | sizes


def _object(action: str, argument: Any) -> Row:
    if not isinstance(argument, dict):
        raise Problem(400, f"Invalid input for field/attribute {action}. It must be an object.")
    return argument


def _reference(given: Row, name: str) -> str:
    """The id in a reference, which may be a link."""
    value = given.get(name)
    if not isinstance(value, str | int) or isinstance(value, bool) or not str(value):
        raise Problem(400, f"Invalid input for field/attribute {name}. Value: {value}.")
    return str(value).rstrip("/").rpartition("/")[2]
