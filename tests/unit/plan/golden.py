"""Golden files: whole texts to read and compare; ``NETLOOM_GOLDEN=write`` writes them anew."""

import os
from pathlib import Path

FOLDER = Path(__file__).parent / "golden"


def check(name: str, text: str) -> None:
    """Compare a text with the golden file of this name."""
    path = FOLDER / f"{name}.txt"
    if os.environ.get("NETLOOM_GOLDEN") == "write":
        FOLDER.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()
