"""Load balancing as the Networking API had it first (LBaaS v1), on the engine of Octavia's.

A pool is a load balancer and a pool of one id; its VIP is a listener, and gives the load balancer its address.
Nothing is refused while a change is under way: the hosts get what is newest.
"""

import uuid
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from netloom.model.errors import BadRequest, Conflict, HTTPBadRequest, NotAuthorized, NotFound
from netloom.model.fields import Resource
from netloom.model.lb_pools import HEALTHMONITOR, MEMBER, POOL
from netloom.model.lbaas_v1 import LB_MEMBER, LB_MONITOR, LB_POOL, LB_VIP
from netloom.model.loadbalancers import LISTENER, LOADBALANCER
from netloom.model.owners import LBAAS_VIP
from netloom.model.subnets import SUBNET
from netloom.rules import ports, quotas
from netloom.rules.context import Context
from netloom.rules.load_balancing import lbaas_views, scheduling, vips
from netloom.rules.load_balancing.changes import begin, lb_time
from netloom.rules.lookup import require
from netloom.rules.query import missing, table_of
from netloom.store.among import among
from netloom.store.database import Tx
from netloom.store.tables.loadbalancers import HEALTHMONITORS, LISTENERS, LOADBALANCERS, MEMBERS, POOL_MONITORS, POOLS

View = dict[str, Any]
ANY = ("ACTIVE", "PENDING_CREATE", "PENDING_UPDATE", "ERROR")
NOWHERE: View = dict.fromkeys(("vip_port_id", "vip_network_id", "vip_subnet_id", "vip_address"))


class ProtocolMismatch(BadRequest):
    """A VIP speaks what its pool speaks."""

    message = "Protocol {vip_proto} does not match pool protocol {pool_proto}"


class VipExists(Conflict):
    """A pool has one VIP."""

    message = "Another Vip already exists for pool {pool}"


class PoolInUse(Conflict):
    """The pool has a VIP."""

    message = "Pool {pool_id} is still in use"


class MemberExists(Conflict):
    """The pool has the member."""

    message = "Member with address {address} and port {port} already present in pool {pool}."


class HealthMonitorInUse(Conflict):
    """Pools are watched by it."""

    message = "Health monitor {monitor_id} still has associations with pools"


class PoolMonitorAssociationExists(Conflict):
    """The pool is watched by it already."""

    message = "health_monitor {monitor_id} is already associated with pool {pool_id}"


class PoolMonitorAssociationNotFound(NotFound):
    """The pool is not watched by it."""

    message = "Monitor {monitor_id} is not associated with Pool {pool_id}"


def create_pools(tx: Tx, context: Context, bodies: list[View]) -> list[View]:
    """Make pools, each on a host. Raises SubnetNotFound, HealthMonitorNotFound, OverQuota."""
    ids = []
    for body in bodies:  # pools do not come in bulk
        quotas.check(tx, context, "pool", body["project_id"], 1)
        require(tx, context, SUBNET, body["subnet_id"])
        key = str(uuid.uuid4())
        named = {name: body[name] for name in ("name", "description", "admin_state_up", "project_id")}
        balancer = _row(LOADBALANCER, tx, named | {"id": key}) | {
            "admin_state_up": True, "provider": "haproxy", "vip_sg_ids": [], "generation": 1, "own_port": True,
        }  # fmt: skip
        tx.execute(LOADBALANCERS.insert(), balancer)
        values = {"id": key, "lb_algorithm": body["lb_method"], "loadbalancer_id": key, "tls_enabled": False}
        tx.execute(POOLS.insert(), _row(POOL, tx, named | values | {"protocol": body["protocol"]}) | _fresh(1)
                   | {"subnet_id": body["subnet_id"]})  # fmt: skip
        _watch(tx, context, key, body["health_monitors"])
        ids.append(key)
    scheduling.refresh(tx, context, ids)
    return lbaas_views.by_ids(tx, context, LB_POOL, ids)


def update_pool(tx: Tx, context: Context, current: View, changes: View) -> View:
    """Change a pool. Raises HealthMonitorNotFound."""
    begin(tx, context, current["id"], ANY)
    if "health_monitors" in changes:
        tx.execute(POOL_MONITORS.delete().where(POOL_MONITORS.c.pool_id == current["id"]))
        _watch(tx, context, current["id"], changes["health_monitors"])
    columns = {("lb_algorithm" if name == "lb_method" else name): value for name, value in changes.items()}
    return _written(tx, context, LB_POOL, current, columns)


def delete_pool(tx: Tx, context: Context, current: View) -> None:
    """Remove a pool with its members. Raises PoolInUse."""
    if current["vip_id"]:
        raise PoolInUse(pool_id=current["id"])
    scheduling.forget(tx, context, current["id"])
    tx.execute(LOADBALANCERS.delete().where(LOADBALANCERS.c.id == current["id"]))
    tx.changed("loadbalancer", current["id"])


def create_vips(tx: Tx, context: Context, bodies: list[View]) -> list[View]:
    """Give pools their addresses.

    Raises: PoolNotFound, NotAuthorized, ProtocolMismatch, VipExists, HTTPBadRequest, SubnetNotFound, OverQuota,
    the errors of
    ``vips.make``.
    """
    ids = []
    for body in bodies:
        quotas.check(tx, context, "vip", body["project_id"], 1)
        key = str(uuid.uuid4())
        balancer = begin(tx, context, _pool_for_vip(tx, context, body)["id"], ANY)
        subnet = require(tx, context, SUBNET, body["subnet_id"])
        fixed = {"subnet_id": subnet["id"]} | ({"ip_address": body["address"]} if body.get("address") else {})
        names = {"name": f"vip-{key}", "device_owner": LBAAS_VIP, "device_id": balancer["id"]}
        place = {"network_id": subnet["network_id"], "fixed_ips": [fixed]}
        port = vips.make(tx, context, body | {"vip_address": body.get("address")}, place, names)
        _place(tx, balancer["id"], {
            "vip_port_id": port["id"], "vip_network_id": port["network_id"], "vip_subnet_id": subnet["id"],
            "vip_address": port["fixed_ips"][0]["ip_address"],
        })  # fmt: skip
        _keep(tx, balancer["id"], body["session_persistence"])
        columns = {name: value for name, value in body.items() if name in LISTENERS.c}
        columns |= {"id": key, "loadbalancer_id": balancer["id"], "default_pool_id": balancer["id"]}
        tx.execute(LISTENERS.insert(), _row(LISTENER, tx, _defaults(LISTENER) | columns) | _fresh(balancer))
        scheduling.refresh(tx, context, [balancer["id"]])
        ids.append(key)
    return lbaas_views.by_ids(tx, context, LB_VIP, ids)


def update_vip(tx: Tx, context: Context, current: View, changes: View) -> View:
    """Change a VIP, or the pool that it leads to. Raises as ``create_vips``."""
    pool_id = changes.pop("pool_id", current["pool_id"])
    kept = changes.pop("session_persistence", current["session_persistence"])
    begin(tx, context, current["pool_id"], ANY)
    if pool_id != current["pool_id"]:
        target = _pool_for_vip(tx, context, current | {"pool_id": pool_id})
        changes |= _fresh(begin(tx, context, target["id"], ANY))
        table = LOADBALANCERS.c
        place = tx.row(sa.select(*(table[name] for name in NOWHERE)).where(table.id == current["pool_id"]))
        _keep(tx, current["pool_id"], {})
        _place(tx, current["pool_id"], NOWHERE)
        _place(tx, target["id"], place or {})
        changes |= {"loadbalancer_id": target["id"], "default_pool_id": target["id"]}
    _keep(tx, pool_id, kept)
    view = _written(tx, context, LB_VIP, current, changes)
    scheduling.refresh(tx, context, [pool_id])
    return view


def delete_vip(tx: Tx, context: Context, current: View) -> None:
    """Take away a pool's address; the pool stays, and waits for another one."""
    begin(tx, context, current["pool_id"], ANY)
    tx.execute(LISTENERS.delete().where(LISTENERS.c.id == current["id"]))
    _keep(tx, current["pool_id"], {})
    _place(tx, current["pool_id"], NOWHERE)
    ports.delete_internal(tx, context, [current["port_id"]])


def create_members(tx: Tx, context: Context, bodies: list[View]) -> list[View]:
    """Add members to pools. Raises PoolNotFound, MemberExists, OverQuota."""
    ids = []
    for body in bodies:
        quotas.check(tx, context, "member", body["project_id"], 1)
        pool = _named(tx, context, LB_POOL, body["pool_id"])
        balancer = begin(tx, context, pool["id"], ANY)
        _check_member(tx, body, pool["id"])
        key = str(uuid.uuid4())
        row = _row(MEMBER, tx, _defaults(MEMBER) | body | {"id": key, "operating_status": "NO_MONITOR"})
        tx.execute(MEMBERS.insert(), row | _fresh(balancer))
        ids.append(key)
    return lbaas_views.by_ids(tx, context, LB_MEMBER, ids)


def update_member(tx: Tx, context: Context, current: View, changes: View) -> View:
    """Change a member, or its pool. Raises PoolNotFound, MemberExists."""
    begin(tx, context, current["pool_id"], ANY)
    if changes.get("pool_id", current["pool_id"]) != current["pool_id"]:
        changes |= _fresh(begin(tx, context, _named(tx, context, LB_POOL, changes["pool_id"])["id"], ANY))
        _check_member(tx, current, changes["pool_id"])
    return _written(tx, context, LB_MEMBER, current, changes)


def delete_member(tx: Tx, context: Context, current: View) -> None:
    """Remove a member."""
    begin(tx, context, current["pool_id"], ANY)
    tx.execute(MEMBERS.delete().where(MEMBERS.c.id == current["id"]))


def create_monitors(tx: Tx, context: Context, bodies: list[View]) -> list[View]:
    """Make health monitors; they watch nothing before they are associated with pools. Raises OverQuota."""
    ids = []
    for body in bodies:
        quotas.check(tx, context, "health_monitor", body["project_id"], 1)
        ids.append(str(uuid.uuid4()))
        values = {"max_retries_down": body["max_retries"], "name": ""} | body | {"id": ids[-1]}
        tx.execute(HEALTHMONITORS.insert(), _row(HEALTHMONITOR, tx, values) | _fresh(1))
    return lbaas_views.by_ids(tx, context, LB_MONITOR, ids)


def update_monitor(tx: Tx, context: Context, current: View, changes: View) -> View:
    """Change a health monitor."""
    for pool in current["pools"]:
        begin(tx, context, pool["pool_id"], ANY)
    if "max_retries" in changes:
        changes["max_retries_down"] = changes["max_retries"]
    return _written(tx, context, LB_MONITOR, current, changes)


def delete_monitor(tx: Tx, _context: Context, current: View) -> None:
    """Remove a health monitor. Raises HealthMonitorInUse."""
    if current["pools"]:
        raise HealthMonitorInUse(monitor_id=current["id"])
    tx.execute(HEALTHMONITORS.delete().where(HEALTHMONITORS.c.id == current["id"]))


def associate(tx: Tx, context: Context, pool: View, body: Mapping[str, Any]) -> list[str]:
    """Have a pool watched; the ids of all monitors that do. Raises HTTPBadRequest, HealthMonitorNotFound,
    PoolMonitorAssociationExists."""
    named = body.get("health_monitor")
    monitor_id = named.get("id") if isinstance(named, dict) else None
    if not isinstance(monitor_id, str):
        raise HTTPBadRequest("Unable to find 'health_monitor' with its 'id' in request body")
    if monitor_id in pool["health_monitors"]:
        raise PoolMonitorAssociationExists(monitor_id=monitor_id, pool_id=pool["id"])
    begin(tx, context, pool["id"], ANY)
    _watch(tx, context, pool["id"], [monitor_id])
    return sorted([*pool["health_monitors"], monitor_id])


def dissociate(tx: Tx, context: Context, pool: View, monitor_id: str) -> None:
    """Have a pool no longer watched by a monitor. Raises PoolMonitorAssociationNotFound."""
    association(pool, monitor_id)
    begin(tx, context, pool["id"], ANY)
    table = POOL_MONITORS.c
    tx.execute(POOL_MONITORS.delete().where(table.pool_id == pool["id"], table.healthmonitor_id == monitor_id))


def association(pool: View, monitor_id: str) -> View:
    """How a monitor and a pool go together. Raises PoolMonitorAssociationNotFound."""
    if monitor_id not in pool["health_monitors"]:
        raise PoolMonitorAssociationNotFound(monitor_id=monitor_id, pool_id=pool["id"])
    shown = {"pool_id": pool["id"], "monitor_id": monitor_id}
    return shown | {"status": pool["status"], "status_description": None}


def _named(tx: Tx, context: Context, resource: Resource, object_id: str) -> View:
    """What a request names, when the caller may know of it. Raises the resource's 404."""
    found = lbaas_views.get(tx, context, resource, object_id)
    if found is None:
        raise missing(resource, object_id)
    return found


def _pool_for_vip(tx: Tx, context: Context, vip: Mapping[str, Any]) -> View:
    pool = _named(tx, context, LB_POOL, vip["pool_id"])
    if pool["project_id"] != vip["project_id"]:
        raise NotAuthorized(f"Pool {pool['id']} belongs to another project than the VIP.")
    if pool["protocol"] != vip["protocol"]:
        raise ProtocolMismatch(vip_proto=vip["protocol"], pool_proto=pool["protocol"])
    if pool["vip_id"]:
        raise VipExists(pool=pool["id"])
    _check_persistence(vip["session_persistence"])
    return pool


def _check_persistence(kept: Mapping[str, Any]) -> None:
    if kept and (kept.get("type") == "APP_COOKIE") != bool(kept.get("cookie_name")):
        raise HTTPBadRequest("session_persistence needs a 'cookie_name' with type APP_COOKIE, and only then.")


def _check_member(tx: Tx, member: Mapping[str, Any], pool_id: str) -> None:
    table = MEMBERS.c
    place = (table.address == member["address"], table.protocol_port == member["protocol_port"])
    if tx.row(sa.select(table.id).where(table.pool_id == pool_id, *place)) is not None:
        raise MemberExists(address=member["address"], port=member["protocol_port"], pool=pool_id)


def _watch(tx: Tx, context: Context, pool_id: str, monitor_ids: list[str]) -> None:
    for key in monitor_ids:
        _named(tx, context, LB_MONITOR, key)
    if monitor_ids:
        tx.execute(POOL_MONITORS.insert(), [{"pool_id": pool_id, "healthmonitor_id": key} for key in monitor_ids])


def _place(tx: Tx, balancer_id: str, place: Mapping[str, Any]) -> None:
    tx.execute(LOADBALANCERS.update().where(LOADBALANCERS.c.id == balancer_id).values(**place))


def _keep(tx: Tx, pool_id: str, kept: Mapping[str, Any]) -> None:
    """Session persistence, which v1 has at the VIP, is the pool's."""
    _check_persistence(kept)
    tx.execute(POOLS.update().where(POOLS.c.id == pool_id).values(session_persistence=dict(kept) or None))


def _row(resource: Resource, tx: Tx, values: Mapping[str, Any]) -> View:
    """A row of v1, by the columns of Octavia's resource."""
    names = [item.column for item in resource.stored]
    filled = {name: values.get(name) for name in names}
    if "operating_status" in names:
        filled["operating_status"] = values.get("operating_status", "OFFLINE")
    return filled | {"api": 1, "created_at": lb_time(tx)}


def _defaults(resource: Resource) -> View:
    """What v1 does not say of an object is as Octavia has it by default."""
    plain = {item.name: item.default for item in resource.stored if item.has("C")}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in plain.items() if not hasattr(v, "value")}


def _fresh(balancer: Mapping[str, Any] | int) -> View:
    """The generations of a new object."""
    generation = balancer if isinstance(balancer, int) else balancer["generation"]
    return {"made": generation, "touched": generation}


def _written(tx: Tx, context: Context, resource: Resource, current: View, columns: Mapping[str, Any]) -> View:
    table = table_of(resource)
    values = {name: value for name, value in columns.items() if name in table.c}
    if values:
        now = {"updated_at": lb_time(tx)}
        tx.execute(table.update().where(among(tx, table.c.id, [current["id"]])).values(values | now))
    return lbaas_views.by_ids(tx, context, resource, [current["id"]])[0]
