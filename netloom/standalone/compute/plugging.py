"""Ports of instances: which are wanted, making and binding them, and letting them go."""

import contextlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from netloom.standalone.compute import allocation
from netloom.standalone.compute.context import Asked, Row
from netloom.standalone.compute.networking import Networking, Refusal
from netloom.standalone.compute.values import optional_text
from netloom.standalone.web import Problem
from netloom.store.among import among
from netloom.store.database import Tx
from netloom.store.tables.compute import SERVER_NICS
from netloom.store.tables.network import NETWORKS

AMBIGUOUS = "Multiple possible networks found, use a Network ID to be more specific."
DEFAULT_MTU = 1500


@dataclass(frozen=True, slots=True)
class Wanted:
    """A network card that somebody asked for."""

    network_id: str
    """Empty: the project's automatic one, which is made when the instance is."""
    port: Row | None = None
    """The port that was given; None: one is made."""
    fixed_ip: str = ""
    tag: str | None = None


class BuildFailure(Exception):
    """An instance cannot get its ports; ``str`` tells why."""


def resolve(networking: Networking, asked: Asked, networks: Any) -> list[Wanted]:
    """What the member ``networks`` of a request means, checked as far as Nova checks at once.

    Raises:
        Problem: 400, 403 or 409 as Nova has it.
    """
    if networks == "none":
        return []
    if networks in (None, [], "auto"):
        return _only_network(networking, asked, automatic=networks == "auto")
    if not isinstance(networks, list) or not all(isinstance(entry, dict) for entry in networks):
        raise Problem(400, f"Invalid input for field/attribute networks. Value: {networks}. It must be a list")
    for entry in networks:
        _check_entry(entry)
    ports = _ports(networking, asked, [entry["port"] for entry in networks if entry.get("port")])
    wanted = [ports[entry["port"]]["network_id"] if entry.get("port") else entry["uuid"] for entry in networks]
    known = _networks(networking, asked, set(wanted))
    found = []
    for entry, network_id in zip(networks, wanted, strict=True):
        port = ports.get(entry.get("port") or "")
        network = known.get(network_id)
        if network is None and port is None:
            raise Problem(400, f"Network {network_id} could not be found.")
        if network is not None and port is None:
            _check_network(network, asked)
        found.append(Wanted(network_id, port, entry.get("fixed_ip") or "", entry.get("tag")))
    return found


def _check_entry(entry: Row) -> None:
    for name in ("port", "uuid"):
        value = entry.get(name)
        try:
            uuid.UUID(str(value)) if value is not None else None
        except ValueError:
            raise Problem(400, f"Bad networks format: network uuid is not in proper format ({value})") from None
    for name in ("fixed_ip", "tag"):
        optional_text(entry, name, 60)
    if not entry.get("port") and not entry.get("uuid"):
        raise Problem(400, "Bad network format: missing 'uuid'")
    if entry.get("port") and entry.get("fixed_ip"):
        raise Problem(
            400,
            f"Specified Fixed IP '{entry['fixed_ip']}' cannot be used with port '{entry['port']}': the two cannot be"
            " specified together.",
        )


def _ports(networking: Networking, asked: Asked, ids: Sequence[str]) -> dict[str, Row]:
    if not ids:
        return {}
    if len(set(ids)) < len(ids):
        raise Problem(409, f"Port {ids[0]} is still in use.")
    answer = _asking(networking, "ports", asked, {"id": list(ids)})
    found = {port["id"]: port for port in answer["ports"]}
    for port_id in ids:
        port = found.get(port_id)
        if port is None:
            raise Problem(400, f"Port id {port_id} could not be found.")
        if port["device_id"]:
            raise Problem(409, f"Port {port_id} is still in use.")
        if port["project_id"] != asked.project_id and not asked.is_admin:
            raise Problem(400, f"Port {port_id} not usable for instance.")
        if not port["fixed_ips"]:
            raise Problem(400, f"Port {port_id} requires a FixedIP in order to be used.")
    return found


def _networks(networking: Networking, asked: Asked, ids: set[str]) -> dict[str, Row]:
    answer = _asking(networking, "networks", asked, {"id": sorted(ids)})
    return {network["id"]: network for network in answer["networks"]}


def _check_network(network: Row, asked: Asked) -> None:
    if network.get("router:external") and not network["shared"] and not asked.is_admin:
        raise Problem(403, f"It is not allowed to create an interface on external network {network['id']}")
    if not network["subnets"]:
        raise Problem(400, f"Network {network['id']} requires a subnet in order to boot instances on.")


def _only_network(networking: Networking, asked: Asked, *, automatic: bool) -> list[Wanted]:
    """The network of a project that can use only one: its own, or a shared one.

    ``automatic``: one that leads out of the cloud, or is down, is none; without any, one is to be made.
    """
    usable = []
    for query in ({"tenant_id": asked.project_id, "shared": "false"}, {"shared": "true"}):
        for network in _asking(networking, "networks", asked, query)["networks"]:
            if not automatic or (network["admin_state_up"] and not network.get("router:external")):
                usable.append(network)
    if len(usable) > 1:
        raise Problem(409, AMBIGUOUS)
    if not usable:
        if automatic:
            allocation.check(networking, asked)
        return [Wanted("")] if automatic else []
    _check_network(usable[0], asked)
    return [Wanted(usable[0]["id"])]


def with_networks(networking: Networking, asked: Asked, wanted: Sequence[Wanted]) -> list[Wanted]:
    """The cards with their networks, of which the automatic one is made if it is not there yet.

    Raises:
        BuildFailure: it cannot be made.
        Refusal: the Networking API does not answer, or the caller may not ask.
    """
    try:
        return [
            one if one.network_id else replace(one, network_id=allocation.network(networking, asked)) for one in wanted
        ]
    except allocation.AllocationFailure as failure:
        raise BuildFailure(str(failure)) from None


def resolve_groups(networking: Networking, asked: Asked, wanted: Sequence[str]) -> list[str]:
    """Ids of security groups given by id or name.

    Raises:
        Problem: 400, there is no such group, or several.
    """
    if not wanted or list(wanted) == ["default"]:
        return []
    answer = _asking(networking, "security-groups", asked, {"fields": ["id", "name", "project_id"]})
    found = []
    for text in dict.fromkeys(wanted):
        groups = answer["security_groups"]
        named = [one for one in groups if (one["name"], one["project_id"]) == (text, asked.project_id)]
        known = [one for one in groups if one["id"] == text] or named
        if not known:
            raise Problem(400, f"Security group {text} not found for project {asked.project_id}.")
        if len(known) > 1:
            raise Problem(409, f"Multiple security groups found matching '{text}'. Use an ID to be more specific.")
        found.append(known[0]["id"])
    return found


def make_ports(
    networking: Networking, servers: Sequence[Row], wanted: Sequence[Wanted], groups: Sequence[str], first: int = 0
) -> list[Row]:
    """Make the ports that are missing, bind all of them to the servers' hosts; rows for ``save_nics``.

    ``first`` is the position of the first card. On failure nothing of it is left.

    Raises:
        Refusal: the Networking API said no.
        BuildFailure: a host cannot plug a port.
    """
    bodies = [_new_port(server, one, groups) for server in servers for one in wanted if one.port is None]
    made = networking.ask("POST", "ports", {"ports": bodies})["ports"] if bodies else []
    bound: list[Row] = []
    try:
        fresh, rows = iter(made), []
        for server in servers:
            for position, one in enumerate(wanted, first):
                port = next(fresh) if one.port is None else _bind(networking, server, one.port)
                bound += [port] if one.port is not None else []
                if port.get("binding:vif_type") in ("binding_failed", "unbound"):
                    raise BuildFailure(
                        f"Binding failed for port {port['id']}: host {server['host']} has no live switch agent"
                        " that can plug its network."
                    )
                rows.append(_nic(server, port, one, position))
    except (Refusal, BuildFailure):
        with contextlib.suppress(Refusal):  # the first failure is the one to tell
            release(networking, [port["id"] for port in made], [port["id"] for port in bound])
        raise
    return rows


def _new_port(server: Row, one: Wanted, groups: Sequence[str]) -> Row:
    body: Row = {
        "network_id": one.network_id,
        "project_id": server["project_id"],
        "admin_state_up": True,
        **_attachment(server),
    }
    if one.fixed_ip:
        body["fixed_ips"] = [{"ip_address": one.fixed_ip}]
    if groups:
        body["security_groups"] = list(groups)
    return body


def _attachment(server: Row) -> Row:
    return {
        "device_id": server["id"],
        "device_owner": f"compute:{server['availability_zone']}",
        "binding:host_id": server["host"],
    }


def _bind(networking: Networking, server: Row, port: Row) -> Row:
    answer: Row = networking.ask("PUT", f"ports/{port['id']}", {"port": _attachment(server)})["port"]
    return answer


def _nic(server: Row, port: Row, one: Wanted, position: int) -> Row:
    return {
        "server_id": server["id"],
        "port_id": port["id"],
        "network_id": port["network_id"],
        "mac": port["mac_address"],
        "position": position,
        "ours": one.port is None,
        "tag": one.tag,
    }


def save_nics(tx: Tx, rows: Sequence[Row]) -> None:
    """Note the cards of instances; they get the MTUs of their networks."""
    if not rows:
        return
    ids = sorted({row["network_id"] for row in rows})
    mtus = dict(tx.tuples(sa.select(NETWORKS.c.id, NETWORKS.c.mtu).where(among(tx, NETWORKS.c.id, ids))))
    tx.execute(sa.insert(SERVER_NICS), [row | {"mtu": mtus.get(row["network_id"]) or DEFAULT_MTU} for row in rows])


def release(networking: Networking, ours: Sequence[str], given: Sequence[str]) -> None:
    """Delete ports that we made and unbind those that were given; what is gone already is fine.

    Raises:
        Refusal: the Networking API failed; ports may be left.
    """
    for port_id in ours:
        _unless_gone(networking, "DELETE", f"ports/{port_id}", None)
    for port_id in given:
        body = {"port": {"device_id": "", "device_owner": "", "binding:host_id": ""}}
        _unless_gone(networking, "PUT", f"ports/{port_id}", body)


def release_nics(networking: Networking, nics: Sequence[Row]) -> None:
    """Let go of the ports of instances' cards: ours are deleted, others unbound.

    Raises:
        Refusal: the Networking API failed; ports may be left.
    """
    release(
        networking,
        [nic["port_id"] for nic in nics if nic["ours"]],
        [nic["port_id"] for nic in nics if not nic["ours"]],
    )


def _unless_gone(networking: Networking, method: str, path: str, body: Any) -> None:
    try:
        networking.ask(method, path, body)
    except Refusal as refusal:
        if refusal.status != 404:
            raise


def _asking(networking: Networking, path: str, asked: Asked, query: dict[str, Any]) -> Row:
    try:
        answer: Row = networking.ask("GET", path, token=asked.token, query=query)
    except Refusal as refusal:
        raise Problem(refusal.status if refusal.status < 500 else 503, str(refusal)) from None
    return answer
