"""Pictures of a host: what is wired to what, as text for terminals and as SVG. Pure: states in, text out."""

from netloom.picture.layout import Drawing, draw
from netloom.picture.networks import Row, lines, networks, table
from netloom.picture.svg import LEGEND as SVG_LEGEND
from netloom.picture.svg import as_svg
from netloom.picture.text import LEGEND as TEXT_LEGEND
from netloom.picture.text import as_text
from netloom.picture.tree import Branch, part, whole

__all__ = [
    "SVG_LEGEND",
    "TEXT_LEGEND",
    "Branch",
    "Drawing",
    "Row",
    "as_svg",
    "as_text",
    "draw",
    "lines",
    "networks",
    "part",
    "table",
    "whole",
]
