"""Application credentials."""

import sqlalchemy as sa

from netloom.standalone.identity import directory, views
from netloom.standalone.identity.directory import Holder
from netloom.standalone.identity.passwords import conceal
from netloom.standalone.identity.support import Row, listing, new_name, require_self
from netloom.standalone.web import Call, Problem, Reply
from netloom.store.database import Tx
from netloom.store.tables.identity import APPLICATION_CREDENTIALS


def list_credentials(call: Call, tx: Tx, holder: Holder) -> Reply:
    """The user's credentials."""
    require_self(call, holder)
    query = sa.select(APPLICATION_CREDENTIALS).where(APPLICATION_CREDENTIALS.c.user_id == call.args["user_id"])
    if (name := call.param("name")) is not None:
        query = query.where(APPLICATION_CREDENTIALS.c.name == name)
    return listing("application_credentials", [views.credential(row) for row in tx.rows(query)], call)


def create_credential(call: Call, tx: Tx, holder: Holder) -> Reply:
    """Make one; only this answer has its secret."""
    require_self(call, holder)
    if holder.project is None or holder.claim.credential_id:
        raise Problem(403, "An application credential is made with a password and for a project.")
    given = call.member("application_credential")
    own = [role["name"] for role in holder.roles]
    roles = [str(role.get("name")) for role in given.get("roles") or []] or own
    if not set(roles) <= set(own):
        raise Problem(400, "The roles must be among those of the caller")
    secret = str(given.get("secret") or directory.new_id() + directory.new_id())
    row = {
        "id": directory.new_id(),
        "name": new_name(tx, APPLICATION_CREDENTIALS, "application_credential", given, holder.user["id"]),
        "description": given.get("description") or "",
        "secret": conceal(secret),
        "user_id": holder.user["id"],
        "project_id": holder.project["id"],
        "roles": roles,
        "expires_at": given.get("expires_at"),
        "unrestricted": bool(given.get("unrestricted", False)),
    }
    tx.execute(sa.insert(APPLICATION_CREDENTIALS).values(**row))
    return Reply({"application_credential": views.credential(row) | {"secret": secret}}, 201)


def show_credential(call: Call, tx: Tx, holder: Holder) -> Reply:
    """One of the user's credentials."""
    require_self(call, holder)
    row = _own(tx, call)
    return Reply({"application_credential": views.credential(row)})


def delete_credential(call: Call, tx: Tx, holder: Holder) -> Reply:
    """Void one: its tokens end too."""
    require_self(call, holder)
    row = _own(tx, call)
    tx.execute(sa.delete(APPLICATION_CREDENTIALS).where(APPLICATION_CREDENTIALS.c.id == row["id"]))
    return Reply(status=204)


def _own(tx: Tx, call: Call) -> Row:
    columns = APPLICATION_CREDENTIALS.c
    own = sa.and_(columns.id == call.args["id"], columns.user_id == call.args["user_id"])
    row = tx.row(sa.select(APPLICATION_CREDENTIALS).where(own))
    if row is None:
        raise Problem(404, f"Could not find application credential: {call.args['id']}.")
    return row
