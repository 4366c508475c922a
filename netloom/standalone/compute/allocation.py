"""Get me a network: the Networking API makes one for a project that has none, and wants an instance on one."""

import json

import structlog

from netloom.standalone.compute.context import Asked
from netloom.standalone.compute.networking import Networking, Refusal
from netloom.standalone.web import Problem

LOG = structlog.get_logger()
UNABLE = "Unable to automatically allocate a network for project {project_id}"


class AllocationFailure(Exception):
    """The Networking API could not make the network; ``str`` tells for whom."""


def check(networking: Networking, asked: Asked) -> None:
    """Make sure that the Networking API could make a network for the caller's project.

    Raises:
        Problem: 400; only the log says what is missing, as it is for operators to mend.
    """
    try:
        _ask(networking, asked, {"fields": "dry-run"})
    except AllocationFailure as failure:
        raise Problem(400, str(failure)) from None
    except Refusal as refusal:
        raise Problem(refusal.status, str(refusal)) from None


def network(networking: Networking, asked: Asked) -> str:
    """Id of the network that the Networking API makes, or has made before, for the caller's project.

    Raises:
        AllocationFailure: it cannot.
        Refusal: it does not answer, or the caller may not ask.
    """
    return _ask(networking, asked, {})


def _ask(networking: Networking, asked: Asked, query: dict[str, str]) -> str:
    path = f"auto-allocated-topology/{asked.project_id}"
    try:
        answer = networking.ask("GET", path, token=asked.token, query=query)
    except Refusal as refusal:
        if refusal.status != 409:
            raise
        error = {"message": str(refusal), "type": refusal.kind, "detail": ""}
        told = {"request_id": asked.call.request_id, "project_id": asked.project_id}
        LOG.warning(f"Error message: {json.dumps({'NeutronError': error})}", **told)
        LOG.warning(f"Unable to auto-allocate networks. {refusal}", **told)
        raise AllocationFailure(UNABLE.format(project_id=asked.project_id)) from None
    return str(answer["auto_allocated_topology"]["id"])
