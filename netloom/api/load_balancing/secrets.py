"""Certificates of load balancers, kept here: as much of the key manager API (Barbican v1) as that takes."""

import base64
import binascii
from typing import Any

import structlog
from starlette.applications import Starlette
from starlette.routing import Mount

from netloom.api.app import Endpoint
from netloom.api.authentication import Authenticator, Identity, identify
from netloom.api.bodies import decode_object
from netloom.api.errors import HTTPInternalServerError, Unauthorized
from netloom.api.http import Answer, Request, answer_json
from netloom.api.routing import verbs
from netloom.api.transactions import write
from netloom.model.errors import ApiError, HTTPBadRequest, HTTPNotFound, NotAuthorized
from netloom.rules.load_balancing import secrets
from netloom.store.database import Store

LOG = structlog.get_logger()


def create_app(store: Store, authenticate: Authenticator | None) -> Starlette:
    """The key manager API, to be served or mounted."""
    return Starlette(routes=[Mount("/", app=Endpoint(Secrets(store, authenticate)))])


class Secrets:
    """The secrets of projects: whoever may write in a project may read them, others not. Thread-safe."""

    def __init__(self, store: Store, authenticate: Authenticator | None) -> None:
        self._store = store
        self._authenticate = authenticate

    def __call__(self, request: Request) -> Answer:
        """The answer to a request; every failure is one, too."""
        try:
            return self._answer(request)
        except ApiError as error:
            return _error(error)
        except Exception:
            LOG.exception("request failed", method=request.method, path=request.path, request_id=request.id)
            return _error(HTTPInternalServerError())

    def _answer(self, request: Request) -> Answer:
        parts = request.path.strip("/").split("/")
        if parts in ([""], ["v1"]):
            version = {
                "id": "v1",
                "status": "stable",  # of microversions it knows nothing
                "links": [{"rel": "self", "href": f"{request.base_url}/v1/"}],
            }
            if parts == ["v1"]:
                return verbs(request, GET=lambda: answer_json(200, {"version": version}))
            return verbs(request, GET=lambda: answer_json(300, {"versions": {"values": [version]}}))
        identity = identify(self._authenticate, request)
        if "member" not in identity.roles or not identity.project_id:
            raise NotAuthorized("Secrets are for the members of their project.")
        match parts:
            case ["v1", "secrets"]:
                return verbs(
                    request, GET=lambda: self._list(request, identity), POST=lambda: self._create(request, identity)
                )
            case ["v1", "secrets", key]:
                return verbs(
                    request,
                    GET=lambda: answer_json(200, _view(request, self._get(identity, key))),
                    DELETE=lambda: self._delete(identity, key),
                )
            case ["v1", "secrets", key, "payload"]:
                return verbs(request, GET=lambda: self._payload(identity, key))
        raise HTTPNotFound

    def _list(self, request: Request, identity: Identity) -> Answer:
        with self._store.read() as tx:
            found = [_view(request, each) for each in secrets.find(tx, identity.project_id)]
        return answer_json(200, {"secrets": found, "total": len(found)})

    def _create(self, request: Request, identity: Identity) -> Answer:
        body = decode_object(request.body)
        name, content = str(body.get("name") or "")[:255], _content(body)
        key = write(self._store, lambda tx: secrets.create(tx, identity.project_id, name, content))
        return answer_json(201, {"secret_ref": _reference(request, key)})

    def _get(self, identity: Identity, key: str) -> dict[str, Any]:
        with self._store.read() as tx:
            return secrets.get(tx, identity.project_id, key)

    def _delete(self, identity: Identity, key: str) -> Answer:
        write(self._store, lambda tx: secrets.delete(tx, identity.project_id, key))
        return Answer(204)

    def _payload(self, identity: Identity, key: str) -> Answer:
        return Answer(200, self._get(identity, key)["payload"].encode(), "text/plain; charset=utf-8")


def _content(body: dict[str, Any]) -> bytes:
    payload = body.get("payload")
    if not isinstance(payload, str) or not payload:
        raise HTTPBadRequest("The secret needs a 'payload': PEM, or PKCS #12 in base64.")
    if body.get("payload_content_encoding") != "base64":
        return payload.encode()
    try:
        return base64.b64decode("".join(payload.split()), validate=True)  # programs break its lines
    except binascii.Error:
        raise HTTPBadRequest("The payload is not base64.") from None


def _view(request: Request, row: dict[str, Any]) -> dict[str, Any]:
    return {
        "secret_ref": _reference(request, row["id"]),
        "name": row["name"],
        "status": "ACTIVE",
        "secret_type": "opaque",
        "content_types": {"default": "text/plain"},
        "created": row["created_at"],
    }


def _reference(request: Request, key: str) -> str:
    return f"{request.base_url}/v1/secrets/{key}"


def _error(error: ApiError) -> Answer:
    answer = answer_json(error.status, {"code": error.status, "title": error.type, "description": str(error)})
    if isinstance(error, Unauthorized):
        return Answer(401, answer.body, headers={"WWW-Authenticate": "Keystone"})
    return answer
