"""``netloom config from-devstack``: the configuration that equals DevStack's settings."""

import argparse
import secrets
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from netloom.cli.terminal import Trouble
from netloom.settings.devstack.conversion import Chosen, Conversion, convert
from netloom.settings.files import ConfigurationError
from netloom.settings.load import read
from netloom.standalone.credentials import write_private

NAME = "netloom.conf"
SECRET = ("DEFAULT", "metadata_proxy_shared_secret")


def run(arguments: argparse.Namespace) -> int:
    """Convert the file; the configuration goes into the directory or to standard output, what is left out to errors."""
    source: Path = arguments.file
    conversion = convert(_text(source))
    if arguments.output_directory is None:
        body = _file(source, conversion.text())
        _check(body)
        print(body, end="")
    else:
        options = {SECRET: Chosen(secrets.token_urlsafe(24), "made for this file", True), **conversion.options}
        body = _file(source, replace(conversion, options=options).text(with_secrets=True))
        _check(body)
        _write(arguments.output_directory / NAME, body)
    _report(source, conversion)
    return 0


def _file(source: Path, options: str) -> str:
    return f"# Converted from DevStack's {source.name} by 'netloom config from-devstack'.\n{options}"


def _text(source: Path) -> str:
    try:
        return source.read_text("utf-8-sig")  # some editors begin files with a mark
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise Trouble(f"{source} cannot be read: {reason}") from None


def _check(body: str) -> None:
    """Insist on a configuration that every command takes."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / NAME
        write_private(file, body)
        try:
            read([file])
        except ConfigurationError as error:
            said = str(error).replace(str(file), NAME)
            raise Trouble(f"what these settings come to contradicts itself, so nothing is written:\n{said}") from None


def _write(path: Path, body: str) -> None:
    if path.exists():
        raise Trouble(f"{path} is there already; name another --output-directory, or move it away")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, body)
    except OSError as error:
        raise Trouble(f"{path} cannot be written: {error.strerror}") from None
    print(f"{path} is written, readable by its owner only.")


def _report(source: Path, conversion: Conversion) -> None:
    """Name each line that is left out, and why."""
    if conversion.left_out:
        print(f"Left out of {source}:", file=sys.stderr)
    for line, what, reason in conversion.left_out:
        print(f"  line {line}, {what}: {reason}", file=sys.stderr)
