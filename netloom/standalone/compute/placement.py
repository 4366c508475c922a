"""Where instances go: the live hosts of compute, and the room on them."""

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import sqlalchemy as sa

from netloom.settings.network import NetworkSettings
from netloom.standalone.compute.context import Row
from netloom.standalone.web import Problem
from netloom.store.database import Tx
from netloom.store.tables.compute import COMPUTE_HOSTS, SERVERS

CPU_RATIO, MEMORY_RATIO = 16.0, 1.5
"""How much more than a host has may be given out."""
DEFAULT_ZONE = "nova"


class Role(Protocol):
    """The compute role of an agent."""

    @property
    def configurations(self) -> dict[str, Any]:
        """``vcpus``, ``memory_mb``, ``disk_gb`` of the host, if told."""

    @property
    def availability_zone(self) -> str | None:
        """Its zone, if it has one."""


def heartbeat(tx: Tx, host: str, role: Role) -> None:
    """Note that the compute role of a host lives."""
    told = role.configurations
    values = {
        "zone": role.availability_zone or DEFAULT_ZONE,
        "vcpus": int(told.get("vcpus", 0)),
        "memory_mb": int(told.get("memory_mb", 0)),
        "disk_gb": int(told.get("disk_gb", 0)),
        "heartbeat": time.time(),
    }
    if not tx.execute(sa.update(COMPUTE_HOSTS).where(COMPUTE_HOSTS.c.host == host).values(values)).rowcount:
        tx.execute(sa.insert(COMPUTE_HOSTS).values(host=host, id=str(uuid.uuid4()), **values))


def alive(row: Row, settings: NetworkSettings) -> bool:
    """Whether a host of compute has shown a sign of life lately."""
    return bool(row["heartbeat"] > time.time() - settings.agent_down_time)


def usage(tx: Tx) -> Mapping[str, Row]:
    """What is given out, by host: servers, vcpus, memory_mb, disk_gb; 1 statement."""
    table = SERVERS.c
    sums = sa.select(
        table.host,
        sa.func.count().label("servers"),
        *(sa.func.sum(table[name]).label(name) for name in ("vcpus", "memory_mb", "disk_gb")),
    )
    return {row["host"]: row for row in tx.rows(sums.where(table.host.is_not(None)).group_by(table.host))}


def check_zone(tx: Tx, zone: str, host: str) -> None:
    """Refuse a zone or a host that is not there.

    Raises:
        Problem: 400.
    """
    rows = tx.rows(sa.select(COMPUTE_HOSTS.c.host, COMPUTE_HOSTS.c.zone))
    fits = [row for row in rows if (not zone or row["zone"] == zone) and (not host or row["host"] == host)]
    if (zone or host) and not fits:
        raise Problem(400, "The requested availability zone is not available")


def place(tx: Tx, settings: NetworkSettings, flavor: Row, zone: str, host: str, count: int) -> Sequence[Row | None]:
    """Hosts for ``count`` instances, the one with the most free memory each time; None where there is no room.

    The hosts' rows stay locked until the transaction ends, so that nobody gives out the same room.
    """
    used = usage(tx)
    candidates = []
    for row in tx.rows(sa.select(COMPUTE_HOSTS).order_by(COMPUTE_HOSTS.c.host).with_for_update()):
        fits = row["enabled"] and alive(row, settings)
        if fits and (not zone or row["zone"] == zone) and (not host or row["host"] == host):
            taken = used.get(row["host"], {"vcpus": 0, "memory_mb": 0})
            candidates.append(_Room(row, int(taken["vcpus"]), int(taken["memory_mb"])))
    return [_take(candidates, flavor) for _ in range(count)]


class _Room:
    """What is left on a host."""

    def __init__(self, row: Row, vcpus: int, memory_mb: int) -> None:
        self.row = row
        self.vcpus = (row["vcpus"] or float("inf")) * CPU_RATIO - vcpus
        self.memory_mb = (row["memory_mb"] or float("inf")) * MEMORY_RATIO - memory_mb


def _take(candidates: Sequence[_Room], flavor: Row) -> Row | None:
    fitting = [room for room in candidates if room.vcpus >= flavor["vcpus"] and room.memory_mb >= flavor["ram"]]
    if not fitting:
        return None
    room = max(fitting, key=lambda one: one.memory_mb)
    room.vcpus -= flavor["vcpus"]
    room.memory_mb -= flavor["ram"]
    return room.row
