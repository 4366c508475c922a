"""What the values of a port must be, and their stored form: no database here."""

import ipaddress
import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from netloom.model.errors import BadRequest, Conflict, HTTPBadRequest, InvalidInput

PROFILE_SIZE = 4095
"""Greatest size of ``binding:profile`` as JSON, octets."""


class AllowedAddressPairExhausted(BadRequest):
    """Too many pairs."""

    message = "The number of allowed address pair exceeds the maximum {quota}."


class AllowedAddressPairsMissingIP(BadRequest):
    """A pair without an address."""

    message = "AllowedAddressPair must contain ip_address."


class DuplicateAddressPairInRequest(BadRequest):
    """The same pair twice."""

    message = "Request contains duplicate address pair: mac_address {mac_address} ip_address {ip_address}."


class AddressPairAndPortSecurityRequired(Conflict):
    """Pairs mean something only where addresses are checked."""

    message = "Port Security must be enabled in order to have allowed address pairs on a port."


class PortSecurityAndIPRequiredForSecurityGroups(BadRequest):
    """Groups mean something only where packets are checked."""

    message = "Port security must be enabled and port must have an IP address in order to use security groups."


def random_mac(base: str) -> str:
    """A MAC that begins like ``base``: with its first three octets, or four when the fourth is not zero."""
    octets = base.lower().split(":")
    fixed = octets[:3] if octets[3] == "00" else octets[:4]
    return ":".join(fixed + [f"{octet:02x}" for octet in secrets.token_bytes(6 - len(fixed))])


def address_pairs(pairs: Sequence[Mapping[str, str]], mac: str, most: int) -> list[dict[str, str]]:
    """Allowed address pairs with their MACs filled in.

    Raises: AllowedAddressPairExhausted, AllowedAddressPairsMissingIP, DuplicateAddressPairInRequest, InvalidInput.
    """
    if len(pairs) > most:
        raise AllowedAddressPairExhausted(quota=most)
    found: list[dict[str, str]] = []
    for pair in pairs:
        if not pair.get("ip_address"):
            raise AllowedAddressPairsMissingIP()
        filled = {"ip_address": _prefix(pair["ip_address"]), "mac_address": pair.get("mac_address") or mac}
        if filled in found:
            raise DuplicateAddressPairInRequest(**filled)
        found.append(filled)
    return found


def _prefix(text: str) -> str:
    try:
        prefix = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise HTTPBadRequest(
            f"Invalid input for allowed_address_pairs. Reason: '{text}' is not a valid IP address or subnet."
        ) from None
    if prefix.is_multicast:
        raise HTTPBadRequest(f"Invalid input for allowed_address_pairs. Reason: '{text}' is a multicast address.")
    return str(prefix) if "/" in text else str(prefix.network_address)


def dhcp_options(asked: Sequence[Mapping[str, Any]], held: Sequence[Mapping[str, Any]] = ()) -> list[dict[str, Any]]:
    """Extra DHCP options after a request: what it names changes, without a value it goes, the rest stays."""
    options = {(option["opt_name"], option["ip_version"]): option["opt_value"] for option in held}
    for option in asked:
        if not option["opt_name"].strip():
            raise HTTPBadRequest("Invalid input for extra_dhcp_opts. Reason: the name of an option is blank.")
        key = option["opt_name"], option.get("ip_version") or 4
        options.pop(key, None)
        if option.get("opt_value") is not None:
            options[key] = option["opt_value"]
    return [{"opt_name": name, "opt_value": value, "ip_version": version} for (name, version), value in options.items()]


def check_profile(profile: Mapping[str, Any]) -> None:
    """Refuse a binding profile that is too large. Raises InvalidInput."""
    if len(json.dumps(profile)) > PROFILE_SIZE:
        raise InvalidInput(error_message=f"binding:profile value too large, more than {PROFILE_SIZE} octets")
