"""Which fragments a host must have: its slice of the intent, and no more."""

import sqlalchemy as sa

from netloom.feed.render_server import DELETING
from netloom.model.owners import ROUTER_INTERFACES
from netloom.store.database import Tx
from netloom.store.tables.compute import SERVERS
from netloom.store.tables.network import (
    DHCP_BINDINGS,
    PORT_SECURITY_GROUPS,
    PORTS,
    ROUTER_BINDINGS,
    SECURITY_GROUP_RULES,
)


def interest(tx: Tx, host: str) -> set[str]:
    """Names of all fragments that ``host`` must have; 5 statements."""
    return _switched(tx, host) | _served(tx, host) | _protected(tx, host) | _hosted(tx, host)


def _switched(tx: Tx, host: str) -> set[str]:
    """Ports bound to the host, all ports of the networks that it serves or routes, and their networks.

    Routers and DHCP servers answer for every port of a network: leases, metadata, ARP.
    """
    dhcp = sa.select(DHCP_BINDINGS.c.network_id).where(DHCP_BINDINGS.c.host == host)
    carried = sa.select(ROUTER_BINDINGS.c.router_id).where(ROUTER_BINDINGS.c.host == host)
    routed = sa.select(PORTS.c.network_id).where(
        PORTS.c.device_id.in_(carried), PORTS.c.device_owner.in_(ROUTER_INTERFACES)
    )
    names: set[str] = set()
    columns = sa.select(PORTS.c.id, PORTS.c.network_id)
    statement = columns.where(PORTS.c.binding_host_id == host).union(
        columns.where(PORTS.c.network_id.in_(dhcp.union(routed)))
    )
    for row in tx.execute(statement):
        names |= {f"port/{row.id}", f"network/{row.network_id}"}
    return names


def _served(tx: Tx, host: str) -> set[str]:
    """Networks that the host serves DHCP for, and routers that it carries."""
    networks = tx.execute(sa.select(DHCP_BINDINGS.c.network_id).where(DHCP_BINDINGS.c.host == host)).scalars()
    names = {f"{kind}/{network_id}" for network_id in networks for kind in ("dhcp", "network")}
    routers = tx.execute(sa.select(ROUTER_BINDINGS.c.router_id).where(ROUTER_BINDINGS.c.host == host)).scalars()
    return names | {f"router/{router_id}" for router_id in routers}


def _protected(tx: Tx, host: str) -> set[str]:
    """Security groups of the ports bound to the host, and the sets that their rules refer to."""
    rules = SECURITY_GROUP_RULES
    statement = (
        sa.select(PORT_SECURITY_GROUPS.c.security_group_id, rules.c.remote_group_id, rules.c.remote_address_group_id)
        .join(PORTS, PORTS.c.id == PORT_SECURITY_GROUPS.c.port_id)
        .outerjoin(rules, rules.c.security_group_id == PORT_SECURITY_GROUPS.c.security_group_id)
        .where(PORTS.c.binding_host_id == host)
        .distinct()
    )
    names: set[str] = set()
    for row in tx.execute(statement):
        names.add(f"security_group/{row.security_group_id}")
        names |= {f"addresses/{remote}" for remote in (row.remote_group_id, row.remote_address_group_id) if remote}
    return names


def _hosted(tx: Tx, host: str) -> set[str]:
    """Instances that the host runs."""
    table = SERVERS.c
    wanted = (table.host == host, table.prepared, sa.func.coalesce(table.task_state, "") != DELETING)
    return {f"server/{server_id}" for server_id in tx.execute(sa.select(table.id).where(*wanted)).scalars()}
