"""The cloud's API, asked from outside of its sandbox: quick, and from several threads at once."""

import contextlib
import ctypes
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import urllib3
import yaml

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def network_of(pid: int) -> Iterator[None]:
    """Let the calling thread work in the network namespace of a process."""
    home, there = (os.open(path, os.O_RDONLY) for path in ("/proc/thread-self/ns/net", f"/proc/{pid}/ns/net"))
    try:
        if _libc.setns(there, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        yield
    finally:
        _libc.setns(home, CLONE_NEWNET)
        os.close(home)
        os.close(there)


class Api:
    """A client that is signed in as admin."""

    def __init__(self, pid: int, base: str = "http://127.0.0.1:9696") -> None:
        """``pid`` is a process of the machine."""
        self.base = base
        self._pid = pid
        self._pool = urllib3.PoolManager(maxsize=8, timeout=60.0, retries=False)
        clouds = Path(f"/proc/{pid}/root/etc/netloom/clouds.yaml").read_text()
        auth = yaml.safe_load(clouds)["clouds"]["netloom-admin"]["auth"]
        domain = {"name": "Default"}
        user = {"name": auth["username"], "password": auth["password"], "domain": domain}
        scope = {"project": {"name": auth["project_name"], "domain": domain}}
        identity = {"methods": ["password"], "password": {"user": user}}
        self._headers: dict[str, str] = {}
        _, headers, answer = self._exchange(
            "POST", "/identity/v3/auth/tokens", {"auth": {"identity": identity, "scope": scope}}
        )
        self._headers = {"X-Auth-Token": headers["X-Subject-Token"]}
        self.project: str = answer["token"]["project"]["id"]
        self.compute = f"/compute/v2.1/{self.project}"

    def _exchange(self, method: str, path: str, body: Any = None) -> tuple[int, Any, Any]:
        content = None if body is None else json.dumps(body)
        headers = self._headers | ({"Content-Type": "application/json"} if content else {})
        with network_of(self._pid):
            answer = self._pool.request(method, self.base + path, body=content, headers=headers)
        return (
            answer.status,
            answer.headers,
            json.loads(answer.data) if answer.data[:1] in (b"{", b"[") else answer.data,
        )

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and body of the answer; status 0 when there is none."""
        try:
            status, _, answer = self._exchange(method, path, body)
        except urllib3.exceptions.HTTPError as error:
            return 0, str(error)
        return status, answer

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The answer, which must not be an error."""
        status, answer = self.ask(method, path, body)
        assert 200 <= status < 300, f"{method} {path} answers {status}: {answer}"
        return answer

    def make(self, kind: str, **attributes: Any) -> Any:
        """Create a networking object: ``make("port", network_id=…)``."""
        key = kind.replace("-", "_")
        return self.call("POST", f"/v2.0/{kind}s", {key: attributes})[key]

    def all(self, collection: str, query: str = "") -> list[dict[str, Any]]:
        """A list of networking objects."""
        found: list[dict[str, Any]] = self.call("GET", f"/v2.0/{collection}?{query}")[collection.replace("-", "_")]
        return found

    def boot(self, name: str, network: str, count: int = 1) -> None:
        """Ask for instances; they come when they come."""
        image = self.call("GET", "/image/v2/images")["images"][0]["id"]
        flavor = self.call("GET", f"{self.compute}/flavors")["flavors"][0]["id"]
        server = {"name": name, "imageRef": image, "flavorRef": flavor, "networks": [{"uuid": network}]}
        self.call("POST", f"{self.compute}/servers", {"server": server | {"min_count": count, "max_count": count}})

    def servers(self, name: str = "") -> list[dict[str, Any]]:
        """The instances whose name begins so."""
        found = self.call("GET", f"{self.compute}/servers/detail")["servers"]
        return [server for server in found if server["name"].startswith(name)]
