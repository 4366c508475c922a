"""What an option's text may be, beyond oslo.config's own types.

Each function takes a text and returns its value, or raises ValueError that says what is allowed.
"""

import re
from collections.abc import Callable
from ipaddress import IPv4Network, ip_address
from typing import Any

from oslo_config import cfg
from oslo_config.types import ConfigType

VLANS = (1, 4094)
GRE_KEYS = (1, 2**32 - 1)
VNIS = (1, 2**24 - 1)
MTUS = (68, 65535)

HOST_NAME = re.compile(r"[^\s/]{1,255}")
DOMAIN = re.compile(r"([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.?)*")
MAC = re.compile(r"[0-9A-Fa-f][02468ACEace](:[0-9A-Fa-f]{2}){5}")
SERVER = re.compile(r"wss?://[^\s/]+(/\S*)?")
OVSDB = re.compile(r"unix:/\S+|(tcp|ssl):\S+:\d+")
DATABASES = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "postgresql+psycopg": "postgresql+psycopg"}


class Parsed(ConfigType):
    """The type of an option whose value is what a function makes of its text."""

    def __init__(self, parse: Callable[[str], Any]) -> None:
        super().__init__(parse.__name__)
        self._parse = parse

    def __call__(self, value: Any) -> Any:
        return self._parse(value)

    def __repr__(self) -> str:
        return self.type_name

    def _formatter(self, value: Any) -> str:
        if isinstance(value, tuple):
            return ":".join(self._formatter(part) for part in value if part is not None)
        return str(value)


def written(option: cfg.Opt, value: Any) -> str:
    """An option's value as one would write it into a file."""
    return "" if value is None else str(option.type._formatter(value))


def matching(pattern: re.Pattern[str], allowed: str) -> Callable[[str], str]:
    """Texts that match; ``allowed`` describes them."""

    def parse(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(f"'{text}' is not {allowed}")
        return text

    return parse


host_name = matching(HOST_NAME, "a host's name: without spaces and slashes, 255 characters at most")
domain = matching(DOMAIN, "a domain name")
mac = matching(MAC, "a unicast MAC address such as fa:16:3e:00:00:00")
server = matching(SERVER, "a server's address such as ws://192.0.2.10:9696 or wss://netloom.example.org")
ovsdb = matching(OVSDB, "the place of Open vSwitch's database: unix:PATH, tcp:ADDRESS:PORT or ssl:ADDRESS:PORT")


def number_range(limits: tuple[int, int]) -> Callable[[str], tuple[int, int]]:
    """``FIRST:LAST``, both within ``limits``."""

    def parse(text: str) -> tuple[int, int]:
        first, _, last = text.partition(":")
        try:
            bounds = int(first), int(last)
        except ValueError:
            raise ValueError(f"'{text}' is not a range FIRST:LAST") from None
        if not limits[0] <= bounds[0] <= bounds[1] <= limits[1]:
            raise ValueError(f"'{text}' is not a range FIRST:LAST with {limits[0]} <= FIRST <= LAST <= {limits[1]}")
        return bounds

    return parse


_vlans = number_range(VLANS)


def vlan_range(text: str) -> tuple[str, tuple[int, int] | None]:
    """``NAME`` or ``NAME:FIRST:LAST``: a physical network and VLAN ids to choose from."""
    name, colon, bounds = text.partition(":")
    if not name:
        raise ValueError(f"'{text}' is neither PHYSICAL_NETWORK nor PHYSICAL_NETWORK:FIRST:LAST")
    return name, _vlans(bounds) if colon else None


def pair(text: str) -> tuple[str, str]:
    """``NAME:VALUE``."""
    name, _, value = (word.strip() for word in text.partition(":"))
    if not name or not value or ":" in value:
        raise ValueError(f"'{text}' is not of the form NAME:VALUE")
    return name, value


def physical_mtu(text: str) -> tuple[str, int]:
    """``NAME:MTU``."""
    name, value = pair(text)
    if not value.isdigit() or not MTUS[0] <= int(value) <= MTUS[1]:
        raise ValueError(f"'{text}' is not of the form NAME:MTU with an MTU of {MTUS[0]} to {MTUS[1]} octets")
    return name, int(value)


def address(text: str) -> str:
    """An IP address, or nothing."""
    if text:
        try:
            ip_address(text)
        except ValueError:
            raise ValueError(f"'{text}' is not an IP address") from None
    return text


def name_server(text: str) -> str:
    """An IP address, with ``#PORT`` where it is not 53."""
    host, hash_, port = text.partition("#")
    if not host or (hash_ and not port.isdigit()):
        raise ValueError(f"'{text}' is not a name server: ADDRESS or ADDRESS#PORT")
    return f"{address(host)}{hash_}{port}"


def ipv4_network(text: str) -> str:
    """An IPv4 network with room for several hosts."""
    try:
        network = IPv4Network(text)
    except ValueError as error:
        raise ValueError(f"'{text}' is not an IPv4 network such as 169.254.192.0/18: {error}") from None
    if network.prefixlen > 29:
        raise ValueError(f"'{text}' has no room for several hosts; /29 is the smallest")
    return text


def database(text: str) -> str:
    """A database's URL as SQLAlchemy takes it (which agents do not load)."""
    scheme, _, rest = text.partition("://")
    place = rest.partition("?")[0].rpartition("@")[2]
    port = place.partition("/")[0].rpartition("]")[2].partition(":")[2]  # after the brackets of an IPv6 address
    if scheme not in DATABASES or not place.strip("/") or not (port == "" or port.isdigit()):
        raise ValueError("a database is sqlite:///PATH or postgresql+psycopg://USER:PASSWORD@HOST/DATABASE")
    return f"{DATABASES[scheme]}://{rest}"


def service_plugin(text: str) -> str:
    """A service plugin's name, also from the name of Neutron's class for it: ``neutron.services.NAME.…``."""
    name = text.removeprefix("neutron_lbaas.services.").removeprefix("neutron.services.").partition(".")[0]
    return "lbaas" if name == "loadbalancer" else name


def page_limit(text: str | int) -> int:
    """A number of entries; 0 stands for no bound (-1 or ``infinite``)."""
    if text == "infinite":
        return 0
    try:
        return max(0, int(text))
    except ValueError:
        raise ValueError(f"'{text}' is neither a number nor 'infinite'") from None
