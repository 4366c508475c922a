"""Who asks: from a token to the identity that the rules and the policy know."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from netloom.api.errors import Unauthorized
from netloom.api.http import Request

IMPLIED_ROLES = {"admin": "manager", "manager": "member", "member": "reader"}
"""Each role and the one that it includes."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What the identity service says of a token."""

    user_id: str
    project_id: str = ""
    """Empty when the token has no project scope."""
    roles: frozenset[str] = frozenset()
    user_name: str = ""
    project_name: str = ""
    user_domain_id: str = ""
    project_domain_id: str = ""
    domain_id: str = ""
    """Set when the token is scoped to a domain."""
    system_scope: str = ""
    """``all`` when the token is scoped to the system."""
    service_roles: frozenset[str] = frozenset()
    """Roles of the service token that came along, if any."""

    def credentials(self) -> dict[str, Any]:
        """What policy rules may compare with, under the names that policy files use."""
        return {
            "user_id": self.user_id,
            "user": self.user_id,
            "project_id": self.project_id,
            "tenant_id": self.project_id,
            "tenant": self.project_id,
            "user_domain_id": self.user_domain_id,
            "project_domain_id": self.project_domain_id,
            "domain_id": self.domain_id,
            "system_scope": self.system_scope,
            "roles": self.roles,
            "service_roles": self.service_roles,
        }


class Authenticator(Protocol):
    """Checks tokens. Called from several threads at once."""

    def __call__(self, token: str) -> Identity:
        """The identity behind ``token``; raises ``Unauthorized``."""


def _claimed(request: Request) -> Identity:
    """Who the caller says to be, in the headers that an authenticating proxy sets; an administrator without them."""
    headers = request.headers
    roles = headers.get("x-roles", "admin").split(",")
    return Identity(
        user_id=headers.get("x-user-id", ""),
        user_name=headers.get("x-user-name", ""),
        project_id=headers.get("x-project-id", headers.get("x-tenant-id", "")),
        project_name=headers.get("x-project-name", ""),
        roles=expand_roles(role.strip() for role in roles),
    )


def expand_roles(roles: Iterable[str]) -> frozenset[str]:
    """The roles in lower case, with those that they imply."""
    known = {role.lower() for role in roles}
    for role, implied in IMPLIED_ROLES.items():
        if role in known:
            known.add(implied)
    return frozenset(known)


def identify(authenticate: Authenticator | None, request: Request) -> Identity:
    """The identity that ``request`` carries: its token, and the roles of its service token. Raises ``Unauthorized``.

    Without an authenticator (``auth_strategy = noauth``) everybody is believed.
    """
    if authenticate is None:
        return _claimed(request)
    token = request.headers.get("x-auth-token")
    if not token:
        raise Unauthorized
    identity = authenticate(token)
    service_token = request.headers.get("x-service-token")
    service_roles = authenticate(service_token).roles if service_token else frozenset()
    return replace(identity, roles=expand_roles(identity.roles), service_roles=expand_roles(service_roles))
