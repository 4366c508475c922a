"""What the server process must know of the configuration."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from netloom.settings.network import NetworkSettings


@dataclass(frozen=True, slots=True)
class KeystoneSettings:
    """A Keystone that validates tokens, and the account to ask it with."""

    auth_url: str
    username: str
    password: str
    project_name: str
    user_domain: Mapping[str, str]
    """``{"id": …}`` or ``{"name": …}``."""
    project_domain: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Settings of ``netloom server``."""

    network: NetworkSettings
    database: str
    """URL; may hold a password."""
    listen: tuple[str, int]
    standalone: bool
    state_dir: Path
    run_dir: Path
    policy_file: Path
    noauth: bool
    metadata_secret: str
    metadata_port: int
    keystone: KeystoneSettings | None
    """None: the embedded identity."""
