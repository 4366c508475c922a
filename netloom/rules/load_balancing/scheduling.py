"""Which hosts carry a load balancer: one, or two of which one is active.

``refresh`` compares what is there with what should be, and changes the difference: it can be called at any time.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from netloom.model.agents import AGENT
from netloom.model.owners import OCTAVIA
from netloom.rules import binding, placement, ports, reading
from netloom.rules.context import Context
from netloom.rules.load_balancing.provisioning import LB_AGENT
from netloom.rules.placement import Candidate
from netloom.store.among import among
from netloom.store.database import Tx
from netloom.store.tables.feed import APPLIED
from netloom.store.tables.loadbalancers import LB_BINDINGS, LOADBALANCERS
from netloom.store.tables.network import AGENTS

View = dict[str, Any]
BATCH = 200
"""Load balancers that are moved in one transaction at most."""
FRAGMENT = "loadbalancer/"
"""How the names begin by which hosts know of load balancers."""
PAIR = 2
"""Hosts of one that is highly available."""
COLUMNS = ("id", "project_id", "vip_port_id", "vip_network_id", "vip_subnet_id", "vip_address", "vip_sg_ids", "vrid")


def refresh(tx: Tx, context: Context, ids: Collection[str]) -> None:
    """Have these load balancers carried by live hosts, as far as there are any; their ports follow.

    The number of statements does not depend on how many they are.
    """
    table = LOADBALANCERS.c
    statement = sa.select(*(table[name] for name in COLUMNS)).where(among(tx, table.id, ids)).order_by(table.id)
    balancers = tx.rows(statement.with_for_update(key_share=True))
    if not balancers:
        return
    held = _held(tx, [each["id"] for each in balancers])
    known = placement.hosts(tx, context, LB_AGENT)
    leave: list[tuple[str, str]] = []
    come: list[tuple[View, str]] = []
    for each in balancers:
        mine = held[each["id"]]
        wanted = _choose(known, set(mine), PAIR if each["vrid"] else 1)
        leave += [(each["id"], host) for host in sorted(mine.keys() - wanted)]
        come += [(each, host) for host in sorted(wanted - mine.keys())]
    _leave(tx, context, leave, [port for key, host in leave if (port := held[key][host])])
    _come(tx, context, come)
    _follow(tx, context, balancers)


def relieve(tx: Tx, context: Context) -> bool:
    """Carry load balancers away from dead and disabled hosts, and to the first that come; whether there may be more."""
    known = placement.hosts(tx, context, LB_AGENT)
    willing = [host for host, candidate in known.items() if candidate.willing]
    if not willing:
        return False
    table = LB_BINDINGS.c
    living = sa.select(table.loadbalancer_id).where(among(tx, table.host, willing)).group_by(table.loadbalancer_id)
    enough = sa.case((LOADBALANCERS.c.vrid.is_not(None), min(PAIR, len(willing))), else_=1)
    count = sa.select(sa.func.count()).where(
        table.loadbalancer_id == LOADBALANCERS.c.id, among(tx, table.host, willing)
    )
    needy = sa.select(LOADBALANCERS.c.id).where(
        LOADBALANCERS.c.id.not_in(living) | (count.correlate(LOADBALANCERS).scalar_subquery() < enough)
    )
    ids = [key for (key,) in tx.tuples(needy.order_by(LOADBALANCERS.c.id).limit(BATCH + 1))]
    refresh(tx, context, ids[:BATCH])
    return len(ids) > BATCH


def failover(tx: Tx, context: Context, balancer_id: str) -> None:
    """Begin anew on other hosts, as far as there are others."""
    mine = _held(tx, [balancer_id])[balancer_id]
    known = placement.hosts(tx, context, LB_AGENT)
    others = {host: candidate for host, candidate in known.items() if host not in mine and candidate.willing}
    if others:
        gone = sorted(mine)[: len(others)]
        _leave(tx, context, [(balancer_id, host) for host in gone], [port for host in gone if (port := mine[host])])
        _avoid(tx, context, balancer_id, gone)


def forget(tx: Tx, context: Context, balancer_id: str) -> None:
    """Take a load balancer from its hosts, with the ports of their election; for when it goes."""
    mine = _held(tx, [balancer_id])[balancer_id]
    _leave(tx, context, [(balancer_id, host) for host in mine], [port for port in mine.values() if port])


def free_vrid(tx: Tx, network_id: str) -> int | None:
    """A virtual router id (VRRP) that no other load balancer of the network has; None when all are taken."""
    tx.alone(f"vrid {network_id}")
    table = LOADBALANCERS.c
    taken = sa.select(table.vrid).where(table.vip_network_id == network_id, table.vrid.is_not(None))
    used = {vrid for (vrid,) in tx.tuples(taken)}
    return next((vrid for vrid in range(1, 256) if vrid not in used), None)


def agents_of(tx: Tx, context: Context, balancer_id: str) -> list[View]:
    """The agents that carry a load balancer."""
    statement = (
        sa.select(AGENTS.c.id)
        .join(LB_BINDINGS, (LB_BINDINGS.c.host == AGENTS.c.host) & (AGENTS.c.agent_type == LB_AGENT))
        .where(LB_BINDINGS.c.loadbalancer_id == balancer_id)
        .order_by(AGENTS.c.id)
    )
    return reading.by_ids(tx, context, AGENT, [key for (key,) in tx.tuples(statement)])


def carried_by(tx: Tx, agent: Mapping[str, Any]) -> list[str]:
    """Ids of the load balancers that an agent carries."""
    if agent["agent_type"] != LB_AGENT:
        return []
    table = LB_BINDINGS.c
    statement = sa.select(table.loadbalancer_id).where(table.host == agent["host"]).order_by(table.loadbalancer_id)
    return [key for (key,) in tx.tuples(statement)]


def _held(tx: Tx, ids: Collection[str]) -> dict[str, dict[str, str | None]]:
    """The hosts of each load balancer, with the port of the election."""
    held: dict[str, dict[str, str | None]] = {key: {} for key in ids}
    table = LB_BINDINGS.c
    statement = sa.select(table.loadbalancer_id, table.host, table.port_id)
    for key, host, port_id in tx.tuples(statement.where(among(tx, table.loadbalancer_id, list(ids)))):
        held[key][host] = port_id
    return held


def _choose(known: Mapping[str, Candidate], held: set[str], count: int) -> set[str]:
    """Hosts for a load balancer: those it has that live and, as far as they are too few, others; else it stays."""
    living = {host for host in held if host in known and known[host].willing}
    chosen = living | set(placement.pick(known, held, (), count - len(living)))
    return chosen | set(sorted(held - chosen)[: max(0, count - len(chosen))])


def _leave(tx: Tx, context: Context, pairs: Sequence[tuple[str, str]], port_ids: Sequence[str]) -> None:
    if not pairs:
        return
    table = LB_BINDINGS.c
    tx.execute(LB_BINDINGS.delete().where(sa.tuple_(table.loadbalancer_id, table.host).in_(pairs)))
    ports.delete_internal(tx, context, port_ids)
    _tell(tx, pairs)


def _come(tx: Tx, context: Context, pairs: Sequence[tuple[View, str]]) -> None:
    if not pairs:
        return
    electing = [(each, host) for each, host in pairs if each["vrid"]]
    made = ports.create_internal(tx, context, [_election(each, host) for each, host in electing]) if electing else []
    elects = {(each["id"], host): port["id"] for (each, host), port in zip(electing, made, strict=True)}
    rows = [
        {"loadbalancer_id": each["id"], "host": host, "port_id": elects.get((each["id"], host))} for each, host in pairs
    ]
    tx.execute(LB_BINDINGS.insert(), rows)
    _begin_anew(tx, [(each["id"], host) for each, host in pairs])
    _tell(tx, [(each["id"], host) for each, host in pairs])


def _begin_anew(tx: Tx, pairs: Sequence[tuple[str, str]]) -> None:
    """Have hosts tell again of what they carried before: they may never hear that it was gone meanwhile."""
    names = {f"{FRAGMENT}{key}": key for key, _ in pairs}
    table = APPLIED.c
    held = sa.select(table.host, table.fragment).where(
        among(tx, table.host, {host for _, host in pairs}), among(tx, table.fragment, names)
    )
    back = {names[name] for host, name in tx.tuples(held) if (names[name], host) in pairs}
    if back:
        those = among(tx, LOADBALANCERS.c.id, sorted(back))
        tx.execute(LOADBALANCERS.update().where(those).values(generation=LOADBALANCERS.c.generation + 1))


def _election(balancer: Mapping[str, Any], host: str) -> View:
    """The port from which a host takes part in the election of the active one."""
    secured = {
        "port_security_enabled": True,
        "security_groups": balancer["vip_sg_ids"],
        "allowed_address_pairs": [{"ip_address": balancer["vip_address"]}],
    }
    return {
        "network_id": balancer["vip_network_id"],
        "project_id": balancer["project_id"],
        "name": f"octavia-lb-vrrp-{balancer['id']}",
        "device_owner": OCTAVIA,
        "device_id": f"lb-{balancer['id']}",
        "fixed_ips": [{"subnet_id": balancer["vip_subnet_id"]}],
        "binding:host_id": host,
    } | (secured if balancer["vip_sg_ids"] else {})


def _follow(tx: Tx, context: Context, balancers: Sequence[View]) -> None:
    """Bind the port of the VIP to the only host; to none where several have ports of their own."""
    hosts: dict[str, list[str]] = defaultdict(list)
    for key, mine in _held(tx, [each["id"] for each in balancers]).items():
        hosts[key] = sorted(mine)
    binding.bind_hosts(
        tx,
        context,
        {
            each["vip_port_id"]: hosts[each["id"]][0] if hosts[each["id"]] and not each["vrid"] else ""
            for each in balancers
            if each["vip_port_id"]
        },
    )


def _avoid(tx: Tx, context: Context, balancer_id: str, hosts: Collection[str]) -> None:
    """Refresh a load balancer without its former hosts."""
    table = LOADBALANCERS.c
    row = tx.row(sa.select(*(table[name] for name in COLUMNS)).where(table.id == balancer_id))
    assert row is not None
    mine = set(_held(tx, [balancer_id])[balancer_id])
    known = placement.hosts(tx, context, LB_AGENT)
    chosen = placement.pick(known, mine | set(hosts), (), (PAIR if row["vrid"] else 1) - len(mine))
    _come(tx, context, [(row, host) for host in chosen])
    _follow(tx, context, [row])


def _tell(tx: Tx, pairs: Sequence[tuple[str, str]]) -> None:
    for key, host in pairs:
        tx.changed("loadbalancer", key)
        tx.changed("host", host)
