"""Changing which hosts carry routers, with all that follows: election ports, bindings of ports, status."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import sqlalchemy as sa

from netloom.rules import ha_networks, router_ha
from netloom.rules.context import Context
from netloom.rules.ha_networks import Binding
from netloom.rules.placement import Candidate
from netloom.rules.router_ha import Carrier
from netloom.store.among import among
from netloom.store.database import Tx
from netloom.store.tables.network import ROUTER_BINDINGS, ROUTERS


class Router(NamedTuple):
    """What decides where a router may be."""

    id: str
    project_id: str
    ha: bool
    zones: Sequence[str]
    """Empty: anywhere."""


class Moves(NamedTuple):
    """Which hosts are to carry which routers, or no more."""

    add: Sequence[Binding] = ()
    remove: Sequence[Binding] = ()


Located = Sequence[tuple[Router, Sequence[Carrier]]]
"""Routers with the hosts that carry them."""


def locate(tx: Tx, context: Context, router_ids: Collection[str], lock: bool = False) -> Located:
    """Where routers are, in the order of their ids; ``lock``: and they stay there until the transaction ends."""
    columns = (ROUTERS.c.id, ROUTERS.c.project_id, ROUTERS.c.ha, ROUTERS.c.availability_zone_hints)
    statement = sa.select(*columns).where(among(tx, ROUTERS.c.id, router_ids)).order_by(ROUTERS.c.id)
    rows = tx.tuples(statement.with_for_update(key_share=True) if lock else statement)
    found = router_ha.carriers(tx, context, router_ids)  # read under the lock
    zones = context.settings.default_availability_zones
    return [
        (Router(key, project_id, bool(ha), hints or zones), found.get(key, [])) for key, project_id, ha, hints in rows
    ]


def wanted(context: Context, known: Mapping[str, Candidate], router: Router) -> int:
    """How many hosts should carry a router."""
    most = context.settings.max_l3_agents_per_router or len(known)
    return most if router.ha else 1


def apply(tx: Tx, context: Context, routers: Collection[Router], moves: Moves) -> None:
    """Change which hosts carry these routers, whose rows are locked."""
    _remove(tx, context, {router.id for router in routers if router.ha}, moves.remove)
    if moves.add:
        tx.execute(ROUTER_BINDINGS.insert(), [{"router_id": key, "host": host} for key, host in moves.add])
    available = {router.id: router.project_id for router in routers if router.ha}
    ha_networks.add_ports(tx, context, [pair for pair in moves.add if pair[0] in available], available)
    touched = sorted({router_id for router_id, _ in (*moves.add, *moves.remove)})
    for router_id in touched:
        tx.changed("router", router_id)
    for _, host in (*moves.add, *moves.remove):
        tx.changed("host", host)
    if touched:
        router_ha.settle(tx, context, touched)


def _remove(tx: Tx, context: Context, available: Collection[str], pairs: Sequence[Binding]) -> None:
    if not pairs:
        return
    table = ROUTER_BINDINGS.c
    tx.execute(ROUTER_BINDINGS.delete().where(sa.tuple_(table.router_id, table.host).in_(pairs)))
    if voting := {pair for pair in pairs if pair[0] in available}:
        ha_networks.remove_ports(tx, context, voting)
