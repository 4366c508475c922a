"""Ports.

``create``, ``update`` and ``delete`` are what clients may ask for. The ``…_internal`` functions are for the other
families (routers, floating IPs, DHCP): they take what they are given and check only that it can be stored.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from netloom.model.errors import BadRequest, Conflict, NotAuthorized, ServiceUnavailable
from netloom.model.fields import Missing
from netloom.model.networks import NETWORK
from netloom.model.owners import BALANCER_PORTS, DHCP, FLOATING_IP, HA_PORT, ROUTER_PORTS, SERVICE_PREFIX
from netloom.model.ports import PORT
from netloom.rules import (
    addresses,
    associations,
    binding,
    port_addresses,
    port_values,
    quotas,
    reading,
    standard,
    trunk_ports,
)
from netloom.rules.context import Context
from netloom.rules.port_groups import attach, check_groups, default_groups, member_groups, replace_groups
from netloom.store.allocation import insert_new
from netloom.store.among import among
from netloom.store.database import Tx
from netloom.store.tables.loadbalancers import LB_BINDINGS, LOADBALANCERS
from netloom.store.tables.network import FLOATINGIPS, PORTS, ROUTERS, TAGS

View = dict[str, Any]
SERVICE_PORTS = (*ROUTER_PORTS, "network:router_centralized_snat", HA_PORT)
"""Owners of ports that go with their router only."""
MAC_ROUNDS = 16
QUIET = frozenset({"name", "description"})
"""Attributes of which hosts need not know."""


class PortBound(Conflict):
    """The port is plugged, its MAC in use."""

    message = "Unable to complete operation on port {port_id}, port is already bound, port type: {vif_type}."


class PortInUse(Conflict):
    """The port is plugged in another way."""

    message = (
        "Unable to complete operation on port {port_id} for network {net_id}. Port already has an attached device."
    )


class UnsupportedPortDeviceOwner(Conflict):
    """Not with a port of Netloom's own."""

    message = "Operation {op} is not supported for device_owner {device_owner} on port {port_id}."


class MacAddressInUse(Conflict):
    """Another port of the network has the MAC."""

    message = "Unable to complete operation for network {net_id}. The mac address {mac} is in use."


class MacAddressGenerationFailure(ServiceUnavailable):
    """No free MAC was found."""

    message = "Unable to generate unique mac on network {net_id}."


class PortSecurityPortHasSecurityGroup(Conflict):
    """Groups mean something only where packets are checked."""

    message = "Port has security group associated. Cannot disable port security or IP address until it is removed."


class ServicePortInUse(Conflict):
    """The port belongs to a router or a floating IP."""

    message = "Port {port_id} cannot be deleted directly via the port API: {reason}."


class DeviceIDNotOwnedByTenant(Conflict):
    """The device is a router of another project."""

    message = "The following device_id {device_id} is not owned by your tenant or matches another tenants router."


class IPAddressChangeNotAllowed(BadRequest):
    """A router's port keeps its addresses."""

    message = "IP updates for the ports of routers are not allowed through the port: {port_id}."


def create(tx: Tx, context: Context, bodies: list[View]) -> list[View]:
    """Make ports.

    Raises: NetworkNotFound, NotAuthorized, OverQuota, MacAddressInUse, SecurityGroupNotFound,
    DeviceIDNotOwnedByTenant and the errors of ``addresses`` and ``port_values``.
    """
    ids = {body["network_id"] for body in bodies}
    # The networks must stay, but may change: ports of a network do not wait for each other.
    found = reading.by_ids(tx, context, NETWORK, sorted(ids), lock="stay", scoped=True, fields=frozenset())
    networks = {network["id"]: network for network in found}
    for body in bodies:
        _check_network(context, networks.get(body["network_id"]), body)
    _check_devices(tx, context, bodies)
    for project_id, count in sorted(Counter(body["project_id"] for body in bodies).items()):
        quotas.check(tx, context, "port", project_id, count)
    filled = default_groups(tx, context, [_secured(body, networks[body["network_id"]]) for body in bodies])
    check_groups(tx, context, [body["security_groups"] for body in filled])
    return _insert(tx, context, filled, networks)


def create_internal(tx: Tx, context: Context, bodies: Sequence[Mapping[str, Any]]) -> list[View]:
    """Make ports for other families. Bodies need ``network_id`` and ``project_id``; the rest has its defaults.

    No quota, no default security group, no port security. Raises the errors of ``addresses``.
    """
    networks = {
        network["id"]: network
        for network in reading.by_ids(
            tx, context, NETWORK, sorted({body["network_id"] for body in bodies}), lock="stay", fields=frozenset()
        )
    }
    defaults = {item.name: item.default for item in PORT.fields if not isinstance(item.default, Missing)}
    unsecured = {"port_security_enabled": False, "security_groups": []}
    return _insert(tx, context, [defaults | unsecured | dict(body) for body in bodies], networks)


def update(tx: Tx, context: Context, current: View, changes: View) -> View:
    """Change a port as a client asks.

    Raises: as ``create``, PortBound, PortInUse, UnsupportedPortDeviceOwner, IPAddressChangeNotAllowed.
    """
    _check_devices(tx, context, [{"device_id": ""} | changes | {"project_id": current["project_id"]}])
    if changes.get("security_groups"):
        check_groups(tx, context, [changes["security_groups"]])
    after = update_internal(tx, context, current, changes)
    # What a request asks for may well be what is there: an entry may name a subnet alone.
    if current["device_owner"] in SERVICE_PORTS and _places(after) != _places(current):
        raise IPAddressChangeNotAllowed(port_id=current["id"])
    return after


def update_internal(tx: Tx, context: Context, current: View, changes: Mapping[str, Any]) -> View:
    """Change a port; as ``update``, without the checks of what clients may ask for."""
    port_id = current["id"]
    plain, computed = _values(context, current, changes)
    mac = str(plain.get("mac_address", current["mac_address"]))
    children = False
    if "security_groups" in changes:
        children |= replace_groups(tx, port_id, current["security_groups"], changes["security_groups"])
    if "fixed_ips" in changes:
        children |= port_addresses.replace(tx, current, changes["fixed_ips"], mac)
    if mac != current["mac_address"]:
        _check_mac_free(tx, current, mac)
        port_addresses.follow_mac(tx, current, mac)
    host, vif = _bound(tx, context, current, changes)
    computed |= {"binding_host_id": host, "binding_vif_type": vif}
    changed = standard.update_row(tx, PORT, current, plain, **computed)
    rebound = not changed.isdisjoint(("binding:host_id", "binding:vif_type"))
    if rebound or changes.get("admin_state_up") is False:
        tx.execute(PORTS.update().where(PORTS.c.id == port_id).values(binding.AFRESH))
    if rebound:
        trunk_ports.follow(tx, context, {port_id: host})
    if children:
        standard.revise(tx, PORTS, [port_id])
    after = reading.by_ids(tx, context, PORT, [port_id])[0]
    if children or changed - QUIET:
        _tell(tx, [current, after])
    return after


def delete(tx: Tx, context: Context, current: View) -> None:
    """Remove a port; floating IPs that lead to it lead nowhere then.

    Raises ServicePortInUse, PortInUseAsTrunkParent, PortInUseAsSubPort.
    """
    owner, device_id = current["device_owner"], current["device_id"]
    if owner in BALANCER_PORTS:
        _check_no_vip(tx, current)
    table = ROUTERS if owner in SERVICE_PORTS else FLOATINGIPS if owner == FLOATING_IP else None
    if table is not None and tx.row(sa.select(table.c.id).where(table.c.id == device_id)) is not None:
        raise ServicePortInUse(port_id=current["id"], reason=f"has device owner {owner}")
    trunk_ports.check_free(tx, current["id"])
    delete_internal(tx, context, [current["id"]])


def _check_no_vip(tx: Tx, port: View) -> None:
    """Refuse to remove the port of a load balancer: it has the VIP, or a host elects from it."""
    balancers = sa.select(LOADBALANCERS.c.id).where(LOADBALANCERS.c.vip_port_id == port["id"])
    electing = sa.select(LB_BINDINGS.c.loadbalancer_id).where(LB_BINDINGS.c.port_id == port["id"])
    if tx.row(balancers.union_all(electing)) is not None:
        raise ServicePortInUse(port_id=port["id"], reason="it is a load balancer's")


def delete_internal(tx: Tx, context: Context, port_ids: Collection[str]) -> None:
    """Remove ports of these ids, with what belongs to them."""
    if not port_ids:
        return
    columns = ("id", "network_id", "device_owner", "device_id", "binding_host_id")
    rows = tx.rows(sa.select(*(PORTS.c[name] for name in columns)).where(among(tx, PORTS.c.id, list(port_ids))))
    groups = member_groups(tx, port_ids)
    associations.release(tx, port_ids)
    tx.execute(TAGS.delete().where(among(tx, TAGS.c.resource_id, list(port_ids))))
    tx.execute(PORTS.delete().where(among(tx, PORTS.c.id, list(port_ids))))
    _tell(
        tx,
        [
            row | {"binding:host_id": row["binding_host_id"], "security_groups": groups.get(row["id"], ())}
            for row in rows
        ],
    )


def _places(port: View) -> set[tuple[str, str]]:
    """Subnets and addresses of a port."""
    return {(place["subnet_id"], place["ip_address"]) for place in port["fixed_ips"]}


def _insert(tx: Tx, context: Context, bodies: Sequence[View], networks: Mapping[str, View]) -> list[View]:
    """Store ports with their addresses, groups and tags: a constant number of statements."""
    subnets = addresses.subnets_of(tx, networks.keys())
    vifs = binding.vif_types(tx, context, [_plug(body, networks[body["network_id"]]) for body in bodies])
    rows = [_row(tx, context, body, vif) for body, vif in zip(bodies, vifs, strict=True)]
    _store(tx, context, rows, {row["id"] for row, body in zip(rows, bodies, strict=True) if body.get("mac_address")})
    ports = [body | row for body, row in zip(bodies, rows, strict=True)]
    port_addresses.give(tx, ports, subnets)
    attach(tx, [(port["id"], group) for port in ports for group in port["security_groups"]])
    tags = [{"resource_id": port["id"], "tag": tag} for port in ports for tag in port["tags"]]
    if tags:
        tx.execute(TAGS.insert(), tags)
    made = reading.by_ids(tx, context, PORT, [row["id"] for row in rows])
    for port in made:
        if port["security_groups"] and not port["port_security_enabled"]:
            raise port_values.PortSecurityAndIPRequiredForSecurityGroups()
    _tell(tx, made)
    return made


def _row(tx: Tx, context: Context, body: View, vif: str) -> View:
    mac = body.get("mac_address") or port_values.random_mac(context.settings.base_mac)
    pairs = body.get("allowed_address_pairs") or ()
    if pairs and not body["port_security_enabled"]:
        raise port_values.AddressPairAndPortSecurityRequired()
    profile = body.get("binding:profile") or {}
    port_values.check_profile(profile)
    return standard.new_row(
        tx, PORT, body,
        mac_address=mac,
        status="N/A" if body["device_owner"] == FLOATING_IP else "DOWN",
        allowed_address_pairs=port_values.address_pairs(pairs, mac, context.settings.max_allowed_address_pair),
        extra_dhcp_opts=port_values.dhcp_options(body.get("extra_dhcp_opts") or ()),
        binding_host_id=body.get("binding:host_id") or "",
        binding_vif_type=vif,
        binding_profile=profile,
    )  # fmt: skip


def _store(tx: Tx, context: Context, rows: Sequence[View], explicit: Collection[str]) -> None:
    """Insert ports; those whose random MAC is taken get another one."""
    waiting = list(rows)
    for _ in range(MAC_ROUNDS):
        stored = {key for (key,) in insert_new(tx, PORTS, waiting, "id")}
        waiting = [row for row in waiting if row["id"] not in stored]
        if not waiting:
            return
        for row in waiting:
            if row["id"] in explicit:
                raise MacAddressInUse(net_id=row["network_id"], mac=row["mac_address"])
            old, row["mac_address"] = row["mac_address"], port_values.random_mac(context.settings.base_mac)
            for pair in row["allowed_address_pairs"]:
                if pair["mac_address"] == old:
                    pair["mac_address"] = row["mac_address"]
    raise MacAddressGenerationFailure(net_id=waiting[0]["network_id"])


def _secured(body: View, network: View) -> View:
    """The body with its port security decided: none for Netloom's own, else as the network has it."""
    secured = body.get("port_security_enabled", network["port_security_enabled"])
    if body["device_owner"].startswith(SERVICE_PREFIX):
        secured = False
    return body | {"port_security_enabled": secured}


def _values(context: Context, current: View, changes: Mapping[str, Any]) -> tuple[View, View]:
    """What a change makes of the port's own columns: by wire name, and by column."""
    plain = {name: value for name, value in changes.items() if not name.startswith("binding:")}
    computed: View = {}
    if "mac_address" in changes:
        plain["mac_address"] = _new_mac(context, current, changes["mac_address"])
    mac = str(plain.get("mac_address", current["mac_address"]))
    if changes.get("extra_dhcp_opts") is not None:
        plain["extra_dhcp_opts"] = port_values.dhcp_options(changes["extra_dhcp_opts"], current["extra_dhcp_opts"])
    else:
        plain.pop("extra_dhcp_opts", None)
    if "allowed_address_pairs" in changes:
        most = context.settings.max_allowed_address_pair
        plain["allowed_address_pairs"] = port_values.address_pairs(changes["allowed_address_pairs"] or (), mac, most)
    if "binding:profile" in changes:
        computed["binding_profile"] = changes["binding:profile"] or {}
        port_values.check_profile(computed["binding_profile"])
    if "binding:vnic_type" in changes:
        computed["binding_vnic_type"] = changes["binding:vnic_type"]
        different = changes["binding:vnic_type"] != current["binding:vnic_type"]
        if different and current["binding:vif_type"] == binding.BOUND:
            raise PortInUse(port_id=current["id"], net_id=current["network_id"])
    _check_security(current | plain, changes)
    return plain, computed


def _check_security(wanted: View, changes: Mapping[str, Any]) -> None:
    if wanted["port_security_enabled"]:
        return
    if wanted["security_groups"]:
        if changes.get("security_groups"):
            raise port_values.PortSecurityAndIPRequiredForSecurityGroups()
        raise PortSecurityPortHasSecurityGroup()
    if wanted["allowed_address_pairs"]:
        raise port_values.AddressPairAndPortSecurityRequired()


def _new_mac(context: Context, current: View, mac: str | None) -> str:
    if mac is not None and mac == current["mac_address"]:
        return mac
    if current["device_owner"].startswith(SERVICE_PREFIX):
        raise UnsupportedPortDeviceOwner(
            op="mac address update", device_owner=current["device_owner"], port_id=current["id"]
        )
    if current["binding:vif_type"] == binding.BOUND:
        raise PortBound(port_id=current["id"], vif_type=current["binding:vif_type"])
    return mac or port_values.random_mac(context.settings.base_mac)


def _check_mac_free(tx: Tx, current: View, mac: str) -> None:
    table = PORTS.c
    held = sa.select(table.id).where(table.network_id == current["network_id"], table.mac_address == mac)
    if tx.row(held) is not None:
        raise MacAddressInUse(net_id=current["network_id"], mac=mac)


def _bound(tx: Tx, context: Context, current: View, changes: Mapping[str, Any]) -> tuple[str, str]:
    """Host and VIF type after a change; a host that is named again is tried again when it failed."""
    host = current["binding:host_id"]
    if "binding:host_id" not in changes and "binding:vnic_type" not in changes:
        return host, current["binding:vif_type"]
    wanted = (changes["binding:host_id"] or "") if "binding:host_id" in changes else host
    if wanted == host and current["binding:vif_type"] == binding.BOUND:
        return host, binding.BOUND
    network = reading.by_ids(tx, context, NETWORK, [current["network_id"]], fields=frozenset())[0]
    plug = _plug(current | dict(changes) | {"binding:host_id": wanted}, network)
    return wanted, binding.vif_types(tx, context, [plug])[0]


def _plug(body: View, network: View) -> binding.Plug:
    kind, physical = network["provider:network_type"], network["provider:physical_network"]
    return binding.Plug(body.get("binding:host_id") or "", kind, physical, body["binding:vnic_type"])


def _check_network(context: Context, network: View | None, body: View) -> None:
    if network is None:
        raise reading.missing(NETWORK, body["network_id"])
    trusted = context.is_admin or "service" in context.roles | context.service_roles
    if not trusted and not network["shared"] and network["project_id"] != context.project_id:
        raise NotAuthorized(f"Not authorized to make ports on network {network['id']}: it is not shared.")


def _check_devices(tx: Tx, context: Context, bodies: Sequence[View]) -> None:
    """Refuse to name another project's router as the device."""
    devices = {body["device_id"]: body["project_id"] for body in bodies if body["device_id"]}
    if context.is_admin or not devices:
        return
    routers = sa.select(ROUTERS.c.id, ROUTERS.c.project_id).where(among(tx, ROUTERS.c.id, list(devices)))
    for router_id, project_id in tx.tuples(routers):
        if project_id != devices[router_id]:
            raise DeviceIDNotOwnedByTenant(device_id=router_id)


def _tell(tx: Tx, ports: Sequence[Mapping[str, Any]]) -> None:
    """Log what hosts should look at again because of these ports (as they were, and as they are)."""
    for port in ports:
        tx.changed("port", port["id"])
        for group in port["security_groups"]:
            tx.changed("addresses", group)
        if port["binding:host_id"]:
            tx.changed("host", port["binding:host_id"])
        if port["device_owner"] in ROUTER_PORTS:
            tx.changed("router", port["device_id"])
        if port["device_owner"] == DHCP or port["device_owner"] in ROUTER_PORTS:
            tx.changed("dhcp", port["network_id"])
        if port["device_owner"].startswith("compute:"):
            tx.changed("server", port["device_id"])
