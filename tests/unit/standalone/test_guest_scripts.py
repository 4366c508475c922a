"""The guest's scripts, run by the shell and awk that it has."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.standalone import guest

FILES = Path(guest.__file__).with_name("files")
BUSYBOX = shutil.which("busybox", path="/usr/bin:/bin")
pytestmark = pytest.mark.skipif(BUSYBOX is None, reason="needs busybox")

words = st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words.filter(bool), inner, max_size=3),
    max_leaves=8,
)


def flattened(value: Any, path: str = "") -> list[str]:
    """What the script must print."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return [line for name, inner in items for line in flattened(inner, f"{path}.{name}" if path else str(name))]
    return [f"{path}\t{value if isinstance(value, str) else json.dumps(value)}"]


def json_script(text: str) -> list[str]:
    command = [str(BUSYBOX), "awk", "-f", str(FILES / "usr/sbin/json")]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True, timeout=10).stdout.split(
        "\n"
    )


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(words.filter(bool), values, max_size=4), st.sampled_from([None, 1]))
def test_json_is_flattened(document: dict[str, Any], indent: int | None) -> None:
    assert json_script(json.dumps(document, indent=indent))[:-1] == flattened(document)


@pytest.mark.parametrize("text", ["", "{", '{"a', '{"a":', "[1, ", "<html>", "]", '"'])
def test_broken_json_ends(text: str) -> None:
    json_script(text)


@pytest.mark.parametrize("script", [p for p in FILES.rglob("*") if p.is_file() and p.read_bytes()[:9] == b"#!/bin/sh"])
def test_scripts_parse(script: Path) -> None:
    subprocess.run([str(BUSYBOX), "sh", "-n", str(script)], check=True, timeout=10)
    assert script.stat().st_mode & 0o111 == 0o111
