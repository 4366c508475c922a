"""Who asks, and under which settings."""

from dataclasses import dataclass, field

from netloom.settings.network import NetworkSettings


@dataclass(frozen=True, slots=True)
class Context:
    """The caller of a request, as the identity service knows them."""

    user_id: str
    project_id: str
    """Empty when the token has no project scope."""
    roles: frozenset[str]
    """With implied roles expanded: admin ⊃ manager ⊃ member ⊃ reader."""
    is_admin: bool
    """Whether the policy's ``context_is_admin`` holds."""
    user_name: str = ""
    project_name: str = ""
    service_roles: frozenset[str] = frozenset()
    """Roles of the service token, when one came along."""
    request_id: str = ""
    settings: NetworkSettings = field(default_factory=NetworkSettings)
