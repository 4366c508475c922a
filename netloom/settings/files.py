"""What configuration files say, with the place of each word, and whether we know the words."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from oslo_config import cfg, iniparser

from netloom.settings.ignored import ignored, ignored_section
from netloom.settings.options import declared


class ConfigurationError(Exception):
    """Files, sections or options are wrong; the text says which and what is allowed."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A line of a file: ``name = value`` below ``[section]``, or the section itself when ``name`` is empty."""

    file: Path
    line: int
    section: str
    """As oslo.config takes it: in small letters, but for ``DEFAULT``."""
    name: str = ""
    value: str = ""

    @property
    def place(self) -> str:
        """``FILE:LINE``."""
        return f"{self.file}:{self.line}"


def parse(files: Iterable[Path]) -> list[Setting]:
    """All lines of the files, in their order.

    Raises:
        ConfigurationError: a file cannot be read, or a line is no setting.
    """
    return [setting for file in files for setting in _Reader(file).settings()]


class _Reader(iniparser.BaseParser):
    """Reads a file as oslo.config does, and notes the lines."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._settings: list[Setting] = []
        self._section = ""

    def settings(self) -> list[Setting]:
        try:
            lines = self._file.read_text().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
            raise ConfigurationError(f"{self._file} cannot be read: {reason}") from None
        try:
            self.parse([*lines, ""])  # an empty line ends each assignment, also the last one
        except iniparser.ParseError as error:
            raise ConfigurationError(f"{self._file}:{error.lineno}: {error.msg}: {error.line!r}") from None
        return self._settings

    def new_section(self, section: str) -> None:
        self._section = section if section == "DEFAULT" else section.lower()
        self._settings.append(Setting(self._file, self.lineno, self._section))

    def assignment(self, key: str, value: list[str]) -> None:
        line = self.lineno - len(value)  # this is called when the line after its last one has been read
        if not self._section:
            raise ConfigurationError(f"{self._file}:{line}: '{key}' is in no section; begin with [DEFAULT]")
        self._settings.append(Setting(self._file, line, self._section, key, "\n".join(value)))


def source(settings: Sequence[Setting], section: str, option: cfg.Opt) -> Setting | None:
    """The setting that an option's value comes from: of the last file that has it; None when none has."""
    names = [
        (section, option.dest),
        *((old.group or section, old.name or option.dest) for old in option.deprecated_opts),
    ]
    order = {file: number for number, file in enumerate(dict.fromkeys(setting.file for setting in settings))}
    found = [setting for setting in settings if (setting.section, setting.name) in names]
    return max(
        found,
        key=lambda one: (order[one.file], -names.index((one.section, one.name)), one.line),
        default=None,
    )


def unknown(settings: Iterable[Setting]) -> Iterator[str]:
    """What we do not know, with the nearest that we do: one message for each wrong section or option."""
    known = known_names()
    for setting in settings:
        if ignored_section(setting.section):
            continue
        if setting.section not in known:
            if not setting.name:
                yield f"{setting.place}: there is no section [{setting.section}]{_suggest(setting.section, known)}"
        elif setting.name and not known_name(known, setting.section, setting.name):
            yield f"{setting.place}: [{setting.section}] {setting.name}: {_no_option(known, setting)}"


def known_names() -> dict[str, set[str]]:
    """Names of all declared options, older names too, by section."""
    names: dict[str, set[str]] = {}
    for section, option in declared():
        names.setdefault(section, set()).add(option.dest)
        for old in option.deprecated_opts:
            names.setdefault(old.group or section, set()).add(old.name or option.dest)
    return names


def known_name(known: Mapping[str, set[str]], section: str, name: str) -> bool:
    """Whether a section may hold an option: declared, or accepted without effect."""
    return name in known.get(section, ()) or ignored(section, name) is not None


def _no_option(known: Mapping[str, set[str]], setting: Setting) -> str:
    elsewhere = [f"[{section}]" for section in known if known_name(known, section, setting.name)]
    if elsewhere:
        return f"the option belongs into {' or '.join(elsewhere)}"
    return f"there is no such option{_suggest(setting.name, known[setting.section])}"


def _suggest(word: str, known: Iterable[str]) -> str:
    near = get_close_matches(word, sorted(known), n=1)
    return f"; did you mean '{near[0]}'?" if near else "; 'netloom config show --all' lists what there is"
