"""``netloom status``: every part of the cloud and its health."""

import argparse
from pathlib import Path

from netloom.cli.client import Client
from netloom.cli.processes import AGENT, SERVER
from netloom.cli.settings import configuration
from netloom.cli.terminal import Trouble, table
from netloom.cli.up import OVS_RUNDIR
from netloom.host.vswitch import daemon_pid
from netloom.settings.load import server_settings


def run(arguments: argparse.Namespace) -> int:
    """Show the parts."""
    conf = configuration(arguments)
    settings = server_settings(conf)
    parts = [
        _process("ovsdb-server", OVS_RUNDIR / "ovsdb-server.pid"),
        _process("ovs-vswitchd", OVS_RUNDIR / "ovs-vswitchd.pid"),
        _process("server", settings.run_dir / SERVER),
        _process("agent", settings.run_dir / AGENT),
    ]
    try:
        parts += _cloud(Client(Path(conf.netloom.config_path) / "clouds.yaml", "netloom-admin"))
    except Trouble as trouble:
        parts.append(("API", "down", str(trouble)))
    table(["PART", "HEALTH", "DETAIL"], parts)
    return 0 if all(health in ("up", "ok") for _, health, _ in parts) else 1


def _process(name: str, pidfile: Path) -> tuple[str, str, str]:
    pid = daemon_pid(pidfile)
    return (name, "up", f"process {pid}") if pid else (name, "down", f"no process holds {pidfile}")


def _cloud(client: Client) -> list[tuple[str, str, str]]:
    parts = [("API", "up", "answers")]
    for entry in client.get("/v2.0/agents")["agents"]:
        seen = f"on {entry['host']}, last heartbeat {entry['heartbeat_timestamp']}"
        parts.append((entry["agent_type"], "up" if entry["alive"] else "down", seen))
    ports = client.get("/v2.0/ports?fields=id&fields=status&fields=binding%3Ahost_id&fields=device_owner")["ports"]
    bound = [port for port in ports if port.get("binding:host_id") and not port["device_owner"].startswith("network:")]
    active = sum(port["status"] == "ACTIVE" for port in bound)
    parts.append(("instances' ports", "ok" if active == len(bound) else "waiting", f"{active} of {len(bound)} active"))
    servers = client.get(f"/compute/v2.1/{client.project_id}/servers/detail?all_tenants=1")["servers"]
    wrong = [entry["name"] for entry in servers if entry["status"] == "ERROR"]
    detail = f"{len(servers)} instances" + (f", in error: {', '.join(wrong)}" if wrong else "")
    parts.append(("instances", "failed" if wrong else "ok", detail))
    return parts
