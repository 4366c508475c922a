"""Reading a layout's TOML file. Every error names the file, the key, and what is allowed there.

A host with ``count = N`` stands for N hosts, NAME1 to NAMEN, with addresses that count up from those given.
"""

import dataclasses
import ipaddress
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from netloom.lab.errors import LayoutError
from netloom.lab.layout import AGENT_ROLES, ROLES, Address, Host, Kind, Layout, Link, Network, Prefix

KINDS: dict[str, Kind] = {kind: kind for kind in ("management", "tunnel", "vlan", "external")}
BRIDGES = {"management": "", "tunnel": "br-phy", "vlan": "br-vlan", "external": "br-ex"}
"""Bridges of the kinds, unless the file names others."""
DATABASES = ("sqlite", "postgresql")
MINIMUM_MTU, MAXIMUM_MTU = 576, 65535
_NAME = re.compile(r"[a-z][a-z0-9-]{0,11}")
_SHIPPED = Path(__file__).with_name("layouts")


def shipped() -> list[str]:
    """Names of the layouts that come with Netloom."""
    return sorted(entry.stem for entry in _SHIPPED.glob("*.toml"))


def load(name: str) -> Layout:
    """The layout of a file, or a shipped one by its name.

    Raises:
        LayoutError: there is no such layout, or it is wrong.
    """
    return parse(text(name), name, _path(name).parent)


def text(name: str) -> str:
    """The text of a layout's file, or of a shipped one.

    Raises:
        LayoutError: there is no such layout.
    """
    try:
        return _path(name).read_text()
    except (OSError, UnicodeDecodeError) as error:
        known = ", ".join(shipped())
        raise LayoutError(f"{name}: cannot be read ({error}); give a file, or one of: {known}") from None


def _path(name: str) -> Path:
    return _SHIPPED / f"{name}.toml" if name in shipped() and not Path(name).exists() else Path(name)


def parse(text: str, where: str, folder: Path | None) -> Layout:
    """The layout that a text describes; ``where`` is how errors call it.

    Its configuration files are seen from ``folder``; without one they are not read, and have no contents.

    Raises:
        LayoutError: it is wrong.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise LayoutError(f"{where}: not TOML: {error}") from None
    return _Reader(where, folder).layout(data)


class _Reader:
    """Turns the file's tables into a layout."""

    def __init__(self, where: str, folder: Path | None) -> None:
        self._where, self._folder = where, folder

    def layout(self, data: dict[str, Any]) -> Layout:
        self._keys("", data, ("database", "networks", "hosts", "config"))
        database = data.get("database", "sqlite")
        if database not in DATABASES:
            raise self._wrong("database", database, f"one of: {', '.join(DATABASES)}")
        networks = {name: self._network(name, entry) for name, entry in self._tables("networks", data)}
        common = self._config("config", data.get("config", {}))
        hosts: dict[str, Host] = {}
        for name, entry in self._tables("hosts", data):
            for host in self._hosts(name, entry, networks, common):
                if host.name in hosts:
                    raise LayoutError(f"{self._where}: hosts.{name}: there is a host '{host.name}' already")
                hosts[host.name] = host
        found = Layout(networks, hosts, database)
        self._check(found)
        return found

    def _network(self, name: str, entry: Mapping[str, Any]) -> Network:
        key = f"networks.{name}"
        self._keys(key, entry, ("kind", "prefix", "mtu", "bridge"))
        kind = KINDS.get(str(entry.get("kind")))
        if kind is None:
            raise self._wrong(f"{key}.kind", entry.get("kind"), f"one of: {', '.join(KINDS)}")
        prefixes = tuple(self._prefix(f"{key}.prefix", text) for text in self._texts(f"{key}.prefix", entry))
        mtu = entry.get("mtu", 1500)
        if not isinstance(mtu, int) or not MINIMUM_MTU <= mtu <= MAXIMUM_MTU:
            raise self._wrong(f"{key}.mtu", mtu, f"a number from {MINIMUM_MTU} to {MAXIMUM_MTU}")
        bridge = entry.get("bridge", BRIDGES[kind])
        if not isinstance(bridge, str) or len(bridge) > 15:
            raise self._wrong(f"{key}.bridge", bridge, "a device's name, of 15 characters at most")
        return Network(name, kind, prefixes, mtu, bridge)

    def _hosts(
        self, name: str, entry: Mapping[str, Any], networks: Mapping[str, Network], common: dict[str, dict[str, str]]
    ) -> Iterator[Host]:
        key = f"hosts.{name}"
        self._keys(key, entry, ("roles", "count", "links", "config", "config_files", "addresses", "names"))
        roles = self._texts(f"{key}.roles", entry)
        for role in roles:
            if role not in ROLES:
                raise self._wrong(f"{key}.roles", role, f"among: {', '.join(ROLES)}")
        count = entry.get("count", 1)
        if not isinstance(count, int) or not 1 <= count <= 200:
            raise self._wrong(f"{key}.count", count, "a number from 1 to 200")
        own = self._config(f"{key}.config", entry.get("config", {}))
        merged = {section: common.get(section, {}) | own.get(section, {}) for section in {**common, **own}}
        host = Host(
            name,
            frozenset(roles),
            self._links(key, entry.get("links", {}), networks),
            merged,
            {path: self._file(f"{key}.config_files", path) for path in self._texts(f"{key}.config_files", entry)},
            tuple(self._address(f"{key}.addresses", text) for text in self._texts(f"{key}.addresses", entry)),
            self._names(key, entry.get("names", {})),
        )
        yield from (_numbered(host, number) for number in range(count)) if "count" in entry else [host]

    def _links(self, key: str, entry: Any, networks: Mapping[str, Network]) -> tuple[Link, ...]:
        if not isinstance(entry, dict) or not entry:
            raise self._wrong(
                f"{key}.links", entry, 'a table of networks and addresses, as { management = "10.0.0.11" }'
            )
        links = []
        for name in entry:
            if name not in networks:
                raise self._wrong(f"{key}.links", name, f"among the networks of this file: {', '.join(networks)}")
            where = f"{key}.links.{name}"
            addresses = tuple(
                self._interface(where, text, networks[name]) for text in self._texts(where, entry) if text
            )
            links.append(Link(name, addresses))
        return tuple(links)

    def _interface(self, key: str, text: str, network: Network) -> Address:
        address = ipaddress.ip_address(self._address(key, text))
        for prefix in network.prefixes:
            if address in prefix:
                return ipaddress.ip_interface(f"{address}/{prefix.prefixlen}")
        known = ", ".join(map(str, network.prefixes)) or 'no addresses: write ""'
        raise self._wrong(key, text, f"an address of the network, which has {known}")

    def _check(self, layout: Layout) -> None:
        """What concerns several hosts at once."""
        if not layout.servers:
            raise LayoutError(f"{self._where}: hosts: no host has the role 'server'")
        if len(layout.servers) > 1 and layout.database == "sqlite":
            raise self._wrong("database", "sqlite", "'postgresql', for there are several servers")
        taken: dict[str, str] = {}
        for host in layout.hosts.values():
            self._check_host(layout, host)
            for address in (str(address.ip) for link in host.links for address in link.addresses):
                if address in taken:
                    raise LayoutError(f"{self._where}: hosts.{host.name}: '{taken[address]}' has {address} already")
                taken[address] = host.name

    def _check_host(self, layout: Layout, host: Host) -> None:
        key = f"hosts.{host.name}"
        if not _NAME.fullmatch(host.name):
            raise self._wrong(key, host.name, "12 characters at most: small letters, digits and '-', a letter first")
        if host.has_agent and "openvswitch" not in host.roles:
            raise self._wrong(f"{key}.roles", ", ".join(sorted(host.roles)), "with 'openvswitch', like all agents")
        if host.roles & {"server", *AGENT_ROLES} and not layout.address(host):
            raise LayoutError(f"{self._where}: {key}.links: it needs an address on a network of kind 'management'")
        files = [Path(name).name for name in host.config_files]
        if len(files) != len(set(files)) or "netloom.conf" in files:
            raise self._wrong(
                f"{key}.config_files", ", ".join(host.config_files), "files of different names, not netloom.conf"
            )
        bridges = [network.bridge for _, _, network in layout.links(host) if network.bridge]
        if len(bridges) != len(set(bridges)):
            raise LayoutError(f"{self._where}: {key}.links: two of its networks have the same bridge; name another one")

    def _config(self, key: str, entry: Any) -> dict[str, dict[str, str]]:
        if not isinstance(entry, dict) or not all(isinstance(options, dict) for options in entry.values()):
            raise self._wrong(key, entry, f"sections with options, as [{key}.DEFAULT]")
        return {section: {name: _value(value) for name, value in options.items()} for section, options in entry.items()}

    def _names(self, key: str, entry: Any) -> dict[str, str]:
        if not isinstance(entry, dict):
            raise self._wrong(
                f"{key}.names", entry, 'a table of names and addresses, as { "openstack.org" = "8.8.8.8" }'
            )
        return {name: self._address(f"{key}.names.{name}", address) for name, address in entry.items()}

    def _file(self, key: str, name: str) -> str:
        if self._folder is None:
            return ""
        try:
            return (self._folder / name).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise self._wrong(key, name, f"a file that can be read, seen from {self._folder} ({error})") from None

    def _tables(self, key: str, data: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        tables = data.get(key)
        if not isinstance(tables, dict) or not tables or not all(isinstance(one, dict) for one in tables.values()):
            raise self._wrong(key, tables, f"tables, as [{key}.NAME]")
        for name, entry in tables.items():
            if not _NAME.fullmatch(name):
                raise self._wrong(key, name, "12 characters at most: small letters, digits and '-', a letter first")
            yield name, entry

    def _keys(self, key: str, entry: Mapping[str, Any], allowed: Collection[str]) -> None:
        for name in entry:
            if name not in allowed:
                raise LayoutError(
                    f"{self._where}: {key + '.' if key else ''}{name} is not known; allowed are: {', '.join(allowed)}"
                )

    def _texts(self, key: str, entry: Mapping[str, Any]) -> list[str]:
        """The text or list of texts that the table has under the last part of the key."""
        value = entry.get(key.rpartition(".")[2], [])
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise self._wrong(key, value, "a text, or a list of texts")
        return texts

    def _prefix(self, key: str, text: str) -> Prefix:
        try:
            return ipaddress.ip_network(text)
        except ValueError as error:
            raise self._wrong(key, text, f"a network, as 10.0.0.0/24 ({error})") from None

    def _address(self, key: str, text: object) -> str:
        try:
            return str(ipaddress.ip_address(str(text)))
        except ValueError:
            raise self._wrong(key, text, "an address") from None

    def _wrong(self, key: str, value: object, allowed: str) -> LayoutError:
        return LayoutError(f"{self._where}: {key}: '{value}' is not allowed; it must be {allowed}")


def _numbered(host: Host, number: int) -> Host:
    """One of several hosts that a table stands for."""
    links = (
        Link(
            link.network,
            tuple(ipaddress.ip_interface(f"{each.ip + number}/{each.network.prefixlen}") for each in link.addresses),
        )
        for link in host.links
    )
    return dataclasses.replace(host, name=f"{host.name}{number + 1}", links=tuple(links))


def _value(value: Any) -> str:
    """A value as configuration files have it."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
