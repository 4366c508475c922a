"""Fragments of trunks."""

from collections import defaultdict
from collections.abc import Collection, Mapping

import sqlalchemy as sa

from netloom.feed.fragments import SubPort, Trunk
from netloom.store.among import among
from netloom.store.database import Tx
from netloom.store.tables.network import SUB_PORTS, TRUNKS


def trunks(tx: Tx, ids: Collection[str]) -> Mapping[str, Trunk]:
    """Trunks with their sub-ports; 2 statements."""
    table = SUB_PORTS.c
    behind: dict[str, list[SubPort]] = defaultdict(list)
    statement = sa.select(table.trunk_id, table.port_id, table.segmentation_id).order_by(table.segmentation_id)
    for trunk_id, port_id, tag in tx.tuples(statement.where(among(tx, table.trunk_id, ids))):
        behind[trunk_id].append(SubPort(port_id, tag))
    parents = sa.select(TRUNKS.c.id, TRUNKS.c.port_id).where(among(tx, TRUNKS.c.id, ids))
    return {
        trunk_id: Trunk(id=trunk_id, port_id=port_id, sub_ports=tuple(behind[trunk_id]))
        for trunk_id, port_id in tx.tuples(parents)
    }
