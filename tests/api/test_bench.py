"""The measurements run: the quickest of them."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_bench_counts_statements(tmp_path):
    path = tmp_path / "result.json"
    command = [sys.executable, "-m", "bench", "statements", "--json", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    counts = {entry["what"]: entry["value"] for entry in json.loads(path.read_text())["results"]}
    assert 0 < counts["port create"] == counts["100 ports in one request"]
    assert counts["port show"] < counts["port create"]
