"""Which hosts serve DHCP for a network.

``refresh`` compares what is there with what should be, and changes the difference: it can be called at any time.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from netloom.model.agents import AGENT
from netloom.model.errors import Conflict, NotFound
from netloom.model.networks import NETWORK
from netloom.model.owners import DHCP
from netloom.model.ports import PORT
from netloom.rules import addresses, dhcp_ports, placement, ports, reading
from netloom.rules.context import Context
from netloom.rules.dhcp_ports import Target
from netloom.rules.placement import DHCP_AGENT, Candidate
from netloom.store.among import among
from netloom.store.database import Tx
from netloom.store.tables.network import AGENTS, DHCP_BINDINGS, NETWORKS, PORTS, SUBNETS

View = dict[str, Any]
BATCH = 200
"""Networks that are moved in one transaction at most."""


class InvalidDHCPAgent(NotFound):
    """No such agent, not one for DHCP, or disabled."""

    message = "Agent {id} is not a valid DHCP Agent or has been disabled."


class NetworkHostedByDHCPAgent(Conflict):
    """The agent has the network."""

    message = "The network {network_id} has been already hosted by the DHCP Agent {agent_id}."


class NetworkNotHostedByDhcpAgent(Conflict):
    """The agent does not have the network."""

    message = "The network {network_id} is not hosted by the DHCP agent {agent_id}."


def refresh(tx: Tx, context: Context, network_ids: Collection[str]) -> None:
    """Have these networks served by as many live agents as the settings say, or by none without DHCP subnets."""
    networks = reading.by_ids(tx, context, NETWORK, sorted(network_ids), lock="change", fields=frozenset())
    if not networks:
        return
    ids = [network["id"] for network in networks]
    subnets = {
        network_id: [subnet for subnet in rows if subnet["enable_dhcp"]]
        for network_id, rows in addresses.subnets_of(tx, ids).items()
    }
    held: dict[str, dict[str, View]] = {network_id: {} for network_id in ids}
    port_ids = sa.select(PORTS.c.id).where(among(tx, PORTS.c.network_id, ids), PORTS.c.device_owner == DHCP)
    for port in reading.by_ids(tx, context, PORT, [port_id for (port_id,) in tx.tuples(port_ids)]):
        held[port["network_id"]][port["binding:host_id"]] = port
    ready = {key: {host for host, port in mine.items() if port["status"] == "ACTIVE"} for key, mine in held.items()}
    served = _bind(tx, context, [network for network in networks if subnets[network["id"]]], ids, ready)
    targets = [
        Target(network, [subnet["id"] for subnet in subnets[key]], sorted(served[key]), held[key])
        for key, network in zip(ids, networks, strict=True)
    ]
    dhcp_ports.serve(tx, context, targets)


def refresh_all(tx: Tx, context: Context) -> None:
    """Refresh the networks that have fewer agents than they should, dead or alive: another one came.

    Whether those that they have are dead is left to ``relieve``: after an outage of the servers all seem to be, and the
    first that is heard again must not get everything.
    """
    table = DHCP_BINDINGS.c
    enough = sa.select(table.network_id).group_by(table.network_id)
    enough = enough.having(sa.func.count() >= context.settings.dhcp_agents_per_network)
    needy = sa.select(SUBNETS.c.network_id).where(SUBNETS.c.enable_dhcp.is_(True), SUBNETS.c.network_id.not_in(enough))
    refresh(tx, context, [network_id for (network_id,) in tx.tuples(needy.distinct())])


def relieve(tx: Tx, context: Context) -> bool:
    """Move networks away from dead and disabled agents, as far as others can take them; whether there may be more.

    Nothing is locked unless something moves.
    """
    known = placement.hosts(tx, context, DHCP_AGENT)
    if not any(candidate.willing for candidate in known.values()):
        return False
    unwilling = [host for host, candidate in known.items() if not candidate.willing]
    table = DHCP_BINDINGS.c
    there = sa.select(table.network_id).where(among(tx, table.host, unwilling))
    columns = (table.network_id, table.host, NETWORKS.c.availability_zone_hints)
    statement = sa.select(*columns).join(NETWORKS, NETWORKS.c.id == table.network_id)
    held: dict[str, set[str]] = defaultdict(set)
    hints: dict[str, Sequence[str]] = {}
    for network_id, host, zones in tx.tuples(statement.where(table.network_id.in_(there)).order_by(table.network_id)):
        held[network_id].add(host)
        hints[network_id] = zones or ()
    ready = _ready(tx, list(held))
    moving = [
        key for key, hosts in held.items() if _choose(context, known, hints[key], hosts, ready[key]) != hosts
    ]  # fmt: skip
    refresh(tx, context, moving[:BATCH])
    return len(moving) > BATCH


def add_to_agent(tx: Tx, context: Context, agent: View, network_id: str) -> None:
    """Have an agent serve a network. Raises NetworkNotFound, InvalidDHCPAgent, NetworkHostedByDHCPAgent."""
    if agent["agent_type"] != DHCP_AGENT or not agent["admin_state_up"]:
        raise InvalidDHCPAgent(id=agent["id"])
    if not reading.by_ids(tx, context, NETWORK, [network_id], lock="change", fields=frozenset()):
        raise reading.missing(NETWORK, network_id)
    if _binding(tx, agent, network_id) is not None:
        raise NetworkHostedByDHCPAgent(network_id=network_id, agent_id=agent["id"])
    tx.execute(DHCP_BINDINGS.insert().values(network_id=network_id, host=agent["host"]))
    tx.changed("host", agent["host"])
    tx.changed("dhcp", network_id)
    served = sa.select(SUBNETS.c.id).where(SUBNETS.c.network_id == network_id, SUBNETS.c.enable_dhcp.is_(True))
    if tx.execute(served.limit(1)).first() is not None:  # else the agent waits for the first such subnet
        refresh(tx, context, [network_id])


def remove_from_agent(tx: Tx, context: Context, agent: View, network_id: str) -> None:
    """Have an agent no longer serve a network. Raises NetworkNotHostedByDhcpAgent."""
    if _binding(tx, agent, network_id) is None:
        raise NetworkNotHostedByDhcpAgent(network_id=network_id, agent_id=agent["id"])
    _unbind(tx, [(network_id, agent["host"])])
    port = sa.select(PORTS.c.id).where(
        PORTS.c.network_id == network_id, PORTS.c.device_owner == DHCP, PORTS.c.binding_host_id == agent["host"]
    )
    ports.delete_internal(tx, context, [port_id for (port_id,) in tx.tuples(port)])


def agents_of(tx: Tx, context: Context, network_id: str) -> list[View]:
    """The agents that serve a network."""
    statement = (
        sa.select(AGENTS.c.id)
        .join(DHCP_BINDINGS, (DHCP_BINDINGS.c.host == AGENTS.c.host) & (AGENTS.c.agent_type == DHCP_AGENT))
        .where(DHCP_BINDINGS.c.network_id == network_id)
        .order_by(AGENTS.c.id)
    )
    return reading.by_ids(tx, context, AGENT, [agent_id for (agent_id,) in tx.tuples(statement)])


def networks_of(tx: Tx, context: Context, agent: View) -> list[View]:
    """The networks that an agent serves."""
    if agent["agent_type"] != DHCP_AGENT:
        return []
    statement = sa.select(DHCP_BINDINGS.c.network_id).where(DHCP_BINDINGS.c.host == agent["host"])
    ids = [network_id for (network_id,) in tx.tuples(statement.order_by(DHCP_BINDINGS.c.network_id))]
    return reading.by_ids(tx, context, NETWORK, ids)


def _bind(
    tx: Tx, context: Context, networks: Sequence[View], ids: Sequence[str], ready: Mapping[str, Collection[str]]
) -> dict[str, set[str]]:
    """Bind networks with DHCP to live agents, the others of ``ids`` to none; the hosts of each afterwards."""
    known = placement.hosts(tx, context, DHCP_AGENT)
    held: dict[str, set[str]] = {network_id: set() for network_id in ids}
    statement = sa.select(DHCP_BINDINGS.c.network_id, DHCP_BINDINGS.c.host)
    for network_id, host in tx.tuples(statement.where(among(tx, DHCP_BINDINGS.c.network_id, list(ids)))):
        held[network_id].add(host)
    wanted: dict[str, set[str]] = {network_id: set() for network_id in ids}
    for network in networks:
        key, hints = network["id"], network["availability_zone_hints"] or ()
        wanted[key] = _choose(context, known, hints, held[key], ready[key])
    _unbind(tx, [(key, host) for key in ids for host in sorted(held[key] - wanted[key])])
    fresh = [{"network_id": key, "host": host} for key in ids for host in sorted(wanted[key] - held[key])]
    if fresh:
        tx.execute(DHCP_BINDINGS.insert(), fresh)
    for row in fresh:
        tx.changed("host", row["host"])
        tx.changed("dhcp", row["network_id"])
    return wanted


def _choose(
    context: Context, known: Mapping[str, Candidate], hints: Sequence[str], held: set[str], ready: Collection[str]
) -> set[str]:
    """The hosts for a network: those it has and, as far as they are too few, dead or disabled, others.

    ``ready``: hosts that serve it, as they say. A disabled host goes once enough others do. A dead one keeps the
    network only while no live one can take it, or nothing may be moved by itself.
    """
    count, zones = context.settings.dhcp_agents_per_network, hints or context.settings.default_availability_zones
    living = {host for host in held if host in known and known[host].willing}
    draining = {host for host in held if host in known and known[host].draining}
    dead = held - living - draining
    if not context.settings.allow_automatic_dhcp_failover:
        living |= dead
    chosen = living | set(placement.pick(known, held, zones, count - len(living)))
    if not chosen or len(chosen & set(ready)) < min(count, len(chosen)):
        chosen |= draining
    return chosen | set(sorted(dead)[: max(0, count - len(chosen))])


def _ready(tx: Tx, network_ids: Collection[str]) -> dict[str, set[str]]:
    """The hosts that serve networks, as they say."""
    table = PORTS.c
    statement = sa.select(table.network_id, table.binding_host_id).where(
        among(tx, table.network_id, network_ids), table.device_owner == DHCP, table.status == "ACTIVE"
    )
    found: dict[str, set[str]] = {key: set() for key in network_ids}
    for network_id, host in tx.tuples(statement):
        found[network_id].add(host)
    return found


def _binding(tx: Tx, agent: View, network_id: str) -> View | None:
    table = DHCP_BINDINGS.c
    return tx.row(sa.select(table.host).where(table.network_id == network_id, table.host == agent["host"]))


def _unbind(tx: Tx, pairs: Sequence[tuple[str, str]]) -> None:
    if not pairs:
        return
    table = DHCP_BINDINGS.c
    tx.execute(DHCP_BINDINGS.delete().where(sa.tuple_(table.network_id, table.host).in_(pairs)))
    for network_id, host in pairs:
        tx.changed("host", host)
        tx.changed("dhcp", network_id)
