"""What the hosts' words mean for instances."""

import time
from collections.abc import Collection

import sqlalchemy as sa
import structlog

from netloom.feed.render import encode, version
from netloom.feed.render_server import servers as fragments
from netloom.standalone.compute.context import Row
from netloom.standalone.compute.creation import fail, moment
from netloom.standalone.compute.servers import DELETING, remove
from netloom.store.database import Tx
from netloom.store.tables.compute import SERVER_NICS, SERVERS
from netloom.store.tables.feed import APPLIED
from netloom.store.tables.network import PORTS

LOG = structlog.get_logger()
PLUG_SECONDS = 10.0
"""How long a started instance waits for its ports before it counts as active all the same."""
DROP_SECONDS = 60.0
"""How long a living host has to say that it dropped an instance."""
UNHEARD_SECONDS = 5.0
"""The same for an instance of which the host has not spoken yet."""
BUILD_SECONDS = 180.0
"""How long the ports of new instances can take to make; more than the time-outs of the requests add up to."""
RUNNING, SHUT_DOWN = 1, 4


def dropped(tx: Tx, host: str, gone: Collection[str]) -> None:
    """Forget instances that were to be deleted and of which the host has nothing left (fragments' names)."""
    ids = [name.removeprefix("server/") for name in gone if name.startswith("server/")]
    if ids:
        wanted = (SERVERS.c.id.in_(ids), SERVERS.c.host == host, SERVERS.c.task_state == DELETING)
        _remove_those(tx, list(tx.execute(sa.select(SERVERS.c.id).where(*wanted)).scalars()))


def _remove_those(tx: Tx, ids: list[str]) -> None:
    """Forget instances, but first their ports must be gone: who deletes them goes on from there."""
    if ids:
        kept = set(tx.execute(sa.select(SERVER_NICS.c.server_id).where(SERVER_NICS.c.server_id.in_(ids))).scalars())
        tx.execute(sa.update(SERVERS).where(SERVERS.c.id.in_(kept)).values(prepared=False))
        remove(tx, [server_id for server_id in ids if server_id not in kept])


def settle(tx: Tx, host: str) -> None:
    """Finish what is under way on a host as far as the host has done it; 1 statement when nothing is.

    An instance is active when its host runs it as it is wanted now, and its ports are up.
    """
    table = SERVERS.c
    unsettled = table.task_state.is_not(None) | ((table.vm_state == "error") & table.prepared)
    rows = tx.rows(sa.select(SERVERS).where(table.host == host, unsettled).with_for_update())
    if not rows:
        return
    _give_up_building(tx, [row for row in rows if row["vm_state"] == "building" and not row["prepared"]])
    _give_up_waiting(tx, host, [row for row in rows if row["task_state"] == DELETING and row["prepared"]])
    rows = [row for row in rows if row["task_state"] != DELETING and row["prepared"]]
    ids = [row["id"] for row in rows]
    told = _told(tx, host, ids)
    wanted = {server_id: version(encode(fragment)) for server_id, fragment in fragments(tx, ids).items()}
    down = _waiting_for_ports(tx, ids)
    for row in rows:
        heard = told.get(row["id"])
        if heard is not None and heard["version"] == wanted.get(row["id"]):
            _settle_one(tx, row, heard, row["id"] in down)


def _told(tx: Tx, host: str, ids: Collection[str]) -> dict[str, Row]:
    names = [f"server/{server_id}" for server_id in ids]
    rows = tx.rows(sa.select(APPLIED).where(APPLIED.c.host == host, APPLIED.c.fragment.in_(names)))
    return {row["fragment"].removeprefix("server/"): row for row in rows}


def _waiting_for_ports(tx: Tx, ids: Collection[str]) -> set[str]:
    table = SERVER_NICS.c
    ports = sa.select(table.server_id).join(PORTS, PORTS.c.id == table.port_id)
    down = ports.where(table.server_id.in_(ids), PORTS.c.status != "ACTIVE", PORTS.c.admin_state_up)
    return set(tx.execute(down).scalars())


def _settle_one(tx: Tx, row: Row, heard: Row, ports_down: bool) -> None:
    if heard["state"] == "failed":
        if row["vm_state"] != "error":
            fail(tx, [row["id"]], heard["reason"] or "The host could not run the instance.")
        return
    if heard["state"] == "waiting":
        if row["task_state"] == "scheduling":
            tx.execute(sa.update(SERVERS).where(SERVERS.c.id == row["id"]).values(task_state="spawning"))
        return
    if row["running"] and ports_down:
        if time.time() - row["task_since"] < PLUG_SECONDS:
            return
        LOG.warning("an instance runs, but not all of its ports are up", server=row["id"], host=row["host"])
    values: Row = {"task_state": None, "fault": None, "updated_at": moment(tx)}
    if row["running"]:
        values |= {"vm_state": "active", "power_state": RUNNING, "launched_at": row["launched_at"] or moment(tx)}
    else:
        values |= {"vm_state": "stopped", "power_state": SHUT_DOWN}
    if row["task_state"] == "resize_finish":
        values["vm_state"] = "resized"
    tx.execute(sa.update(SERVERS).where(SERVERS.c.id == row["id"]).values(values))


def _give_up_building(tx: Tx, rows: list[Row]) -> None:
    """Set instances to ERROR whose ports nobody is making any more: the server process ended meanwhile."""
    late = [row["id"] for row in rows if time.time() - row["task_since"] > BUILD_SECONDS]
    if late:
        fail(tx, late, "The server was stopped while it built the instance: delete it and try again.")


def _give_up_waiting(tx: Tx, host: str, rows: list[Row]) -> None:
    """Forget instances that their host will not say more of; those of which it never spoke it may never have had."""
    told = _told(tx, host, [row["id"] for row in rows]) if rows else {}
    now = time.time()
    patience = {row["id"]: DROP_SECONDS if row["id"] in told else UNHEARD_SECONDS for row in rows}
    late = [row["id"] for row in rows if now - row["task_since"] > patience[row["id"]]]
    if late:
        LOG.warning("instances are forgotten without their host's word that it dropped them", servers=late)
        _remove_those(tx, late)
