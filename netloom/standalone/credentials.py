"""The credentials of a standalone cloud: generated once, kept in files that only root can read."""

import os
import secrets
from pathlib import Path

import yaml

USERS = {"admin": "admin", "demo": "demo", "netloom": "services"}
"""The cloud's first users and their projects; ``netloom`` is the service user of the stand-ins."""

OPENRC = """\
# Source this file: it tells OpenStack clients how to reach this cloud as {user}.
export OS_AUTH_URL={auth_url}
export OS_IDENTITY_API_VERSION=3
export OS_USERNAME={user}
export OS_PASSWORD={password}
export OS_PROJECT_NAME={project}
export OS_TENANT_NAME={project}
export OS_USER_DOMAIN_NAME=Default
export OS_PROJECT_DOMAIN_NAME=Default
export OS_REGION_NAME=RegionOne
"""


def ensure(directory: Path, auth_url: str) -> dict[str, str]:
    """The passwords of the cloud's first users by name; the files are written when they are not there yet."""
    clouds = directory / "clouds.yaml"
    if clouds.exists():
        known = yaml.safe_load(clouds.read_text())["clouds"]
        return {user: known[f"netloom-{user}"]["auth"]["password"] for user in USERS}
    passwords = {user: secrets.token_urlsafe(15) for user in USERS}
    for user in ("admin", "demo"):
        values = {"auth_url": auth_url, "user": user, "password": passwords[user], "project": USERS[user]}
        write_private(directory / f"{user}-openrc", OPENRC.format(**values))
    entries = {f"netloom-{user}": _entry(auth_url, user, password) for user, password in passwords.items()}
    write_private(clouds, yaml.safe_dump({"clouds": entries}, sort_keys=False))
    return passwords


def _entry(auth_url: str, user: str, password: str) -> dict[str, object]:
    auth = {
        "auth_url": auth_url,
        "username": user,
        "password": password,
        "project_name": USERS[user],
        "user_domain_name": "Default",
        "project_domain_name": "Default",
    }
    return {"auth": auth, "region_name": "RegionOne", "identity_api_version": 3}


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, from the first moment on."""
    new = path.with_name(path.name + ".new")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    new.replace(path)
