"""Options that are offered to a configuration one by one: those that ours has and can take are in it."""

from collections.abc import Iterable, Iterator

from oslo_config import cfg
from oslo_config.types import ConfigType, List

from netloom.settings.checks import ONLY
from netloom.settings.devstack.services import Omission
from netloom.settings.ignored import ignored
from netloom.settings.options import declared

Key = tuple[str, str]
OLDER: dict[Key, Key] = {
    ("ovs", "tenant_network_type"): ("ml2", "tenant_network_types"),
    ("ovs", "network_vlan_ranges"): ("ml2_type_vlan", "network_vlan_ranges"),
    ("ovs", "tunnel_id_ranges"): ("ml2_type_gre", "tunnel_id_ranges"),
}
"""Names from before ML2, and those that they have now."""


class Offer:
    """The options taken so far, and what was left out of what was offered."""

    def __init__(self) -> None:
        self._taken: dict[Key, tuple[str, str, bool]] = {}
        self.left_out: list[Omission] = []

    def put(self, section: str, name: str, value: str, source: str, line: int, label: str = "") -> None:
        """Offer an option; ``source`` says where it is from, ``label`` what its line calls it.

        What was there before is replaced; nothing is when the value is refused.
        """
        section = "DEFAULT" if section.upper() == "DEFAULT" else section.lower()
        label = label or f"[{section}] {name}"
        section, name = OLDER.get((section, name), (section, name))
        option = _declared(section, name)
        if option is None:
            reason = ignored(section, name) or f"Netloom has no option [{section}] {name}."
            self.left_out.append((line, label, reason))
            return
        accepted, refused = _accepted(section, option, value)
        self.left_out += [(line, label, reason) for reason in refused]
        if accepted is not None:
            self._taken[section, option.dest] = accepted, source, option.secret

    def value(self, section: str, name: str) -> str | None:
        """The value that was taken of an option; None without one."""
        taken = self._taken.get((section, name))
        return taken[0] if taken else None

    def options(self) -> Iterable[tuple[Key, tuple[str, str, bool]]]:
        """Sections and names of what was taken, with value, source, and whether it is a secret."""
        return self._taken.items()


def _declared(section: str, name: str) -> cfg.Opt | None:
    """The option of this name, or of which this is an older name."""
    for where, option in declared():
        older = {(old.group or where, old.name or option.dest) for old in option.deprecated_opts}
        if (where, option.dest) == (section, name) or (section, name) in older:
            return option
    return None


def _accepted(section: str, option: cfg.Opt, value: str) -> tuple[str | None, list[str]]:
    """As much of a value as the option can have, and why the rest is refused."""
    if isinstance(option.type, List):
        words = [word.strip() for word in value.split(",") if word.strip()]
        refused = list(_wrong(option.type.item_type, words))
        fine = [word for word in words if not list(_wrong(option.type.item_type, [word]))]
        return (", ".join(fine) if fine or not words else None), refused
    if refused := list(_wrong(option.type, [value])):
        return None, refused
    served, reason = ONLY.get((section, option.dest), (None, ""))
    if reason and option.type(value) != served:
        return None, [f"{reason[0].upper()}{reason[1:]}."]
    return value, []


def _wrong(kind: ConfigType, words: Iterable[str]) -> Iterator[str]:
    """What is wrong with texts that should be values of a type."""
    for word in words:
        try:
            kind(word)
        except ValueError as error:
            yield f"{str(error)[0].upper()}{str(error)[1:].rstrip('.')}."
