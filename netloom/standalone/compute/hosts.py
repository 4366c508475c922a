"""Hosts of compute as services, hypervisors and zones; and the collections that are always empty here."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

import sqlalchemy as sa

from netloom.standalone.compute.context import Asked, Compute, Routes, Row
from netloom.standalone.compute.placement import alive, usage
from netloom.standalone.compute.values import optional_text
from netloom.standalone.web import Problem, Reply
from netloom.store.database import Tx
from netloom.store.tables.compute import COMPUTE_HOSTS


def _hosts(tx: Tx) -> list[Row]:
    return tx.rows(sa.select(COMPUTE_HOSTS).order_by(COMPUTE_HOSTS.c.host))


def _number(row: Row, rows: list[Row]) -> int:
    """The number that stood for an id before 2.53."""
    return next(index for index, one in enumerate(rows, 1) if one["id"] == row["id"])


def _service(row: Row, rows: list[Row], compute: Compute, asked: Asked) -> Row:
    shown = {
        "id": row["id"] if asked.minor >= 53 else _number(row, rows),
        "binary": "nova-compute",
        "host": row["host"],
        "zone": row["zone"],
        "status": "enabled" if row["enabled"] else "disabled",
        "state": "up" if alive(row, compute.settings) else "down",
        "updated_at": datetime.fromtimestamp(row["heartbeat"], UTC).strftime("%Y-%m-%dT%H:%M:%S.%f"),
        "disabled_reason": row["disabled_reason"],
    }
    return shown | ({"forced_down": False} if asked.minor >= 11 else {})


def list_services(compute: Compute, asked: Asked) -> Reply:
    """GET os-services."""
    asked.require_admin("os-services:list")
    host, binary = asked.call.param("host"), asked.call.param("binary", "nova-compute")
    with compute.store.read() as tx:
        rows = _hosts(tx)
    shown = [_service(row, rows, compute, asked) for row in rows if host in (None, row["host"])]
    return Reply({"services": shown if binary == "nova-compute" else []})


def update_service(compute: Compute, asked: Asked) -> Reply:
    """PUT os-services/ID (from 2.53): enable or disable a host of compute."""
    asked.require_admin("os-services:update")
    given = asked.call.json()
    if not isinstance(given, dict) or given.get("status") not in ("enabled", "disabled"):
        raise Problem(400, "Invalid input for field/attribute status. It must be 'enabled' or 'disabled'")
    return _enable(compute, asked, COMPUTE_HOSTS.c.id == asked.call.args["id"], given, given["status"] == "enabled")


def switch_service(compute: Compute, asked: Asked) -> Reply:
    """PUT os-services/enable, disable, disable-log-reason (before 2.53)."""
    asked.require_admin("os-services:update")
    given = asked.call.json()
    if not isinstance(given, dict) or not isinstance(given.get("host"), str):
        raise Problem(400, "Invalid input for field/attribute host. It must be a host's name")
    return _enable(compute, asked, COMPUTE_HOSTS.c.host == given["host"], given, asked.call.path.endswith("/enable"))


def _enable(compute: Compute, asked: Asked, which: sa.ColumnElement[bool], given: Row, enabled: bool) -> Reply:
    values = {"enabled": enabled, "disabled_reason": None if enabled else optional_text(given, "disabled_reason")}
    with compute.store.write() as tx:
        if not tx.execute(sa.update(COMPUTE_HOSTS).where(which).values(values)).rowcount:
            raise Problem(404, "Compute host could not be found.")
        row = tx.row(sa.select(COMPUTE_HOSTS).where(which)) or {}
        return Reply({"service": _service(row, _hosts(tx), compute, asked)})


def _hypervisor(row: Row, rows: list[Row], compute: Compute, asked: Asked) -> Row:
    number = row["id"] if asked.minor >= 53 else _number(row, rows)
    service = {"id": number, "host": row["host"], "disabled_reason": row["disabled_reason"]}
    return {
        "id": number,
        "hypervisor_hostname": row["host"],
        "state": "up" if alive(row, compute.settings) else "down",
        "status": "enabled" if row["enabled"] else "disabled",
        "hypervisor_type": "container",
        "hypervisor_version": 1000,
        "host_ip": "",
        "service": service,
    }


def _numbers(row: Row, used: Row) -> Row:
    """The statistics that hypervisors had until 2.88."""
    return {
        "vcpus": row["vcpus"],
        "vcpus_used": int(used.get("vcpus", 0)),
        "memory_mb": row["memory_mb"],
        "memory_mb_used": int(used.get("memory_mb", 0)),
        "free_ram_mb": row["memory_mb"] - int(used.get("memory_mb", 0)),
        "local_gb": row["disk_gb"],
        "local_gb_used": int(used.get("disk_gb", 0)),
        "free_disk_gb": row["disk_gb"] - int(used.get("disk_gb", 0)),
        "disk_available_least": row["disk_gb"],
        "current_workload": 0,
        "running_vms": int(used.get("servers", 0)),
    }


def list_hypervisors(compute: Compute, asked: Asked) -> Reply:
    """GET os-hypervisors."""
    return _hypervisors(compute, asked, detail=False)


def list_hypervisors_detail(compute: Compute, asked: Asked) -> Reply:
    """GET os-hypervisors/detail."""
    return _hypervisors(compute, asked, detail=True)


def _hypervisors(compute: Compute, asked: Asked, *, detail: bool) -> Reply:
    asked.require_admin("os-hypervisors:list")
    pattern = asked.call.param("hypervisor_hostname_pattern")
    with compute.store.read() as tx:
        rows, used = _hosts(tx), usage(tx)
    shown = []
    for row in rows:
        if pattern is None or pattern in row["host"]:
            entry = _hypervisor(row, rows, compute, asked)
            brief = {name: entry[name] for name in ("id", "hypervisor_hostname", "state", "status")}
            shown.append(_detailed(entry, row, used.get(row["host"], {}), asked) if detail else brief)
    return Reply({"hypervisors": shown})


def _detailed(entry: Row, row: Row, used: Row, asked: Asked) -> Row:
    if asked.minor >= 88:
        return entry | {"uptime": None}
    return entry | _numbers(row, used) | {"cpu_info": {} if asked.minor >= 28 else "{}"}


def show_hypervisor(compute: Compute, asked: Asked) -> Reply:
    """GET os-hypervisors/ID."""
    asked.require_admin("os-hypervisors:show")
    with compute.store.read() as tx:
        rows, used = _hosts(tx), usage(tx)
    for row in rows:
        entry = _hypervisor(row, rows, compute, asked)
        if str(entry["id"]) == asked.call.args["id"]:
            return Reply({"hypervisor": _detailed(entry, row, used.get(row["host"], {}), asked)})
    raise Problem(404, f"Hypervisor with ID '{asked.call.args['id']}' could not be found.")


def hypervisor_statistics(compute: Compute, asked: Asked) -> Reply:
    """GET os-hypervisors/statistics (until 2.87)."""
    asked.require_admin("os-hypervisors:statistics")
    asked.require_below(88)
    with compute.store.read() as tx:
        rows, used = _hosts(tx), usage(tx)
    each = [_numbers(row, used.get(row["host"], {})) for row in rows]
    names = _numbers({"vcpus": 0, "memory_mb": 0, "disk_gb": 0}, {})
    return Reply({"hypervisor_statistics": {"count": len(rows), **{n: sum(one[n] for one in each) for n in names}}})


def list_zones(compute: Compute, asked: Asked) -> Reply:
    """GET os-availability-zone."""
    return Reply({"availabilityZoneInfo": [zone | {"hosts": None} for zone in _zones(compute)]})


def list_zones_detail(compute: Compute, asked: Asked) -> Reply:
    """GET os-availability-zone/detail."""
    asked.require_admin("os-availability-zone:detail")
    return Reply({"availabilityZoneInfo": _zones(compute)})


def _zones(compute: Compute) -> list[Row]:
    with compute.store.read() as tx:
        rows = _hosts(tx)
    zones: dict[str, Row] = {}
    for row in rows:
        up = alive(row, compute.settings)
        zone = zones.setdefault(row["zone"], {"zoneName": row["zone"], "zoneState": {"available": False}, "hosts": {}})
        zone["zoneState"]["available"] |= up and row["enabled"]
        updated = time.strftime("%Y-%m-%dT%H:%M:%S.000000", time.gmtime(row["heartbeat"]))
        state = {"active": row["enabled"], "available": up, "updated_at": updated}
        zone["hosts"][row["host"]] = {"nova-compute": state}
    return list(zones.values())


def _empty(name: str) -> Callable[[Compute, Asked], Reply]:
    return lambda _compute, _asked: Reply({name: []})


ROUTES: Routes = (
    ("GET", "/os-services", list_services),
    ("PUT", "/os-services/enable", switch_service),
    ("PUT", "/os-services/disable", switch_service),
    ("PUT", "/os-services/disable-log-reason", switch_service),
    ("PUT", "/os-services/{id}", update_service),
    ("GET", "/os-hypervisors", list_hypervisors),
    ("GET", "/os-hypervisors/detail", list_hypervisors_detail),
    ("GET", "/os-hypervisors/statistics", hypervisor_statistics),
    ("GET", "/os-hypervisors/{id}", show_hypervisor),
    ("GET", "/os-availability-zone", list_zones),
    ("GET", "/os-availability-zone/detail", list_zones_detail),
    ("GET", "/os-aggregates", _empty("aggregates")),
    ("GET", "/os-server-groups", _empty("server_groups")),
    ("GET", "/extensions", _empty("extensions")),
    ("GET", "/os-simple-tenant-usage", _empty("tenant_usages")),
)
