"""Status of ports and floating IPs: what the hosts have applied, never what was asked for.

Writing a status bumps no revision and logs no change.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from netloom.model.owners import DHCP, HA_PORT, ROUTER_PORTS
from netloom.rules import binding
from netloom.store.among import among
from netloom.store.database import Tx
from netloom.store.tables.feed import APPLIED
from netloom.store.tables.network import FLOATINGIPS, PORTS, ROUTERS

Told = tuple[str, str, str]
"""State (``applied``, ``waiting`` or ``failed``), version, reason."""
OF_ROUTERS = (*ROUTER_PORTS, HA_PORT)
"""Owners of the ports of which the fragment of a router speaks."""
STATUS = {"applied": "ACTIVE", "waiting": "DOWN", "failed": "ERROR"}


def report(tx: Tx, host: str, statuses: Mapping[str, Told], gone: Collection[str] = ()) -> None:
    """Note what became of fragments (by name) on a host, and which ones left it.

    Ports and floating IPs follow. The number of statements does not depend on the number of fragments.
    """
    names = [*statuses, *gone]
    if not names:
        return
    held = _held(tx, host, names)
    fresh = {name: told for name, told in statuses.items() if held.get(name) != told}
    left = [name for name in gone if name in held]
    _store(tx, host, fresh)
    if left:
        tx.execute(APPLIED.delete().where(APPLIED.c.host == host, among(tx, APPLIED.c.fragment, left)))
    ids: dict[str, list[str]] = defaultdict(list)
    for name in [*fresh, *left]:
        kind, _, object_id = name.partition("/")
        ids[kind].append(object_id)
    if ids.keys() & {"port", "dhcp", "router"}:
        _set_ports(tx, host, ids)
    if ids["router"]:
        _set_floating_ips(tx, host, ids["router"])


def follow(tx: Tx, hosts: Mapping[str, str]) -> None:
    """Have ports and floating IPs of routers show what their hosts (by id of the router) have told already.

    For when a router's ports were bound to another host; a few statements for each host.
    """
    routers: dict[str, list[str]] = defaultdict(list)
    for router_id, host in hosts.items():
        routers[host].append(router_id)
    for host, ids in routers.items():
        _set_ports(tx, host, {"router": ids})
        _set_floating_ips(tx, host, ids)


def _held(tx: Tx, host: str, names: Collection[str]) -> dict[str, Told]:
    table = APPLIED.c
    statement = sa.select(table.fragment, table.state, table.version, table.reason).where(
        table.host == host, among(tx, table.fragment, list(names))
    )
    return {name: (state, version, reason) for name, state, version, reason in tx.tuples(statement)}


def _store(tx: Tx, host: str, fresh: Mapping[str, Told]) -> None:
    if not fresh:
        return
    statement = postgresql.insert(APPLIED) if tx.postgresql else sqlite.insert(APPLIED)
    updates = {name: statement.excluded[name] for name in ("version", "state", "reason")}
    rows = [
        {"host": host, "fragment": name, "state": state, "version": version, "reason": reason}
        for name, (state, version, reason) in fresh.items()
    ]
    tx.execute(statement.on_conflict_do_update(index_elements=["host", "fragment"], set_=updates), rows)


def _set_ports(tx: Tx, host: str, ids: Mapping[str, list[str]]) -> None:
    """Ports of this host: their own fragment speaks for them, or that of their router or DHCP network."""
    table = PORTS.c
    routed = table.device_owner.in_(OF_ROUTERS) & among(tx, table.device_id, ids.get("router", []))
    leased = (table.device_owner == DHCP) & among(tx, table.network_id, ids.get("dhcp", []))
    columns = (
        table.id, table.status, table.admin_state_up, table.device_owner, table.device_id, table.network_id,
        table.binding_vif_type,
    )  # fmt: skip
    ports = tx.rows(
        sa.select(*columns).where(
            table.binding_host_id == host, among(tx, table.id, ids.get("port", [])) | routed | leased
        )
    )
    states = {name: told[0] for name, told in _held(tx, host, [speaker(port) for port in ports]).items()}
    changes: dict[str, list[str]] = defaultdict(list)
    for port in ports:
        status = _status(port, states.get(speaker(port), "waiting"))
        if status != port["status"]:
            changes[status].append(port["id"])
    for status, port_ids in changes.items():
        tx.execute(PORTS.update().where(among(tx, table.id, port_ids)).values(status=status))


def speaker(port: Mapping[str, Any]) -> str:
    """Name of the fragment whose state is that of a port."""
    if port["device_owner"] in OF_ROUTERS:
        return f"router/{port['device_id']}"
    return f"dhcp/{port['network_id']}" if port["device_owner"] == DHCP else f"port/{port['id']}"


def _status(port: Mapping[str, Any], state: str) -> str:
    plugged = port["admin_state_up"] and port["binding_vif_type"] == binding.BOUND
    return STATUS[state] if plugged else "DOWN"


def _set_floating_ips(tx: Tx, host: str, router_ids: Collection[str]) -> None:
    """Floating IPs work when their router does, on the host to which its gateway is bound."""
    table = FLOATINGIPS.c
    rows = tx.rows(
        sa.select(table.id, table.status, table.router_id)
        .join(ROUTERS, ROUTERS.c.id == table.router_id)
        .join(PORTS, PORTS.c.id == ROUTERS.c.gateway_port_id)
        .where(PORTS.c.binding_host_id == host, among(tx, table.router_id, list(router_ids)))
    )
    states = _held(tx, host, [f"router/{row['router_id']}" for row in rows])
    changes: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        told = states.get(f"router/{row['router_id']}")
        status = STATUS[told[0]] if told else "DOWN"
        if status != row["status"]:
            changes[status].append(row["id"])
    for status, ids in changes.items():
        tx.execute(FLOATINGIPS.update().where(among(tx, table.id, ids)).values(status=status))
