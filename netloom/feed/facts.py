"""What the hosts' slices follow from, as rows of a few tables: who is where, on which network, and who serves it."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa

from netloom.feed.render_server import DELETING
from netloom.model.owners import HA_PORT, ROUTER_PORTS
from netloom.model.ports import BINDING_FAILED
from netloom.model.ports import UNBOUND as NOWHERE
from netloom.store.among import among
from netloom.store.database import Tx
from netloom.store.tables.compute import SERVERS
from netloom.store.tables.loadbalancers import LB_BINDINGS, LOADBALANCERS
from netloom.store.tables.network import (
    DHCP_BINDINGS,
    NETWORKS,
    PORT_SECURITY_GROUPS,
    PORTS,
    ROUTER_BINDINGS,
    ROUTERS,
    SECURITY_GROUP_RULES,
    TRUNKS,
)

UNBOUND = (NOWHERE, BINDING_FAILED)
"""``binding:vif_type`` of ports that no host is to wire."""
OVERLAYS = ("geneve", "gre", "vxlan")
"""Types of the networks that tunnels carry."""
OF_ROUTERS = frozenset({*ROUTER_PORTS, HA_PORT})
"""Owners of the ports that concern all hosts of their router."""


class Port(NamedTuple):
    """What a port means for who must know what."""

    name: str
    """Of its fragment for its host and for those that serve its network."""
    neighbour: str
    """Name of its fragment for the other hosts of its network."""
    network: str
    host: str
    """That it is bound to, or empty."""
    wired: bool
    """Whether that host can plug it."""
    owner: str
    router: str
    """Id of the router whose port it is, or empty."""
    groups: tuple[str, ...]
    paired: bool
    """Whether it has allowed address pairs."""
    trunk: str = ""
    """Name of the fragment of the trunk whose parent it is, or empty."""


class Carried(NamedTuple):
    """Where a router is."""

    hosts: frozenset[str] = frozenset()
    ha: bool = False
    """Whether each of the hosts carries all of its ports."""


class Balanced(NamedTuple):
    """Where a load balancer is."""

    hosts: frozenset[str]
    ports: frozenset[str]
    """Ids of the VIP's port and of those of its elections."""
    network: str
    """Of the VIP."""


Sets = frozenset[str]
KINDS = ("port", "network", "dhcp", "router", "security_group", "server", "loadbalancer")
"""Kinds of change that facts depend on."""
BOUND = ("dhcp", "router", "server", "loadbalancer")
"""Those whose facts are hosts."""


class Facts(NamedTuple):
    """Facts by id; none of an object that is not there."""

    ports: Mapping[str, Port]
    networks: Mapping[str, bool]
    """Whether it is an overlay."""
    dhcp: Mapping[str, Sets]
    """Hosts that serve a network."""
    routers: Mapping[str, Carried]
    remotes: Mapping[str, Sets]
    """Names of the sets that the rules of a security group refer to."""
    servers: Mapping[str, str]
    """Host of each instance that is to be there."""
    balancers: Mapping[str, Balanced]
    """Load balancers that have hosts and a VIP."""

    def of(self, kind: str) -> Mapping[str, Any]:
        """The facts of one kind."""
        found: Mapping[str, Any] = self[KINDS.index(kind)]
        return found


def read(tx: Tx, ids: Mapping[str, Collection[str]] | None = None, hosts: Collection[str] = ()) -> Facts:
    """The facts about objects (ids by kind) and about what is bound to ``hosts``; None: about everything.

    8 statements at most, none about kinds of which nothing is asked.
    """

    def asked(kind: str) -> bool:
        return ids is None or bool(ids.get(kind)) or (kind in BOUND and bool(hosts))

    def where(kind: str, column: sa.ColumnElement[Any], host: sa.ColumnElement[Any] | None = None) -> Any:
        if ids is None:
            return sa.true()
        named = among(tx, column, ids.get(kind, ()))
        return named if host is None else named | column.in_(sa.select(column).where(among(tx, host, hosts)))

    served, carried, running, balanced = DHCP_BINDINGS.c, ROUTER_BINDINGS.c, SERVERS.c, LB_BINDINGS.c
    members, rules = PORT_SECURITY_GROUPS.c.port_id, SECURITY_GROUP_RULES.c.security_group_id
    return Facts(
        _ports(tx, where("port", PORTS.c.id), where("port", members)) if asked("port") else {},
        _networks(tx, where("network", NETWORKS.c.id)) if asked("network") else {},
        _dhcp(tx, where("dhcp", served.network_id, served.host)) if asked("dhcp") else {},
        _routers(tx, where("router", carried.router_id, carried.host)) if asked("router") else {},
        _remotes(tx, where("security_group", rules)) if asked("security_group") else {},
        _servers(tx, where("server", running.id, running.host)) if asked("server") else {},
        _balancers(tx, where("loadbalancer", balanced.loadbalancer_id, balanced.host)) if asked("loadbalancer") else {},
    )


def _ports(tx: Tx, wanted: Any, memberships: Any) -> dict[str, Port]:
    groups: dict[str, tuple[str, ...]] = defaultdict(tuple)
    table = PORT_SECURITY_GROUPS.c
    for port, group in tx.tuples(sa.select(table.port_id, table.security_group_id).where(memberships)):
        groups[port] += (group,)
    column = PORTS.c
    paired = is_filled(column.allowed_address_pairs)
    statement = sa.select(
        column.id, column.network_id, column.binding_host_id, column.binding_vif_type, column.device_owner,
        column.device_id, paired, TRUNKS.c.id,
    ).outerjoin_from(PORTS, TRUNKS, TRUNKS.c.port_id == column.id).where(wanted)  # fmt: skip
    shared: dict[str, str] = {}  # one text for all rows that say the same
    return {
        row[0]: Port(
            name=f"port/{row[0]}",
            neighbour=f"neighbour/{row[0]}",
            network=shared.setdefault(row[1], row[1]),
            host=shared.setdefault(row[2] or "", row[2] or ""),
            wired=bool(row[2]) and row[3] not in UNBOUND,
            owner=shared.setdefault(row[4] or "", row[4] or ""),
            router=shared.setdefault(row[5], row[5]) if row[4] in OF_ROUTERS else "",
            groups=tuple(shared.setdefault(group, group) for group in sorted(groups.get(row[0], ()))),
            paired=bool(row[6]),
            trunk=f"trunk/{row[7]}" if row[7] else "",
        )
        for row in tx.tuples(statement)
    }


def _networks(tx: Tx, wanted: Any) -> dict[str, bool]:
    statement = sa.select(NETWORKS.c.id, NETWORKS.c.provider_network_type).where(wanted)
    return {network: kind in OVERLAYS for network, kind in tx.tuples(statement)}


def _dhcp(tx: Tx, wanted: Any) -> dict[str, Sets]:
    return _grouped(tx.tuples(sa.select(DHCP_BINDINGS.c.network_id, DHCP_BINDINGS.c.host).where(wanted)))


def _routers(tx: Tx, wanted: Any) -> dict[str, Carried]:
    bindings = sa.select(ROUTER_BINDINGS.c.router_id, ROUTER_BINDINGS.c.host).where(wanted).subquery()
    statement = sa.select(bindings.c.router_id, bindings.c.host, ROUTERS.c.ha_vr_id.is_not(None)).join(
        ROUTERS, ROUTERS.c.id == bindings.c.router_id
    )
    rows = tx.tuples(statement)
    ha = {router: bool(many) for router, _, many in rows}
    return {router: Carried(hosts, ha[router]) for router, hosts in _grouped((r[0], r[1]) for r in rows).items()}


def _remotes(tx: Tx, wanted: Any) -> dict[str, Sets]:
    rule = SECURITY_GROUP_RULES.c
    statement = (
        sa.select(rule.security_group_id, rule.remote_group_id, rule.remote_address_group_id)
        .where(wanted, rule.remote_group_id.is_not(None) | rule.remote_address_group_id.is_not(None))
        .distinct()
    )
    rows = tx.tuples(statement)
    return _grouped((group, f"addresses/{remote}") for group, *remotes in rows for remote in remotes if remote)


def _servers(tx: Tx, wanted: Any) -> dict[str, str]:
    table = SERVERS.c
    ready = (table.prepared, sa.func.coalesce(table.task_state, "") != DELETING)
    rows: Iterable[Any] = tx.tuples(sa.select(table.id, table.host).where(wanted, *ready))
    return dict(rows)


def _balancers(tx: Tx, wanted: Any) -> dict[str, Balanced]:
    bindings, table = LB_BINDINGS.c, LOADBALANCERS.c
    statement = (
        sa.select(bindings.loadbalancer_id, bindings.host, bindings.port_id, table.vip_port_id, table.vip_network_id)
        .join(LOADBALANCERS, table.id == bindings.loadbalancer_id)
        .where(wanted, table.vip_port_id.is_not(None))
    )
    rows = tx.tuples(statement)
    hosts = _grouped((row[0], row[1]) for row in rows)
    ports = _grouped((row[0], port) for row in rows for port in row[2:4] if port)
    return {row[0]: Balanced(hosts[row[0]], ports[row[0]], row[4]) for row in rows}


def _grouped(pairs: Iterable[Any]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for key, value in pairs:
        found[key].add(value)
    return {key: frozenset(values) for key, values in found.items()}


def is_filled(lists: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """Whether a column has a list with something in it; an empty one is stored as []."""
    return sa.func.coalesce(sa.func.length(sa.cast(lists, sa.Text)) > 2, sa.false())


def filled(lists: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """A column's lists; null for empty ones, which most are: decoding them takes time."""
    return sa.case((is_filled(lists), lists)).label(lists.name)
