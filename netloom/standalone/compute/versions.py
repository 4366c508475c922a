"""Versions and microversions of compute."""

from collections.abc import Mapping
from typing import Any

from netloom.standalone.compute.context import ROOT
from netloom.standalone.web import Call, Problem

MAX_MINOR = 95
_NOVA, _OPENSTACK = "x-openstack-nova-api-version", "openstack-api-version"


def version_document(call: Call, status: str = "CURRENT") -> dict[str, Any]:
    """The version as ``GET /v2.1/`` shows it."""
    return {
        "id": "v2.1",
        "status": status,
        "version": f"2.{MAX_MINOR}",
        "min_version": "2.1",
        "updated": "2013-07-23T11:33:21Z",
        "links": [
            {"rel": "self", "href": f"{call.base}{ROOT}/v2.1/"},
            {"rel": "describedby", "type": "text/html", "href": "http://docs.openstack.org/"},
        ],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.compute+json;version=2.1"}],
    }


def minor_of(headers: Mapping[str, str]) -> int:
    """The microversion that a request asks for, as its second number; without one the oldest.

    Raises:
        Problem: 400 for what is no version, 406 for one that is not offered.
    """
    text = headers.get(_NOVA, "")
    for entry in headers.get(_OPENSTACK, "").split(","):
        service, _, version = entry.strip().partition(" ")
        if service.lower() == "compute":
            text = version.strip()
    if not text:
        return 1
    if text == "latest":
        return MAX_MINOR
    major, dot, minor = text.partition(".")
    if not (dot and major.isdecimal() and minor.isdecimal()):
        raise Problem(400, f"API Version String {text} is of invalid format. Must be of format MajorNum.MinorNum.")
    if major != "2" or not 1 <= int(minor) <= MAX_MINOR:
        raise Problem(406, f"Version {text} is not supported by the API. Minimum is 2.1 and maximum is 2.{MAX_MINOR}.")
    return int(minor)


def version_headers(call: Call) -> dict[str, str]:
    """What every answer bears: the request's id and the microversion that it was answered in."""
    headers = {"x-compute-request-id": call.request_id, "x-openstack-request-id": call.request_id}
    try:
        version = f"2.{minor_of(call.headers)}"
    except Problem:
        return headers
    return headers | {
        "OpenStack-API-Version": f"compute {version}",
        "X-OpenStack-Nova-API-Version": version,
        "Vary": "OpenStack-API-Version, X-OpenStack-Nova-API-Version",
    }
