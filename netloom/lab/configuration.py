"""The files of a lab's hosts: what they are configured with."""

from netloom.lab.layout import AGENT_ROLES, Host, Layout

PORT = 9696
DIRECTORY, CONFIGURATION = "/etc/netloom", "/etc/netloom/netloom.conf"
DATABASE_SOCKET = "/run/postgresql"


def url(host: Host) -> str:
    """Where the API of a host with the role ``server`` is; all hosts know the names of all."""
    return f"http://{host.name}:{PORT}"


def hosts_file(layout: Layout) -> str:
    """/etc/hosts: every host by its management address, and the Internet's names."""
    lines = ["127.0.0.1 localhost", "::1 localhost"]
    for host in layout.hosts.values():
        if address := layout.address(host):
            lines.append(f"{address} {host.name}")
        lines += [f"{address} {name}" for name, address in host.names.items()]
    return "\n".join(lines) + "\n"


def config_files(host: Host) -> list[str]:
    """The configuration files of a host, later ones over earlier ones."""
    return [CONFIGURATION, *(f"{DIRECTORY}/{name.rpartition('/')[2]}" for name in host.config_files)]


def configuration(layout: Layout, host: Host, secret: str, database: str) -> str:
    """The text of ``CONFIGURATION`` on a host: what follows from the layout, and then what it says itself."""
    sections = _derived(layout, host, secret, database)
    for section, options in host.config.items():
        sections[section] = {**sections.get(section, {}), **options}
    return "\n".join(
        f"[{section}]\n" + "".join(f"{name} = {value}\n" for name, value in options.items())
        for section, options in sections.items()
        if options
    )


def _derived(layout: Layout, host: Host, secret: str, database: str) -> dict[str, dict[str, str]]:
    first = layout.address(layout.servers[0])
    sections = {
        "DEFAULT": {"host": host.name, "metadata_proxy_shared_secret": secret, "nova_metadata_host": first},
        "netloom": {},
        "ovs": {"datapath_type": "netdev"},
        "ml2": {},
        "database": {},
    }
    if "server" in host.roles:
        sections["DEFAULT"] |= {"bind_host": "0.0.0.0", "bind_port": str(PORT)}  # noqa: S104 - the lab's own networks
        sections["netloom"]["standalone"] = "true"
        if database:
            sections["database"]["connection"] = database
        _mtus(layout, sections)
    if host.has_agent:
        servers = (f"ws://{layout.address(server)}:{PORT}" for server in layout.servers)
        sections["netloom"]["servers"] = ",".join(servers)
        sections["netloom"]["roles"] = ",".join(role for role in AGENT_ROLES if role in host.roles)
        physical = (network for _, _, network in layout.links(host, "vlan", "external") if network.bridge)
        sections["ovs"]["bridge_mappings"] = ",".join(f"{network.name}:{network.bridge}" for network in physical)
        sections["ovs"]["local_ip"] = layout.address(host, "tunnel")
    return {section: {name: value for name, value in options.items() if value} for section, options in sections.items()}


def _mtus(layout: Layout, sections: dict[str, dict[str, str]]) -> None:
    """Options by which the API knows how long packets may be."""
    underlying = [network for network in layout.networks.values() if network.kind != "management"]
    if not underlying:
        return
    largest = max(network.mtu for network in underlying)
    sections["DEFAULT"]["global_physnet_mtu"] = str(largest)
    smaller = [network for network in underlying if network.mtu < largest]
    tunnel = min((network.mtu for network in smaller if network.kind == "tunnel"), default=0)
    if tunnel:
        sections["ml2"]["path_mtu"] = str(tunnel)
    physical = [f"{network.name}:{network.mtu}" for network in smaller if network.kind != "tunnel"]
    sections["ml2"]["physical_network_mtus"] = ",".join(physical)
