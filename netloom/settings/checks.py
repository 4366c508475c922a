"""What options must say together, and values that we do not serve: each on its own would be right."""

from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address
from typing import Any

from oslo_config import cfg

Problem = tuple[str, str, str]
"""Section, option, and what is wrong with it."""

ONLY: dict[tuple[str, str], tuple[Any, str]] = {
    ("DEFAULT", "router_distributed"): (False, "routers are not distributed; set it to false"),
    ("DEFAULT", "use_namespaces"): (True, "routers and DHCP servers have namespaces of their own; set it to true"),
    ("DEFAULT", "use_ssl"): (False, "the server speaks plain HTTP; set it to false and put a TLS proxy in front"),
    ("DEFAULT", "external_network_bridge"): (
        "",
        "external networks are reached through [ovs] bridge_mappings; leave it empty",
    ),
    ("agent", "vxlan_udp_port"): (4789, "VXLAN has port 4789 on all hosts"),
}
"""Options of which one value is served, and what is said of any other."""


def problems(conf: cfg.ConfigOpts) -> Iterator[Problem]:
    """All contradictions of a configuration whose values are right one by one."""
    for (section, name), (served, reason) in ONLY.items():
        if (conf if section == "DEFAULT" else conf[section])[name] != served:
            yield section, name, reason
    checks: list[Callable[[cfg.ConfigOpts], Iterator[Problem]]] = [
        _types,
        _physical_networks,
        _bridges,
        _tunnels,
        _agents,
        _ha,
    ]
    for check in checks:
        yield from check(conf)


def _types(conf: cfg.ConfigOpts) -> Iterator[Problem]:
    drivers = conf.ml2.type_drivers
    if missing := [kind for kind in conf.ml2.tenant_network_types if kind not in drivers]:
        yield "ml2", "tenant_network_types", f"{_listed(missing)}: not among type_drivers ({_listed(drivers)})"
    if conf.ml2.external_network_type and conf.ml2.external_network_type not in drivers:
        external = conf.ml2.external_network_type
        yield "ml2", "external_network_type", f"'{external}' is not among type_drivers ({_listed(drivers)})"
    if "openvswitch" not in conf.ml2.mechanism_drivers:
        yield "ml2", "mechanism_drivers", "'openvswitch' must be among them: it is what hosts run"


def _physical_networks(conf: cfg.ConfigOpts) -> Iterator[Problem]:
    if "*" not in conf.ml2_type_flat.flat_networks:
        known = {*conf.ml2_type_flat.flat_networks, *(name for name, _ in conf.ml2_type_vlan.network_vlan_ranges)}
        if strange := [name for name, _ in conf.ml2.physical_network_mtus if name not in known]:
            where = "[ml2_type_flat] flat_networks nor in [ml2_type_vlan] network_vlan_ranges"
            yield "ml2", "physical_network_mtus", f"{_listed(strange)}: neither in {where}"
    yield from _twice("ml2", "physical_network_mtus", (name for name, _ in conf.ml2.physical_network_mtus))


def _bridges(conf: cfg.ConfigOpts) -> Iterator[Problem]:
    mappings = conf.ovs.bridge_mappings
    yield from _twice("ovs", "bridge_mappings", (name for name, _ in mappings))
    yield from _twice("ovs", "bridge_mappings", (bridge for _, bridge in mappings))
    ours = {conf.ovs.integration_bridge: "integration_bridge", conf.ovs.tunnel_bridge: "tunnel_bridge"}
    for _, bridge in mappings:
        if bridge in ours:
            yield "ovs", "bridge_mappings", f"'{bridge}' is the {ours[bridge]}; a physical network has its own bridge"
    if len(ours) == 1:
        yield "ovs", "tunnel_bridge", "it must differ from integration_bridge"


def _tunnels(conf: cfg.ConfigOpts) -> Iterator[Problem]:
    local, version = conf.ovs.local_ip, conf.ml2.overlay_ip_version
    if conf.agent.tunnel_types and not local:
        yield "agent", "tunnel_types", "tunnels need [ovs] local_ip, this host's address on the tunnel network"
    if local and ip_address(local).version != version:
        yield "ovs", "local_ip", f"'{local}' is not of IP version {version} ([ml2] overlay_ip_version)"


def _agents(conf: cfg.ConfigOpts) -> Iterator[Problem]:
    down, interval = conf.agent_down_time, conf.agent.report_interval
    if down < 2 * interval:
        yield (
            "DEFAULT",
            "agent_down_time",
            f"{down} s is less than twice [agent] report_interval ({interval:g} s): live agents would count as dead",
        )


def _ha(conf: cfg.ConfigOpts) -> Iterator[Problem]:
    most, least = conf.max_l3_agents_per_router, conf.min_l3_agents_per_router
    if most and least > most:
        yield "DEFAULT", "min_l3_agents_per_router", f"{least} is more than max_l3_agents_per_router ({most})"
    kind, physical = conf.l3_ha_network_type, conf.l3_ha_network_physical_name
    if kind and kind not in conf.ml2.type_drivers:
        yield "DEFAULT", "l3_ha_network_type", f"'{kind}' is not among [ml2] type_drivers"
    vlans, flat = [name for name, _ in conf.ml2_type_vlan.network_vlan_ranges], conf.ml2_type_flat.flat_networks
    if physical and not (physical in vlans or physical in flat or "*" in flat):
        where = "[ml2_type_vlan] network_vlan_ranges nor [ml2_type_flat] flat_networks"
        yield "DEFAULT", "l3_ha_network_physical_name", f"'{physical}' is neither in {where}"
    if kind == "flat" and not physical:
        yield "DEFAULT", "l3_ha_network_type", "a flat network needs l3_ha_network_physical_name"


def _twice(section: str, option: str, words: Iterable[str]) -> Iterator[Problem]:
    found = list(words)
    for word in dict.fromkeys(word for word in found if found.count(word) > 1):
        yield section, option, f"'{word}' is there more than once"


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)
