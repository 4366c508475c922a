"""Agents: the roles of the hosts, as their heartbeats tell."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from netloom.model.agents import AGENT
from netloom.rules import binding, dhcp_scheduling, reading, router_scheduling, standard
from netloom.rules.context import Context
from netloom.rules.load_balancing import scheduling
from netloom.rules.load_balancing.provisioning import LB_AGENT
from netloom.rules.placement import DHCP_AGENT, L3_AGENT
from netloom.store.among import among
from netloom.store.database import Tx
from netloom.store.tables.network import AGENTS, DHCP_BINDINGS

View = dict[str, Any]
PLUGGING = ("bridge_mappings", "tunnel_types")
"""Configurations that decide what a host can plug."""
Heard = tuple[str, str]
"""A host and an agent type."""
TUNNELLING = ("tunneling_ip", "tunnel_types")
"""Configurations that its peers must know."""


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
    """Note that a host lives, and what it does; ``started``: its agent has just connected."""
    heartbeats(tx, context, {host: (roles, started)})


def heartbeats(tx: Tx, context: Context, told: Mapping[str, tuple[Sequence[Role], bool]]) -> None:
    """Note for each host that it lives, with its roles, and whether its agent has just connected.

    When a role is new or back from the dead, it gets work: networks and routers without a live agent, and ports
    whose binding had failed. The number of statements does not depend on the number of hosts.
    """
    now = tx.now.strftime(binding.HEARTBEAT_FORMAT)
    rows = tx.rows(sa.select(AGENTS).where(among(tx, AGENTS.c.host, sorted(told))))
    held = {(row["host"], row["agent_type"]): row for row in rows}
    roles = {(host, role.agent_type): (role, started) for host, (each, started) in told.items() for role in each}
    if fresh := [_new(tx, key[0], role, now) for key, (role, _) in sorted(roles.items()) if key not in held]:
        tx.execute(AGENTS.insert(), fresh)
    _refresh(tx, [(held[key], role, started) for key, (role, started) in sorted(roles.items()) if key in held], now)
    since = binding.alive_since(tx, context)
    awake = [
        key
        for key, (role, _) in roles.items()
        if key not in held or held[key]["heartbeat_timestamp"] < since or _differs(held[key], role, PLUGGING)
    ]
    for key, (role, _) in roles.items():
        if role.agent_type == binding.SWITCH_AGENT and _differs(held.get(key, {}), role, TUNNELLING):
            tx.changed("peer", key[0])
    _give_work(tx, context, sorted({host for host, _ in awake}), {agent_type for _, agent_type in awake})


def beat(tx: Tx, context: Context, heard: Mapping[Heard, float]) -> set[str]:
    """Note that roles (host, agent type) live: when each was last heard of, seconds since 1970.

    As ``heartbeat`` for roles that are known and did not change, for many hosts: 2 statements, and a constant number
    more when some are back from the dead. Returns the hosts with a role that is not known: they need ``heartbeat``.
    """
    if not heard:
        return set()
    columns = (AGENTS.c.host, AGENTS.c.agent_type, AGENTS.c.id, AGENTS.c.heartbeat_timestamp)
    hosts = sorted({host for host, _ in heard})
    rows = tx.tuples(sa.select(*columns).where(among(tx, AGENTS.c.host, hosts)))
    known = {(host, agent_type): (agent_id, last) for host, agent_type, agent_id, last in rows}
    times = {
        agent_id: datetime.fromtimestamp(heard[role], UTC).strftime(binding.HEARTBEAT_FORMAT)
        for role, (agent_id, _) in known.items()
        if role in heard
    }
    pairs = (sa.func.json_each_text if tx.postgresql else sa.func.json_each)(_json(tx, times))
    told = pairs.table_valued(sa.column("key", sa.Text), sa.column("value", sa.Text), name="told")
    update = AGENTS.update().where(AGENTS.c.id == told.c.key, AGENTS.c.heartbeat_timestamp < told.c.value)
    tx.execute(update.values(heartbeat_timestamp=told.c.value))
    since = binding.alive_since(tx, context)
    awake = [role for role, (_, last) in known.items() if role in heard and last < since]
    _give_work(tx, context, sorted({host for host, _ in awake}), {agent_type for _, agent_type in awake})
    return {host for host, agent_type in heard if (host, agent_type) not in known}


def update(tx: Tx, context: Context, current: View, changes: View) -> View:
    """Enable or disable an agent for new work, or describe it."""
    standard.update_row(tx, AGENT, current, changes)
    if changes.get("admin_state_up") and not current["admin_state_up"]:
        _give_work(tx, context, [current["host"]], {current["agent_type"]})
    return reading.by_ids(tx, context, AGENT, [current["id"]])[0]


def delete(tx: Tx, context: Context, current: View) -> None:
    """Forget an agent; a living one comes back with its next heartbeat. Others take over its networks and routers."""
    tx.execute(AGENTS.delete().where(AGENTS.c.id == current["id"]))
    if current["agent_type"] == binding.SWITCH_AGENT:
        tx.changed("peer", current["host"])
    if current["agent_type"] == DHCP_AGENT:
        served = sa.select(DHCP_BINDINGS.c.network_id).where(DHCP_BINDINGS.c.host == current["host"])
        dhcp_scheduling.refresh(tx, context, [network_id for (network_id,) in tx.tuples(served)])
    elif current["agent_type"] == L3_AGENT:
        router_scheduling.evacuate(tx, context, current["host"])
    elif current["agent_type"] == LB_AGENT:
        scheduling.relieve(tx, context)


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


def _refresh(tx: Tx, known: Sequence[tuple[Mapping[str, Any], Role, bool]], now: str) -> None:
    """Write down that known roles live, which of them have just started, and what is new of them."""
    for values, ids in (
        ({"heartbeat_timestamp": now}, [row["id"] for row, _, _ in known]),
        ({"started_at": now}, [row["id"] for row, _, started in known if started]),
    ):
        if ids:
            tx.execute(AGENTS.update().where(among(tx, AGENTS.c.id, ids)).values(values))
    news = [(row["id"], _told(role)) for row, role, _ in known if any(row[k] != v for k, v in _told(role).items())]
    if news:
        told_values: View = {name: sa.bindparam(f"new_{name}") for name in news[0][1]}
        update = AGENTS.update().where(AGENTS.c.id == sa.bindparam("of_agent")).values(told_values)
        told = [{f"new_{name}": value for name, value in each.items()} for _, each in news]
        tx.execute(update, [each | {"of_agent": agent_id} for each, (agent_id, _) in zip(told, news, strict=True)])


def _differs(held: Mapping[str, Any], role: Role, names: Sequence[str]) -> bool:
    before = held.get("configurations") or {}
    return any(before.get(name) != role.configurations.get(name) for name in names)


def _json(tx: Tx, times: Mapping[str, str]) -> sa.ColumnElement[Any]:
    text = sa.literal(json.dumps(times), sa.Text)
    return sa.cast(text, postgresql.JSON) if tx.postgresql else text


def _give_work(tx: Tx, context: Context, hosts: Collection[str], agent_types: Collection[str]) -> None:
    """Let agents of these types, which came or came back on these hosts, do what waits for them."""
    if binding.SWITCH_AGENT in agent_types:
        binding.retry(tx, context, hosts)
    if DHCP_AGENT in agent_types and context.settings.network_auto_schedule:
        dhcp_scheduling.refresh_all(tx, context)
    if L3_AGENT in agent_types and context.settings.router_auto_schedule:
        router_scheduling.schedule(tx, context)
    if LB_AGENT in agent_types:
        scheduling.relieve(tx, context)
