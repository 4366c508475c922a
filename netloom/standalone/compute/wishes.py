"""What a request to create instances asks for."""

import base64
import binascii
import ipaddress
import re
from dataclasses import dataclass
from typing import Any

from netloom.standalone.compute.context import Asked, Row
from netloom.standalone.compute.values import invalid, optional_text, whole
from netloom.standalone.web import Problem

NO_VOLUMES = "Block Device Mapping is Invalid: there are no volumes in this cloud; boot from an image."


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """The members of a request, each of the right form."""

    name: str
    hostname: str | None
    description: str | None
    image_id: str
    flavor_id: str
    networks: Any
    security_groups: tuple[str, ...]
    key_name: str | None
    user_data: str | None
    metadata: dict[str, str]
    tags: tuple[str, ...]
    zone: str
    host: str
    """Set when an administrator names it."""
    least: int
    most: int
    access: Row
    """The addresses in ``accessIPv4`` and ``accessIPv6``, as columns."""
    disk_config: str
    config_drive: str
    reservation: bool
    """The answer is to name the reservation rather than the instance."""


def parse(asked: Asked) -> Wish:
    """The wish in the body of a request.

    Raises:
        Problem: 400, or 403 for a zone with a host by others than administrators.
    """
    given = asked.call.member("server")
    zone, host = _zone(given, asked)
    least, most = _counts(given)
    hints = given.get("hostname") if asked.minor >= 90 else None
    wish = Wish(
        name=_name(given.get("name")),
        hostname=hints if isinstance(hints, str) and hints else None,
        description=optional_text(given, "description") if asked.minor >= 19 else None,
        image_id=_image(given),
        flavor_id=_text(given, "flavorRef").rstrip("/").rpartition("/")[2],
        networks=_networks(given, asked),
        security_groups=_groups(given),
        key_name=_text(given, "key_name", "") or None,
        user_data=user_data_of(given.get("user_data")),
        metadata=metadata_of(given.get("metadata") or {}),
        tags=_tags(given.get("tags")) if asked.minor >= 52 else (),
        zone=zone,
        host=host,
        least=least,
        most=most,
        access=access_of(given),
        disk_config=_disk_config(given.get("OS-DCF:diskConfig", "MANUAL")),
        config_drive="True" if str(given.get("config_drive", "")).lower() in ("true", "1") else "",
        reservation=given.get("return_reservation_id") in (True, "True", "true"),
    )
    if most > 1 and isinstance(wish.networks, list) and any(entry.get("port") for entry in wish.networks):
        raise Problem(
            400,
            "Unable to launch multiple instances with a single configured port ID. Please launch your instance"
            " one by one with different ports.",
        )
    return wish


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > 255 or not value.isprintable():
        raise invalid("name", value, "It must have 1 to 255 printable characters")
    return value.strip()


checked_name = _name


def _text(given: Row, name: str, default: str | None = None) -> str:
    value = given.get(name)
    value = default if value is None else value
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or (default is None and not value):
        raise invalid(name, value, f"'{name}' must be a text")
    return value


def _image(given: Row) -> str:
    """The image: named itself, or as the device to boot from."""
    reference = _text(given, "imageRef", "").rstrip("/").rpartition("/")[2]
    devices = given.get("block_device_mapping_v2") or []
    if not isinstance(devices, list) or not all(isinstance(device, dict) for device in devices):
        raise Problem(400, "Block Device Mapping is Invalid: it must be a list of objects.")
    for device in devices:
        if (device.get("source_type"), device.get("destination_type", "local")) != ("image", "local"):
            raise Problem(400, NO_VOLUMES)
        reference = reference or str(device.get("uuid", ""))
    if given.get("block_device_mapping"):
        raise Problem(400, NO_VOLUMES)
    if not reference:
        raise Problem(400, "Invalid imageRef provided.")
    return reference


def _networks(given: Row, asked: Asked) -> Any:
    networks = given.get("networks")
    if asked.minor >= 37 and networks is None:
        raise Problem(400, "Invalid input for field/attribute server. Value: 'networks' is a required property")
    if isinstance(networks, str) and (asked.minor < 37 or networks not in ("auto", "none")):
        raise invalid("networks", networks, f"'{networks}' is not of type 'array'")
    return networks


def _groups(given: Row) -> tuple[str, ...]:
    groups = given.get("security_groups") or []
    try:
        return tuple(str(group["name"]) for group in groups)
    except (TypeError, KeyError):
        raise invalid("security_groups", groups, "Each needs a 'name'") from None


def user_data_of(value: Any) -> str | None:
    """User data of the right form; None when there is none.

    Raises:
        Problem: 400.
    """
    if value in (None, ""):
        return None
    if not isinstance(value, str) or len(value) > 65535:
        raise invalid("user_data", "…", "It must be base64 of at most 65535 characters")
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise Problem(400, "User data needs to be valid base 64.") from None
    return value


def metadata_of(value: Any) -> dict[str, str]:
    """Metadata of the right form.

    Raises:
        Problem: 400.
    """
    if not isinstance(value, dict) or not all(isinstance(text, str) and len(text) <= 255 for text in value.values()):
        raise invalid("metadata", value, "It must be an object of texts of at most 255 characters")
    if not all(re.fullmatch(r"[a-zA-Z0-9\-_:. ]{1,255}", key) for key in value):
        raise invalid("metadata", value, "Keys are of letters, digits, '-', '_', ':', '.' and ' '")
    return value


def access_of(given: Row) -> Row:
    """The columns for the addresses by which an owner says that an instance is reached: of those that are given.

    Raises:
        Problem: 400.
    """
    columns: Row = {}
    for version, kind in ((4, ipaddress.IPv4Address), (6, ipaddress.IPv6Address)):
        if (name := f"accessIPv{version}") in given:
            try:
                columns[f"access_ip_v{version}"] = str(kind(str(given[name])))
            except ValueError:
                raise invalid(name, given[name], f"It must be an IPv{version} address") from None
    return columns


def _zone(given: Row, asked: Asked) -> tuple[str, str]:
    """The zone and, by an administrator, the host."""
    zone, _, rest = _text(given, "availability_zone", "").partition(":")
    host = rest.partition(":")[0] or rest.partition(":")[2]
    if host:
        asked.require_admin("servers:create:forced_host")
    if asked.minor >= 74 and not host:
        host = _text(given, "host", "") or _text(given, "hypervisor_hostname", "")
        if host:
            asked.require_admin("servers:create:requested_destination")
    return zone, host


def _counts(given: Row) -> tuple[int, int]:
    least = whole(given, "min_count", 1, 1)
    most = whole(given, "max_count", 1, least)
    if least > most:
        raise Problem(400, "min_count must be <= max_count")
    return least, most


def _tags(value: Any) -> tuple[str, ...]:
    tags = value or []
    if not isinstance(tags, list) or not all(isinstance(tag, str) and len(tag) <= 60 for tag in tags):
        raise invalid("tags", value, "It must be a list of texts of at most 60 characters")
    return tuple(tags)


def _disk_config(value: Any) -> str:
    if value not in ("AUTO", "MANUAL"):
        raise invalid("OS-DCF:diskConfig", value, "It must be AUTO or MANUAL")
    return str(value)


def hostname_of(name: str, server_id: str) -> str:
    """A host name made from a server's name (RFC 1123): at most 63 letters, digits and hyphens."""
    plain = re.sub(r"[^a-z0-9-]", "", re.sub(r"[ _.]", "-", name.lower())).strip("-")[:63].rstrip("-")
    return plain or f"server-{server_id}"
