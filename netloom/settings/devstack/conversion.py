"""What DevStack's settings mean in ours: options with the lines that they come from, and the lines that are left out.

DevStack's defaults have changed over the years. Those of a plain ``localrc`` are of 2013 (project networks are GRE
tunnels when there are tunnels), those of a ``local.conf`` of 2016 (VXLAN).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from netloom.settings.devstack import reading
from netloom.settings.devstack.offers import Offer
from netloom.settings.devstack.reading import Assignment, FileOption, Unread
from netloom.settings.devstack.reasons import ELSEWHERE, why_no_variable
from netloom.settings.devstack.services import IDENTITY, OPTIONAL, ROLES, SERVER, WHOLE, Enabled, Omission
from netloom.settings.devstack.variables import LISTS, OUR_FILES, OVERLAY_RANGES, OVERRULED, PLUGINS, SIMPLE


@dataclass(frozen=True, slots=True)
class Chosen:
    """An option's value, and where it is from: ``NAME`` by ``LINE``."""

    value: str
    source: str
    secret: bool


@dataclass(frozen=True, slots=True)
class Conversion:
    """Options by section and name, and what was left out, by line."""

    options: Mapping[tuple[str, str], Chosen]
    left_out: Sequence[Omission]

    def text(self, *, with_secrets: bool = False) -> str:
        """The options as a file; without secrets, their places are there."""
        sections: dict[str, list[str]] = {"DEFAULT": ["[DEFAULT]"]}
        for (section, name), chosen in self.options.items():
            lines = sections.setdefault(section, [f"[{section}]"])
            if chosen.secret and not with_secrets:
                lines.append(f"# {name} is a secret ({chosen.source})")
            else:
                escaped = chosen.value.replace("$", "$$")  # else it would begin an option's name
                lines += [f"# {chosen.source}", f"{name} = {escaped}"]
        return "\n\n".join("\n".join(lines) for lines in sections.values() if lines[1:]) + "\n"


def convert(text: str) -> Conversion:
    """The configuration that equals a ``localrc`` or ``local.conf``."""
    return _Converter(text).conversion()


class _Converter:
    def __init__(self, text: str) -> None:
        self._statements = reading.statements(text)
        self._of_2013 = not reading.has_phases(text)
        self._services = Enabled(self._statements)
        self._left_out = list(self._services.left_out)
        self._variables: dict[str, Assignment] = {}
        self._used = {"ENABLED_SERVICES"}
        self._offer = Offer()
        for statement in self._statements:
            if isinstance(statement, Assignment):
                if (before := self._variables.get(statement.name)) is not None and statement.name not in self._used:
                    self._left_out.append((before.line, before.name, f"Line {statement.line} sets it again."))
                self._variables[statement.name] = statement

    def conversion(self) -> Conversion:
        """All of it."""
        self._machine()
        self._types()
        self._physical()
        self._firewall()
        self._plugins()
        for name, (section, option) in SIMPLE.items():
            if self._has(name):
                self._set(section, option, self._value(name), name)
        self._lists()
        self._files()
        self._external()
        left_out = sorted({*self._left_out, *self._offer.left_out, *self._unused()})
        return Conversion({key: Chosen(*chosen) for key, chosen in self._offer.options()}, left_out)

    def _machine(self) -> None:
        """Which host this is, and what it does."""
        host, server = self._value("HOST_IP"), self._value("SERVICE_HOST") or self._value("Q_HOST")
        if self._services.has(SERVER) or (self._services.has(WHOLE) and server in ("", host)):
            if self._services.has(IDENTITY):
                self._set("netloom", "standalone", "true", line=self._services.line(IDENTITY))
            if host:
                self._set("DEFAULT", "bind_host", host, "HOST_IP")
        if server or host:
            port = self._value("Q_PORT") or "9696"
            named = next(name for name in ("SERVICE_HOST", "Q_HOST", "HOST_IP") if self._value(name))
            self._set("netloom", "servers", f"ws://{_bracketed(server or host)}:{port}", named)
        roles = [role for role, names in ROLES.items() if self._services.has(names)]
        if roles:
            line = max(self._services.line(names) for names in ROLES.values())
            self._set("netloom", "roles", ", ".join(roles), line=line)

    def _types(self) -> None:
        """Types of project networks, tunnels and their ranges."""
        types, source = self._project_types()
        self._set("ml2", "tenant_network_types", ", ".join(types), *source)
        tunnels = [kind for kind in types if kind in OVERLAY_RANGES]
        enabled = self._first("OVS_ENABLE_TUNNELING", "ENABLE_TENANT_TUNNELS")
        if named := self._first("Q_TUNNEL_TYPES"):
            tunnels, source = _listed(self._value(*named)), named
        elif not tunnels and (_true(self._value(*enabled)) if enabled else not self._of_2013):
            tunnels, source = ["gre"], enabled
        if enabled and not _true(self._value(*enabled)):
            tunnels = []
        self._mark(*enabled)
        if not tunnels:
            return
        self._set("agent", "tunnel_types", ", ".join(tunnels), *source)
        ends = self._first("TUNNEL_ENDPOINT_IP", "TUNNEL_IP", "HOST_IP")
        if ends:
            self._set("ovs", "local_ip", self._value(*ends), *ends)
        else:
            self._offer.put("ovs", "local_ip", "127.0.0.1", "no HOST_IP: this machine alone", 0)
        if ranges := self._first("TENANT_TUNNEL_RANGES", "TENANT_TUNNEL_RANGE", "TUNNEL_RANGES"):
            for kind in tunnels:
                if kind in OVERLAY_RANGES:
                    self._set(*OVERLAY_RANGES[kind], ", ".join(_listed(self._value(*ranges))), *ranges)

    def _project_types(self) -> tuple[list[str], tuple[str, ...]]:
        """Types that project networks get, and the variable that says so."""
        if self._value("Q_ML2_TENANT_NETWORK_TYPE"):
            return _listed(self._value("Q_ML2_TENANT_NETWORK_TYPE")), ("Q_ML2_TENANT_NETWORK_TYPE",)
        if _true(self._value("ENABLE_TENANT_TUNNELS")):
            monolithic = self._value("Q_PLUGIN") in ("openvswitch", "ovs")
            return ["gre" if self._of_2013 or monolithic else "vxlan"], ("ENABLE_TENANT_TUNNELS",)
        if _true(self._value("ENABLE_TENANT_VLANS")):
            return ["vlan"], ("ENABLE_TENANT_VLANS",)
        return ["local" if self._of_2013 else "vxlan"], ()

    def _physical(self) -> None:
        """Physical networks, their VLANs and bridges."""
        network, vlans = self._value("PHYSICAL_NETWORK"), self._value("TENANT_VLAN_RANGE")
        if named := self._first("ML2_VLAN_RANGES", "OVS_VLAN_RANGES"):
            self._set("ml2_type_vlan", "network_vlan_ranges", ", ".join(_listed(self._value(*named))), *named)
        elif network:
            ranges = ", ".join(f"{network}:{bounds}" for bounds in _listed(vlans)) or network
            self._set("ml2_type_vlan", "network_vlan_ranges", ranges, "PHYSICAL_NETWORK", "TENANT_VLAN_RANGE")
        source = self._first("OVS_BRIDGE_MAPPINGS")
        mappings = _listed(self._value(*source))
        if not mappings and network and (bridge := self._value("OVS_PHYSICAL_BRIDGE")):
            mappings, source = [f"{network}:{bridge}"], ("PHYSICAL_NETWORK", "OVS_PHYSICAL_BRIDGE")
        public, bridge = self._value("PUBLIC_PHYSICAL_NETWORK") or "public", self._value("PUBLIC_BRIDGE") or "br-ex"
        known = dict(each.partition(":")[::2] for each in mappings)
        if public not in known:
            # DevStack joins routers to this bridge by itself; it may have been given to a physical network, too.
            public = next((name for name, where in known.items() if where == bridge), public)
        if public not in known:
            mappings.insert(0, f"{public}:{bridge}")
        self._set("ovs", "bridge_mappings", ", ".join(mappings), *source, "PUBLIC_PHYSICAL_NETWORK", "PUBLIC_BRIDGE")
        flat = dict.fromkeys(filter(None, (public, network)))
        self._set("ml2_type_flat", "flat_networks", ", ".join(flat), "PUBLIC_PHYSICAL_NETWORK", "PHYSICAL_NETWORK")

    def _external(self) -> None:
        """The type of external networks: what reaches their bridge as it is, where there is that type."""
        drivers = self._offer.value("ml2", "type_drivers")
        if drivers is None or "flat" in _listed(drivers):
            self._set("ml2", "external_network_type", "flat", "PUBLIC_PHYSICAL_NETWORK")

    def _firewall(self) -> None:
        self._set("securitygroup", "firewall_driver", "iptables_hybrid")
        if "l2population" in _listed(self._value("Q_ML2_PLUGIN_MECHANISM_DRIVERS")):
            self._set("agent", "l2_population", "true", "Q_ML2_PLUGIN_MECHANISM_DRIVERS")

    def _plugins(self) -> None:
        """The core, and what is offered beside it."""
        if plugin := self._value("Q_PLUGIN"):
            self._set("DEFAULT", "core_plugin", PLUGINS.get(plugin, plugin), "Q_PLUGIN")
        if agent := self._value("Q_AGENT"):
            self._mark("Q_AGENT")
            if agent != "openvswitch":
                line = self._variables["Q_AGENT"].line
                self._left_out.append((line, "Q_AGENT", f"Hosts run one agent, for Open vSwitch; there is no {agent}."))
        if named := self._first("Q_SERVICE_PLUGIN_CLASSES"):
            wanted = [name for name, services in OPTIONAL.items() if self._services.has(services)]
            plugins = dict.fromkeys([*_listed(self._value(*named)), *wanted])
            self._set("DEFAULT", "service_plugins", ", ".join(plugins), *named)

    def _lists(self) -> None:
        """Options that variables hold with their names."""
        for name, section in LISTS.items():
            if not self._has(name):
                continue
            self._mark(name)
            for each in self._variables[name].values:
                option, _, value = each.partition("=")
                if option:
                    self._set(section, option, value.rstrip(","), name)

    def _files(self) -> None:
        """Options for the network service's own files: they have the last word."""
        for statement in self._statements:
            if isinstance(statement, Unread):
                self._left_out.append((statement.line, _first_word(statement.text), statement.reason))
            if not isinstance(statement, FileOption):
                continue
            label = f"[{statement.section}] {statement.name}"
            if _is_ours(statement.file):
                self._offer.put(
                    statement.section, statement.name, statement.value, f"line {statement.line}", statement.line
                )
            else:
                self._left_out.append((statement.line, label, f"{statement.file}: {ELSEWHERE}"))

    def _unused(self) -> Iterator[Omission]:
        """Variables that nothing was made of."""
        for name, assignment in self._variables.items():
            if name in self._used:
                continue
            yield assignment.line, name, OVERRULED.get(name) or why_no_variable(name)

    def _value(self, *names: str) -> str:
        """The first of these variables that is not empty."""
        return next((self._variables[name].value for name in names if self._has(name)), "")

    def _has(self, name: str) -> bool:
        return name in self._variables and bool(self._variables[name].value)

    def _first(self, *names: str) -> tuple[str, ...]:
        """The first of these variables that is not empty, as a tuple; an empty one without any."""
        return next(((name,) for name in names if self._has(name)), ())

    def _mark(self, *names: str) -> None:
        self._used.update(names)

    def _set(self, section: str, option: str, value: str, *names: str, line: int = 0) -> None:
        """Choose a value that the variables ``names`` say, or services of ``line``, or DevStack itself."""
        known = [self._variables[name] for name in names if self._has(name)]
        self._mark(*(each.name for each in known))
        said = [f"{each.name} (line {each.line})" for each in known]
        source = ", ".join(said) or (f"services (up to line {line})" if line else "a default of DevStack")
        label = known[0].name if known else ""
        self._offer.put(section, option, value, source, known[0].line if known else line, label)


def _is_ours(file: str) -> bool:
    """Whether a file is one of the network service's."""
    return file.rpartition("$")[2].strip("{}\"'") in OUR_FILES or "/neutron/" in file or "/quantum/" in file


def _listed(text: str) -> list[str]:
    """Words of a list with commas, blanks or as an array."""
    return text.replace(",", " ").split()


def _true(text: str) -> bool:
    return text.lower() in ("true", "yes", "1")


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _first_word(text: str) -> str:
    """What a line begins with; the rest may be a secret."""
    return text.partition("=")[0].partition(" ")[0].strip()[:40]
