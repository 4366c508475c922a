"""What a project may have of compute, and what it has."""

from collections.abc import Mapping

import sqlalchemy as sa

from netloom.standalone.compute.context import Asked, Compute, Routes, Row
from netloom.standalone.compute.values import whole
from netloom.standalone.web import Problem, Reply
from netloom.store.database import Tx
from netloom.store.tables.compute import COMPUTE_QUOTAS, KEYPAIRS, SERVERS

DEFAULTS = {
    "instances": 10, "cores": 20, "ram": 51200, "metadata_items": 128, "key_pairs": 100, "server_groups": 10,
    "server_group_members": 10, "injected_files": 5, "injected_file_content_bytes": 10240,
    "injected_file_path_bytes": 255, "fixed_ips": -1, "floating_ips": -1, "security_groups": -1,
    "security_group_rules": -1,
}  # fmt: skip
NETWORK_NAMES = ("fixed_ips", "floating_ips", "security_groups", "security_group_rules")
FILE_NAMES = ("injected_files", "injected_file_content_bytes", "injected_file_path_bytes")


def limits_of(tx: Tx, project_id: str) -> dict[str, int]:
    """The limits of a project; -1: none."""
    table = COMPUTE_QUOTAS.c
    set_ones = tx.tuples(sa.select(table.resource, table.limit).where(table.project_id == project_id))
    return DEFAULTS | dict(set_ones)


def used_by(tx: Tx, project_id: str) -> dict[str, int]:
    """What a project's instances use."""
    table = SERVERS.c
    sums = sa.select(sa.func.count(), sa.func.sum(table.vcpus), sa.func.sum(table.memory_mb))
    count, cores, ram = tx.tuples(sums.where(table.project_id == project_id))[0]
    return {"instances": int(count), "cores": int(cores or 0), "ram": int(ram or 0)}


def check_room(tx: Tx, project_id: str, flavor: Row, least: int, most: int) -> int:
    """How many instances of a flavor a project may make now, ``most`` at most.

    Raises:
        Problem: 403, not even ``least``.
    """
    limits, used = limits_of(tx, project_id), used_by(tx, project_id)
    each = {"instances": 1, "cores": flavor["vcpus"], "ram": flavor["ram"]}
    room = {
        name: most if limits[name] < 0 or not size else (limits[name] - used[name]) // size
        for name, size in each.items()
    }
    if (count := min(most, *room.values())) >= least:
        return count
    short = [name for name in each if room[name] < least]
    numbers = (
        ", ".join(str(source[name]) for name in short)
        for source in ({name: least * each[name] for name in each}, used, limits)
    )
    requested, taken, allowed = numbers
    names = ", ".join(short)
    raise Problem(
        403, f"Quota exceeded for {names}: Requested {requested}, but already used {taken} of {allowed} {names}"
    )


def check_growth(tx: Tx, project_id: str, *, cores: int, ram: int) -> None:
    """Refuse what makes an instance of a project larger than the project may have it; ``ram`` is in MiB.

    Raises:
        Problem: 403.
    """
    limits, used = limits_of(tx, project_id), used_by(tx, project_id)
    for name, more in {"cores": cores, "ram": ram}.items():
        if more and 0 <= limits[name] < used[name] + more:
            taken = f"already used {used[name]} of {limits[name]} {name}"
            raise Problem(403, f"Quota exceeded for {name}: Requested {more}, but {taken}")


def check_keypairs(tx: Tx, project_id: str, user_id: str) -> None:
    """Refuse one more key pair than a user may have.

    Raises:
        Problem: 403.
    """
    limit = limits_of(tx, project_id)["key_pairs"]
    count = tx.tuples(sa.select(sa.func.count()).where(KEYPAIRS.c.user_id == user_id))[0][0]
    if 0 <= limit <= count:
        raise Problem(403, "Quota exceeded, too many key pairs.")


def _shown(values: Mapping[str, object], asked: Asked) -> Row:
    hidden = (NETWORK_NAMES if asked.minor >= 36 else ()) + (FILE_NAMES if asked.minor >= 57 else ())
    return {name: value for name, value in values.items() if name not in hidden}


def _may(asked: Asked) -> str:
    project_id = asked.call.args["project"]
    if project_id != asked.project_id:
        asked.require_admin("os-quota-sets:show")
    return project_id


def show(compute: Compute, asked: Asked) -> Reply:
    """GET os-quota-sets/PROJECT."""
    project_id = _may(asked)
    with compute.store.read() as tx:
        return Reply({"quota_set": {"id": project_id, **_shown(limits_of(tx, project_id), asked)}})


def show_detail(compute: Compute, asked: Asked) -> Reply:
    """GET os-quota-sets/PROJECT/detail."""
    project_id = _may(asked)
    with compute.store.read() as tx:
        limits, used = limits_of(tx, project_id), used_by(tx, project_id)
    values = {name: {"limit": limit, "in_use": used.get(name, 0), "reserved": 0} for name, limit in limits.items()}
    return Reply({"quota_set": {"id": project_id, **_shown(values, asked)}})


def show_defaults(_compute: Compute, asked: Asked) -> Reply:
    """GET os-quota-sets/PROJECT/defaults."""
    return Reply({"quota_set": {"id": _may(asked), **_shown(DEFAULTS, asked)}})


def update(compute: Compute, asked: Asked) -> Reply:
    """PUT os-quota-sets/PROJECT."""
    asked.require_admin("os-quota-sets:update")
    project_id, given = asked.call.args["project"], asked.call.member("quota_set")
    wanted = {name: value for name, value in given.items() if name not in ("force", "tenant_id", "user_id")}
    if unknown := wanted.keys() - DEFAULTS:
        raise Problem(400, f"There is no such quota: {', '.join(sorted(unknown))}")
    limits = {name: whole(wanted, name, -1) for name in wanted}
    with compute.store.write() as tx:
        table = COMPUTE_QUOTAS.c
        tx.execute(sa.delete(COMPUTE_QUOTAS).where(table.project_id == project_id, table.resource.in_(wanted)))
        rows = [{"project_id": project_id, "resource": name, "limit": limit} for name, limit in limits.items()]
        if rows:
            tx.execute(sa.insert(COMPUTE_QUOTAS), rows)
        return Reply({"quota_set": _shown(limits_of(tx, project_id), asked)})


def delete(compute: Compute, asked: Asked) -> Reply:
    """DELETE os-quota-sets/PROJECT: back to the defaults."""
    asked.require_admin("os-quota-sets:delete")
    with compute.store.write() as tx:
        tx.execute(sa.delete(COMPUTE_QUOTAS).where(COMPUTE_QUOTAS.c.project_id == asked.call.args["project"]))
    return Reply(status=202)


def show_limits(compute: Compute, asked: Asked) -> Reply:
    """GET limits."""
    project_id = asked.project_id
    if asked.is_admin:
        project_id = asked.call.param("tenant_id") or project_id
    with compute.store.read() as tx:
        limits, used = limits_of(tx, project_id), used_by(tx, project_id)
    absolute = {
        "maxTotalInstances": limits["instances"],
        "maxTotalCores": limits["cores"],
        "maxTotalRAMSize": limits["ram"],
        "maxServerMeta": limits["metadata_items"],
        "maxImageMeta": limits["metadata_items"],
        "maxTotalKeypairs": limits["key_pairs"],
        "maxServerGroups": limits["server_groups"],
        "maxServerGroupMembers": limits["server_group_members"],
        "totalInstancesUsed": used["instances"],
        "totalCoresUsed": used["cores"],
        "totalRAMUsed": used["ram"],
        "totalServerGroupsUsed": 0,
    }
    return Reply({"limits": {"rate": [], "absolute": absolute}})


ROUTES: Routes = (
    ("GET", "/limits", show_limits),
    ("GET", "/os-quota-sets/{project}", show),
    ("PUT", "/os-quota-sets/{project}", update),
    ("DELETE", "/os-quota-sets/{project}", delete),
    ("GET", "/os-quota-sets/{project}/detail", show_detail),
    ("GET", "/os-quota-sets/{project}/defaults", show_defaults),
)
