"""The hidden networks on which the hosts of highly available routers elect the active one (VRRP, RFC 5798).

A project has one for all its routers. It comes with the first of them and goes with the last.
"""

import uuid
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from netloom.model.errors import Conflict
from netloom.model.networks import NETWORK
from netloom.model.owners import HA_PORT
from netloom.model.subnets import SUBNET
from netloom.rules import networks, ports, subnets
from netloom.rules.context import Context
from netloom.rules.standard import parsed_body
from netloom.store.among import among
from netloom.store.database import Tx
from netloom.store.tables.network import HA_NETWORKS, PORTS, ROUTERS

VR_IDS = range(1, 256)
"""Virtual router ids (RFC 5798, 5.2.3)."""
Binding = tuple[str, str]
"""Id of a router, and a host that carries it."""


class NoVRIDAvailable(Conflict):
    """A project has as many highly available routers as there are virtual router ids."""

    message = (
        "No more Virtual Router Identifier (VRID) available for project {project_id}. The limit of number of HA "
        "routers per project is {most}."
    )


def reserve(tx: Tx, context: Context, project_id: str, count: int) -> list[int]:
    """Virtual router ids for new routers of a project, which has a network for them then.

    Others that want some of the same project wait until this transaction ends. Raises NoVRIDAvailable, and what making
    networks raises.
    """
    ensure(tx, context, [project_id])
    taken = sa.select(ROUTERS.c.ha_vr_id).where(ROUTERS.c.project_id == project_id, ROUTERS.c.ha_vr_id.is_not(None))
    free = sorted(set(VR_IDS) - set(tx.execute(taken).scalars()))
    if len(free) < count:
        raise NoVRIDAvailable(project_id=project_id, most=len(VR_IDS))
    return free[:count]


def ensure(tx: Tx, context: Context, project_ids: Collection[str]) -> dict[str, str]:
    """Id of the network of each project; those that are missing are made. The projects' rows are locked."""
    if not project_ids:
        return {}
    insert = postgresql.insert(HA_NETWORKS) if tx.postgresql else sqlite.insert(HA_NETWORKS)
    rows = [{"project_id": key, "network_id": str(uuid.uuid4())} for key in sorted(set(project_ids))]
    # Writing the key again locks a row that is there, and waits for those who make or remove one at this moment.
    same = {"project_id": insert.excluded.project_id}
    upsert = insert.on_conflict_do_update(index_elements=["project_id"], set_=same)
    found = tx.tuples(upsert.returning(HA_NETWORKS.c.project_id, HA_NETWORKS.c.network_id), rows)
    held: dict[str, str] = {row[0]: row[1] for row in found}
    if missing := [row for row in rows if held[row["project_id"]] == row["network_id"]]:
        _create(tx, context, {row["project_id"]: row["network_id"] for row in missing})
    return held


def release(tx: Tx, context: Context, project_id: str) -> None:
    """Remove a project's network if none of its routers needs it any more; 2 statements when one does."""
    lock = sa.select(HA_NETWORKS.c.network_id).where(HA_NETWORKS.c.project_id == project_id).with_for_update()
    if (network_id := tx.execute(lock).scalar()) is None:
        return
    needed = sa.select(ROUTERS.c.id).where(ROUTERS.c.project_id == project_id, ROUTERS.c.ha_vr_id.is_not(None))
    if tx.execute(needed.limit(1)).first() is None:
        with suppress(networks.NetworkInUse):  # somebody made ports on it: it waits for the next router
            networks.delete(tx, context, {"id": network_id})


def add_ports(tx: Tx, context: Context, bindings: Sequence[Binding], projects: Mapping[str, str]) -> None:
    """Give hosts the ports from which they take part in elections. ``projects``: those of the routers, by id.

    The last host of a router has the highest address, which decides between equals.
    """
    if not bindings:
        return
    on = ensure(tx, context, {projects[router_id] for router_id, _ in bindings})
    bodies = [
        {
            "name": f"HA port tenant {projects[router_id]}",
            "network_id": on[projects[router_id]],
            "project_id": "",
            "device_id": router_id,
            "device_owner": HA_PORT,
            "binding:host_id": host,
        }
        for router_id, host in bindings
    ]
    ports.create_internal(tx, context, bodies)


def remove_ports(tx: Tx, context: Context, bindings: Collection[Binding]) -> None:
    """Remove the ports of hosts that take part no more."""
    table = PORTS.c
    statement = sa.select(table.id, table.device_id, table.binding_host_id).where(
        among(tx, table.device_id, sorted({router_id for router_id, _ in bindings})), table.device_owner == HA_PORT
    )
    gone = [port_id for port_id, router_id, host in tx.tuples(statement) if (router_id, host) in bindings]
    ports.delete_internal(tx, context, gone)


def _create(tx: Tx, context: Context, wanted: Mapping[str, str]) -> None:
    settings = context.settings
    system = replace(context, is_admin=True)
    provider: dict[str, Any] = {}
    if settings.l3_ha_network_type:
        provider["provider:network_type"] = settings.l3_ha_network_type
        if settings.l3_ha_network_physical_name:
            provider["provider:physical_network"] = settings.l3_ha_network_physical_name
    names = [{"id": network_id, "name": f"HA network tenant {key}"} | provider for key, network_id in wanted.items()]
    networks.create(tx, system, [parsed_body(NETWORK, **body) for body in names])
    common = {"cidr": settings.l3_ha_net_cidr, "ip_version": 4, "gateway_ip": None, "enable_dhcp": False}
    within = [
        {"network_id": network_id, "name": f"HA subnet tenant {key}"} | common for key, network_id in wanted.items()
    ]
    subnets.create(tx, system, [parsed_body(SUBNET, **body) for body in within])
