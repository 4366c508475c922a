"""Parts of instances: addresses, metadata, tags, what was asked of them."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from netloom.standalone.compute import views
from netloom.standalone.compute.context import Asked, Compute, Routes, Row
from netloom.standalone.compute.servers import existing
from netloom.standalone.compute.wishes import metadata_of
from netloom.standalone.web import Problem, Reply
from netloom.store.tables.compute import SERVER_ACTIONS, SERVERS


def list_addresses(compute: Compute, asked: Asked) -> Reply:
    """GET servers/ID/ips, and of one network."""
    with compute.store.read() as tx:
        row = existing(tx, asked)
        found = views.addresses(views.details(tx, [row["id"]]).nics.get(row["id"], ()))
    shown = {
        name: [{"version": entry["version"], "addr": entry["addr"]} for entry in entries]
        for name, entries in found.items()
    }
    name = asked.call.args.get("network")
    if name is None:
        return Reply({"addresses": shown})
    if name not in shown:
        raise Problem(404, "Instance is not a member of specified network")
    return Reply({name: shown[name]})


def _edit(compute: Compute, asked: Asked, column: str, change: Callable[[Any], Any]) -> Any:
    with compute.store.write() as tx:
        row = existing(tx, asked, lock=True)
        value = change(row[column])
        tx.execute(sa.update(SERVERS).where(SERVERS.c.id == row["id"]).values({column: value}))
    return value


def _read(compute: Compute, asked: Asked, column: str) -> Any:
    with compute.store.read() as tx:
        return existing(tx, asked)[column]


def list_metadata(compute: Compute, asked: Asked) -> Reply:
    """GET servers/ID/metadata."""
    return Reply({"metadata": _read(compute, asked, "metadata")})


def add_metadata(compute: Compute, asked: Asked) -> Reply:
    """POST servers/ID/metadata."""
    given = metadata_of(asked.call.member("metadata"))
    return Reply({"metadata": _edit(compute, asked, "metadata", lambda held: held | given)})


def replace_metadata(compute: Compute, asked: Asked) -> Reply:
    """PUT servers/ID/metadata."""
    given = metadata_of(asked.call.member("metadata"))
    return Reply({"metadata": _edit(compute, asked, "metadata", lambda _held: given)})


def show_metadata(compute: Compute, asked: Asked) -> Reply:
    """GET servers/ID/metadata/KEY."""
    return Reply({"meta": _item(_read(compute, asked, "metadata"), asked)})


def _item(held: Row, asked: Asked) -> Row:
    key = asked.call.args["key"]
    if key not in held:
        raise Problem(404, "Metadata item was not found")
    return {key: held[key]}


def set_metadata(compute: Compute, asked: Asked) -> Reply:
    """PUT servers/ID/metadata/KEY."""
    given = metadata_of(asked.call.member("meta"))
    if list(given) != [asked.call.args["key"]]:
        raise Problem(400, "Request body and URI mismatch")
    _edit(compute, asked, "metadata", lambda held: held | given)
    return Reply({"meta": given})


def delete_metadata(compute: Compute, asked: Asked) -> Reply:
    """DELETE servers/ID/metadata/KEY."""
    key = asked.call.args["key"]

    def without(held: Row) -> Row:
        _item(held, asked)
        return {name: value for name, value in held.items() if name != key}

    _edit(compute, asked, "metadata", without)
    return Reply(status=204)


def list_tags(compute: Compute, asked: Asked) -> Reply:
    """GET servers/ID/tags."""
    return Reply({"tags": _read(compute, asked, "tags")})


def replace_tags(compute: Compute, asked: Asked) -> Reply:
    """PUT servers/ID/tags."""
    body = asked.call.json()
    tags = body.get("tags") if isinstance(body, dict) else None
    if not isinstance(tags, list) or len(tags) > 50 or not all(_is_tag(tag) for tag in tags):
        raise Problem(400, "Invalid input for field/attribute tags. At most 50 of 1 to 60 characters but / and ,")
    return Reply({"tags": _edit(compute, asked, "tags", lambda _held: sorted(set(tags)))})


def _is_tag(tag: Any) -> bool:
    return isinstance(tag, str) and 0 < len(tag) <= 60 and not set(tag) & {"/", ","}


def check_tag(compute: Compute, asked: Asked) -> Reply:
    """GET servers/ID/tags/TAG."""
    _must_have(_read(compute, asked, "tags"), asked)
    return Reply(status=204)


def _must_have(tags: list[str], asked: Asked) -> None:
    if asked.call.args["tag"] not in tags:
        raise Problem(404, f"Server {asked.call.args['id']} has no tag '{asked.call.args['tag']}'")


def add_tag(compute: Compute, asked: Asked) -> Reply:
    """PUT servers/ID/tags/TAG."""
    tag = asked.call.args["tag"]
    if not _is_tag(tag):
        raise Problem(400, "Invalid input for field/attribute tag. 1 to 60 characters without / and ,")
    _edit(compute, asked, "tags", lambda held: sorted({*held, tag}))
    return Reply(status=201)


def delete_tag(compute: Compute, asked: Asked) -> Reply:
    """DELETE servers/ID/tags/TAG."""

    def without(held: list[str]) -> list[str]:
        _must_have(held, asked)
        return [tag for tag in held if tag != asked.call.args["tag"]]

    _edit(compute, asked, "tags", without)
    return Reply(status=204)


def delete_tags(compute: Compute, asked: Asked) -> Reply:
    """DELETE servers/ID/tags."""
    _edit(compute, asked, "tags", lambda _held: [])
    return Reply(status=204)


def list_volumes(compute: Compute, asked: Asked) -> Reply:
    """GET servers/ID/os-volume_attachments: there are no volumes."""
    _read(compute, asked, "id")
    return Reply({"volumeAttachments": []})


def list_actions(compute: Compute, asked: Asked) -> Reply:
    """GET servers/ID/os-instance-actions."""
    with compute.store.read() as tx:
        row = existing(tx, asked)
        query = sa.select(SERVER_ACTIONS).where(SERVER_ACTIONS.c.server_id == row["id"])
        rows = tx.rows(query.order_by(SERVER_ACTIONS.c.start_time.desc()))
    return Reply({"instanceActions": [_action(row, asked) for row in rows]})


def show_action(compute: Compute, asked: Asked) -> Reply:
    """GET servers/ID/os-instance-actions/REQUEST."""
    with compute.store.read() as tx:
        row = existing(tx, asked)
        table = SERVER_ACTIONS.c
        wanted = (table.server_id == row["id"], table.request_id == asked.call.args["request"])
        action = tx.row(sa.select(SERVER_ACTIONS).where(*wanted))
    if action is None:
        raise Problem(404, f"Action for request_id {asked.call.args['request']} on instance {row['id']} not found")
    return Reply({"instanceAction": _action(action, asked) | {"events": []}})


def _action(row: Row, asked: Asked) -> Row:
    shown = {
        "action": row["action"],
        "instance_uuid": row["server_id"],
        "message": None,
        **{name: row[name] for name in ("request_id", "user_id", "project_id", "start_time")},
    }
    return shown | ({"updated_at": row["start_time"]} if asked.minor >= 58 else {})


ROUTES: Routes = (
    ("GET", "/servers/{id}/ips", list_addresses),
    ("GET", "/servers/{id}/ips/{network}", list_addresses),
    ("GET", "/servers/{id}/metadata", list_metadata),
    ("POST", "/servers/{id}/metadata", add_metadata),
    ("PUT", "/servers/{id}/metadata", replace_metadata),
    ("GET", "/servers/{id}/metadata/{key}", show_metadata),
    ("PUT", "/servers/{id}/metadata/{key}", set_metadata),
    ("DELETE", "/servers/{id}/metadata/{key}", delete_metadata),
    ("GET", "/servers/{id}/tags", list_tags),
    ("PUT", "/servers/{id}/tags", replace_tags),
    ("DELETE", "/servers/{id}/tags", delete_tags),
    ("GET", "/servers/{id}/tags/{tag}", check_tag),
    ("PUT", "/servers/{id}/tags/{tag}", add_tag),
    ("DELETE", "/servers/{id}/tags/{tag}", delete_tag),
    ("GET", "/servers/{id}/os-volume_attachments", list_volumes),
    ("GET", "/servers/{id}/os-instance-actions", list_actions),
    ("GET", "/servers/{id}/os-instance-actions/{request}", show_action),
)
