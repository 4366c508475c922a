"""The commands of a tutorial, read from its Markdown and run as a reader would.

Blocks marked ``console`` are run: lines that begin with ``$ `` are commands (a backslash at the end continues them),
all others are sample output. ``<!-- expect: TEXT -->`` lines right before a block name texts that its output must have.
"""

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

_EXPECT = re.compile(r"<!-- expect: (.+) -->")
_FENCE = "```"
_MARK = "-- block"


@dataclass(frozen=True)
class Block:
    """Commands that belong together, and what they must print, in any order."""

    line: int
    """Of the opening fence, from 1."""
    commands: tuple[str, ...]
    expected: tuple[str, ...] = ()


def parse(text: str) -> list[Block]:
    """The blocks of a Markdown text that are to be run.

    Raises:
        ValueError: a block never ends, has no command, or an expectation stands before no block.
    """
    blocks: list[Block] = []
    expected: list[str] = []
    lines = iter(enumerate(text.splitlines(), start=1))
    for number, line in lines:
        if found := _EXPECT.fullmatch(line):
            expected.append(found[1])
        elif line.startswith(_FENCE):
            body = _body(lines, number)
            if line == f"{_FENCE}console":
                blocks.append(Block(number, _commands(body, number), tuple(expected)))
            elif expected:
                raise ValueError(f"line {number}: an expectation stands before a block that is not run")
            expected = []
        elif expected:
            raise ValueError(f"line {number}: an expectation must stand right before its block")
    if expected:
        raise ValueError("the last expectation stands before no block")
    return blocks


def _body(lines: "enumerate[str]", start: int) -> list[str]:
    body = []
    for _, line in lines:
        if line == _FENCE:
            return body
        body.append(line)
    raise ValueError(f"line {start}: the block never ends")


def _commands(body: Sequence[str], start: int) -> tuple[str, ...]:
    commands: list[str] = []
    continued = False
    for line in body:
        if continued:
            commands[-1] += f"\n{line}"
        elif line.startswith("$ "):
            commands.append(line[2:])
        continued = line.endswith("\\") and (continued or line.startswith("$ "))
    if not commands:
        raise ValueError(f"line {start}: the block has no command")
    return tuple(commands)


def script(blocks: Sequence[Block]) -> str:
    """A bash script that runs the blocks in one shell, shows each command, and ends at the first that fails.

    Variables last from block to block. Commands have no input, so none can swallow the rest of the script.
    """
    lines = ["exec 2>&1"]
    for block in blocks:
        lines.append(f"echo '{_MARK} {block.line}'")
        for command in block.commands:
            word = shlex.quote(command)
            lines += [f"printf '%s\\n' {shlex.quote('$ ' + command)}", f"eval {word} </dev/null || exit"]
    return "\n".join([*lines, "exit 0", ""])


def missing(blocks: Sequence[Block], output: str) -> list[str]:
    """What the output of a script lacks, in words for people; empty when all is as the tutorial says."""
    parts = re.split(rf"^{_MARK} (\d+)\n", output, flags=re.MULTILINE)
    said = {int(line): _without_commands(text) for line, text in zip(parts[1::2], parts[2::2], strict=True)}
    lacks = [f"the block of line {block.line} was not run" for block in blocks if block.line not in said]
    return lacks + [
        f"the block of line {block.line} does not print '{text}'"
        for block in blocks
        for text in block.expected
        if block.line in said and text not in said[block.line]
    ]


def _without_commands(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith("$ "))


def run(document: Path, shell: Callable[[str], tuple[int, str]]) -> str:
    """Run a tutorial; ``shell`` runs a bash script and returns its exit code and output. Returns the output.

    Raises:
        AssertionError: a command fails, or an output is not as expected.
    """
    blocks = parse(document.read_text())
    code, output = shell(script(blocks))
    assert code == 0, f"{document}: the last command ended with {code}\n{output}"
    assert not (lacks := missing(blocks, output)), f"{document}: {'; '.join(lacks)}\n{output}"
    return output
