"""``netloom config``: what the configuration files come to, and where each value is from."""

import argparse
from collections.abc import Iterator, Sequence

from oslo_config import cfg

from netloom.cli.settings import configuration
from netloom.cli.terminal import Trouble, table
from netloom.settings.files import Setting, known_names, parse, source
from netloom.settings.ignored import ignored
from netloom.settings.load import value
from netloom.settings.options import declared
from netloom.settings.types import written

SECRET = "****"  # noqa: S105 - shown instead of one
Row = tuple[str, str, str, str]


def run(arguments: argparse.Namespace) -> int:
    """Do what the verb says."""
    if arguments.verb == "from-devstack":
        from netloom.cli import from_devstack

        return from_devstack.run(arguments)
    conf = configuration(arguments)
    if arguments.verb == "check":
        files = ", ".join(str(file) for file in arguments.config_file) or "no file"
        print(f"The configuration is right ({files}).")
        return 0
    rows = sorted(_rows(conf, parse(arguments.config_file)))
    section = arguments.section
    if section is not None:
        rows = [row for row in rows if row[0].lower() == section.lower()]
        if not rows and section.lower() not in {where.lower() for where, _ in declared()}:
            raise Trouble(f"there is no section '{section}'; 'netloom config show --all' shows those that there are")
    if not arguments.all:
        rows = [row for row in rows if row[3] != "default"]
    table(["SECTION", "OPTION", "VALUE", "FROM"], rows)
    return 0


def _rows(conf: cfg.ConfigOpts, settings: Sequence[Setting]) -> Iterator[Row]:
    """Section, option, effective value and where it is from; then what files set without effect."""
    for section, option in declared():
        setting = source(settings, section, option)
        text = written(option, value(conf, section, option))
        origin = setting.place if setting else "default"
        if setting and (setting.section, setting.name) != (section, option.dest):
            origin += f" ([{setting.section}] {setting.name})"
        yield section, option.dest, SECRET if option.secret and text else text, origin
    known = known_names()
    for setting in settings:
        if setting.name in known.get(setting.section, ()):
            continue
        if reason := ignored(setting.section, setting.name) if setting.name else None:
            yield setting.section, setting.name, "-", f"{setting.place}, without effect: {reason}"
