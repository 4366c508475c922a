"""Binding: whether a port's host can plug it into its network."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from netloom.model.ports import BINDING_FAILED, PLUGGED
from netloom.model.ports import UNBOUND as NOWHERE
from netloom.rules import standard
from netloom.rules.context import Context
from netloom.store.among import among
from netloom.store.database import Tx
from netloom.store.tables.network import AGENTS, NETWORKS, PORTS

UNBOUND, FAILED, BOUND = NOWHERE, BINDING_FAILED, PLUGGED
SWITCH_AGENT = "Open vSwitch agent"
AFRESH = {"status": "DOWN", "wirings": PORTS.c.wirings + 1}
"""Of a port whose host is to tell again, also when it does not hear of what was meanwhile."""
HEARTBEAT_FORMAT = "%Y-%m-%d %H:%M:%S.%f"
TUNNELS = ("vxlan", "gre", "geneve")


class Plug(NamedTuple):
    """A port to be plugged: into which network, on which host (empty: none), and how."""

    host: str
    network_type: str
    physical_network: str | None
    vnic_type: str


def alive_since(tx: Tx, context: Context) -> str:
    """Agents that sent no heartbeat since then are dead."""
    return (tx.now - timedelta(seconds=context.settings.agent_down_time)).strftime(HEARTBEAT_FORMAT)


def vif_types(tx: Tx, context: Context, plugs: Sequence[Plug]) -> list[str]:
    """``binding:vif_type`` for each: what the live agents of the hosts can do; 1 statement at most."""
    hosts = {plug.host for plug in plugs if plug.host}
    agents = _agents(tx, context, hosts) if hosts else {}
    return [_vif_type(plug, agents) for plug in plugs]


def bind_hosts(tx: Tx, context: Context, hosts: Mapping[str, str]) -> None:
    """Bind ports (by id) to hosts, or to none (empty); nothing happens to those that are bound so already."""
    if not hosts:
        return
    columns = (
        PORTS.c.id, PORTS.c.binding_host_id, PORTS.c.binding_vif_type, PORTS.c.binding_vnic_type,
        NETWORKS.c.provider_network_type, NETWORKS.c.provider_physical_network,
    )  # fmt: skip
    statement = sa.select(*columns).join(NETWORKS, NETWORKS.c.id == PORTS.c.network_id)
    ports = tx.rows(statement.where(among(tx, PORTS.c.id, list(hosts))).order_by(PORTS.c.id))
    plugs = [
        Plug(hosts[row["id"]], row["provider_network_type"], row["provider_physical_network"], row["binding_vnic_type"])
        for row in ports
    ]
    groups: dict[tuple[str, str], list[str]] = {}
    for row, plug, vif in zip(ports, plugs, vif_types(tx, context, plugs), strict=True):
        if (plug.host, vif) == (row["binding_host_id"], row["binding_vif_type"]):
            continue
        groups.setdefault((plug.host, vif), []).append(row["id"])
        tx.changed("port", row["id"])
        for host in {plug.host, row["binding_host_id"]} - {""}:
            tx.changed("host", host)
    for (host, vif), ids in groups.items():
        values: dict[str, Any] = {"binding_host_id": host, "binding_vif_type": vif, **AFRESH}
        tx.execute(PORTS.update().where(among(tx, PORTS.c.id, ids)).values(values))
        standard.revise(tx, PORTS, ids)


def retry(tx: Tx, context: Context, hosts: Collection[str]) -> None:
    """Bind the ports of hosts again whose binding failed; for when their agents come, or come back."""
    failed = sa.select(PORTS.c.id, PORTS.c.binding_host_id).where(
        among(tx, PORTS.c.binding_host_id, hosts), PORTS.c.binding_vif_type == FAILED
    )
    bind_hosts(tx, context, {row[0]: row[1] for row in tx.tuples(failed)})


def _agents(tx: Tx, context: Context, hosts: Collection[str]) -> dict[str, Mapping[str, Any]]:
    """Configurations of the hosts' live switch agents."""
    statement = sa.select(AGENTS.c.host, AGENTS.c.configurations).where(
        AGENTS.c.agent_type == SWITCH_AGENT,
        AGENTS.c.heartbeat_timestamp >= alive_since(tx, context),
        among(tx, AGENTS.c.host, list(hosts)),
    )
    return {host: configurations or {} for host, configurations in tx.tuples(statement)}


def _vif_type(plug: Plug, agents: Mapping[str, Mapping[str, Any]]) -> str:
    if not plug.host:
        return UNBOUND
    known = agents.get(plug.host)
    if known is None or plug.vnic_type != "normal":
        return FAILED
    if plug.network_type in ("flat", "vlan"):
        return BOUND if plug.physical_network in (known.get("bridge_mappings") or {}) else FAILED
    if plug.network_type in TUNNELS:
        return BOUND if plug.network_type in (known.get("tunnel_types") or ()) else FAILED
    return BOUND
