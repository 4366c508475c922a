"""What a security group rule may say: checks, and the form in which it is stored and compared.

Pure functions over one rule; API reference, "Security group rules". Protocol numbers are IANA's.
"""

import ipaddress
from collections.abc import Mapping
from typing import Any

from netloom.model.errors import BadRequest
from netloom.model.security_groups import PROTOCOLS, protocol_number

WITH_PORTS = frozenset({6, 17, 33, 132, 136})
"""Protocols that have ports: TCP, UDP, DCCP, SCTP, UDP-Lite."""
ICMP, ICMPV6 = 1, 58
IPV6_ONLY = frozenset(
    PROTOCOLS[name] for name in ("ipv6-icmp", "ipv6-encap", "ipv6-frag", "ipv6-nonxt", "ipv6-opts", "ipv6-route")
)
"""Numbers of the protocols that a rule for IPv4 cannot name."""
REMOTES = ("remote_ip_prefix", "remote_group_id", "remote_address_group_id")


class SecurityGroupRuleInvalidProtocol(BadRequest):
    """The protocol is neither a known name nor a number."""

    message = (
        "Security group rule protocol {protocol} not supported. Only protocol values {values} and integer "
        "representations [0 to 255] are supported."
    )


class SecurityGroupEthertypeConflictWithProtocol(BadRequest):
    """An IPv6 protocol in an IPv4 rule."""

    message = "Invalid ethertype {ethertype} for protocol {protocol}."


class SecurityGroupProtocolRequiredWithPorts(BadRequest):
    """Ports without a protocol."""

    message = "Must also specify protocol if port range is given."


class SecurityGroupInvalidProtocolForPort(BadRequest):
    """Ports with a protocol that has none."""

    message = "Invalid protocol {protocol} for port range, only supported for TCP, UDP, UDPLITE, SCTP and DCCP."


class SecurityGroupInvalidPortRange(BadRequest):
    """Half a range, or one that ends before it begins."""

    message = "For TCP/UDP protocols, port_range_min must be <= port_range_max."


class SecurityGroupInvalidPortValue(BadRequest):
    """Not a port."""

    message = "Invalid value for port {port}."


class SecurityGroupInvalidIcmpValue(BadRequest):
    """Not an ICMP type or code."""

    message = "Invalid value for ICMP {field} ({attr}) {value}. It must be 0 to 255."


class SecurityGroupMissingIcmpType(BadRequest):
    """An ICMP code without a type."""

    message = "ICMP code (port-range-max) {value} is provided but ICMP type (port-range-min) is missing."


class SecurityGroupMultipleRemoteEntites(BadRequest):  # the API's spelling
    """More than one remote."""

    message = "Only one of remote_ip_prefix, remote_group_id or remote_address_group_id may be provided."


class SecurityGroupRuleParameterConflict(BadRequest):
    """A prefix of the other family."""

    message = "Conflicting value ethertype {ethertype} for CIDR {cidr}."


class InvalidCIDR(BadRequest):
    """Not a prefix."""

    message = "Invalid CIDR {input} given as IP prefix."


def normalise(body: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of a rule in their stored form.

    Raises: the errors of this module.
    """
    values = dict(body) | {"protocol": _protocol(body.get("protocol"), body["ethertype"])}
    values |= dict(zip(("port_range_min", "port_range_max"), _ports(values), strict=True))
    if sum(bool(values.get(name)) for name in REMOTES) > 1:
        raise SecurityGroupMultipleRemoteEntites()
    for name in REMOTES:
        values[name] = values.get(name) or None
    prefix, network = _prefix(values["remote_ip_prefix"], body["ethertype"])
    return values | {"remote_ip_prefix": prefix, "normalized_cidr": network}


def key(rule: Mapping[str, Any]) -> tuple[object, ...]:
    """What makes two stored rules of a group the same: TCP is 6, and every address is no remote at all."""
    network = rule["normalized_cidr"]
    return (
        rule["direction"],
        rule["ethertype"],
        protocol_number(rule["protocol"]),
        rule["port_range_min"],
        rule["port_range_max"],
        None if network is None or network.endswith("/0") else network,
        rule["remote_group_id"],
        rule["remote_address_group_id"],
    )


def _protocol(given: Any, ethertype: str) -> str | None:
    """The protocol as text: lower case, and ICMP of IPv6 under its own name."""
    if given is None or str(given).lower() == "any":
        return None
    protocol = str(given).lower()
    if isinstance(given, bool) or not (protocol in PROTOCOLS or (_is_number(protocol) and int(protocol) <= 255)):
        raise SecurityGroupRuleInvalidProtocol(protocol=given, values=sorted(PROTOCOLS))
    if ethertype == "IPv6":
        return {"icmp": "ipv6-icmp", "icmpv6": "ipv6-icmp", str(ICMP): str(ICMPV6)}.get(protocol, protocol)
    if protocol_number(protocol) in IPV6_ONLY:
        raise SecurityGroupEthertypeConflictWithProtocol(ethertype=ethertype, protocol=protocol)
    return protocol


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _ports(rule: Mapping[str, Any]) -> tuple[int | None, int | None]:
    first, last = rule.get("port_range_min"), rule.get("port_range_max")
    if first is None and last is None:
        return None, None
    if rule["protocol"] is None:
        raise SecurityGroupProtocolRequiredWithPorts()
    number = protocol_number(rule["protocol"])
    if number in (ICMP, ICMPV6):
        return _icmp(first, last)
    if number not in WITH_PORTS:
        raise SecurityGroupInvalidProtocolForPort(protocol=rule["protocol"])
    for port in (first, last):
        if port is not None and not 1 <= port <= 65535:
            raise SecurityGroupInvalidPortValue(port=port)
    if first is None or last is None or first > last:
        raise SecurityGroupInvalidPortRange()
    return (None, None) if (first, last) == (1, 65535) else (first, last)


def _icmp(kind: int | None, code: int | None) -> tuple[int | None, int | None]:
    for value, attr, field in ((kind, "port_range_min", "type"), (code, "port_range_max", "code")):
        if value is not None and not 0 <= value <= 255:
            raise SecurityGroupInvalidIcmpValue(field=field, attr=attr, value=value)
    if kind is None:
        raise SecurityGroupMissingIcmpType(value=code)
    return kind, code


def _prefix(given: str | None, ethertype: str) -> tuple[str | None, str | None]:
    """The prefix as given (an address gets its length), and the network that it means."""
    if given is None:
        return None, None
    try:
        network = ipaddress.ip_network(given, strict=False)
    except ValueError:
        raise InvalidCIDR(input=given) from None
    if f"IPv{network.version}" != ethertype:
        raise SecurityGroupRuleParameterConflict(ethertype=ethertype, cidr=given)
    return given if "/" in given else str(network), str(network)
