"""Pictures of a host: what is wired to what, as text for terminals and as SVG. Pure: states in, text out."""

from netloom.picture.layout import Drawing, draw
from netloom.picture.networks import Row, lines, networks
from netloom.picture.svg import svg
from netloom.picture.text import LEGEND, text
from netloom.picture.tree import Branch, tree, whole

__all__ = ["LEGEND", "Branch", "Drawing", "Row", "draw", "lines", "networks", "svg", "text", "tree", "whole"]
