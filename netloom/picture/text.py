"""A picture for terminals."""

from netloom.picture.layout import Box, Drawing, Wire

_STROKES = {"patch": "╌", "veth": "═", "card": "─", "tunnel": "┄", "device": "─"}
LEGEND = "╌ patch   ═ veth pair   ─ card, device   ┄ tunnel"


def as_text(drawing: Drawing) -> str:
    """The picture, drawn with box-drawing characters (Unicode block U+2500)."""
    grid = [[" "] * drawing.width for _ in range(drawing.height)]
    for box in drawing.boxes:
        _box(grid, box)
    for wire in drawing.wires:
        _wire(grid, wire)
    return "".join("".join(row).rstrip() + "\n" for row in grid)


def _write(grid: list[list[str]], x: int, y: int, words: str) -> None:
    grid[y][x : x + len(words)] = words


def _box(grid: list[list[str]], box: Box) -> None:
    inner = box.width - 2
    _write(grid, box.x, box.y, f"┌{f'─ {box.title} '.ljust(inner, '─')}┐")
    for row in range(box.y + 1, box.y + box.height - 1):
        _write(grid, box.x, row, "│")
        _write(grid, box.x + box.width - 1, row, "│")
    _write(grid, box.x, box.y + box.height - 1, f"└{'─' * inner}┘")
    for port in box.ports:
        _write(grid, port.x, port.y, port.text)


def _wire(grid: list[list[str]], wire: Wire) -> None:
    cable = wire.cable
    _write(grid, wire.x - 1, wire.y, "├" + _STROKES[cable.kind] * wire.length)
    if cable.other is not None:
        _write(grid, wire.x + wire.length, wire.y, "┤")
    elif cable.note:
        _write(grid, wire.x + wire.length + 1, wire.y, cable.note)
