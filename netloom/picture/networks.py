"""The networks of a host and by which VLAN each goes where."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from netloom.picture.cables import Cable
from netloom.state import HostState, SwitchPort

COLUMNS = ("NETWORK", "TYPE", "PHYSICAL NETWORK", "NUMBER", "LOCAL VLAN", "VLAN IN INSTANCES")


@dataclass(frozen=True, slots=True)
class Row:
    """One network."""

    network: str
    kind: str
    physical_network: str
    number: str
    """Outside of the host: VLAN or tunnel id."""
    local: int
    """VLAN on the integration bridge."""
    inside: str
    """VLANs by which instances on trunks know it; ``untagged`` for those that have it without one."""

    def cells(self) -> tuple[str, ...]:
        """What a table shows, in the order of ``COLUMNS``."""
        return (self.network, self.kind, self.physical_network or "-", self.number or "-", str(self.local), self.inside)


def networks(state: HostState, root: str, names: Mapping[str, str], shown: Collection[Cable]) -> list[Row]:
    """The networks that have a port on the bridge ``root`` among the cables shown, by local VLAN."""
    ports = {port.name: port for port in state.of(SwitchPort).values() if port.bridge == root}
    inside: dict[str, set[int]] = defaultdict(set)
    rows: dict[str, Row] = {}
    for cable in shown:
        port = ports.get(cable.one.port)
        config = dict(port.other_config) if port else {}
        if not port or not (network := config.get("net_uuid")) or port.tag is None:
            continue
        if cable.other and cable.kind == "patch":
            inside[network].add(cable.other.tag or 0)
        elif cable.kind == "card" or "vm-uuid" in dict(port.external_ids):
            inside[network].add(0)
        rows[network] = Row(
            network=names.get(network, network),
            kind=config.get("network_type", ""),
            physical_network=config.get("physical_network", ""),
            number=config.get("segmentation_id", ""),
            local=port.tag,
            inside="",
        )
    told = {
        network: ", ".join(str(vlan) if vlan else "untagged" for vlan in sorted(vlans))
        for network, vlans in inside.items()
    }
    done = (replace(row, inside=told.get(network, "-")) for network, row in rows.items())
    return sorted(done, key=lambda row: row.local)


def lines(rows: Sequence[Row]) -> list[str]:
    """The table in lines of text; empty without networks."""
    return table(COLUMNS, [row.cells() for row in rows])


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Cells under the names of their columns, in lines of text; empty without rows."""
    texts = [columns, *rows] if rows else []
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in texts]
