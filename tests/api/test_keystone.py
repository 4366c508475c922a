"""Validation of tokens by a Keystone: over real HTTP, against a server that answers as Identity API v3 does."""

import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from netloom.api.errors import Unauthorized
from netloom.api.keystone import KeystoneAuthenticator
from netloom.model.errors import ServiceUnavailable
from netloom.settings.server import KeystoneSettings


class Keystone(ThreadingHTTPServer):
    """Knows some tokens; ours is replaced by a new one when it is revoked."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.logins = 0
        self.validations = 0
        self.lifetime = timedelta(hours=1)
        self.valid = {"good"}
        self.password = "secret"
        self.own_tokens = set()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/identity"


class Handler(BaseHTTPRequestHandler):
    server: Keystone

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        user = body["auth"]["identity"]["password"]["user"]
        if self.path != "/identity/v3/auth/tokens" or user["password"] != self.server.password:
            return self._answer(401, {})
        self.server.logins += 1
        token = f"own-{self.server.logins}"
        self.server.own_tokens.add(token)
        return self._answer(201, {}, {"X-Subject-Token": token})

    def do_GET(self):
        self.server.validations += 1
        if self.headers["X-Auth-Token"] not in self.server.own_tokens:
            return self._answer(401, {})
        if self.headers["X-Subject-Token"] not in self.server.valid:
            return self._answer(404, {})
        expires = datetime.now(UTC) + self.server.lifetime
        token = {
            "expires_at": expires.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "user": {"id": "u1", "name": "alice", "domain": {"id": "default", "name": "Default"}},
            "project": {"id": "p1", "name": "alpha", "domain": {"id": "default", "name": "Default"}},
            "roles": [{"id": "r1", "name": "member"}, {"id": "r2", "name": "reader"}],
        }
        return self._answer(200, {"token": token})

    def _answer(self, status, body, headers=None):
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(data))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_args):
        pass


@pytest.fixture
def keystone():
    server = Keystone()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def authenticator(url, password="secret"):
    return KeystoneAuthenticator(KeystoneSettings(
        auth_url=url, username="netloom", password=password, project_name="service", user_domain={"name": "Default"},
        project_domain={"id": "default"},
    ))  # fmt: skip


def test_a_valid_token_is_asked_about_once(keystone):
    authenticate = authenticator(f"{keystone.url}/v3/")
    identity = authenticate("good")
    assert (identity.user_id, identity.user_name, identity.project_id, identity.project_name) == (
        "u1", "alice", "p1", "alpha",
    )  # fmt: skip
    assert identity.roles == {"member", "reader"}
    assert authenticate("good") == identity
    assert (keystone.logins, keystone.validations) == (1, 1)


def test_an_unknown_token_is_not_remembered(keystone):
    authenticate = authenticator(keystone.url)
    for token in ("bad", "b\u00e4d", "new\nline"):
        with pytest.raises(Unauthorized):
            authenticate(token)
    keystone.valid.add("bad")
    assert authenticate("bad").user_id == "u1"


def test_an_expired_token_is_refused(keystone):
    keystone.lifetime = timedelta(seconds=-1)
    with pytest.raises(Unauthorized):
        authenticator(keystone.url)("good")


def test_our_own_token_is_renewed(keystone):
    keystone.valid.add("another")
    authenticate = authenticator(keystone.url)
    authenticate("good")
    keystone.own_tokens.clear()
    assert authenticate("another").user_id == "u1"
    assert keystone.logins == 2


def test_without_keystone_nobody_is_refused_for_good(keystone):
    with pytest.raises(ServiceUnavailable):
        authenticator(keystone.url, password="wrong")("good")
    authenticate = authenticator("http://127.0.0.1:1")
    with pytest.raises(ServiceUnavailable):
        authenticate("good")
