"""Which rules answer for which resource."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from netloom.api.transactions import write
from netloom.model.agents import AGENT, AVAILABILITY_ZONE
from netloom.model.auto_allocation import AUTO_ALLOCATED_TOPOLOGY
from netloom.model.availability import NETWORK_IP_AVAILABILITY
from netloom.model.fields import Resource
from netloom.model.networks import NETWORK
from netloom.model.ports import PORT
from netloom.model.routers import FLOATINGIP, ROUTER
from netloom.model.security_groups import ADDRESS_GROUP, SECURITY_GROUP, SECURITY_GROUP_RULE
from netloom.model.sharing import RBAC_POLICY
from netloom.model.subnets import SUBNET, SUBNETPOOL
from netloom.model.trunks import TRUNK
from netloom.rules import (
    address_groups,
    agents,
    extraroutes,
    floatingips,
    networks,
    ports,
    rbac_policies,
    router_interfaces,
    routers,
    security_group_rules,
    security_groups,
    subnetpools,
    subnets,
    trunks,
)
from netloom.rules.context import Context
from netloom.rules.query import Query, select_rows
from netloom.store.database import Store, Tx

View = dict[str, Any]
Create = Callable[[Tx, Context, list[View]], list[View]]
Update = Callable[[Tx, Context, View, View], View]
Delete = Callable[[Tx, Context, View], None]
Action = Callable[[Tx, Context, View, View], Mapping[str, Any]]
Detail = Callable[[View], View]


@dataclass(frozen=True, slots=True)
class Family:
    """A resource and the rules behind its verbs; None for a verb that it does not have."""

    resource: Resource
    create: Create | None = None
    update: Update | None = None
    delete: Delete | None = None
    actions: Mapping[str, Action] = field(default_factory=dict)
    """What PUT on a member does, by the last segment of the path."""
    details: Mapping[str, Detail] = field(default_factory=dict)
    """What GET on a member shows of it, by the last segment of the path."""
    bare: bool = False
    """Whether actions answer with the object itself, without an envelope."""
    ensure: Callable[[Store, Context, Query], None] | None = None
    """Makes what must be there before a list that a query asks for."""
    key: str = "id"
    """The attribute that identifies an object in links from page to page; empty when there are no pages."""


def ensure_default_group(store: Store, context: Context, asked: Query) -> None:
    """A project's default group is there as soon as its groups are looked at, by itself or an administrator."""
    named = asked.filters.get("project_id") or asked.filters.get("tenant_id")
    project_id = named[0] if named and context.is_admin else context.project_id
    if not project_id:
        return
    query = Query(filters={"project_id": [project_id], "name": [security_groups.DEFAULT]}, limit=1)
    with store.read() as tx:
        known = select_rows(tx, context, SECURITY_GROUP, query)
    if not known:
        write(store, lambda tx: security_groups.ensure_default(tx, context, [project_id]))


FAMILIES: tuple[Family, ...] = (
    Family(NETWORK, create=networks.create, update=networks.update, delete=networks.delete),
    Family(SUBNET, create=subnets.create, update=subnets.update, delete=subnets.delete),
    Family(PORT, create=ports.create, update=ports.update, delete=ports.delete),
    Family(
        SUBNETPOOL,
        create=subnetpools.create,
        update=subnetpools.update,
        delete=subnetpools.delete,
        actions={"add_prefixes": subnetpools.add_prefixes, "remove_prefixes": subnetpools.remove_prefixes},
    ),
    Family(
        ROUTER,
        create=routers.create,
        update=routers.update,
        delete=routers.delete,
        actions={
            "add_router_interface": router_interfaces.add_router_interface,
            "remove_router_interface": router_interfaces.remove_router_interface,
            "add_extraroutes": extraroutes.add_extraroutes,
            "remove_extraroutes": extraroutes.remove_extraroutes,
        },
    ),
    Family(FLOATINGIP, create=floatingips.create, update=floatingips.update, delete=floatingips.delete),
    Family(
        SECURITY_GROUP,
        create=security_groups.create,
        update=security_groups.update,
        delete=security_groups.delete,
        ensure=ensure_default_group,
    ),
    Family(
        SECURITY_GROUP_RULE,
        create=security_group_rules.create,
        update=security_group_rules.update,
        delete=security_group_rules.delete,
    ),
    Family(
        ADDRESS_GROUP,
        create=address_groups.create,
        update=address_groups.update,
        delete=address_groups.delete,
        actions={
            "add_addresses": address_groups.add_addresses,
            "remove_addresses": address_groups.remove_addresses,
        },
    ),
    Family(RBAC_POLICY, create=rbac_policies.create, update=rbac_policies.update, delete=rbac_policies.delete),
    Family(
        TRUNK,
        create=trunks.create,
        update=trunks.update,
        delete=trunks.delete,
        actions={"add_subports": trunks.add_subports, "remove_subports": trunks.remove_subports},
        details={"get_subports": trunks.get_subports},
        bare=True,
    ),
    Family(AGENT, update=agents.update, delete=agents.delete),
    Family(AVAILABILITY_ZONE, key=""),
    Family(NETWORK_IP_AVAILABILITY, key="network_id"),
    Family(AUTO_ALLOCATED_TOPOLOGY),  # answered by ``topologies``
)

BY_COLLECTION: Mapping[str, Family] = {family.resource.collection.replace("_", "-"): family for family in FAMILIES}
