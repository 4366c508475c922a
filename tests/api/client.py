"""A small client of the API for tests: it speaks JSON, and checks the status of every answer."""

import warnings
from typing import Any

from netloom.api.authentication import Identity
from netloom.api.errors import Unauthorized

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Starlette would like another client under its test client
    from starlette.testclient import TestClient

ROLES = {"admin", "manager", "member", "reader", "service", "advsvc", "nobody"}


def authenticate(token: str) -> Identity:
    """Tokens of the tests say who they are: ``role+role:project``."""
    text, _, project = token.partition(":")
    roles = frozenset(text.split("+"))
    if not roles <= ROLES:
        raise Unauthorized
    return Identity(user_id=f"user-{text}", project_id=project, roles=roles)


class Api:
    """The API as one caller sees it."""

    def __init__(self, client: TestClient, role: str = "member", project: str = "alpha") -> None:
        self.client = client
        self.project = project
        self.headers = {"X-Auth-Token": f"{role}:{project}"}

    def as_(self, role: str, project: str = "alpha") -> "Api":
        """The same API, seen by somebody else."""
        return Api(self.client, role, project)

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, params: Any = None):
        """The whole answer to a request."""
        url = path if path.startswith("/") else f"/v2.0/{path}"
        more = {} if body is None else {"json": body}
        return self.client.request(method, url, headers=self.headers | (headers or {}), params=params, **more)

    def _expect(self, status: int, method: str, path: str, **more: Any) -> Any:
        answer = self.ask(method, path, **more)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def get(self, path: str, **more: Any) -> Any:
        """GET that must succeed."""
        return self._expect(200, "GET", path, **more)

    def post(self, path: str, body: Any, **more: Any) -> Any:
        """POST that must succeed."""
        return self._expect(201, "POST", path, body=body, **more)

    def put(self, path: str, body: Any, **more: Any) -> Any:
        """PUT that must succeed."""
        return self._expect(200, "PUT", path, body=body, **more)

    def delete(self, path: str, **more: Any) -> None:
        """DELETE that must succeed."""
        assert self._expect(204, "DELETE", path, **more) is None

    def fails(self, status: int, kind: str, method: str, path: str, body: Any = None, **more: Any) -> str:
        """A request that must be refused with this status and type. Returns the message."""
        error = self._expect(status, method, path, body=body, **more)["NeutronError"]
        assert error["type"] == kind, error
        assert error["detail"] == ""
        return str(error["message"])

    def network(self, **values: Any) -> dict[str, Any]:
        """A new network."""
        return self.post("networks", {"network": values})["network"]

    def subnet(self, network_id: str, cidr: str = "10.0.0.0/24", **values: Any) -> dict[str, Any]:
        """A new IPv4 subnet."""
        body = {"network_id": network_id, "cidr": cidr, "ip_version": 4} | values
        return self.post("subnets", {"subnet": body})["subnet"]

    def port(self, network_id: str, **values: Any) -> dict[str, Any]:
        """A new port."""
        return self.post("ports", {"port": {"network_id": network_id} | values})["port"]

    def names(self, path: str) -> list[str]:
        """The names in a list."""
        answer = self.get(path)
        plural = next(key for key in answer if not key.endswith("_links"))
        return [item["name"] for item in answer[plural]]
