"""What the handlers of the identity API share: guards, look-ups and lists."""

from typing import Any

import sqlalchemy as sa

from netloom.standalone.identity.directory import Holder
from netloom.standalone.web import Call, Problem, Reply
from netloom.store.database import Tx

ROOT = "/identity"
FORBIDDEN = "You are not authorized to perform the requested action."
Row = dict[str, Any]


def require_admin(holder: Holder) -> None:
    """Insist on the role admin.

    Raises:
        Problem: 403, they do not have it.
    """
    if not holder.is_admin:
        raise Problem(403, FORBIDDEN)


def require_self(call: Call, holder: Holder) -> None:
    """Insist on the user that the path names, or an administrator.

    Raises:
        Problem: 403, it is another one.
    """
    if call.args["user_id"] != holder.user["id"]:
        require_admin(holder)


def existing(tx: Tx, table: sa.Table, name: str, object_id: str) -> Row:
    """The row with this id.

    Raises:
        Problem: 404, there is none.
    """
    row = tx.row(sa.select(table).where(table.c.id == object_id))
    if row is None:
        raise Problem(404, f"Could not find {name.replace('_', ' ')}: {object_id}.")
    return row


def new_name(tx: Tx, table: sa.Table, name: str, given: Row, user_id: str | None = None) -> str:
    """The name in a request to make something.

    Raises:
        Problem: 400, it is none; 409, it is taken.
    """
    wanted = given.get("name")
    if not isinstance(wanted, str) or not wanted.strip() or len(wanted) > 255:
        raise Problem(400, f"A {name.replace('_', ' ')} needs a 'name' of 1 to 255 characters")
    query = sa.select(table.c.id).where(table.c.name == wanted)
    if user_id is not None:
        query = query.where(table.c.user_id == user_id)
    if tx.row(query) is not None:
        raise Problem(409, f"Conflict occurred attempting to store {name} - Duplicate entry found with name {wanted}.")
    return wanted


def listing(plural: str, rows: list[Row], call: Call) -> Reply:
    """A list with its links."""
    own = f"{call.base}{ROOT}{call.path}"
    return Reply({plural: rows, "links": {"self": own, "previous": None, "next": None}})
