"""Security groups on ports."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from netloom.model.errors import Conflict
from netloom.model.owners import SERVICE_PREFIX
from netloom.model.security_groups import SECURITY_GROUP
from netloom.rules import reading, security_groups
from netloom.rules.context import Context
from netloom.store.among import among
from netloom.store.database import Tx
from netloom.store.tables.network import PORT_SECURITY_GROUPS

View = dict[str, Any]


class SecurityGroupConflict(Conflict):
    """Stateful and stateless groups do not go together."""

    message = "Error {reason} while attempting the operation."


def default_groups(tx: Tx, context: Context, bodies: Sequence[View]) -> list[View]:
    """The bodies with their groups decided: where none are named, the default one of the port's project."""
    needy = {body["project_id"] for body in bodies if _needs_default(body)}
    defaults = security_groups.ensure_default(tx, context, needy) if needy else {}
    filled = []
    for body in bodies:
        groups = body.get("security_groups")
        if _needs_default(body) and body["project_id"] in defaults:
            groups = [defaults[body["project_id"]]]
        filled.append(body | {"security_groups": groups or []})
    return filled


def _needs_default(body: View) -> bool:
    own = body["device_owner"].startswith(SERVICE_PREFIX)
    return "security_groups" not in body and body["port_security_enabled"] and not own


def check_groups(tx: Tx, context: Context, choices: Iterable[Collection[str]]) -> None:
    """Refuse groups that the caller cannot see, and mixtures of stateful and stateless ones.

    Raises SecurityGroupNotFound, SecurityGroupConflict.
    """
    chosen = [groups for groups in choices if groups]
    ids = sorted({group for groups in chosen for group in groups})
    if not ids:
        return
    known = reading.by_ids(tx, context, SECURITY_GROUP, ids, lock="stay", scoped=True, fields=frozenset())
    stateful = {group["id"]: group["stateful"] for group in known}
    for group in ids:
        if group not in stateful:
            raise reading.missing(SECURITY_GROUP, group)
    for groups in chosen:
        if len({stateful[group] for group in groups}) > 1:
            raise SecurityGroupConflict(reason="cannot apply both stateful and stateless security groups on the port")


def attach(tx: Tx, pairs: Sequence[tuple[str, str]]) -> None:
    """Make ports members of groups: pairs of their ids."""
    if pairs:
        rows = [{"port_id": port, "security_group_id": group} for port, group in pairs]
        tx.execute(PORT_SECURITY_GROUPS.insert(), rows)


def replace_groups(tx: Tx, port_id: str, held: Collection[str], wanted: Collection[str]) -> bool:
    """Give a port other groups; whether they are others."""
    gone = set(held) - set(wanted)
    if gone:
        table = PORT_SECURITY_GROUPS.c
        left = (table.port_id == port_id, table.security_group_id.in_(gone))
        tx.execute(PORT_SECURITY_GROUPS.delete().where(*left))
    fresh = sorted(set(wanted) - set(held))
    attach(tx, [(port_id, group) for group in fresh])
    return bool(gone or fresh)


def member_groups(tx: Tx, port_ids: Collection[str]) -> dict[str, list[str]]:
    """The groups of each port."""
    found: dict[str, list[str]] = defaultdict(list)
    table = PORT_SECURITY_GROUPS.c
    statement = sa.select(table.port_id, table.security_group_id).where(among(tx, table.port_id, list(port_ids)))
    for port_id, group in tx.tuples(statement):
        found[port_id].append(group)
    return found
