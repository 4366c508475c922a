"""Status of ports and floating IPs: what the hosts have applied, never what was asked for.

Writing a status bumps no revision and logs no change.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
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
Place = tuple[str, str]
"""Host, and name of a fragment."""
OF_ROUTERS = (*ROUTER_PORTS, HA_PORT)
"""Owners of the ports of which the fragment of a router speaks."""
STATUS = {"applied": "ACTIVE", "waiting": "DOWN", "failed": "ERROR"}


def report(tx: Tx, host: str, statuses: Mapping[str, Told], gone: Collection[str] = ()) -> None:
    """Note what became of fragments (by name) on a host, and which ones left it."""
    reports(tx, {host: (statuses, gone)})


def reports(tx: Tx, told: Mapping[str, tuple[Mapping[str, Told], Collection[str]]]) -> None:
    """Note for each host what became of fragments (by name), and which ones left it.

    Ports and floating IPs follow. The number of statements does not depend on the number of hosts or fragments.
    """
    names = {name for statuses, gone in told.values() for name in (*statuses, *gone)}
    if not names:
        return
    held = _held(tx, told, names)
    fresh = {
        (host, name): state
        for host, (statuses, _) in sorted(told.items())
        for name, state in sorted(statuses.items())
        if held.get((host, name)) != state
    }
    left = [(host, name) for host, (_, gone) in sorted(told.items()) for name in sorted(gone) if (host, name) in held]
    _store(tx, fresh)
    _forget(tx, left)
    ids: dict[str, set[str]] = defaultdict(set)
    for _, name in [*fresh, *left]:
        kind, _, object_id = name.partition("/")
        ids[kind].add(object_id)
    if ids.keys() & {"port", "dhcp", "router"}:
        _set_ports(tx, told, ids)
    if ids["router"]:
        _set_floating_ips(tx, told, ids["router"])


def follow(tx: Tx, hosts: Mapping[str, str]) -> None:
    """Have ports and floating IPs of routers show what their hosts (by id of the router) have told already.

    For when a router's ports were bound to another host; the number of statements does not depend on that of routers.
    """
    _set_ports(tx, set(hosts.values()), {"router": set(hosts)})
    _set_floating_ips(tx, set(hosts.values()), set(hosts))


def _held(tx: Tx, hosts: Collection[str], names: Collection[str]) -> dict[Place, Told]:
    table = APPLIED.c
    statement = sa.select(table.host, table.fragment, table.state, table.version, table.reason).where(
        among(tx, table.host, hosts), among(tx, table.fragment, names)
    )
    return {(host, name): (state, version, reason) for host, name, state, version, reason in tx.tuples(statement)}


def _store(tx: Tx, fresh: Mapping[Place, Told]) -> None:
    if not fresh:
        return
    statement = postgresql.insert(APPLIED) if tx.postgresql else sqlite.insert(APPLIED)
    updates = {name: statement.excluded[name] for name in ("version", "state", "reason")}
    rows = [
        {"host": host, "fragment": name, "state": state, "version": version, "reason": reason}
        for (host, name), (state, version, reason) in fresh.items()
    ]
    tx.execute(statement.on_conflict_do_update(index_elements=["host", "fragment"], set_=updates), rows)


def _forget(tx: Tx, left: Sequence[Place]) -> None:
    if left:
        those = (APPLIED.c.host == sa.bindparam("of_host"), APPLIED.c.fragment == sa.bindparam("of_fragment"))
        tx.execute(APPLIED.delete().where(*those), [{"of_host": host, "of_fragment": name} for host, name in left])


def _set_ports(tx: Tx, hosts: Collection[str], ids: Mapping[str, Collection[str]]) -> None:
    """Ports of these hosts: their own fragment speaks for them, or that of their router or DHCP network."""
    table = PORTS.c
    routed = table.device_owner.in_(OF_ROUTERS) & among(tx, table.device_id, ids.get("router", ()))
    leased = (table.device_owner == DHCP) & among(tx, table.network_id, ids.get("dhcp", ()))
    columns = (
        table.id, table.status, table.admin_state_up, table.device_owner, table.device_id, table.network_id,
        table.binding_vif_type, table.binding_host_id,
    )  # fmt: skip
    ports = tx.rows(
        sa.select(*columns).where(
            among(tx, table.binding_host_id, hosts), among(tx, table.id, ids.get("port", ())) | routed | leased
        )
    )
    states = _held(tx, hosts, {speaker(port) for port in ports})
    changes: dict[str, list[str]] = defaultdict(list)
    for port in ports:
        told = states.get((port["binding_host_id"], speaker(port)))
        status = _status(port, told[0] if told else "waiting")
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


def _set_floating_ips(tx: Tx, hosts: Collection[str], router_ids: Collection[str]) -> None:
    """Floating IPs work when their router does, on the host to which its gateway is bound."""
    table = FLOATINGIPS.c
    rows = tx.rows(
        sa.select(table.id, table.status, table.router_id, PORTS.c.binding_host_id)
        .join(ROUTERS, ROUTERS.c.id == table.router_id)
        .join(PORTS, PORTS.c.id == ROUTERS.c.gateway_port_id)
        .where(among(tx, PORTS.c.binding_host_id, hosts), among(tx, table.router_id, router_ids))
    )
    states = _held(tx, hosts, {f"router/{row['router_id']}" for row in rows})
    changes: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        told = states.get((row["binding_host_id"], f"router/{row['router_id']}"))
        status = STATUS[told[0]] if told else "DOWN"
        if status != row["status"]:
            changes[status].append(row["id"])
    for status, ids in changes.items():
        tx.execute(FLOATINGIPS.update().where(among(tx, table.id, ids)).values(status=status))
