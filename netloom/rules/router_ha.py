"""Which of the hosts that carry a router is the active one, as they tell, and what follows from it.

A router's ports are bound to one host: the active one. The status of its floating IPs is what that host says, too.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from netloom.model.owners import ROUTER_PORTS
from netloom.rules import binding, status
from netloom.rules.context import Context
from netloom.rules.placement import L3_AGENT
from netloom.store.among import among
from netloom.store.database import Tx
from netloom.store.tables.network import AGENTS, PORTS, ROUTER_BINDINGS, ROUTERS

ACTIVE, STANDBY, FAULT, UNKNOWN = "active", "standby", "fault", "unknown"


@dataclass(frozen=True, slots=True)
class Carrier:
    """A host that carries a router."""

    host: str
    state: str | None
    """What it last said that it is for the router; None: nothing yet."""
    since: str
    """When it said so."""
    heard: str
    """Its agent's last heartbeat; empty without an agent."""
    alive: bool

    @property
    def active(self) -> bool:
        """Whether it says that it is the active one."""
        return self.alive and self.state == ACTIVE


def carriers(tx: Tx, context: Context, router_ids: Collection[str]) -> dict[str, list[Carrier]]:
    """The hosts that carry each router, by name; 1 statement."""
    table = ROUTER_BINDINGS.c
    statement = (
        sa.select(table.router_id, table.host, table.ha_state, table.ha_state_since, AGENTS.c.heartbeat_timestamp)
        .outerjoin(AGENTS, (AGENTS.c.host == table.host) & (AGENTS.c.agent_type == L3_AGENT))
        .where(among(tx, table.router_id, router_ids))
        .order_by(table.router_id, table.host)
    )
    living = binding.alive_since(tx, context)
    found: dict[str, list[Carrier]] = defaultdict(list)
    for router_id, host, state, since, heard in tx.tuples(statement):
        found[router_id].append(Carrier(host, state, since or "", heard or "", (heard or "") >= living))
    return found


def shown(found: Sequence[Carrier]) -> dict[str, str]:
    """What the API says of each host of one router.

    Of several that said that they are active, those count that were heard of since the last one said so.
    """
    active = _newest(found)
    states = {}
    for carrier in found:
        if carrier is active or (carrier.active and active is not None and carrier.heard > active.since):
            states[carrier.host] = ACTIVE
        elif active is not None:
            # Where one is active, the others are not, heard or not (RFC 5798, 6.4).
            states[carrier.host] = STANDBY if carrier.state else UNKNOWN
        else:
            states[carrier.host] = STANDBY if carrier.alive and carrier.state in (STANDBY, FAULT) else UNKNOWN
    return states


def silently_active(found: Sequence[Carrier]) -> set[str]:
    """Hosts with a dead agent that must be active still: living ones stand by, so they hear somebody."""
    if any(carrier.active for carrier in found):
        return set()
    heard = any(carrier.alive and carrier.state == STANDBY for carrier in found)
    return {carrier.host for carrier in found if heard and not carrier.alive and carrier.state == ACTIVE}


def report_states(tx: Tx, context: Context, host: str, states: Mapping[str, str]) -> None:
    """Note what a host is for routers (``active``, ``standby`` or ``fault`` by id).

    Ports and floating IPs follow. Routers that the host does not carry are passed over. 1 statement when nothing
    changes; the number does not depend on that of the routers.
    """
    table = ROUTER_BINDINGS.c
    mine = (table.host == host, among(tx, table.router_id, list(states)))
    changed: dict[str, list[str]] = defaultdict(list)
    for router_id, state in tx.tuples(sa.select(table.router_id, table.ha_state).where(*mine)):
        if states[router_id] != state and states[router_id] in (ACTIVE, STANDBY, FAULT):
            changed[states[router_id]].append(router_id)
    if not changed:
        return
    ids = sorted(router_id for group in changed.values() for router_id in group)
    lock(tx, ids)
    now = tx.now.strftime(binding.HEARTBEAT_FORMAT)
    for state, group in changed.items():
        those = (table.host == host, among(tx, table.router_id, group))
        tx.execute(ROUTER_BINDINGS.update().where(*those).values(ha_state=state, ha_state_since=now))
    settle(tx, context, ids)


def lock(tx: Tx, router_ids: Iterable[str]) -> None:
    """Until the transaction ends, nobody else changes where these routers are."""
    rows = sa.select(ROUTERS.c.id).where(among(tx, ROUTERS.c.id, sorted(router_ids))).order_by(ROUTERS.c.id)
    tx.execute(rows.with_for_update(key_share=True))


def hosts_of(tx: Tx, context: Context, router_ids: Collection[str]) -> dict[str, str]:
    """The host to which the ports of each router should be bound; empty when none carries it. 2 statements."""
    return _hosts(tx, context, router_ids, _bound(tx, router_ids))


def settle(tx: Tx, context: Context, router_ids: Collection[str]) -> None:
    """Bind the ports of routers to their hosts, and have the status of ports and floating IPs follow."""
    bound = _bound(tx, router_ids)
    hosts = _hosts(tx, context, router_ids, bound)
    moving = {
        port_id: hosts[router_id]
        for router_id, ports in bound.items()
        for port_id, host in ports.items()
        if host != hosts[router_id]
    }
    if moving:
        binding.bind_hosts(tx, context, moving)
        moved = [router_id for router_id, ports in bound.items() if not moving.keys().isdisjoint(ports)]
        status.follow(tx, {router_id: hosts[router_id] for router_id in moved})


def _bound(tx: Tx, router_ids: Collection[str]) -> dict[str, dict[str, str]]:
    """Ids of the ports of each router, with their hosts."""
    statement = sa.select(PORTS.c.device_id, PORTS.c.id, PORTS.c.binding_host_id).where(
        among(tx, PORTS.c.device_id, router_ids), PORTS.c.device_owner.in_(ROUTER_PORTS)
    )
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for router_id, port_id, host in tx.tuples(statement):
        found[router_id][port_id] = host or ""
    return found


def _hosts(
    tx: Tx, context: Context, router_ids: Collection[str], bound: Mapping[str, Mapping[str, str]]
) -> dict[str, str]:
    found = carriers(tx, context, router_ids)
    return {key: _host(found.get(key, ()), set(bound.get(key, {}).values())) for key in router_ids}


def _host(found: Sequence[Carrier], current: Collection[str]) -> str:
    """The active host; without one, the present one as long as it carries the router, else the likeliest one."""
    if (active := _newest(found)) is not None:
        return active.host
    likely = sorted(
        found,
        key=lambda carrier: (
            carrier.host not in current, not carrier.alive, carrier.state != STANDBY, carrier.host,
        ),
    )  # fmt: skip
    return likely[0].host if likely else ""


def _newest(found: Sequence[Carrier]) -> Carrier | None:
    """The one that last said that it is active."""
    return max((carrier for carrier in found if carrier.active), key=lambda one: (one.since, one.host), default=None)
