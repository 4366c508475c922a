"""The words of dnsmasq: its host, option and name files, and its command line. See dnsmasq(8).

What tenants write (host names, extra DHCP options) reaches these line-based files, so nothing that could end
a line, or a field of a host, gets through.
"""

import re
from collections.abc import Iterable, Iterator
from ipaddress import ip_network

from netloom.feed.fragments import DhcpNetwork, DhcpOption, HostRoute, Network, Port, Subnet
from netloom.plan.settings import PlanSettings

METADATA_PREFIX = "169.254.169.254/32"
DHCPV6_PREFIX_LENGTH = 64
"""The shortest prefix that dnsmasq serves."""
MICROSOFT_CLASSLESS_ROUTES = "249"
"""Option 121 under the number that older Windows asks for."""
SERVER_IDENTIFIER = 54
"""Option of a request: the server whose offer it takes (RFC 2131)."""
ON_LINK = "0.0.0.0"  # noqa: S104
"""Next hop of what is on the link itself (RFC 3442)."""
UNLIMITED_LEASES = 1 << 24
"""The addresses to lease are those of the ports, so dnsmasq's own limit has nothing to guard."""

HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
OPTION_NAME = re.compile(r"(?P<tags>(tag:!?[A-Za-z0-9_-]+,)*)(?P<name>[A-Za-z0-9-]+)")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def served(network: Network) -> list[Subnet]:
    """The subnets of a network that dnsmasq leases addresses of, or answers for."""
    return [subnet for subnet in network.subnets if subnet.enable_dhcp and _mode(subnet)]


def _mode(subnet: Subnet) -> str:
    """``static`` (known clients only), or empty when clients make their addresses from advertisements alone."""
    if subnet.ip_version == 4:
        return "static"
    by_dhcp = subnet.address_mode.startswith("dhcpv6") or not (subnet.address_mode or subnet.ra_mode)
    long_enough = int(subnet.cidr.split("/")[1]) >= DHCPV6_PREFIX_LENGTH
    return "static" if by_dhcp and long_enough else ""


def argv(
    network: Network, dhcp: DhcpNetwork, device: str, directory: str, settings: PlanSettings, others: Iterable[str]
) -> tuple[str, ...]:
    """The command line; ``directory`` holds its files.

    ``others`` are the addresses of the other servers of the network. All of them know the same clients, so each may
    confirm an address whose lease another one gave, and clients do not notice that one has gone
    (``--dhcp-authoritative``); but none refuses what is meant for another, or who is known to another first.
    """
    elsewhere = [f"--dhcp-match=set:elsewhere,{SERVER_IDENTIFIER},{address}" for address in others]
    return (
        "dnsmasq",
        "--keep-in-foreground",
        f"--conf-file={settings.dnsmasq_config_file}",
        "--pid-file=",
        "--log-facility=-",
        f"--user={settings.dnsmasq_user}",
        f"--group={settings.dnsmasq_group}",
        "--no-hosts",
        *([] if settings.dnsmasq_local_resolv else ["--no-resolv"]),
        *(f"--server={server}" for server in settings.dnsmasq_dns_servers),
        "--bind-dynamic",
        f"--interface={device}",
        "--except-interface=lo",
        f"--dhcp-hostsfile={directory}/host",
        f"--addn-hosts={directory}/addn_hosts",
        f"--dhcp-optsfile={directory}/opts",
        f"--dhcp-leasefile={directory}/leases",
        f"--dhcp-lease-max={UNLIMITED_LEASES}",
        "--dhcp-match=set:ipxe,175",
        "--dhcp-userclass=set:ipxe6,iPXE",
        "--dhcp-authoritative",
        *([*elsewhere, "--dhcp-ignore=tag:elsewhere", "--dhcp-ignore=tag:!known"] if elsewhere else []),
        *(_range(subnet, dhcp.lease_seconds) for subnet in served(network)),
        f"--dhcp-option-force=26,{network.mtu}",
        *([f"--domain={dhcp.dns_domain}"] if dhcp.dns_domain else []),
    )


def _range(subnet: Subnet, lease_seconds: int) -> str:
    prefix = ip_network(subnet.cidr)
    mask = prefix.netmask if subnet.ip_version == 4 else prefix.prefixlen
    lease = f"{lease_seconds}s" if lease_seconds > 0 else "infinite"
    return f"--dhcp-range=set:{_subnet_tag(subnet)},{prefix.network_address},static,{mask},{lease}"


def _subnet_tag(subnet: Subnet) -> str:
    return f"subnet-{subnet.id}"


def _port_tag(port: Port) -> str:
    return f"port-{port.id}"


def hosts(ports: Iterable[Port], subnets: Iterable[Subnet], domain: str) -> str:
    """Which MAC gets which address and name (``--dhcp-hostsfile``)."""
    by_id = {subnet.id: subnet for subnet in subnets}
    return "".join(line for port in ports for line in _host_lines(port, by_id, domain))


def _host_lines(port: Port, subnets: dict[str, Subnet], domain: str) -> Iterator[str]:
    for fixed in port.fixed_ips:
        subnet = subnets.get(fixed.subnet_id)
        if subnet is None:
            continue
        words = [port.mac]
        if subnet.ip_version == 6:
            words.append("tag:dhcpv6")
        if subnet.ip_version == 4:
            words += [_full_name(port, fixed.address, domain), fixed.address]
        elif subnet.address_mode != "dhcpv6-stateless":
            words += [_full_name(port, fixed.address, domain), f"[{fixed.address}]"]
        if any(option.ip_version == subnet.ip_version for option in port.dhcp_options):
            words.append(f"set:{_port_tag(port)}")
        yield ",".join(words) + "\n"


def names(ports: Iterable[Port], subnets: Iterable[Subnet], domain: str) -> str:
    """Which name has which address (``--addn-hosts``)."""
    known = {subnet.id for subnet in subnets}
    return "".join(
        f"{fixed.address}\t{_full_name(port, fixed.address, domain)} {_host_name(port, fixed.address)}\n"
        for port in ports
        for fixed in port.fixed_ips
        if fixed.subnet_id in known
    )


def _host_name(port: Port, address: str) -> str:
    if HOST_NAME.fullmatch(port.dns_name):
        return port.dns_name
    # A label must not end in a dash: 2001:db8:: is 2001:db8::0.
    whole = f"{address}0" if address.endswith(":") else address
    return "host-" + whole.replace(".", "-").replace(":", "-")


def _full_name(port: Port, address: str, domain: str) -> str:
    name = _host_name(port, address)
    return f"{name}.{domain}" if domain else name


def options(
    network: Network, ports: Iterable[Port], servers: dict[str, list[str]], metadata: dict[str, str], domain: str
) -> str:
    """What clients are told besides their address (``--dhcp-optsfile``).

    ``servers``: the addresses of the network's DHCP servers by subnet id; they answer name queries too.
    ``metadata``: for subnets whose metadata is served from here, the address to reach it through.
    """
    lines: list[str] = []
    for subnet in served(network):
        if subnet.ip_version == 4:
            others = [s.cidr for s in network.subnets if s.ip_version == 4 and s.id != subnet.id]
            lines += _options4(subnet, others, servers.get(subnet.id, []), metadata.get(subnet.id, ""))
        else:
            lines += _options6(subnet, servers.get(subnet.id, []), domain)
    lines += [line for port in ports for option in port.dhcp_options for line in _extra(port, option)]
    return "".join(f"{line}\n" for line in lines)


def _options4(subnet: Subnet, others: list[str], servers: list[str], metadata: str) -> list[str]:
    def line(option: str, *values: str) -> str:
        return ",".join([f"tag:{_subnet_tag(subnet)}", option, *values])

    default = next((route.nexthop for route in subnet.host_routes if route.destination == "0.0.0.0/0"), "")
    gateway = subnet.gateway or default
    routes = [HostRoute(destination=cidr, nexthop=ON_LINK) for cidr in others]
    routes += [route for route in subnet.host_routes if route.destination != "0.0.0.0/0"]
    if metadata and all(route.destination != METADATA_PREFIX for route in routes):
        routes.append(HostRoute(destination=METADATA_PREFIX, nexthop=metadata))
    if routes and gateway:
        # Clients that know option 121 do not look at the router option any more (RFC 3442).
        routes.append(HostRoute(destination="0.0.0.0/0", nexthop=gateway))
    classless = [word for route in routes for word in (route.destination, route.nexthop)]
    lines = [line("option:dns-server", *_name_servers(subnet, servers))]
    if classless:
        lines += [line("option:classless-static-route", *classless), line(MICROSOFT_CLASSLESS_ROUTES, *classless)]
    # Without a value the option is not sent; left out, dnsmasq would name itself.
    return [*lines, line("option:router", *([gateway] if gateway else []))]


def _options6(subnet: Subnet, servers: list[str], domain: str) -> list[str]:
    tag = f"tag:{_subnet_tag(subnet)}"
    name_servers = [f"[{server}]" for server in _name_servers(subnet, servers)]
    lines = [",".join([tag, "option6:dns-server", *name_servers])]
    return [*lines, f"{tag},option6:domain-search,{domain}"] if domain else lines


def _name_servers(subnet: Subnet, servers: list[str]) -> list[str]:
    """Those of the subnet, else the DHCP servers; the unspecified address stands for none at all."""
    if subnet.dns_nameservers in (("0.0.0.0",), ("::",)):  # noqa: S104
        return []
    return list(subnet.dns_nameservers) or servers


def _extra(port: Port, option: DhcpOption) -> Iterator[str]:
    """An extra option of a port; one that could not be written as one line is left out."""
    name = OPTION_NAME.fullmatch(option.name)
    if name is None or CONTROL.search(option.value):
        return
    kind = "option6:" if option.ip_version == 6 else "" if name["name"].isdigit() else "option:"
    words = [f"{name['tags']}tag:{_port_tag(port)}", f"{kind}{name['name']}"]
    yield ",".join([*words, option.value] if option.value else words)
