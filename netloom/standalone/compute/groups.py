"""Security groups of instances: those of their ports."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from netloom.standalone.compute import plugging
from netloom.standalone.compute.context import Asked, Compute, Row
from netloom.standalone.compute.networking import Refusal
from netloom.standalone.compute.servers import existing
from netloom.standalone.web import Problem, Reply
from netloom.store.database import Tx
from netloom.store.tables.compute import SERVER_NICS
from netloom.store.tables.network import PORT_SECURITY_GROUPS


def add_security_group(compute: Compute, asked: Asked, argument: Any) -> Reply:
    """addSecurityGroup: to all ports of the instance."""
    return _change(compute, asked, argument, lambda held, group: [*held, group] if group not in held else held)


def remove_security_group(compute: Compute, asked: Asked, argument: Any) -> Reply:
    """removeSecurityGroup: from all ports of the instance."""

    def without(held: list[str], group: str) -> list[str]:
        return [one for one in held if one != group]

    return _change(compute, asked, argument, without)


def _change(compute: Compute, asked: Asked, argument: Any, change: Callable[[list[str], str], list[str]]) -> Reply:
    name = argument.get("name") if isinstance(argument, dict) else None
    if not isinstance(name, str) or not name:
        raise Problem(400, f"Invalid input for field/attribute name. Value: {name}. A group's name or id is needed")
    with compute.store.read() as tx:
        row = existing(tx, asked)
        held = groups_of_ports(tx, row)
    try:
        group = _find(compute, asked, name)
        wanted = {port_id: change(groups, group) for port_id, groups in held.items()}
        if held and wanted == held:
            raise (
                Problem(404, f"Security group {name} is not associated with the instance {row['id']}")
                if (all(group not in groups for groups in held.values()))
                else Problem(400, f"Security group {name} is already associated with the instance {row['id']}")
            )
        for port_id, groups in wanted.items():
            compute.networking.ask("PUT", f"ports/{port_id}", {"port": {"security_groups": groups}}, token=asked.token)
    except Refusal as refusal:
        raise Problem(refusal.status, str(refusal)) from None
    return Reply(status=202)


def _find(compute: Compute, asked: Asked, name: str) -> str:
    if name != "default":
        return plugging.resolve_groups(compute.networking, asked, [name])[0]
    query = {"name": "default", "tenant_id": asked.project_id}
    answer = compute.networking.ask("GET", "security-groups", token=asked.token, query=query)
    return str(answer["security_groups"][0]["id"])


def groups_of_ports(tx: Tx, row: Row) -> dict[str, list[str]]:
    """Ids of security groups by the ids of the ports of an instance."""
    table = SERVER_NICS.c
    query = sa.select(table.port_id, PORT_SECURITY_GROUPS.c.security_group_id).outerjoin(
        PORT_SECURITY_GROUPS, PORT_SECURITY_GROUPS.c.port_id == table.port_id
    )
    held: dict[str, list[str]] = {}
    for port_id, group in tx.tuples(query.where(table.server_id == row["id"]).order_by(table.position)):
        held.setdefault(port_id, []).extend([group] if group else [])
    return held
