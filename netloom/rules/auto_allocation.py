"""Get me a network: one of a project's own, with subnets of the default pools and a router to the default external one.

A topology is made by the first who asks, in one transaction, so that there is all of it or nothing.
"""

from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from netloom.model.errors import BadRequest, Conflict, NotFound
from netloom.model.networks import NETWORK
from netloom.model.routers import ROUTER
from netloom.model.subnets import SUBNET
from netloom.rules import networks, reading, router_interfaces, routers, subnetpools, subnets
from netloom.rules.context import Context
from netloom.rules.router_ports import attached
from netloom.rules.standard import parsed_body
from netloom.rules.visibility import viewer, visible
from netloom.store.database import Tx
from netloom.store.tables.network import AUTO_ALLOCATED_TOPOLOGIES, NETWORKS

NAME = "auto_allocated_{part}"
SLAAC_LENGTH = 64
"""The only prefix length with which hosts make up their own addresses (RFC 4862)."""


class AutoAllocationFailure(Conflict):
    """The cloud lacks what a topology is made of, or it could not be made."""

    message = "Deployment error: {reason}."


def check(tx: Tx, context: Context, project_id: str) -> None:
    """Make sure that the cloud has what a topology is made of. Raises AutoAllocationFailure."""
    _parts(tx, _acting(context, project_id))


def network_of(tx: Tx, project_id: str) -> str | None:
    """Id of the network of a project's topology, if it has one."""
    table = AUTO_ALLOCATED_TOPOLOGIES.c
    return tx.execute(sa.select(table.network_id).where(table.project_id == project_id)).scalar()


def ensure(tx: Tx, context: Context, project_id: str) -> str:
    """Id of the network of a project's topology, which is made if there is none. Raises AutoAllocationFailure."""
    _alone(tx, project_id)
    if (known := network_of(tx, project_id)) is not None:
        return known
    acting = _acting(context, project_id)
    external, pools = _parts(tx, acting)
    try:
        return _make(tx, acting, external, pools)
    except (BadRequest, Conflict, NotFound) as error:
        raise AutoAllocationFailure(reason=str(error).rstrip(".")) from error


def delete(tx: Tx, context: Context, project_id: str) -> None:
    """Remove all of a project's topology; nothing happens when there is none.

    Raises: NetworkInUse, RouterInUse, RouterInterfaceInUseByFloatingIP, RouterInterfaceInUseByRoute,
    RouterExternalGatewayInUseByFloatingIp.
    """
    _alone(tx, project_id)
    table = AUTO_ALLOCATED_TOPOLOGIES
    if (held := tx.row(sa.select(table).where(table.c.project_id == project_id))) is None:
        return
    acting = _acting(context, project_id)
    tx.execute(table.delete().where(table.c.project_id == project_id))
    for router in reading.by_ids(tx, acting, ROUTER, [held["router_id"] or ""], lock="change"):
        places = attached(tx, router["id"])
        for subnet_id in sorted({place.subnet_id for place in places if place.network_id == held["network_id"]}):
            router_interfaces.remove_router_interface(tx, acting, router, {"subnet_id": subnet_id})
        routers.delete(tx, acting, router)
    networks.delete(tx, acting, {"id": held["network_id"]})


def _alone(tx: Tx, project_id: str) -> None:
    """Make and remove a project's topology one after the other: who comes second sees what the first has done."""
    tx.alone(f"auto-allocated topology {project_id}")


def _acting(context: Context, project_id: str) -> Context:
    """The project itself: what an administrator sees beyond it is not for its topology."""
    return replace(context, project_id=project_id, is_admin=False)


def _parts(tx: Tx, acting: Context) -> tuple[str, list[dict[str, Any]]]:
    """Id of the default external network, and the default subnet pools. Raises AutoAllocationFailure."""
    default = (NETWORKS.c.is_default.is_(True), NETWORKS.c.router_external.is_(True))
    seen = sa.select(NETWORKS.c.id).where(*default, visible(viewer(acting), NETWORK, NETWORKS))
    if (external := tx.execute(seen).scalar()) is None:
        raise AutoAllocationFailure(reason="No default router:external network")
    if not (pools := subnetpools.defaults(tx, acting)):
        raise AutoAllocationFailure(reason="No default subnetpools defined")
    return external, list(pools.values())


def _make(tx: Tx, acting: Context, external: str, pools: list[dict[str, Any]]) -> str:
    owner = {"project_id": acting.project_id}
    named = owner | {"name": NAME.format(part="network")}
    network_id: str = networks.create(tx, acting, [parsed_body(NETWORK, **named)])[0]["id"]
    within = [parsed_body(SUBNET, **owner, **_subnet(network_id, pool)) for pool in pools]
    made = subnets.create(tx, acting, within)
    way_out = {"name": NAME.format(part="router"), "external_gateway_info": {"network_id": external}}
    router = routers.create(tx, acting, [parsed_body(ROUTER, **owner, **way_out)])[0]
    for subnet in made:
        router_interfaces.add_router_interface(tx, acting, router, {"subnet_id": subnet["id"]})
    row = owner | {"network_id": network_id, "router_id": router["id"]}
    tx.execute(AUTO_ALLOCATED_TOPOLOGIES.insert().values(row))
    return network_id


def _subnet(network_id: str, pool: dict[str, Any]) -> dict[str, Any]:
    """The subnet of a pool. Instances learn their IPv6 addresses from the router where the prefix allows it."""
    version = pool["ip_version"]
    automatic = {"ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}
    return {
        "name": NAME.format(part=f"subnet_v{version}"),
        "network_id": network_id,
        "ip_version": version,
        "subnetpool_id": pool["id"],
    } | (automatic if version == 6 and pool["default_prefixlen"] == SLAAC_LENGTH else {})
