"""What the handlers of compute work with: the service's parts, and a request that is authenticated."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from netloom.api.authentication import Identity
from netloom.settings.network import NetworkSettings
from netloom.standalone.compute.networking import Networking
from netloom.standalone.web import Call, Problem, Reply
from netloom.store.database import Store

ROOT = "/compute"
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Compute:
    """The parts of the service."""

    store: Store
    networking: Networking
    settings: NetworkSettings
    console_log: Callable[[str, str], str | None]
    """What an instance said, given its host and its id; None when the host does not have it. Raises ConnectionError."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request by somebody who is known."""

    call: Call
    identity: Identity
    minor: int
    """The microversion is 2.minor."""

    @property
    def project_id(self) -> str:
        """Project of the token."""
        return self.identity.project_id

    @property
    def is_admin(self) -> bool:
        """Whether the token has the role admin."""
        return "admin" in self.identity.roles

    @property
    def token(self) -> str:
        """The token."""
        return self.call.headers.get("x-auth-token", "")

    @property
    def root(self) -> str:
        """Where the links of answers start."""
        return f"{self.call.base}{ROOT}/v2.1"

    def require_admin(self, action: str) -> None:
        """Refuse others.

        Raises:
            Problem: 403; ``action`` is the policy's name for what was asked.
        """
        if not self.is_admin:
            raise Problem(403, f"Policy doesn't allow os_compute_api:{action} to be performed.")

    def require_below(self, minor: int) -> None:
        """Refuse what a microversion has taken away.

        Raises:
            Problem: 404.
        """
        if self.minor >= minor:
            raise Problem(404, "The resource could not be found.")


Handler = Callable[[Compute, Asked], Reply]
Routes = tuple[tuple[str, str, Handler], ...]
"""Method, path below the version, and who answers."""
