"""Agents: the roles of the hosts, as their heartbeats tell."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import sqlalchemy as sa

from netloom.model.agents import AGENT
from netloom.rules import binding, dhcp_scheduling, reading, router_scheduling, standard
from netloom.rules.context import Context
from netloom.store.database import Tx
from netloom.store.tables.network import AGENTS, DHCP_BINDINGS

View = dict[str, Any]
PLUGGING = ("bridge_mappings", "tunnel_types")
"""Configurations that decide what a host can plug."""


class Role(Protocol):
    """A role of a host."""

    @property
    def agent_type(self) -> str:
        """For example ``L3 agent``."""

    @property
    def binary(self) -> str:
        """For example ``neutron-l3-agent``."""

    @property
    def topic(self) -> str:
        """``l3_agent``, ``dhcp_agent`` or ``N/A``."""

    @property
    def configurations(self) -> dict[str, Any]:
        """What the API shows of its configuration."""

    @property
    def availability_zone(self) -> str | None:
        """Its zone, if it has one."""


def heartbeat(tx: Tx, context: Context, host: str, roles: Sequence[Role], started: bool = False) -> None:
    """Note that a host lives; ``started``: its agent has just connected.

    When a role is new or back from the dead, it gets work: networks and routers without a live agent, and ports
    whose binding had failed.
    """
    now = tx.now.strftime(binding.HEARTBEAT_FORMAT)
    held = {row["agent_type"]: row for row in tx.rows(sa.select(AGENTS).where(AGENTS.c.host == host))}
    fresh = [_new(tx, host, role, now) for role in roles if role.agent_type not in held]
    if fresh:
        tx.execute(AGENTS.insert(), fresh)
    for role in roles:
        if role.agent_type in held:
            _refresh(tx, held[role.agent_type], role, now, started)
    since = binding.alive_since(tx, context)
    awake = [
        role
        for role in roles
        if role.agent_type not in held
        or held[role.agent_type]["heartbeat_timestamp"] < since
        or _plugs_otherwise(held[role.agent_type], role)
    ]
    _give_work(tx, context, host, {role.agent_type for role in awake})


def update(tx: Tx, context: Context, current: View, changes: View) -> View:
    """Enable or disable an agent for new work, or describe it."""
    standard.update_row(tx, AGENT, current, changes)
    if changes.get("admin_state_up") and not current["admin_state_up"]:
        _give_work(tx, context, current["host"], {current["agent_type"]})
    return reading.by_ids(tx, context, AGENT, [current["id"]])[0]


def delete(tx: Tx, context: Context, current: View) -> None:
    """Forget an agent; a living one comes back with its next heartbeat. Others take over its networks and routers."""
    tx.execute(AGENTS.delete().where(AGENTS.c.id == current["id"]))
    if current["agent_type"] == dhcp_scheduling.DHCP_AGENT:
        served = sa.select(DHCP_BINDINGS.c.network_id).where(DHCP_BINDINGS.c.host == current["host"])
        dhcp_scheduling.refresh(tx, context, [network_id for (network_id,) in tx.tuples(served)])
    elif current["agent_type"] == router_scheduling.L3_AGENT:
        router_scheduling.evacuate(tx, context, current["host"])


def _new(tx: Tx, host: str, role: Role, now: str) -> View:
    return standard.stamp(tx, AGENTS, _told(role)) | {
        "agent_type": role.agent_type,
        "host": host,
        "admin_state_up": True,
        "created_at": now,
        "started_at": now,
        "heartbeat_timestamp": now,
        "description": None,
    }


def _told(role: Role) -> View:
    return {
        "binary": role.binary,
        "topic": role.topic,
        "configurations": role.configurations,
        "availability_zone": role.availability_zone,
    }


def _refresh(tx: Tx, held: Mapping[str, Any], role: Role, now: str, started: bool) -> None:
    values = _told(role) | {"heartbeat_timestamp": now} | ({"started_at": now} if started else {})
    tx.execute(AGENTS.update().where(AGENTS.c.id == held["id"]).values(values))


def _plugs_otherwise(held: Mapping[str, Any], role: Role) -> bool:
    before = held["configurations"] or {}
    return any(before.get(name) != role.configurations.get(name) for name in PLUGGING)


def _give_work(tx: Tx, context: Context, host: str, agent_types: set[str]) -> None:
    if binding.SWITCH_AGENT in agent_types:
        binding.retry(tx, context, host)
    if dhcp_scheduling.DHCP_AGENT in agent_types:
        dhcp_scheduling.refresh_all(tx, context)
    if "L3 agent" in agent_types:
        router_scheduling.schedule(tx, context)
