"""Network cards of instances: servers/ID/os-interface."""

import sqlalchemy as sa

from netloom.standalone.compute import plugging, views
from netloom.standalone.compute.context import Asked, Compute, Routes, Row
from netloom.standalone.compute.creation import note_action
from netloom.standalone.compute.networking import Refusal
from netloom.standalone.compute.servers import DELETING, existing
from netloom.standalone.web import Problem, Reply
from netloom.store.database import Tx
from netloom.store.tables.compute import SERVER_NICS


def _view(nic: Row, asked: Asked) -> Row:
    shown = {
        "port_id": nic["port_id"],
        "net_id": nic["network_id"],
        "mac_addr": nic["mac"],
        "port_state": nic["status"],
        "fixed_ips": nic["fixed"],
    }
    return shown | ({"tag": nic["tag"]} if asked.minor >= 70 else {})


def _nics(tx: Tx, row: Row) -> list[Row]:
    return list(views.details(tx, [row["id"]]).nics.get(row["id"], ()))


def list_all(compute: Compute, asked: Asked) -> Reply:
    """GET servers/ID/os-interface."""
    with compute.store.read() as tx:
        nics = _nics(tx, existing(tx, asked))
    return Reply({"interfaceAttachments": [_view(nic, asked) for nic in nics]})


def show(compute: Compute, asked: Asked) -> Reply:
    """GET servers/ID/os-interface/PORT."""
    with compute.store.read() as tx:
        nics = _nics(tx, existing(tx, asked))
    return Reply({"interfaceAttachment": _view(_one(nics, asked), asked)})


def _one(nics: list[Row], asked: Asked) -> Row:
    for nic in nics:
        if nic["port_id"] == asked.call.args["port"]:
            return nic
    raise Problem(404, f"Instance {asked.call.args['id']} does not have a port with id {asked.call.args['port']}")


def attach(compute: Compute, asked: Asked) -> Reply:
    """POST servers/ID/os-interface: a port that is given, or a new one on a network."""
    given = asked.call.member("interfaceAttachment")
    fixed = given.get("fixed_ips") or []
    with compute.store.read() as tx:
        row = existing(tx, asked)
        _check(row)
    entry = {"port": given.get("port_id"), "uuid": given.get("net_id"), "tag": given.get("tag")}
    if given.get("port_id") and (given.get("net_id") or fixed):
        raise Problem(400, "Must not input both network_id (or fixed_ips) and port_id")
    if fixed:
        if not given.get("net_id"):
            raise Problem(400, "Must input network_id when request IP address")
        entry["fixed_ip"] = fixed[0].get("ip_address")
    networks = [{name: value for name, value in entry.items() if value}] if entry["port"] or entry["uuid"] else None
    wanted = plugging.resolve(compute.networking, asked, networks)
    if not wanted:
        raise Problem(400, "No network to attach to: give a network or a port")
    nic = _plug(compute, asked, row, wanted[0])
    with compute.store.read() as tx:
        shown = [one for one in _nics(tx, row) if one["port_id"] == nic["port_id"]]
    return Reply({"interfaceAttachment": _view(shown[0], asked)})


def _check(row: Row) -> None:
    if row["vm_state"] not in ("active", "stopped") or not row["host"] or row["task_state"] == DELETING:
        raise Problem(409, f"Cannot 'attach_interface' instance {row['id']} while it is in vm_state {row['vm_state']}")


def _plug(compute: Compute, asked: Asked, row: Row, wanted: plugging.Wanted) -> Row:
    try:
        nics = plugging.make_ports(compute.networking, [row], [wanted], ())
    except plugging.BuildFailure as failure:
        raise Problem(500, f"Failed to attach network adapter device to {row['id']}: {failure}") from None
    except Refusal as refusal:
        raise Problem(403 if refusal.kind == "OverQuota" else refusal.status, str(refusal)) from None
    try:
        with compute.store.write() as tx:
            table = SERVER_NICS.c
            _check(existing(tx, asked, lock=True))
            last = tx.execute(sa.select(sa.func.max(table.position)).where(table.server_id == row["id"])).scalar()
            plugging.save_nics(tx, [nics[0] | {"position": 0 if last is None else last + 1}])
            note_action(tx, asked, [row["id"]], "attach_interface")
            tx.changed("server", row["id"])
    except Problem:  # deleted meanwhile
        plugging.release_nics(compute.networking, nics)
        raise
    return nics[0]


def detach(compute: Compute, asked: Asked) -> Reply:
    """DELETE servers/ID/os-interface/PORT: a port that we made is deleted, another one unbound."""
    with compute.store.write() as tx:
        row = existing(tx, asked, lock=True)
        port_id = asked.call.args["port"]
        which = (SERVER_NICS.c.server_id == row["id"], SERVER_NICS.c.port_id == port_id)
        nic = tx.row(sa.select(SERVER_NICS).where(*which))
        if nic is None:
            raise Problem(404, f"Instance {row['id']} does not have a port with id {port_id}")
        tx.execute(sa.delete(SERVER_NICS).where(*which))
        note_action(tx, asked, [row["id"]], "detach_interface")
        tx.changed("server", row["id"])
    try:
        plugging.release_nics(compute.networking, [nic])
    except Refusal as refusal:
        raise Problem(refusal.status, str(refusal)) from None
    return Reply(status=202)


ROUTES: Routes = (
    ("GET", "/servers/{id}/os-interface", list_all),
    ("POST", "/servers/{id}/os-interface", attach),
    ("GET", "/servers/{id}/os-interface/{port}", show),
    ("DELETE", "/servers/{id}/os-interface/{port}", detach),
)
