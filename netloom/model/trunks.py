"""Trunks: one network card that reaches several networks, told apart by VLAN tags."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from netloom.model.fields import REQUIRED, Field, Resource, admin_state, identity, standard
from netloom.model.kinds import Integer, Invalid, ListOf, Name, Record, Text, Uuid

VLAN, INHERIT = "vlan", "inherit"
"""How a sub-port is told apart: by a tag of its own, or by that of its network's VLAN."""
UNTAGGED = (
    "Invalid subport details '{}': missing segmentation information. Must specify both segmentation_id and "
    "segmentation_type"
)
"""What is wrong with a sub-port that is not told apart."""
SUB_PORT = Record(
    members={"port_id": Uuid(), "segmentation_type": Text(), "segmentation_id": Integer(nullable=True)},
    required=frozenset({"port_id"}),
    texts=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubPorts(ListOf):
    """Sub-ports of one request: no port and no tag twice, and with their tags or, to remove them, without."""

    item: Record = SUB_PORT

    def check(self, value: Any) -> Any:
        subs = ListOf.check(self, value)
        for sub in subs:
            told = sub.get("segmentation_type") == INHERIT or len(sub) == 1
            if not told and not (sub.get("segmentation_type") and sub.get("segmentation_id")):
                raise Invalid(UNTAGGED.format(sub))
        if port := _repeated(sub["port_id"] for sub in subs):
            raise Invalid(f"Non unique UUID for subport: '{port}'")
        tags = (sub for sub in subs if len(sub) > 1 and sub["segmentation_type"] != INHERIT)
        if tag := _repeated((sub["segmentation_type"], sub["segmentation_id"]) for sub in tags):
            raise Invalid(f"Segmentation ID '{tag[1]}' of type '{tag[0]}' is not unique")
        return subs


def _repeated(values: Iterable[Any]) -> Any:
    """The first value that comes a second time, or None."""
    seen = set()
    for value in values:
        if value in seen:
            return value
        seen.add(value)
    return None


TRUNK = Resource(
    name="trunk",
    plural="trunks",
    label="Trunk",
    not_found="TrunkNotFound",
    extension="trunk",
    tagged=True,
    quota=-1,
    actions={"add_subports": "PUT", "remove_subports": "PUT", "get_subports": "GET"},
    fields=(
        *identity(),
        Field("name", "CUVFS", Name(), ""),
        Field("port_id", "CVFS", Uuid(), REQUIRED, doc="The parent port: its frames have no tag."),
        admin_state(),
        Field("status", "VFS", Text(), stored=False, doc="DOWN, BUILD, ACTIVE, DEGRADED or ERROR."),
        Field("sub_ports", "CVP", SubPorts(), (), stored=False, doc="The ports behind tags."),
        *standard(),
    ),
)
