"""Which services DevStack's files switch on and off, as far as they mean something here."""

from collections.abc import Iterable, Sequence

from netloom.settings.devstack.reading import GIVEN, Assignment, Services, Statement
from netloom.settings.devstack.reasons import why_no_service

ROLES = {
    "openvswitch": ("q-agt", "neutron-agent", "neutron-openvswitch-agent"),
    "l3": ("q-l3", "neutron-l3"),
    "dhcp": ("q-dhcp", "neutron-dhcp"),
    "metadata": ("q-meta", "neutron-metadata-agent"),
    "loadbalancer": ("q-lbaas", "q-lbaasv2", "octavia", "o-cw"),
    "compute": ("n-cpu",),
}
"""Roles of a host and the services that they are called by."""
SERVER = ("q-svc", "neutron-api", "neutron-server")
UNSAID = ("q-svc", "q-agt", "q-l3", "q-dhcp", "q-meta")
"""What today's DevStack has of the network's services when nothing is said of any."""
WHOLE = ("quantum", "neutron")
"""Words that mean network services as such, not one of them."""
OPTIONAL = {
    "trunk": ("q-trunk", "neutron-trunk"),
    "lbaas": (*ROLES["loadbalancer"], "o-api", "o-hk", "o-hm"),
}
"""What the server offers besides, and the services that DevStack calls it by; here it is offered without a word."""
IDENTITY = ("key", "keystone")
KNOWN = frozenset([*(name for names in (*ROLES.values(), *OPTIONAL.values()) for name in names), *SERVER, *WHOLE])
MEANT = KNOWN | {"key"}
"""Services that say something here; of the others it is told why they do not."""

Omission = tuple[int, str, str]
"""Number of a line, what is left out of it, and why."""


class Enabled:
    """The services that are on in the end, and what was said of others."""

    def __init__(self, statements: Sequence[Statement]) -> None:
        self.on = dict.fromkeys(GIVEN["ENABLED_SERVICES"].split(","), 0)
        """Each with the number of the line that switched it on; 0: DevStack itself."""
        self.left_out: list[Omission] = []
        for statement in statements:
            if isinstance(statement, Services):
                self._switch(statement.line, statement.verb, statement.names)
            elif isinstance(statement, Assignment) and statement.name == "ENABLED_SERVICES":
                names = statement.value.replace(" ", "").split(",")
                self.on = {name: line for name, line in self.on.items() if name in names}
                self._switch(statement.line, "ENABLED_SERVICES", [name for name in names if name not in self.on])
        listed = any(isinstance(each, Assignment) and each.name == "ENABLED_SERVICES" for each in statements)
        if not listed and not any(name in self.on for name in KNOWN - {"n-cpu"}):
            self.on |= dict.fromkeys(UNSAID, 0)

    def has(self, names: Iterable[str]) -> bool:
        """Whether one of them is on."""
        return any(name in self.on for name in names)

    def line(self, names: Iterable[str]) -> int:
        """The line that switched one of them on; 0: none did."""
        return max((self.on[name] for name in names if name in self.on), default=0)

    def _switch(self, line: int, verb: str, names: Sequence[str]) -> None:
        if verb == "disable_all_services":
            self.on.clear()
        for name in filter(None, names):
            service = name.removeprefix("-")
            if service not in MEANT:
                self.left_out.append((line, f"{verb} {name}", why_no_service(service)))
            elif verb == "disable_service" or name.startswith("-"):
                self.on.pop(service, None)
            else:
                self.on[service] = line
