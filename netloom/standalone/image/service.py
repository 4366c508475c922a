"""The image API, v2."""

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa
from starlette.requests import ClientDisconnect

from netloom.api.authentication import Authenticator, Identity, expand_roles
from netloom.api.errors import Unauthorized
from netloom.standalone.image import files, schemas
from netloom.standalone.image.directory import Row, may_see, visible_image
from netloom.standalone.image.views import COLUMNS, image
from netloom.standalone.web import Call, Handler, Problem, Reply, Route, Service
from netloom.store.database import Store, Tx
from netloom.store.tables.images import IMAGES

ROOT = "/image"
PAGE, LONGEST_PAGE = 25, 1000
READ_ONLY = frozenset(
    {"status", "checksum", "os_hash_algo", "os_hash_value", "size", "virtual_size", "created_at", "updated_at", "file",
     "self", "schema", "direct_url", "locations"}
)  # fmt: skip
VERSIONS = ("v2.9", "v2.7", "v2.6", "v2.5", "v2.4", "v2.3", "v2.2", "v2.1", "v2.0")
FILTERS = ("name", "status", "visibility", "owner", "disk_format", "container_format", "checksum", "os_hash_value")


def image_service(store: Store, directory: Path, authenticate: Authenticator) -> Service:
    """The image service; ``directory`` holds the images' files."""
    api = _Images(store, directory, authenticate)
    return Service(ROOT, api.routes(), _error, lambda call, _reply: {"x-openstack-request-id": call.request_id})


def _error(status: int, title: str, message: str) -> Any:
    return {"code": f"{status} {title}", "title": title, "message": message}


def _versions(status: int) -> Handler:
    def versions(call: Call) -> Reply:
        links = [{"rel": "self", "href": f"{call.base}{ROOT}/v2/"}]
        states = ["CURRENT"] + ["SUPPORTED"] * (len(VERSIONS) - 1)
        entries = [{"id": name, "status": state, "links": links} for name, state in zip(VERSIONS, states, strict=True)]
        return Reply({"versions": entries}, status)

    return versions


class _Images:
    def __init__(self, store: Store, directory: Path, authenticate: Authenticator) -> None:
        self._store, self._directory, self._authenticate = store, directory, authenticate

    def routes(self) -> list[Route]:
        """All routes."""
        path = "/v2/images/{id}"
        guarded: list[tuple[str, str, Callable[[Call, Identity], Reply]]] = [
            ("GET", "/v2/images", self._list),
            ("POST", "/v2/images", self._create),
            ("GET", path, self._show),
            ("PATCH", path, self._patch),
            ("DELETE", path, self._delete),
            ("GET", f"{path}/file", self._download),
            ("PUT", f"{path}/tags/{{tag}}", self._add_tag),
            ("DELETE", f"{path}/tags/{{tag}}", self._remove_tag),
            ("GET", f"{path}/members", self._members),
            ("GET", "/v2/schemas/image", lambda _call, _who: Reply(schemas.IMAGE)),
            ("GET", "/v2/schemas/images", lambda _call, _who: Reply(schemas.IMAGES)),
        ]
        return [
            Route("GET", "/", _versions(300)),
            Route("GET", "/versions", _versions(200)),
            Route("GET", "/v2", _versions(300)),
            Route("PUT", f"{path}/file", self._guarded(self._upload), streams=True),
            *(Route(method, pattern, self._guarded(handler)) for method, pattern, handler in guarded),
        ]

    def _guarded(self, handler: Callable[[Call, Identity], Reply]) -> Handler:
        def guarded(call: Call) -> Reply:
            try:
                identity = self._authenticate(call.headers.get("x-auth-token", ""))
            except Unauthorized:
                raise Problem(401, "This server could not verify that you are authorized.") from None
            if call.method not in ("GET", "HEAD") and not expand_roles(identity.roles) & {"member", "admin"}:
                raise Problem(403, "You are not authorized to complete this action.")
            return handler(call, identity)

        return guarded

    # Reading

    def _list(self, call: Call, who: Identity) -> Reply:
        limit = _limit(call)
        with self._store.read() as tx:
            rows = [row for row in tx.rows(_query(call, who)) if _has_properties(row, call)]
        if marker := call.param("marker"):
            ids = [row["id"] for row in rows]
            if marker not in ids:
                raise Problem(400, f"No image found with ID {marker}")
            rows = rows[ids.index(marker) + 1 :]
        page = rows[:limit]
        first = [(name, value) for name, value in call.query if name != "marker"]
        body: Row = {"images": [image(row) for row in page], "first": _link(first), "schema": "/v2/schemas/images"}
        if len(rows) > limit:
            body["next"] = _link([*first, ("marker", page[-1]["id"])])
        return Reply(body)

    def _existing(self, tx: Tx, call: Call, who: Identity, *, change: bool = False) -> Row:
        row = visible_image(tx, who, call.args["id"])
        if row is None:
            raise Problem(404, f"No image found with ID {call.args['id']}")
        if change and row["owner"] != who.project_id and "admin" not in who.roles:
            raise Problem(403, "You are not permitted to modify this image.")
        return row

    def _show(self, call: Call, who: Identity) -> Reply:
        with self._store.read() as tx:
            return Reply(image(self._existing(tx, call, who)))

    def _members(self, call: Call, who: Identity) -> Reply:
        with self._store.read() as tx:
            row = self._existing(tx, call, who)
        if row["visibility"] != "shared":
            raise Problem(403, "Only shared images have members.")
        return Reply({"members": [], "schema": "/v2/schemas/members"})

    # Changing

    def _create(self, call: Call, who: Identity) -> Reply:
        given = call.json()
        if not isinstance(given, dict):
            raise Problem(400, "The body must be an object: the image's attributes")
        row: Row = {"name": None, "owner": who.project_id, "visibility": "shared", "properties": {}, "tags": []}
        for name, value in given.items():
            _set(row, name, value, who)
        row["id"] = str(given.get("id") or uuid.uuid4())
        with self._store.write() as tx:
            if tx.row(sa.select(IMAGES.c.id).where(IMAGES.c.id == row["id"])) is not None:
                raise Problem(409, f"Image ID {row['id']} already exists!")
            values = row | {"status": "queued", "created_at": tx.timestamp, "updated_at": tx.timestamp}
            tx.execute(sa.insert(IMAGES).values(values))
            shown = image(visible_image(tx, who, row["id"]) or values)
        return Reply(shown, 201, {"Location": f"{call.base}{ROOT}/v2/images/{row['id']}"})

    def _patch(self, call: Call, who: Identity) -> Reply:
        operations = call.json()
        if not isinstance(operations, list):
            raise Problem(400, "Request body must be a JSON array of operation objects.")
        with self._store.write() as tx:
            row = self._existing(tx, call, who, change=True)
            for operation in operations:
                _operate(row, operation, who)
            values = {name: value for name, value in row.items() if name != "id"} | {"updated_at": tx.timestamp}
            tx.execute(sa.update(IMAGES).where(IMAGES.c.id == row["id"]).values(values))
            return Reply(image(row | values))

    def _delete(self, call: Call, who: Identity) -> Reply:
        with self._store.write() as tx:
            row = self._existing(tx, call, who, change=True)
            if row["protected"]:
                raise Problem(403, f"Image {row['id']} is protected and cannot be deleted.")
            tx.execute(sa.delete(IMAGES).where(IMAGES.c.id == row["id"]))
        files.remove(self._directory, row["id"])
        return Reply(status=204)

    def _add_tag(self, call: Call, who: Identity) -> Reply:
        return self._tag(call, who, lambda tags: sorted({*tags, call.args["tag"]}))

    def _remove_tag(self, call: Call, who: Identity) -> Reply:
        def without(tags: list[str]) -> list[str]:
            if call.args["tag"] not in tags:
                raise Problem(404, f"Tag {call.args['tag']} not found")
            return [tag for tag in tags if tag != call.args["tag"]]

        return self._tag(call, who, without)

    def _tag(self, call: Call, who: Identity, change: Callable[[list[str]], list[str]]) -> Reply:
        with self._store.write() as tx:
            row = self._existing(tx, call, who, change=True)
            tx.execute(sa.update(IMAGES).where(IMAGES.c.id == row["id"]).values(tags=change(row["tags"])))
        return Reply(status=204)

    # Contents

    def _upload(self, call: Call, who: Identity) -> Reply:
        if call.headers.get("content-type") != "application/octet-stream":
            raise Problem(415, "The content type must be application/octet-stream")
        self._begin(call, who)
        image_id = call.args["id"]
        try:
            written = files.save(self._directory, image_id, call.chunks)
        except files.TooLarge as error:
            self._become(image_id, {"status": "queued"})
            raise Problem(413, str(error)) from None
        except (ClientDisconnect, OSError):
            self._become(image_id, {"status": "queued"})
            raise Problem(400, f"The upload of image {image_id} was cut short") from None
        found = {"size": written.size, "checksum": written.md5, "os_hash_value": written.sha512, "status": "active"}
        if not self._become(image_id, found):
            files.remove(self._directory, image_id)  # deleted meanwhile
            raise Problem(404, f"No image found with ID {image_id}")
        return Reply(status=204)

    def _begin(self, call: Call, who: Identity) -> None:
        with self._store.write() as tx:
            row = self._existing(tx, call, who, change=True)
            if not row["disk_format"] or not row["container_format"]:
                raise Problem(400, "Properties disk_format, container_format must be set prior to saving data.")
            # Of several uploads at once one alone takes the row out of the queue.
            queued = sa.and_(IMAGES.c.id == row["id"], IMAGES.c.status == "queued")
            if not tx.execute(sa.update(IMAGES).where(queued).values(status="saving")).rowcount:
                status = "saving" if row["status"] == "queued" else row["status"]
                raise Problem(409, f"Image status transition from {status} to saving is not allowed")

    def _become(self, image_id: str, values: Row) -> bool:
        with self._store.write() as tx:
            values = values | {"updated_at": tx.timestamp}
            return bool(tx.execute(sa.update(IMAGES).where(IMAGES.c.id == image_id).values(values)).rowcount)

    def _download(self, call: Call, who: Identity) -> Reply:
        with self._store.read() as tx:
            row = self._existing(tx, call, who)
        path = files.path_of(self._directory, row["id"])
        if row["status"] != "active" or not path.exists():
            return Reply(status=204)
        return Reply(path, headers={"Content-MD5": row["checksum"] or ""}, media_type="application/octet-stream")


def _limit(call: Call) -> int:
    text = call.param("limit")
    if text is None:
        return PAGE
    if not text.isdecimal():
        raise Problem(400, "limit param must be an integer")
    return min(int(text), LONGEST_PAGE)


def _link(query: list[tuple[str, str]]) -> str:
    return "/v2/images" + (f"?{urlencode(query)}" if query else "")


def _query(call: Call, who: Identity) -> sa.Select[Any]:
    table = IMAGES.c
    query = sa.select(IMAGES).where(may_see(who), table.hidden == (call.param("os_hidden", "false") == "true"))
    if call.param("visibility") not in ("community", "all") and "admin" not in who.roles:
        query = query.where((table.visibility != "community") | (table.owner == who.project_id))
    for name in FILTERS:
        value = call.param(name)
        if value is None or (name, value) == ("visibility", "all"):
            continue
        column = table[name]
        query = query.where(column.in_(value[3:].split(",")) if value.startswith("in:") else column == value)
    if (ids := call.param("id")) is not None:
        query = query.where(table.id.in_(ids.removeprefix("in:").split(",")))
    return query.order_by(*_order(call))


def _order(call: Call) -> list[sa.ColumnElement[Any]]:
    pairs = []
    if sort := call.param("sort"):
        pairs = [(key, direction or "desc") for key, _, direction in (part.partition(":") for part in sort.split(","))]
    keys = [value for name, value in call.query if name == "sort_key"]
    directions = [value for name, value in call.query if name == "sort_dir"]
    for index, key in enumerate(keys):
        pairs.append((key, directions[min(index, len(directions) - 1)] if directions else "desc"))
    sortable = {"name", "status", "container_format", "disk_format", "size", "id", "created_at", "updated_at"}
    if wrong := [key for key, _ in pairs if key not in sortable]:
        raise Problem(400, f"Invalid sort key: {wrong[0]}. It must be one of: {', '.join(sorted(sortable))}")
    pairs += [("created_at", "desc"), ("id", "desc")]
    return [IMAGES.c[key].asc() if direction == "asc" else IMAGES.c[key].desc() for key, direction in pairs]


def _has_properties(row: Row, call: Call) -> bool:
    """Filters by other names look at properties and tags."""
    known = {*FILTERS, "id", "limit", "marker", "sort", "sort_key", "sort_dir", "os_hidden", "member_status"}
    for name, value in call.query:
        if name == "tag" and value not in row["tags"]:
            return False
        if name in known or name == "tag" or name.startswith(("size_", "created_at", "updated_at")):
            continue
        if row["properties"].get(name) != value:
            return False
    return True


def _set(row: Row, name: str, value: Any, who: Identity) -> None:
    """Set an attribute of an image: of the schema, or a property of the user's own."""
    if name in READ_ONLY:
        raise Problem(403, f"Attribute '{name}' is read-only.")
    if name == "id":
        try:
            uuid.UUID(str(value))
        except ValueError:
            raise Problem(400, f"Invalid image id: {value}") from None
        return
    if name == "visibility" and value == "public" and "admin" not in who.roles:
        raise Problem(403, "You are not authorized to complete publicize_image action.")
    if name == "owner" and value != who.project_id and "admin" not in who.roles:
        raise Problem(403, f"You are not permitted to create images owned by '{value}'.")
    if name not in COLUMNS:
        if not isinstance(value, str) or len(name) > 255:
            raise Problem(400, f"The property '{name}' must be a text")
        row["properties"] = row["properties"] | {name: value}
        return
    column, check = COLUMNS[name]
    if not check(value):
        raise Problem(400, f"Provided object does not match schema 'image': {value!r} is not a value for {name}")
    row[column] = value


def _operate(row: Row, operation: Any, who: Identity) -> None:
    """Carry out one operation of a JSON patch (RFC 6902, with Glance's media type)."""
    try:
        kind, path = operation["op"], operation["path"]
        name = path.removeprefix("/").replace("~1", "/").replace("~0", "~")
        if kind in ("add", "replace"):
            _set(row, name, operation["value"], who)
            return
    except (KeyError, TypeError, AttributeError):
        raise Problem(400, "An operation needs 'op', 'path' and, unless it removes, 'value'") from None
    if kind != "remove":
        raise Problem(400, f"Operations must be one of: 'add', 'replace', 'remove'; not '{kind}'")
    if name in COLUMNS or name in READ_ONLY:
        raise Problem(403, f"Property '{name}' may not be removed.")
    if name not in row["properties"]:
        raise Problem(409, f"Property {name} does not exist.")
    row["properties"] = {key: value for key, value in row["properties"].items() if key != name}
