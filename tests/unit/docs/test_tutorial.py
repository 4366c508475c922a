"""The parser and runner of tutorials."""

import subprocess
from pathlib import Path

import pytest

from tests.e2e.docs import tutorial
from tests.e2e.docs.tutorial import Block

TEXT = """\
# Title

```sh
rm -rf everything
```

<!-- expect: one -->
<!-- expect: two three -->
```console
$ echo one
one
$ echo two \\
  three
```

```console
$ true
```
"""


def shell(script: str) -> tuple[int, str]:
    done = subprocess.run(["bash", "-s"], input=script, capture_output=True, text=True, timeout=20, check=False)
    return done.returncode, done.stdout


@pytest.fixture
def document(tmp_path):
    def write(text: str) -> Path:
        path = tmp_path / "page.md"
        path.write_text(text)
        return path

    return write


def test_only_console_blocks_are_read():
    assert tutorial.parse(TEXT) == [
        Block(9, ("echo one", "echo two \\\n  three"), ("one", "two three")),
        Block(16, ("true",)),
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("```console\n$ true\n", "line 1: the block never ends"),
        ("```console\nno command\n```\n", "line 1: the block has no command"),
        ("<!-- expect: x -->\n\n```console\n$ true\n```\n", "line 2: an expectation must stand right before"),
        ("<!-- expect: x -->\n```sh\ntrue\n```\n", "line 2: an expectation stands before a block that is not run"),
        ("<!-- expect: x -->\n", "the last expectation stands before no block"),
    ],
)
def test_mistakes_are_told(text, complaint):
    with pytest.raises(ValueError, match=complaint):
        tutorial.parse(text)


def test_a_document_is_run(document):
    output = tutorial.run(document(TEXT), shell)
    assert "$ echo one\none\n" in output


def test_variables_last_and_input_is_not_swallowed(document):
    text = "```console\n$ word=hello\n$ cat\n```\n<!-- expect: hello there -->\n```console\n$ echo $word there\n```\n"
    tutorial.run(document(text), shell)


def test_a_failing_command_ends_the_run_and_is_shown(document):
    text = "```console\n$ echo before\n$ sh -c 'exit 3'\n$ echo after\n```\n"
    with pytest.raises(AssertionError, match="ended with 3") as error:
        tutorial.run(document(text), shell)
    assert "before\n" in str(error.value)
    assert "$ echo after" not in str(error.value)


def test_a_command_that_bash_cannot_read_fails(document):
    with pytest.raises(AssertionError, match="ended with"):
        tutorial.run(document("```console\n$ echo 'open\n```\n"), shell)


def test_an_expectation_must_be_met_by_its_own_block(document):
    text = "```console\n$ echo there\n```\n<!-- expect: there -->\n```console\n$ : there\n```\n"
    with pytest.raises(AssertionError, match="the block of line 5 does not print 'there'"):
        tutorial.run(document(text), shell)


def test_a_script_that_ends_early_is_noticed():
    blocks = [Block(1, ("true",)), Block(5, ("true",))]
    assert tutorial.missing(blocks, "-- block 1\n$ true\n") == ["the block of line 5 was not run"]
