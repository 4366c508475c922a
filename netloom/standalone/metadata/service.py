"""The metadata service: answers agents that say, with a signature, which instance asks."""

import hmac
from typing import Any

import sqlalchemy as sa

from netloom.settings.network import NetworkSettings
from netloom.standalone.metadata import ec2, openstack
from netloom.standalone.metadata.instance import Instance, load
from netloom.standalone.web import Call, Problem, Reply, Service
from netloom.store.database import Store
from netloom.store.tables.compute import SERVERS

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
PASSWORD_OCTETS = 1020
"""What a guest may post as its password, at most (as Nova has it)."""


class MetadataService(Service):
    """The ASGI application; paths are of the two trees."""

    def __init__(self, store: Store, secret: str, settings: NetworkSettings) -> None:
        """``secret`` is what the agents sign with (``metadata_proxy_shared_secret``)."""
        super().__init__("", (), lambda status, title, message: f"{status} {title}\n\n{message}\n".encode())
        self._store, self._secret, self._domain = store, secret, settings.dns_domain

    def _dispatch(self, call: Call) -> Reply:
        server_id, project_id = self._identity(call)
        with self._store.read() as tx:
            instance = load(tx, server_id, project_id, self._domain)
        if instance is None:
            raise Problem(404, "There is no such instance.")
        path = [part for part in call.path.split("/") if part]
        if path[:1] == ["openstack"]:
            return self._openstack(call, instance, path[1:])
        if call.method not in ("GET", "HEAD"):
            raise Problem(405, f"{call.method} is not offered for {call.path}")
        return _ec2(instance, path[1:] if path[:1] == ["ec2"] else path)

    def _identity(self, call: Call) -> tuple[str, str]:
        server_id, project_id = call.headers.get("x-instance-id", ""), call.headers.get("x-tenant-id", "")
        if not server_id:
            raise Problem(400, "X-Instance-ID header is missing from request.")
        if not project_id:
            raise Problem(400, "X-Tenant-ID header is missing from request.")
        wanted = hmac.digest(self._secret.encode(), server_id.encode(), "sha256").hex()
        if not hmac.compare_digest(wanted.encode(), call.headers.get("x-instance-id-signature", "").encode()):
            raise Problem(403, "Invalid proxy request signature.")
        return server_id, project_id

    def _openstack(self, call: Call, instance: Instance, path: list[str]) -> Reply:
        known = path[:1] and path[0] in (*openstack.VERSIONS, openstack.LATEST)
        if known and path[1:] == ["password"] and "password" in openstack.listing(instance, path[0]):
            return self._password(call, instance)
        if call.method not in ("GET", "HEAD"):
            raise Problem(405, f"{call.method} is not offered for {call.path}")
        if not path:
            return _text("\n".join((*openstack.VERSIONS, openstack.LATEST)))
        if not known:
            raise Problem(404, "Unknown version.")
        if len(path) == 1:
            return _text("\n".join(openstack.listing(instance, path[0])))
        found = openstack.document(instance, path[0], "/".join(path[1:]))
        if found is None:
            raise Problem(404, "Not found.")
        media_type = JSON if path[1].endswith(".json") else TEXT
        return Reply(openstack.encoded(found), media_type=media_type)

    def _password(self, call: Call, instance: Instance) -> Reply:
        if call.method in ("GET", "HEAD"):
            return _text(instance.row["password"] or "")
        if call.method != "POST":
            raise Problem(405, f"{call.method} is not offered for {call.path}")
        if len(call.content) > PASSWORD_OCTETS:
            raise Problem(400, f"The password is longer than {PASSWORD_OCTETS} octets.")
        unset = (SERVERS.c.id == instance.row["id"], SERVERS.c.password.is_(None))
        with self._store.write() as tx:
            text = call.content.decode(errors="replace")
            if not tx.execute(sa.update(SERVERS).where(*unset).values(password=text)).rowcount:
                raise Problem(409, "The password is set already.")
        return _text("")


def _ec2(instance: Instance, path: list[str]) -> Reply:
    if not path:
        return _text("\n".join((*ec2.VERSIONS, ec2.LATEST)))
    data: Any = ec2.tree(instance, path[0])
    found = ec2.lookup(data, path[1:]) if data is not None else None
    if found is None:
        raise Problem(404, "Not found.")
    return Reply(found, media_type=TEXT)


def _text(text: str) -> Reply:
    return Reply(text.encode(), media_type=TEXT)
