"""What compute passes on to the network and image services, as clients before 2.36 expect it."""

from typing import Any

import sqlalchemy as sa

from netloom.standalone.compute import views
from netloom.standalone.compute.context import ROOT, Asked, Compute, Routes, Row
from netloom.standalone.compute.networking import Refusal
from netloom.standalone.compute.servers import existing
from netloom.standalone.compute.values import optional_text, whole
from netloom.standalone.image.directory import may_see, visible_image
from netloom.standalone.web import Problem, Reply
from netloom.store.tables.images import IMAGES

LAST = 36
"""The minor version that took the proxies away."""
NO_ADDRESSES_SINCE = 44


def ask(compute: Compute, asked: Asked, method: str, path: str, body: Any = None, query: Any = None) -> Any:
    """Ask the Networking API as the caller.

    Raises:
        Problem: what it answers, in compute's manner.
    """
    try:
        return compute.networking.ask(method, path, body, token=asked.token, query=query)
    except Refusal as refusal:
        status = 403 if refusal.kind == "OverQuota" else refusal.status
        raise Problem(status, str(refusal)) from None


# Security groups


def _rule(rule: Row, names: dict[str, str]) -> Row:
    """A rule as Nova shows it; -1 stands for no limit."""
    remote = rule["remote_group_id"]
    port_min, port_max = rule["port_range_min"], rule["port_range_max"]
    protocol = rule["protocol"]
    if protocol and protocol.upper() in ("ICMP", "TCP", "UDP") and port_min is None and protocol.upper() != "ICMP":
        port_min, port_max = 1, 65535
    cidr = rule["remote_ip_prefix"] or ("0.0.0.0/0" if rule["ethertype"] == "IPv4" else "::/0")
    return {
        "id": rule["id"],
        "parent_group_id": rule["security_group_id"],
        "ip_protocol": protocol,
        "from_port": -1 if port_min is None else port_min,
        "to_port": -1 if port_max is None else port_max,
        "group": {"name": names.get(remote, ""), "tenant_id": rule["project_id"]} if remote else {},
        "ip_range": {} if remote else {"cidr": cidr},
    }


def _group(group: Row, names: dict[str, str]) -> Row:
    rules = [rule for rule in group["security_group_rules"] if rule["direction"] == "ingress"]
    return {
        "id": group["id"],
        "name": group["name"],
        "description": group["description"],
        "tenant_id": group["project_id"],
        "rules": [_rule(rule, names) for rule in rules],
    }


def _groups(compute: Compute, asked: Asked, query: Row) -> list[Row]:
    found = ask(compute, asked, "GET", "security-groups", query=query)["security_groups"]
    names = {group["id"]: group["name"] for group in found}
    return [_group(group, names) for group in found]


def list_groups(compute: Compute, asked: Asked) -> Reply:
    """GET os-security-groups."""
    asked.require_below(LAST)
    return Reply({"security_groups": _groups(compute, asked, {"tenant_id": asked.project_id})})


def show_group(compute: Compute, asked: Asked) -> Reply:
    """GET os-security-groups/ID."""
    asked.require_below(LAST)
    found = _groups(compute, asked, {"id": asked.call.args["id"]})
    if not found:
        raise Problem(404, f"Security group {asked.call.args['id']} not found.")
    return Reply({"security_group": found[0]})


def create_group(compute: Compute, asked: Asked) -> Reply:
    """POST os-security-groups."""
    asked.require_below(LAST)
    given = asked.call.member("security_group")
    body = {"security_group": {name: given.get(name) or "" for name in ("name", "description")}}
    made = ask(compute, asked, "POST", "security-groups", body)["security_group"]
    return Reply({"security_group": _group(made, {})})


def update_group(compute: Compute, asked: Asked) -> Reply:
    """PUT os-security-groups/ID."""
    asked.require_below(LAST)
    given = asked.call.member("security_group")
    body = {"security_group": {name: given[name] for name in ("name", "description") if given.get(name) is not None}}
    changed = ask(compute, asked, "PUT", f"security-groups/{asked.call.args['id']}", body)["security_group"]
    return Reply({"security_group": _group(changed, {})})


def delete_group(compute: Compute, asked: Asked) -> Reply:
    """DELETE os-security-groups/ID."""
    asked.require_below(LAST)
    ask(compute, asked, "DELETE", f"security-groups/{asked.call.args['id']}")
    return Reply(status=202)


def create_rule(compute: Compute, asked: Asked) -> Reply:
    """POST os-security-group-rules: ports as numbers or texts, -1 for none."""
    asked.require_below(LAST)
    given = asked.call.member("security_group_rule")
    cidr, remote = optional_text(given, "cidr"), optional_text(given, "group_id")
    rule: Row = {
        "security_group_id": given.get("parent_group_id"),
        "direction": "ingress",
        "ethertype": "IPv6" if cidr and ":" in cidr else "IPv4",
        "protocol": str(given["ip_protocol"]).lower() if given.get("ip_protocol") else None,
        "port_range_min": _port(given, "from_port"),
        "port_range_max": _port(given, "to_port"),
        "remote_group_id": remote,
        "remote_ip_prefix": None if remote else cidr,
    }
    made = ask(compute, asked, "POST", "security-group-rules", {"security_group_rule": rule})["security_group_rule"]
    names = {}
    if remote:
        names[remote] = ask(compute, asked, "GET", f"security-groups/{remote}")["security_group"]["name"]
    return Reply({"security_group_rule": _rule(made, names)})


def _port(given: Row, name: str) -> int | None:
    number = whole(given, name, -1, -1)
    return number if number >= 0 else None


def delete_rule(compute: Compute, asked: Asked) -> Reply:
    """DELETE os-security-group-rules/ID."""
    asked.require_below(LAST)
    ask(compute, asked, "DELETE", f"security-group-rules/{asked.call.args['id']}")
    return Reply(status=202)


def groups_of_server(compute: Compute, asked: Asked) -> Reply:
    """GET servers/ID/os-security-groups."""
    with compute.store.read() as tx:
        row = existing(tx, asked)
        names = views.details(tx, [row["id"]]).groups.get(row["id"], ())
    query = {"tenant_id": row["project_id"], "name": list(names)}
    return Reply({"security_groups": _groups(compute, asked, query) if names else []})


# Floating IPs


def _floating(entry: Row, pools: dict[str, str], servers: dict[str, str]) -> Row:
    return {
        "id": entry["id"],
        "ip": entry["floating_ip_address"],
        "fixed_ip": entry["fixed_ip_address"],
        "pool": pools.get(entry["floating_network_id"], entry["floating_network_id"]),
        "instance_id": servers.get(entry["port_id"] or "") or None,
    }


def _floating_views(compute: Compute, asked: Asked, found: list[Row]) -> list[Row]:
    networks = ask(compute, asked, "GET", "networks", query={"router:external": "true", "fields": ["id", "name"]})
    pools = {network["id"]: network["name"] for network in networks["networks"]}
    ids = [entry["port_id"] for entry in found if entry["port_id"]]
    wanted = {"id": ids, "fields": ["id", "device_id"]}
    ports = ask(compute, asked, "GET", "ports", query=wanted)["ports"] if ids else []
    servers = {port["id"]: port["device_id"] for port in ports}
    return [_floating(entry, pools, servers) for entry in found]


def list_floating(compute: Compute, asked: Asked) -> Reply:
    """GET os-floating-ips."""
    asked.require_below(LAST)
    found = ask(compute, asked, "GET", "floatingips", query={"tenant_id": asked.project_id})["floatingips"]
    return Reply({"floating_ips": _floating_views(compute, asked, found)})


def show_floating(compute: Compute, asked: Asked) -> Reply:
    """GET os-floating-ips/ID."""
    asked.require_below(LAST)
    found = ask(compute, asked, "GET", f"floatingips/{asked.call.args['id']}")["floatingip"]
    return Reply({"floating_ip": _floating_views(compute, asked, [found])[0]})


def create_floating(compute: Compute, asked: Asked) -> Reply:
    """POST os-floating-ips: from the pool (an external network) that is named, or the first one."""
    asked.require_below(LAST)
    given = asked.call.json() if asked.call.content else {}
    pool = given.get("pool") if isinstance(given, dict) else None
    networks = ask(compute, asked, "GET", "networks", query={"router:external": "true"})["networks"]
    fitting = [network for network in networks if pool in (None, network["name"], network["id"])]
    if not fitting:
        raise Problem(404, "Floating IP pool not found.")
    body = {"floatingip": {"floating_network_id": fitting[0]["id"]}}
    made = ask(compute, asked, "POST", "floatingips", body)["floatingip"]
    return Reply({"floating_ip": _floating_views(compute, asked, [made])[0]})


def delete_floating(compute: Compute, asked: Asked) -> Reply:
    """DELETE os-floating-ips/ID."""
    asked.require_below(LAST)
    ask(compute, asked, "DELETE", f"floatingips/{asked.call.args['id']}")
    return Reply(status=202)


def list_pools(compute: Compute, asked: Asked) -> Reply:
    """GET os-floating-ip-pools."""
    asked.require_below(LAST)
    networks = ask(compute, asked, "GET", "networks", query={"router:external": "true"})["networks"]
    return Reply({"floating_ip_pools": [{"name": network["name"] or network["id"]} for network in networks]})


def _address_of(compute: Compute, asked: Asked, argument: Any) -> Row:
    asked.require_below(NO_ADDRESSES_SINCE)
    address = argument.get("address") if isinstance(argument, dict) else None
    if not isinstance(address, str):
        raise Problem(400, f"Invalid input for field/attribute address. Value: {address}. It must be an address")
    found: list[Row] = ask(compute, asked, "GET", "floatingips", query={"floating_ip_address": address})["floatingips"]
    if not found:
        raise Problem(404, f"floating IP not found for address {address}")
    return found[0]


def add_floating_ip(compute: Compute, asked: Asked, argument: Any) -> Reply:
    """addFloatingIp: to the fixed address that is named, or the first IPv4 address of the instance."""
    floating = _address_of(compute, asked, argument)
    with compute.store.read() as tx:
        row = existing(tx, asked)
        nics = views.details(tx, [row["id"]]).nics.get(row["id"], ())
    wanted = argument.get("fixed_address")
    every = [(nic["port_id"], entry["ip_address"]) for nic in nics for entry in nic["fixed"]]
    pairs = [pair for pair in every if ":" not in pair[1]]
    if not pairs:
        raise Problem(400, "No fixed IPs associated to instance")
    fitting = [pair for pair in pairs if wanted in (None, pair[1])]
    if not fitting:
        raise Problem(400, "Specified fixed address not assigned to instance")
    body = {"floatingip": {"port_id": fitting[0][0], "fixed_ip_address": fitting[0][1]}}
    ask(compute, asked, "PUT", f"floatingips/{floating['id']}", body)
    return Reply(status=202)


def remove_floating_ip(compute: Compute, asked: Asked, argument: Any) -> Reply:
    """removeFloatingIp."""
    floating = _address_of(compute, asked, argument)
    with compute.store.read() as tx:
        row = existing(tx, asked)
        nics = views.details(tx, [row["id"]]).nics.get(row["id"], ())
    if floating["port_id"] not in [nic["port_id"] for nic in nics]:
        raise Problem(409, f"Floating IP {argument['address']} is not associated with instance {row['id']}.")
    ask(compute, asked, "PUT", f"floatingips/{floating['id']}", {"floatingip": {"port_id": None}})
    return Reply(status=202)


# Images


def _image(row: Row, asked: Asked) -> Row:
    links = [
        {"rel": "self", "href": f"{asked.root}/images/{row['id']}"},
        {"rel": "bookmark", "href": f"{asked.call.base}{ROOT}/images/{row['id']}"},
    ]
    return {
        "id": row["id"],
        "name": row["name"],
        "status": {"active": "ACTIVE", "queued": "SAVING", "saving": "SAVING"}.get(row["status"], "UNKNOWN"),
        "progress": 100 if row["status"] == "active" else 25,
        "minDisk": row["min_disk"],
        "minRam": row["min_ram"],
        "created": row["created_at"],
        "updated": row["updated_at"],
        "metadata": row["properties"],
        "OS-EXT-IMG-SIZE:size": row["size"] or 0,
        "links": links,
    }


def list_images(compute: Compute, asked: Asked) -> Reply:
    """GET images."""
    shown = [{name: image[name] for name in ("id", "name", "links")} for image in _images(compute, asked)]
    return Reply({"images": shown})


def list_images_detail(compute: Compute, asked: Asked) -> Reply:
    """GET images/detail."""
    return Reply({"images": _images(compute, asked)})


def _images(compute: Compute, asked: Asked) -> list[Row]:
    asked.require_below(LAST)
    query = sa.select(IMAGES).where(may_see(asked.identity)).order_by(IMAGES.c.created_at.desc(), IMAGES.c.id)
    if (name := asked.call.param("name")) is not None:
        query = query.where(IMAGES.c.name == name)
    with compute.store.read() as tx:
        return [_image(row, asked) for row in tx.rows(query)]


def show_image(compute: Compute, asked: Asked) -> Reply:
    """GET images/ID."""
    asked.require_below(LAST)
    with compute.store.read() as tx:
        row = visible_image(tx, asked.identity, asked.call.args["id"])
    if row is None:
        raise Problem(404, f"Image {asked.call.args['id']} could not be found.")
    return Reply({"image": _image(row, asked)})


ROUTES: Routes = (
    ("GET", "/os-security-groups", list_groups),
    ("POST", "/os-security-groups", create_group),
    ("GET", "/os-security-groups/{id}", show_group),
    ("PUT", "/os-security-groups/{id}", update_group),
    ("DELETE", "/os-security-groups/{id}", delete_group),
    ("POST", "/os-security-group-rules", create_rule),
    ("DELETE", "/os-security-group-rules/{id}", delete_rule),
    ("GET", "/servers/{id}/os-security-groups", groups_of_server),
    ("GET", "/os-floating-ips", list_floating),
    ("POST", "/os-floating-ips", create_floating),
    ("GET", "/os-floating-ips/{id}", show_floating),
    ("DELETE", "/os-floating-ips/{id}", delete_floating),
    ("GET", "/os-floating-ip-pools", list_pools),
    ("GET", "/images", list_images),
    ("GET", "/images/detail", list_images_detail),
    ("GET", "/images/{id}", show_image),
)
