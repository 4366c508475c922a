"""What never changes: the domain, the services and where they are."""

from netloom.standalone.identity import catalog, views
from netloom.standalone.identity.directory import DOMAIN, Holder
from netloom.standalone.identity.support import ROOT, Row, listing
from netloom.standalone.web import Call, Problem, Reply
from netloom.store.database import Tx


def list_domains(call: Call, tx: Tx, _holder: Holder) -> Reply:
    """The one domain."""
    known = call.param("name", DOMAIN["name"]) == DOMAIN["name"]
    return listing("domains", [views.domain(call.base)] if known else [], call)


def show_domain(call: Call, tx: Tx, _holder: Holder) -> Reply:
    """The one domain."""
    if call.args["id"] != DOMAIN["id"]:
        raise Problem(404, f"Could not find domain: {call.args['id']}.")
    return Reply({"domain": views.domain(call.base)})


def list_services(call: Call, tx: Tx, _holder: Holder) -> Reply:
    """The cloud's services."""
    wanted = call.param("type")
    rows = [
        {"id": kind, "type": kind, "name": name, "enabled": True, "links": {}}
        for kind, name, _ in catalog.SERVICES
        if wanted in (None, kind)
    ]
    return listing("services", rows, call)


def list_endpoints(call: Call, tx: Tx, holder: Holder) -> Reply:
    """Where they are."""
    project_id = holder.project["id"] if holder.project else ""
    rows = [
        endpoint | {"service_id": service["id"], "enabled": True, "links": {}}
        for service in catalog.catalog_v3(call.base, project_id)
        for endpoint in service["endpoints"]
    ]
    return listing("endpoints", rows, call)


def list_regions(call: Call, tx: Tx, _holder: Holder) -> Reply:
    """The one region."""
    return listing("regions", [{"id": catalog.REGION, "description": "", "parent_region_id": None, "links": {}}], call)


def version_3(call: Call) -> Row:
    return {
        "id": "v3.14",
        "status": "stable",
        "updated": "2020-04-07T00:00:00Z",
        "links": [{"rel": "self", "href": f"{call.base}{ROOT}/v3/"}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}],
    }


def version_2(call: Call) -> Row:
    return {
        "id": "v2.0",
        "status": "deprecated",
        "updated": "2014-04-17T00:00:00Z",
        "links": [{"rel": "self", "href": f"{call.base}{ROOT}/v2.0/"}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v2.0+json"}],
    }
