"""Fragments of the instances of the stand-in for compute."""

from collections import defaultdict
from collections.abc import Collection, Mapping

import sqlalchemy as sa

from netloom.feed.fragments import Nic, Server
from netloom.store.among import among
from netloom.store.database import Tx
from netloom.store.tables.compute import SERVER_NICS, SERVERS

DELETING = "deleting"
"""``task_state`` of instances that their hosts are to drop."""


def servers(tx: Tx, ids: Collection[str]) -> Mapping[str, Server]:
    """Instances that have their ports and are not being deleted; 2 statements."""
    table = SERVERS.c
    nics: dict[str, list[Nic]] = defaultdict(list)
    cards = sa.select(SERVER_NICS).where(among(tx, SERVER_NICS.c.server_id, ids))
    for row in tx.execute(cards.order_by(SERVER_NICS.c.position, SERVER_NICS.c.port_id)):
        nics[row.server_id].append(Nic(row.port_id, row.mac, row.mtu))
    statement = sa.select(SERVERS).where(
        among(tx, table.id, ids), table.prepared, sa.func.coalesce(table.task_state, "") != DELETING
    )
    return {
        row.id: Server(
            id=row.id,
            name=row.name,
            hostname=row.hostname,
            project_id=row.project_id,
            image_id=row.image_id,
            memory_mb=row.memory_mb,
            vcpus=row.vcpus,
            running=row.running,
            boot=row.boot,
            life=row.life,
            hypervisor_type=row.hypervisor_type,
            nics=tuple(nics[row.id]),
        )
        for row in tx.execute(statement)
    }
