"""What the docs name exists: files, headings, commands, make targets, tables, options."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from netloom.cli.parser import parser
from netloom.plan import pipeline
from netloom.settings.options import AGENT_OPTIONS, OWN_OPTIONS, SERVER_OPTIONS
from tests.e2e.docs import tutorial

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
COMMAND = re.compile(r"(?:\$ |ExecStart=)?(?:\S*/)?netloom(?: --config-file \S+)* ([a-z][a-z-]*)(?: ([a-z-]+))?")
TARGETS = re.compile(r"(?:\$ )?make ((?:[\w./-]+\b(?!=) *)+)")
OUR_PATH = re.compile(r"(?:netloom|tests|tools|docs)/[\w./-]*")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def code(page: Path) -> list[str]:
    """Lines of the page's blocks without comments, and its code in the running text."""
    text = page.read_text()
    lines = [line.split(" #")[0] for block in FENCE.findall(text) for line in block.splitlines()[1:-1]]
    return lines + CODE.findall(FENCE.sub("", text))


def anchors(page: Path) -> set[str]:
    """What links may name after ``#``."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_there_are_pages():
    assert {"README.md", "CONTRIBUTING.md", "architecture.md", "operators.md", "first-cloud.md"} <= {
        page.name for page in PAGES
    }


@each_page
def test_links_resolve(page):
    for link in LINK.findall(FENCE.sub("", page.read_text())):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} leads nowhere"
        assert not anchor or anchor in anchors(target), f"{link}: no such heading"


@each_page
def test_paths_exist(page):
    for text in code(page):
        if OUR_PATH.fullmatch(text):
            assert (ROOT / text).exists(), f"{text} does not exist"


@each_page
def test_commands_exist(page, capsys):
    for found in filter(None, (COMMAND.match(text) for text in code(page))):
        command, verb = found.groups()
        with pytest.raises(SystemExit) as end:
            parser().parse_args([command, *([verb] if command in ("host", "lab") and verb else []), "--help"])
        assert end.value.code == 0, f"{found[0]}: {capsys.readouterr().err}"


@each_page
def test_make_targets_exist(page):
    makefile = (ROOT / "Makefile").read_text().replace("$(VENV)", ".venv")
    targets = {name for line in re.findall(r"^([\w./ -]+):(?!=)", makefile, re.MULTILINE) for name in line.split()}
    for found in filter(None, (TARGETS.match(text) for text in code(page))):
        assert set(found[1].split()) <= targets, found[0]


def test_options_are_current():
    made = subprocess.run([sys.executable, ROOT / "tools/document-options"], capture_output=True, text=True, check=True)
    assert (ROOT / "docs/options.md").read_text() == made.stdout, (
        "an option changed: .venv/bin/python tools/document-options > docs/options.md"
    )


def test_options_that_nothing_reads_are_named():
    """An option that no module reads must say that it is only accepted, or be in the operators' list."""
    sources = [path for path in (ROOT / "netloom").rglob("*.py") if path.name != "options.py"]
    words = {word for path in sources for word in re.findall(r"\w+", path.read_text())}
    listed = (ROOT / "docs/operators.md").read_text().partition("have no effect yet")[2].partition("\n\n")[0]
    for options in (SERVER_OPTIONS, AGENT_OPTIONS, OWN_OPTIONS):
        for section, declared in options.items():
            for option in declared if section != "quotas" else ():
                told = option.help.startswith("Accepted ") or f"`{option.dest}`" in listed
                assert option.dest in words or told, f"[{section}] {option.dest} has no effect, and nobody says so"


@pytest.mark.parametrize(
    ("bridge", "tables"), [("br-int", pipeline.INTEGRATION_TABLES), ("br-tun", pipeline.TUNNEL_TABLES)]
)
def test_flow_tables_are_all_there(bridge, tables):
    section = (ROOT / "docs/operators.md").read_text().partition(f"### Tables of {bridge}")[2].partition("\n#")[0]
    rows = re.findall(r"^\| ([\d, ]+) \|", section, re.MULTILINE)
    assert {int(number) for row in rows for number in row.split(",")} == set(tables)


@pytest.mark.parametrize("page", sorted((ROOT / "docs/tutorials").glob("*.md")), ids=lambda page: page.stem)
def test_tutorials_can_be_read(page):
    assert len(tutorial.parse(page.read_text())) > 5
