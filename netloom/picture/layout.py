"""Where everything is in a picture, on a grid of characters: branches grow to the right, cables are straight."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from netloom.picture.cables import Cable, End, Kind, Place
from netloom.picture.tree import Branch

WIRE = 5
"""Columns between two boxes."""
_BORDERS = 4
"""Columns of a box besides its texts: its sides, and a blank at each."""
_BETWEEN = 3
"""Columns between the ports of a box's two sides."""


@dataclass(frozen=True, slots=True)
class Port:
    """The name of a port and its tag, inside its box."""

    x: int
    y: int
    text: str


@dataclass(frozen=True, slots=True)
class Box:
    """A place; ``width`` and ``height`` count its border."""

    place: Place
    title: str
    x: int
    y: int
    width: int
    height: int
    ports: tuple[Port, ...]


@dataclass(frozen=True, slots=True)
class Wire:
    """A cable, from the border of a box (``x``) to that of the next or to a note."""

    cable: Cable
    x: int
    y: int
    length: int


@dataclass(slots=True)
class Drawing:
    """All that is to be drawn, and how large it is."""

    boxes: list[Box] = field(default_factory=list)
    wires: list[Wire] = field(default_factory=list)
    width: int = 0
    height: int = 0


def draw(trees: Iterable[Branch]) -> Drawing:
    """Lay trees out, one below the other."""
    drawing = Drawing()
    for tree in trees:
        drawing.height = _place(drawing, tree, 0, drawing.height)
    boxes = (box.x + box.width for box in drawing.boxes)
    notes = (wire.x + wire.length + len(wire.cable.note) + 2 for wire in drawing.wires)
    drawing.width = max([*boxes, *notes], default=0)
    return drawing


def _place(drawing: Drawing, branch: Branch, x: int, y: int) -> int:
    """Lay a branch out with its upper left corner there; the first row below it."""
    left = [_text(cable.other) for cable in branch.cables]
    right = [_text(cable.one) for child in branch.children for cable in child.cables]
    right += [_text(leaf.one) for leaf in branch.leaves]
    columns = _longest(left) + _longest(right) + (_BETWEEN if left and right else 0)
    width = max(columns, len(branch.title) + 2) + _BORDERS
    ports = [Port(x + 2, y + 1 + row, text) for row, text in enumerate(left)]
    edge, cursor = x + width, y
    for child in branch.children:
        below = _place(drawing, child, edge + WIRE, cursor)
        for row, cable in enumerate(child.cables, start=cursor + 1):
            ports.append(_at_the_right(edge, row, _text(cable.one)))
            drawing.wires.append(Wire(cable, edge, row, WIRE))
        cursor = below
    bottom = max(cursor - 1, y + len(left) + 1)
    for row, leaf in enumerate(branch.leaves, start=max(cursor, y + 1)):
        ports.append(_at_the_right(edge, row, _text(leaf.one)))
        drawing.wires.append(Wire(leaf, edge, row, WIRE - 2))
        bottom = max(bottom, row + 1)
    bottom = max(bottom, y + 1)
    drawing.boxes.append(Box(branch.place, branch.title, x, y, width, bottom - y + 1, tuple(ports)))
    return bottom + 1


def _at_the_right(edge: int, row: int, text: str) -> Port:
    return Port(edge - 2 - len(text), row, text)


def _text(end: End | None) -> str:
    if end is None:
        return ""
    return end.port if end.tag is None else f"{end.port}  tag {end.tag}"


def _longest(texts: Sequence[str]) -> int:
    return max(map(len, texts), default=0)


def describe(place: Place) -> str:
    """What a place is, in the words of operators."""
    words = {
        Kind.SWITCH: "Open vSwitch bridge",
        Kind.BRIDGE: "Linux bridge",
        Kind.NAMESPACE: "network namespace",
        Kind.INSTANCE: "instance",
    }
    return f"{words[place.kind]} {place.id}"
