"""What can be asked without knowing anything: versions, the entry document, and whether we are well."""

import sqlalchemy as sa

from netloom.api.http import Answer, Request, answer_json
from netloom.model.networks import NETWORK
from netloom.model.ports import PORT
from netloom.model.subnets import SUBNET, SUBNETPOOL
from netloom.store.database import Store


def versions(request: Request) -> Answer:
    """The versions of the API: one."""
    links = [{"rel": "self", "href": f"{request.base_url}/v2.0/"}]
    return answer_json(200, {"versions": [{"id": "v2.0", "status": "CURRENT", "links": links}]})


def entry(request: Request) -> Answer:
    """The entry document of version 2.0."""
    resources = [
        {
            "name": resource.name,
            "collection": resource.plural,
            "links": [{"rel": "self", "href": f"{request.base_url}/v2.0/{resource.plural}"}],
        }
        for resource in (NETWORK, SUBNET, SUBNETPOOL, PORT)
    ]
    return answer_json(200, {"resources": resources})


def healthcheck(store: Store) -> Answer:
    """``OK`` when the database answers, 503 otherwise."""
    try:
        with store.read() as tx:
            tx.execute(sa.select(sa.literal(1)))
    except sa.exc.SQLAlchemyError:
        return Answer(503, b"database unavailable", "text/plain; charset=utf-8")
    return Answer(200, b"OK", "text/plain; charset=utf-8")
