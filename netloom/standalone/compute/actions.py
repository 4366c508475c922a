"""What can be done with an instance: POST servers/ID/action."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from netloom.standalone.compute import reshaping
from netloom.standalone.compute.console import console_output
from netloom.standalone.compute.context import Asked, Compute, Routes, Row
from netloom.standalone.compute.creation import moment, note_action
from netloom.standalone.compute.groups import add_security_group, remove_security_group
from netloom.standalone.compute.proxies import add_floating_ip, remove_floating_ip
from netloom.standalone.compute.servers import changeable, delete, existing
from netloom.standalone.web import Problem, Reply
from netloom.store.tables.compute import SERVERS


def act(compute: Compute, asked: Asked) -> Reply:
    """POST servers/ID/action: the body's one member says what."""
    body = asked.call.json()
    if not isinstance(body, dict) or len(body) != 1:
        raise Problem(400, "The request body must have one member: the action.")
    name, argument = next(iter(body.items()))
    action = ACTIONS.get(name)
    if action is None:
        raise Problem(400, f"There is no such action: {name}")
    return action(compute, asked, argument)


def _power(
    verb: str, task: str, states: tuple[str, ...], change: Callable[[Row], Row]
) -> Callable[[Compute, Asked, Any], Reply]:
    """An action that changes how an instance should run; its host does the rest."""

    def power(compute: Compute, asked: Asked, _argument: Any) -> Reply:
        with compute.store.write() as tx:
            row = changeable(tx, asked, verb, states)
            values = {"task_state": task, "task_since": time.time(), "updated_at": moment(tx)} | change(row)
            tx.execute(sa.update(SERVERS).where(SERVERS.c.id == row["id"]).values(values))
            note_action(tx, asked, [row["id"]], verb)
            tx.changed("server", row["id"])
        return Reply(status=202)

    return power


_stop = _power("stop", "powering-off", ("active", "error"), lambda _row: {"running": False})
_start = _power("start", "powering-on", ("stopped",), lambda _row: {"running": True})
_reboot_soft = _power("reboot", "rebooting", ("active",), lambda row: {"running": True, "boot": row["boot"] + 1})
_reboot_hard = _power(
    "reboot", "rebooting_hard", ("active", "stopped", "error"), lambda row: {"running": True, "boot": row["boot"] + 1}
)


def _reboot(compute: Compute, asked: Asked, argument: Any) -> Reply:
    kind = argument.get("type") if isinstance(argument, dict) else None
    if str(kind).upper() not in ("SOFT", "HARD"):
        raise Problem(400, f"Invalid input for field/attribute type. Value: {kind}. It must be SOFT or HARD")
    return (_reboot_hard if str(kind).upper() == "HARD" else _reboot_soft)(compute, asked, argument)


def _force_delete(compute: Compute, asked: Asked, _argument: Any) -> Reply:
    delete(compute, asked)
    return Reply(status=202)


def _lock(compute: Compute, asked: Asked, argument: Any) -> Reply:
    reason = argument.get("locked_reason", "") if isinstance(argument, dict) else ""
    return _set_lock(compute, asked, str(reason))


def _unlock(compute: Compute, asked: Asked, _argument: Any) -> Reply:
    return _set_lock(compute, asked, None)


def _set_lock(compute: Compute, asked: Asked, reason: str | None) -> Reply:
    with compute.store.write() as tx:
        row = existing(tx, asked, lock=True)
        tx.execute(sa.update(SERVERS).where(SERVERS.c.id == row["id"]).values(locked_reason=reason))
    return Reply(status=202)


ACTIONS: Mapping[str, Callable[[Compute, Asked, Any], Reply]] = {
    "os-start": _start,
    "os-stop": _stop,
    "reboot": _reboot,
    "rebuild": reshaping.rebuild,
    "resize": reshaping.resize,
    "confirmResize": reshaping.confirm,
    "revertResize": reshaping.revert,
    "forceDelete": _force_delete,
    "lock": _lock,
    "unlock": _unlock,
    "os-getConsoleOutput": console_output,
    "addFloatingIp": add_floating_ip,
    "removeFloatingIp": remove_floating_ip,
    "addSecurityGroup": add_security_group,
    "removeSecurityGroup": remove_security_group,
}

ROUTES: Routes = (("POST", "/servers/{id}/action", act),)
