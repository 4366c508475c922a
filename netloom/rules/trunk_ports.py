"""What ports have to do with trunks: sub-ports are bound where their parent is, and ports of trunks stay."""

from collections.abc import Collection, Mapping

import sqlalchemy as sa

from netloom.model.errors import Conflict
from netloom.model.owners import TRUNK_SUB_PORT
from netloom.rules import binding, standard
from netloom.rules.context import Context
from netloom.store.among import among
from netloom.store.database import Tx
from netloom.store.tables.network import PORTS, SUB_PORTS, TRUNKS


class PortInUseAsTrunkParent(Conflict):
    """The port is the parent of a trunk."""

    message = "Port {port_id} is currently a parent port for trunk {trunk_id}."


class PortInUseAsSubPort(Conflict):
    """The port is behind a trunk."""

    message = "Port {port_id} is currently a subport for trunk {trunk_id}."


def check_free(tx: Tx, port_id: str) -> None:
    """Refuse a port that belongs to a trunk; 1 statement. Raises PortInUseAsTrunkParent, PortInUseAsSubPort."""
    parent = sa.select(TRUNKS.c.id.label("trunk_id"), sa.true().label("parent")).where(TRUNKS.c.port_id == port_id)
    behind = sa.select(SUB_PORTS.c.trunk_id, sa.false()).where(SUB_PORTS.c.port_id == port_id)
    for trunk_id, is_parent in tx.tuples(sa.union_all(parent, behind)):
        refusal = PortInUseAsTrunkParent if is_parent else PortInUseAsSubPort
        raise refusal(port_id=port_id, trunk_id=trunk_id)


def follow(tx: Tx, context: Context, hosts: Mapping[str, str]) -> None:
    """Bind the sub-ports of those of these ports that are parents to the parents' new hosts (empty: to none)."""
    # Who adds sub-ports holds the trunk: either it has seen the new host, or they are seen here.
    trunks = sa.select(TRUNKS.c.id, TRUNKS.c.port_id).where(among(tx, TRUNKS.c.port_id, hosts.keys()))
    parents = {row[0]: row[1] for row in tx.tuples(trunks.order_by(TRUNKS.c.id).with_for_update(key_share=True))}
    if parents:
        subs = sa.select(SUB_PORTS.c.port_id, SUB_PORTS.c.trunk_id).where(among(tx, SUB_PORTS.c.trunk_id, parents))
        binding.bind_hosts(tx, context, {row[0]: hosts[parents[row[1]]] for row in tx.tuples(subs)})


def join(tx: Tx, context: Context, trunk_id: str, host: str, port_ids: Collection[str]) -> None:
    """Have ports be sub-ports of a trunk whose parent is bound to ``host`` (empty: to none)."""
    _own(tx, port_ids, device_id=trunk_id, device_owner=TRUNK_SUB_PORT)
    binding.bind_hosts(tx, context, dict.fromkeys(port_ids, host))


def leave(tx: Tx, context: Context, port_ids: Collection[str]) -> None:
    """Have sub-ports be free again: nobody's, and bound to no host."""
    _own(tx, port_ids, device_id="", device_owner="")
    binding.bind_hosts(tx, context, dict.fromkeys(port_ids, ""))


def _own(tx: Tx, port_ids: Collection[str], **owner: str) -> None:
    if port_ids:
        tx.execute(PORTS.update().where(among(tx, PORTS.c.id, port_ids)).values(owner))
        standard.revise(tx, PORTS, port_ids)
        for port_id in port_ids:
            tx.changed("port", port_id)
