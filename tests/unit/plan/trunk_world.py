"""A trunk with three sub-ports, each on a network of its own and in a security group of its own."""

from netloom.feed.fragments import Network, Port, SubPort, Trunk
from netloom.plan.settings import PlanSettings
from tests.unit.plan.switching_world import EGRESS_ALL, SETTINGS, TCP, World, group, id_of, network, port, rule

PARENT, FIRST, LAST = 1, 11, 14
SUB_PORTS = range(FIRST, LAST)
TRUNK_ID = id_of(0x3B, 1)
BRIDGE = f"tbr-{TRUNK_ID[:10]}"
OPEN = group(1, *EGRESS_ALL, rule(), rule(version=6))
"""Lets everything in."""
SSH = group(2, *EGRESS_ALL, rule(protocol=TCP, first=22, last=22))
CLOSED = group(3, *EGRESS_ALL)
GROUPS = dict(zip(SUB_PORTS, (OPEN, SSH, CLOSED), strict=True))
"""Of each sub-port."""


def name(prefix: str, number: int) -> str:
    """A device of the trunk."""
    return f"{prefix}-{id_of(0xB0, number)[:10]}"


def tag(number: int) -> int:
    """What the instance knows the network of a sub-port by: 1100, 1200, 1300."""
    return 1100 + 100 * (number - FIRST)


def network_of(number: int) -> Network:
    """The parent is on network 1, sub-ports are on 2, 3 and 4."""
    return network(1 if number == PARENT else number - FIRST + 2)


def trunk(*numbers: int) -> Trunk:
    """The trunk with these sub-ports."""
    return Trunk(TRUNK_ID, id_of(0xB0, PARENT), tuple(SubPort(id_of(0xB0, n), tag(n)) for n in numbers))


def sub_port(number: int, *groups: str, **changes: object) -> Port:
    """The port of a sub-port."""
    fields = {"network_id": network_of(number).id, "device_owner": "trunk:subport", "device_id": ""} | changes
    return port(number, groups, **fields)


def cloud(*numbers: int, settings: PlanSettings = SETTINGS) -> World:
    """An instance behind a trunk, and one other guest, 21 and so on, on each network of a sub-port."""
    world = World(settings=settings).put(network(), OPEN, SSH, CLOSED, port(PARENT, [OPEN.id]), trunk(*numbers))
    for number in numbers:
        world.put(network_of(number), sub_port(number, GROUPS[number].id))
        world.put(port(number + 10, [OPEN.id], network_id=network_of(number).id))
    return world


def inside(number: int) -> int | None:
    """The tag of a sub-port; of the parent, none."""
    return None if number == PARENT else tag(number)
