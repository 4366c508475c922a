"""A picture for browsers and documents: SVG 1.1, with all names as text and as ``data-`` attributes."""

from collections.abc import Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from netloom.picture.layout import Box, Drawing, Wire, describe

LEGEND = "dashed: patch   dotted: tunnel   solid: veth pair, card or device   colours: local VLANs"
_COLUMN, _ROW, _MARGIN = 8, 20, 12
"""Pixels of a character's cell, and around the picture."""
_STYLE = """
text { font: 13px monospace; fill: #1a1a1a }
.title { font-weight: bold }
g rect { stroke: #555; stroke-width: 1.2 }
.switch rect { fill: #e4eefb } .bridge rect { fill: #fdf3d8 }
.namespace rect { fill: #e7f5e6 } .instance rect { fill: #f7e6f3 }
line { stroke-width: 2 } .patch line { stroke-dasharray: 5 3 } .tunnel line { stroke-dasharray: 2 3 }
"""


def as_svg(drawing: Drawing, heading: str, lines: Sequence[str] = ()) -> str:
    """The picture as an SVG document.

    Args:
        drawing: what is to be drawn.
        heading: what it is a picture of.
        lines: text below the picture.
    """
    columns = max([drawing.width, *map(len, lines)])
    width = columns * _COLUMN + 2 * _MARGIN
    height = (drawing.height + len(lines) + bool(lines)) * _ROW + 2 * _MARGIN
    size = {"width": str(width), "height": str(height), "viewBox": f"0 0 {width} {height}"}
    kept = {"xml:space": "preserve"}  # blanks, where tables have several
    root = Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "role": "img", **kept, **size})
    SubElement(root, "title").text = heading
    SubElement(root, "style").text = _STYLE
    SubElement(root, "rect", {"width": str(width), "height": str(height), "fill": "#ffffff"})
    for box in drawing.boxes:
        _box(root, box)
    for wire in drawing.wires:
        _wire(root, wire)
    for number, line in enumerate(lines, start=drawing.height + 1):
        _text(root, 0, number, line)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _box(root: Element, box: Box) -> None:
    group = SubElement(root, "g", {"class": box.place.kind.value, "data-id": box.place.id})
    SubElement(group, "title").text = describe(box.place)
    corner = {"x": str(_x(box.x)), "y": str(_y(box.y) + 2)}
    extent = {"width": str(box.width * _COLUMN), "height": str(box.height * _ROW - 4)}
    SubElement(group, "rect", {**corner, **extent, "rx": "4"})
    _text(group, box.x + 2, box.y, box.title, "title")
    for port in box.ports:
        _text(group, port.x, port.y, port.text)


def _wire(root: Element, wire: Wire) -> None:
    cable, vlan = wire.cable, wire.cable.one.tag
    names = {"data-from": cable.one.port, "data-to": cable.other.port if cable.other else cable.note}
    tags = {"data-vlan": vlan, "data-far-vlan": cable.other.tag if cable.other else None}
    told = {name: str(tag) for name, tag in tags.items() if tag is not None}
    group = SubElement(root, "g", {"class": cable.kind, **names, **told})
    middle = str(_y(wire.y) + _ROW // 2)
    ends = {"x1": str(_x(wire.x)), "x2": str(_x(wire.x + wire.length)), "y1": middle, "y2": middle}
    SubElement(group, "line", {**ends, "stroke": _colour(vlan)})
    if cable.other is None and cable.note:
        _text(group, wire.x + wire.length + 1, wire.y, cable.note)


def _text(parent: Element, column: int, row: int, words: str, kind: str = "") -> None:
    where = {"x": str(_x(column)), "y": str(_y(row) + 14)}
    SubElement(parent, "text", where | ({"class": kind} if kind else {})).text = words


def _colour(vlan: int | None) -> str:
    """One for each local VLAN; neighbouring ones are far apart on the circle of hues."""
    return "#777777" if vlan is None else f"hsl({vlan * 137 % 360}, 65%, 42%)"


def _x(column: int) -> int:
    return _MARGIN + column * _COLUMN


def _y(row: int) -> int:
    return _MARGIN + row * _ROW
