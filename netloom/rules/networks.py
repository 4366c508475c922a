"""Networks."""

import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from netloom.model.errors import Conflict, InvalidInput
from netloom.model.networks import NETWORK
from netloom.model.sharing import RBAC_POLICY
from netloom.rules import mtu, quotas, reading, security_groups, segments, standard, zones
from netloom.rules.context import Context
from netloom.store.database import Tx
from netloom.store.tables.network import (
    DHCP_BINDINGS,
    FLOATINGIPS,
    IP_ALLOCATIONS,
    NETWORKS,
    PORTS,
    RBAC_POLICIES,
    ROUTERS,
    SUBNETS,
    TAGS,
)

Body = dict[str, Any]
OWN_PORTS = ("network:dhcp", "network:distributed", "network:floatingip_agent_gateway")
"""Owners of the ports that Netloom makes itself: they do not keep a network or subnet in use."""
ACTIONS = {"shared": "access_as_shared", "router:external": "access_as_external"}
"""Attributes that stand for an RBAC entry with everybody as its target."""


class NetworkInUse(Conflict):
    """Ports keep the network."""

    message = (
        "Unable to complete operation on network {network_id}. There are one or more ports still in use on the "
        "network, id for these ports is: {ports}."
    )


class InvalidSharedSetting(Conflict):
    """Ports of other projects rely on the network's being shared."""

    message = "Unable to reconfigure sharing settings for network {network}. Multiple tenants are using it."


class ExternalNetworkInUse(Conflict):
    """Gateways or floating IPs rely on the network's being external."""

    message = "External network {network_id} cannot be updated to be made non-external, since it has existing gateways."


class DefaultExternalNetworkExists(Conflict):
    """There is a default network."""

    message = "A default external network already exists: {network_id}."


def create(tx: Tx, context: Context, bodies: list[Body]) -> list[Body]:
    """Make networks, each with its segment.

    Raises: InvalidInput (provider attributes, MTU), FlatNetworkInUse, VlanIdInUse, TunnelIdInUse,
    NoNetworkAvailable, DefaultExternalNetworkExists, AvailabilityZoneNotFound, OverQuota.
    """
    choices = [segments.requested(context.settings, body) for body in bodies]
    zones.check(tx, "DHCP agent", {hint for body in bodies for hint in body["availability_zone_hints"]})
    projects = Counter(body["project_id"] for body in bodies)
    for project_id, count in sorted(projects.items()):
        quotas.check(tx, context, "network", project_id, count)
    if defaults := [body for body in bodies if body["is_default"]]:
        _check_default(tx, len(defaults))
    ids = [body.get("id") or str(uuid.uuid4()) for body in bodies]  # clients name none, the rules may
    found = segments.allocate(tx, context.settings, list(zip(ids, choices, strict=True)))
    rows = [
        standard.new_row(
            tx, NETWORK, body, id=network_id, status="ACTIVE", **_placed(segment),
            is_default=body["is_default"] and body["router:external"],
            mtu=mtu.effective(context.settings, body["mtu"], segment.network_type, segment.physical_network),
        )
        for network_id, body, segment in zip(ids, bodies, found, strict=True)
    ]  # fmt: skip
    tx.execute(NETWORKS.insert(), rows)
    for attribute, action in ACTIONS.items():
        _grant(tx, action, [row for row, body in zip(rows, bodies, strict=True) if body[attribute]])
    security_groups.ensure_default(tx, context, set(projects))
    for network_id in ids:
        tx.changed("network", network_id)
    return reading.by_ids(tx, context, NETWORK, ids)


def update(tx: Tx, context: Context, current: Body, changes: Body) -> Body:
    """Change a network.

    Raises: InvalidInput (provider attributes, MTU), VlanIdInUse, NetworkMTUSubnetConflict, InvalidSharedSetting,
    ExternalNetworkInUse, DefaultExternalNetworkExists.
    """
    network_id = current["id"]
    computed: dict[str, Any] = _renumbered(tx, current, changes)
    if "mtu" in changes:
        kind, physical = current["provider:network_type"], current["provider:physical_network"]
        computed["mtu"] = mtu.effective(context.settings, changes["mtu"], kind, physical)
        versions = sa.select(SUBNETS.c.ip_version).where(SUBNETS.c.network_id == network_id).distinct()
        mtu.check_subnets(computed["mtu"], network_id, set(tx.connection.scalars(versions)))
    if changes.get("is_default") and not current["is_default"]:
        _check_default(tx, 1)
    for attribute in ACTIONS:
        if attribute in changes:
            _share(tx, current, attribute, changes[attribute])
    plain = {name: value for name, value in changes.items() if name != "mtu" and name not in segments.PROVIDER}
    after = current | changes
    plain["is_default"] = after["is_default"] and after["router:external"]  # others lead nowhere
    changed = standard.update_row(tx, NETWORK, current, plain, **computed)
    if changed - {"name", "description", "is_default", "port_security_enabled"}:
        tx.changed("network", network_id)
    if "mtu" in changed:
        _tell_mtu(tx, network_id)
    return reading.by_ids(tx, context, NETWORK, [network_id])[0]


def delete(tx: Tx, context: Context, current: Body) -> None:
    """Remove a network with its subnets, and what Netloom made for it. Raises NetworkInUse."""
    network_id = current["id"]
    tx.execute(sa.select(NETWORKS.c.id).where(NETWORKS.c.id == network_id).with_for_update())
    free = FLOATINGIPS.c.floating_network_id == network_id, FLOATINGIPS.c.port_id.is_(None)
    kept = sa.select(FLOATINGIPS.c.floating_port_id).where(*free)
    ports = tx.rows(
        sa.select(PORTS.c.id, PORTS.c.device_owner, PORTS.c.binding_host_id, PORTS.c.id.in_(kept).label("free"))
        .where(PORTS.c.network_id == network_id)
    )  # fmt: skip
    if used := [port["id"] for port in ports if port["device_owner"] not in OWN_PORTS and not port["free"]]:
        raise NetworkInUse(network_id=network_id, ports=", ".join(sorted(used)))
    subnets = sa.select(SUBNETS.c.id).where(SUBNETS.c.network_id == network_id)
    own_ports = sa.select(PORTS.c.id).where(PORTS.c.network_id == network_id)
    own_floating = sa.select(FLOATINGIPS.c.id).where(*free)
    tagged = own_floating.union(subnets, own_ports, sa.select(sa.literal(network_id)))
    hosts = tx.tuples(sa.select(DHCP_BINDINGS.c.host).where(DHCP_BINDINGS.c.network_id == network_id))
    tx.execute(TAGS.delete().where(TAGS.c.resource_id.in_(tagged)))
    tx.execute(FLOATINGIPS.delete().where(*free))
    tx.execute(IP_ALLOCATIONS.delete().where(IP_ALLOCATIONS.c.network_id == network_id))
    tx.execute(PORTS.delete().where(PORTS.c.network_id == network_id))
    tx.execute(SUBNETS.delete().where(SUBNETS.c.network_id == network_id))
    tx.execute(RBAC_POLICIES.delete().where(RBAC_POLICIES.c.object_id == network_id))
    tx.execute(NETWORKS.delete().where(NETWORKS.c.id == network_id))
    for kind in ("network", "dhcp"):
        tx.changed(kind, network_id)
    for port in ports:
        tx.changed("port", port["id"])
    for host in {host for (host,) in hosts} | {port["binding_host_id"] for port in ports} - {"", None}:
        tx.changed("host", host)


def _placed(segment: segments.Segment) -> dict[str, Any]:
    return {
        "provider_network_type": segment.network_type,
        "provider_physical_network": segment.physical_network,
        "provider_segmentation_id": segment.segmentation_id,
    }


def _grant(tx: Tx, action: str, rows: Sequence[dict[str, Any]]) -> None:
    entries = [
        standard.new_row(
            tx, RBAC_POLICY,
            {
                "project_id": row["project_id"], "object_type": "network", "object_id": row["id"],
                "target_tenant": "*", "action": action,
            },
        )
        for row in rows
    ]  # fmt: skip
    if entries:
        tx.execute(RBAC_POLICIES.insert(), entries)


def _check_default(tx: Tx, count: int) -> None:
    held = tx.row(sa.select(NETWORKS.c.id).where(NETWORKS.c.is_default.is_(True)))
    if held is not None or count > 1:
        raise DefaultExternalNetworkExists(network_id=held["id"] if held else "in this request")


def _renumbered(tx: Tx, current: Body, changes: Body) -> dict[str, Any]:
    """The provider columns after the changes; only the VLAN id of a network can be another one."""
    different = [name for name in segments.PROVIDER if name in changes and changes[name] != current[name]]
    if not different:
        return {}
    if different != ["provider:segmentation_id"] or current["provider:network_type"] != "vlan":
        raise InvalidInput(error_message="Plugin does not support updating provider attributes")
    number = changes["provider:segmentation_id"]
    if number is None or not segments.VLANS[0] <= number <= segments.VLANS[1]:
        raise InvalidInput(error_message="segmentation_id out of range (1 through 4094)")
    segment = segments.Segment("vlan", current["provider:physical_network"], number)
    segments.renumber(tx, current["id"], segment)
    return {"provider_segmentation_id": number}


def _share(tx: Tx, current: Body, attribute: str, wanted: bool) -> None:
    """Add or remove the RBAC entry that an attribute stands for, unless others rely on it."""
    action, network_id = ACTIONS[attribute], current["id"]
    entry = (
        RBAC_POLICIES.c.object_type == "network", RBAC_POLICIES.c.object_id == network_id,
        RBAC_POLICIES.c.action == action, RBAC_POLICIES.c.target_tenant == "*",
    )  # fmt: skip
    present = tx.row(sa.select(RBAC_POLICIES.c.id).where(*entry)) is not None
    if wanted == present:
        return
    if wanted:
        _grant(tx, action, [current])
    else:
        _check_unshared(tx, current, attribute)
        tx.execute(RBAC_POLICIES.delete().where(*entry))
    standard.revise(tx, NETWORKS, [network_id])


def _check_unshared(tx: Tx, current: Body, attribute: str) -> None:
    network_id = current["id"]
    if attribute == "router:external":
        gateway = sa.select(ROUTERS.c.id).where(ROUTERS.c.gateway_network_id == network_id)
        floating = sa.select(FLOATINGIPS.c.id).where(FLOATINGIPS.c.floating_network_id == network_id)
        if tx.row(gateway.union_all(floating).limit(1)) is not None:
            raise ExternalNetworkInUse(network_id=network_id)
        return
    targets = sa.select(RBAC_POLICIES.c.target_tenant).where(
        RBAC_POLICIES.c.object_id == network_id, RBAC_POLICIES.c.action == ACTIONS["shared"]
    )
    foreign = sa.select(PORTS.c.id).where(
        PORTS.c.network_id == network_id,
        PORTS.c.project_id.not_in(["", current["project_id"]]),
        PORTS.c.project_id.not_in(targets),
    )
    if tx.row(foreign.limit(1)) is not None:
        raise InvalidSharedSetting(network=network_id)


def _tell_mtu(tx: Tx, network_id: str) -> None:
    """Routers and instances carry the MTU of their ports' networks."""
    devices = sa.select(PORTS.c.device_owner, PORTS.c.device_id).where(
        PORTS.c.network_id == network_id,
        sa.or_(PORTS.c.device_owner.like("network:router%"), PORTS.c.device_owner.like("compute:%")),
    )
    for owner, device_id in tx.tuples(devices):
        tx.changed("server" if owner.startswith("compute:") else "router", device_id)
