"""The ports from which hosts serve DHCP."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from netloom.model.owners import DHCP
from netloom.rules import binding, ports
from netloom.rules.context import Context
from netloom.store.database import Tx
from netloom.store.tables.network import PORTS

View = dict[str, Any]


class Target(NamedTuple):
    """How a network should be served: which subnets, and from which hosts."""

    network: View
    subnet_ids: list[str]
    hosts: list[str]
    held: Mapping[str, View]
    """The DHCP ports that it has, by host."""


class _Work(NamedTuple):
    """What is to be done with DHCP ports, for many networks at once."""

    create: list[View]
    """Bodies."""
    move: dict[str, View]
    """Attributes of another host, by id of the port."""
    delete: list[str]


def serve(tx: Tx, context: Context, targets: Sequence[Target]) -> None:
    """Bring the DHCP ports of networks in step with their hosts and subnets.

    Ports that come, go, or move to other hosts cost the same number of statements for any number of them.
    """
    work = _Work([], {}, [])
    for target in targets:
        _see_to(tx, context, target, work)
    _move(tx, context, work.move)
    ports.delete_internal(tx, context, work.delete)
    if work.create:
        ports.create_internal(tx, context, work.create)


def device_id(host: str, network_id: str) -> str:
    """``device_id`` of the DHCP port of a host: derived from the host's short name, as operators know it."""
    return f"dhcp{uuid.uuid5(uuid.NAMESPACE_DNS, host.split('.', maxsplit=1)[0])}-{network_id}"


def _see_to(tx: Tx, context: Context, target: Target, work: _Work) -> None:
    """Find what is to be done for one network, and change the addresses of its ports.

    The port of a host that no longer serves the network goes to one that now does: its addresses stay.
    """
    spare = [target.held[host] for host in sorted(target.held.keys() - set(target.hosts))]
    for host in target.hosts:
        port = target.held.get(host) or (spare.pop() if spare else None)
        if port is None:
            work.create.append(_body(target, host))
        elif "fixed_ips" in (changes := _changes(target, host, port)):
            ports.update_internal(tx, context, port, changes)
        elif changes:
            work.move[port["id"]] = changes | {"network_id": target.network["id"]}
    work.delete.extend(port["id"] for port in spare)


def _move(tx: Tx, context: Context, moves: Mapping[str, View]) -> None:
    """Have other hosts take over DHCP ports."""
    devices = [{"port": key, "device": move["device_id"]} for key, move in moves.items() if "device_id" in move]
    if devices:
        one = PORTS.update().where(PORTS.c.id == sa.bindparam("port"))
        tx.execute(one.values(device_id=sa.bindparam("device")), devices)
    hosts = {key: move["binding:host_id"] for key, move in moves.items() if "binding:host_id" in move}
    binding.bind_hosts(tx, context, hosts)
    for key, move in moves.items():
        tx.changed("port", key)  # its device alone may be another
        tx.changed("dhcp", move["network_id"])


def _changes(target: Target, host: str, port: View) -> View:
    """What must change of a DHCP port for it to serve the network from a host."""
    covered = {place["subnet_id"]: place for place in port["fixed_ips"]}
    wanted: View = {"binding:host_id": host, "device_id": device_id(host, target.network["id"])}
    if covered.keys() != set(target.subnet_ids):
        wanted["fixed_ips"] = [
            *(covered.get(key, {"subnet_id": key}) for key in target.subnet_ids),
            *({"subnet_id": key, "delete_subnet": True} for key in covered if key not in target.subnet_ids),
        ]
    return {name: value for name, value in wanted.items() if port[name] != value}


def _body(target: Target, host: str) -> View:
    return {
        "network_id": target.network["id"],
        "project_id": target.network["project_id"],
        "device_owner": DHCP,
        "device_id": device_id(host, target.network["id"]),
        "fixed_ips": [{"subnet_id": key} for key in target.subnet_ids],
        "binding:host_id": host,
    }
