"""The stand-ins put together: identity, compute and images beside the Networking API, in one process."""

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from netloom.feed.protocol import Role, Status
from netloom.settings.server import ServerSettings
from netloom.standalone.compute import lifecycle, placement
from netloom.standalone.compute.context import Compute
from netloom.standalone.compute.flavors import ensure_flavors
from netloom.standalone.compute.networking import Networking
from netloom.standalone.compute.service import compute_service
from netloom.standalone.identity import directory
from netloom.standalone.identity.authenticator import EmbeddedAuthenticator
from netloom.standalone.identity.service import identity_service
from netloom.standalone.identity.signing import issue
from netloom.standalone.identity.tokens import LIFETIME, Sealer
from netloom.standalone.image.directory import ensure_guest_image
from netloom.standalone.image.service import image_service
from netloom.standalone.metadata.service import MetadataService
from netloom.store.database import Store, Tx
from netloom.store.tables.identity import PROJECTS, USERS

SERVICE_USER, SERVICE_PROJECT = "netloom", "services"
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - where not to connect to


class Cloud:
    """The services of an all-in-one server."""

    def __init__(self, store: Store, settings: ServerSettings, console_log: Callable[[str, str], str | None]) -> None:
        """With the server's database and settings; ``bootstrap`` must have run once.

        ``console_log`` asks a host what an instance said.
        """
        sealer = Sealer.of(store)
        self.authenticate = EmbeddedAuthenticator(store, sealer)
        host, port = settings.listen
        self._networking = Networking((EVERYWHERE.get(host, host), port), _ServiceToken(store, sealer))
        compute = Compute(store, self._networking, settings.network, console_log)
        self.services: Mapping[str, Any] = {
            "/identity": identity_service(store, sealer, self.authenticate.forget),
            "/compute": compute_service(compute, self.authenticate),
            "/image": image_service(store, settings.state_dir / "images", self.authenticate),
        }
        """ASGI applications by the first part of their paths."""
        self.metadata_app = MetadataService(store, settings.metadata_secret, settings.network)
        """ASGI application of the metadata service, for ``settings.metadata_port`` of 127.0.0.1."""

    def present(self, tx: Tx, host: str, roles: Sequence[Role]) -> None:
        """Note that the compute role of a host lives (none of ``roles`` is another one)."""
        for role in roles:
            placement.heartbeat(tx, host, role)
            lifecycle.settle(tx, host)

    def report(self, tx: Tx, host: str, statuses: Sequence[Status], gone: Collection[str]) -> None:
        """Draw conclusions from what a host has told; it is stored already (``netloom.rules.status``)."""
        lifecycle.dropped(tx, host, gone)
        if any(status.fragment.startswith(("server/", "port/")) for status in statuses):
            lifecycle.settle(tx, host)

    def close(self) -> None:
        """Close the connections to the Networking API."""
        self._networking.close()


class _ServiceToken:
    """A token of the stand-ins' own user, made anew before it expires."""

    def __init__(self, store: Store, sealer: Sealer) -> None:
        self._store, self._sealer = store, sealer
        self._lock = threading.Lock()
        self._token, self._until = "", 0.0

    def __call__(self) -> str:
        with self._lock:
            if time.monotonic() >= self._until:
                with self._store.read() as tx:
                    user = tx.row(sa.select(USERS.c.id).where(USERS.c.name == SERVICE_USER))
                    project = tx.row(sa.select(PROJECTS.c.id).where(PROJECTS.c.name == SERVICE_PROJECT))
                    if user is None or project is None:
                        raise LookupError(f"no user {SERVICE_USER} in project {SERVICE_PROJECT}: run 'netloom up'")
                    self._token, _ = issue(tx, self._sealer, user["id"], project["id"], ["password"])
                self._until = time.monotonic() + LIFETIME / 2
            return self._token


def bootstrap(store: Store, settings: ServerSettings, passwords: Mapping[str, str]) -> dict[str, str]:
    """What a cloud has from the start: roles, projects, users, flavors, the guest's image; safe to repeat.

    ``passwords`` are those of the users admin, demo and netloom. Returns the projects' ids by name.
    """
    with store.write() as tx:
        tx.alone("bootstrap")
        projects = directory.bootstrap(tx, dict(passwords))
        ensure_flavors(tx)
        ensure_guest_image(tx, settings.state_dir / "images", projects["admin"])
    return projects
