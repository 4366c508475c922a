"""The embedded identity service by itself."""

from pathlib import Path
from typing import Any

import msgspec

from netloom.standalone.identity import directory
from netloom.standalone.identity.authenticator import EmbeddedAuthenticator
from netloom.standalone.identity.service import identity_service
from netloom.standalone.identity.tokens import Sealer
from netloom.standalone.web import Call, Reply
from netloom.store.database import Store
from netloom.store.migrate import migrate
from tests.standalone.world import PASSWORDS


class Identity:
    """The service, asked without HTTP in between."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(f"sqlite:///{folder}/identity.db")
        migrate(self.store)
        with self.store.write() as tx:
            self.projects = directory.bootstrap(tx, PASSWORDS)
        sealer = Sealer.of(self.store)
        self.authenticate = EmbeddedAuthenticator(self.store, sealer)
        self.service = identity_service(self.store, sealer, self.authenticate.forget)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        path, _, query = path.partition("?")
        pairs = [(k, v) for k, _, v in (part.partition("=") for part in query.split("&") if part)]
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        content = msgspec.json.encode(body) if body is not None else b""
        return self.service.answer(Call(method, path, {}, pairs, named, content, "http://cloud", "req-1"))

    def sign_in(self, user: str, project: str | None = None, password: str | None = None) -> Reply:
        who = {"name": user, "password": password or PASSWORDS[user], "domain": {"name": "Default"}}
        auth: dict[str, Any] = {"identity": {"methods": ["password"], "password": {"user": who}}}
        if project:
            auth["scope"] = {"project": {"name": project, "domain": {"id": "default"}}}
        return self.ask("POST", "/v3/auth/tokens", {"auth": auth})

    def token(self, user: str = "admin", project: str = "admin") -> str:
        return self.sign_in(user, project).headers["X-Subject-Token"]
