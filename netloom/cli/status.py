"""``netloom status``: every part of the cloud and its health."""

import argparse
from pathlib import Path

import sqlalchemy.exc

from netloom.cli.client import Client
from netloom.cli.processes import AGENT, SERVER
from netloom.cli.settings import configuration
from netloom.cli.terminal import Trouble, table
from netloom.cli.up import OVS_RUNDIR
from netloom.host.vswitch import daemon_pid
from netloom.rules import explanation
from netloom.rules.context import Context
from netloom.rules.load_balancing import explanation as lb_explanation
from netloom.settings.load import server_settings
from netloom.settings.server import ServerSettings
from netloom.store.database import Store


def run(arguments: argparse.Namespace) -> int:
    """Show the parts, or why the status of a port or load balancer is what it is."""
    conf = configuration(arguments)
    settings = server_settings(conf)
    if arguments.port:
        return _explain(settings, arguments.port)
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


def _explain(settings: ServerSettings, text: str) -> int:
    """Explain ports and load balancers by what the database says; the exit code is 0 when all are ACTIVE."""
    context = Context(user_id="", project_id="", roles=frozenset({"admin"}), is_admin=True, settings=settings.network)
    store = Store(settings.database)
    try:
        with store.read() as tx:
            ports = [explanation.explain(tx, context, port_id) for port_id in explanation.find(tx, text)]
            balancers = [
                one for key in lb_explanation.find(tx, text) for one in lb_explanation.explain(tx, context, key)
            ]
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise Trouble(f"the database cannot be read: {error.__cause__ or error}") from None
    finally:
        store.close()
    if not ports and not balancers:
        raise Trouble(
            f"no port's id begins with '{text}', and no port's device has that name; nor is there such a load balancer"
        )
    for kind, found in (
        ("PORT", [(one.port_id, one.status, one.host or "-", one.reason) for one in ports]),
        ("LOAD BALANCER", [(one.balancer_id, one.status, one.host or "-", one.reason) for one in balancers]),
    ):
        if found:
            table([kind, "STATUS", "HOST", "REASON"], found)
    return 0 if {one.status for one in ports} | {one.status for one in balancers} <= {"ACTIVE"} else 1


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
    balancers = client.get("/load-balancer/v2.0/lbaas/loadbalancers")["loadbalancers"]
    failed = [entry["id"] for entry in balancers if entry["provisioning_status"] == "ERROR"]
    detail = f"{len(balancers)}" + (f", in error (netloom status ID tells why): {', '.join(failed)}" if failed else "")
    parts.append(("load balancers", "failed" if failed else "ok", detail))
    servers = client.get(f"/compute/v2.1/{client.project_id}/servers/detail?all_tenants=1")["servers"]
    wrong = [entry["name"] for entry in servers if entry["status"] == "ERROR"]
    detail = f"{len(servers)} instances" + (f", in error: {', '.join(wrong)}" if wrong else "")
    parts.append(("instances", "failed" if wrong else "ok", detail))
    return parts
