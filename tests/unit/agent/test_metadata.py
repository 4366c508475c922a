"""The metadata responder, between a real UNIX socket and a real HTTP server that plays Nova."""

import contextlib
import hashlib
import hmac
import http.client
import os
import socket
import ssl
import stat
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Any

import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from netloom.agent import metadata
from netloom.agent.metadata import NovaMetadata, Responder, find_port, mac_of_link_local
from netloom.feed.fragments import FixedIp, Port, Router, RouterPort
from netloom.plan.intent import Intent

SECRET = "a shared secret"


def port(id: str, network: str, address: str, mac: str, device: str) -> Port:
    return Port(
        id=id,
        network_id=network,
        mac=mac,
        project_id=f"project of {device}",
        device_id=device,
        device_owner="compute:nova",
        host="host1",
        admin_state_up=True,
        port_security=True,
        fixed_ips=(FixedIp(subnet_id="s", address=address),),
        address_pairs=(),
        security_groups=(),
        dhcp_options=(),
    )


def interface(network: str) -> RouterPort:
    return RouterPort(port_id=f"p-{network}", network_id=network, mac="", mtu=1500, addresses=(), subnets=())


ROUTER = Router(
    id="r1",
    project_id="demo",
    admin_state_up=True,
    enable_snat=True,
    interfaces=(interface("n1"), interface("n2")),
    gateway=None,
    gateway_routes=(),
    floating_ips=(),
    routes=(),
)
FRAGMENTS = [
    ROUTER,
    port("p1", "n1", "10.0.0.5", "fa:16:3e:00:00:01", "vm1"),
    port("p2", "n2", "10.0.2.5", "fa:16:3e:00:00:02", "vm2"),
    port("p3", "n3", "10.0.0.5", "fa:16:3e:00:00:03", "vm3"),
    port("p4", "n3", "2001:db8::5", "fa:16:3e:00:00:04", "vm4"),
    port("p5", "n3", "10.0.0.6", "fa:16:3e:00:00:05", ""),
]
INTENT = Intent({fragment.name: fragment for fragment in FRAGMENTS})


@pytest.mark.parametrize(
    ("network", "router", "address", "expected"),
    [
        ("n1", "", "10.0.0.5", "p1"),
        ("n3", "", "10.0.0.5", "p3"),
        ("", "r1", "10.0.2.5", "p2"),
        ("n1", "", "::ffff:10.0.0.5", "p1"),
        ("n3", "", "2001:DB8:0::5", "p4"),
        ("n3", "", "fe80::f816:3eff:fe00:4", "p4"),
        ("n3", "", "fe80::f816:3eff:fe00:9", None),
        ("n3", "", "fe80::1", None),
        ("", "r1", "10.0.0.6", None),
        ("", "r2", "10.0.0.5", None),
        ("n9", "", "10.0.0.5", None),
        ("n1", "r1", "10.0.0.5", None),
        ("", "", "10.0.0.5", None),
        ("n1", "", "nonsense", None),
    ],
)
def test_a_port_is_found_by_network_and_address(network: str, router: str, address: str, expected: str | None) -> None:
    found = find_port(INTENT, network_id=network, router_id=router, address=address)
    assert (found.id if found else None) == expected


def test_a_mac_made_address_gives_its_mac() -> None:
    assert mac_of_link_local(IPv6Address("fe80::5054:ff:fe12:3456")) == "52:54:00:12:34:56"
    assert mac_of_link_local(IPv6Address("fe80::1")) == ""


class Nova(BaseHTTPRequestHandler):
    """Says what it was asked; paths of the form /status/N answer N."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.command, self.path, dict(self.headers), body))  # type: ignore[attr-defined]
        status = int(self.path.split("/")[2]) if self.path.startswith("/status/") else 200
        expected = hmac.new(SECRET.encode(), self.headers["X-Instance-ID"].encode(), hashlib.sha256).hexdigest()
        if self.headers["X-Instance-ID-Signature"] != expected:
            status = 403
        text = b'{"of": "' + self.headers["X-Instance-ID"].encode() + b'"}'
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_GET

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def running_nova() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Nova)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def nova(running_nova: ThreadingHTTPServer) -> ThreadingHTTPServer:
    running_nova.seen = []  # type: ignore[attr-defined]
    return running_nova


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory, running_nova: ThreadingHTTPServer) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("run") / "metadata.sock"
    where = NovaMetadata(url=f"http://127.0.0.1:{running_nova.server_address[1]}", shared_secret=SECRET)
    responder = Responder(path, lambda: INTENT, where)
    responder.start()
    yield path
    responder.stop()
    assert not path.exists()


def ask(
    path: Path, headers: dict[str, str], target: str = "/latest?x=1", method: str = "GET", body: bytes | None = None
) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection("metadata")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(10)
    connection.sock.connect(str(path))
    connection.request(method, target, body=body, headers=headers)
    answer = connection.getresponse()
    result = answer.status, answer.getheader("Content-Type", ""), answer.read()
    connection.close()
    return result


VM1 = {"X-Neutron-Network-ID": "n1", "X-Forwarded-For": "10.0.0.5"}


def test_nova_hears_who_asks_what(path: Path, nova: ThreadingHTTPServer) -> None:
    spoofed = VM1 | {"X-Instance-ID": "another", "X-Tenant-ID": "another", "Cookie": "no"}
    assert ask(path, spoofed) == (200, "application/json", b'{"of": "vm1"}')
    method, target, headers, body = nova.seen[0]  # type: ignore[attr-defined]
    assert (method, target, body) == ("GET", "/latest?x=1", b"")
    assert headers["X-Forwarded-For"] == "10.0.0.5"
    assert (headers["X-Instance-ID"], headers["X-Tenant-ID"]) == ("vm1", "project of vm1")
    assert "Cookie" not in headers


def test_one_address_on_two_networks_is_two_instances(path: Path, nova: ThreadingHTTPServer) -> None:
    assert ask(path, VM1)[2] == b'{"of": "vm1"}'
    assert ask(path, {"X-Neutron-Network-ID": "n3", "X-Forwarded-For": "10.0.0.5"})[2] == b'{"of": "vm3"}'
    assert ask(path, {"X-Neutron-Router-ID": "r1", "X-Forwarded-For": "10.0.2.5"})[2] == b'{"of": "vm2"}'


def test_a_body_is_handed_on(path: Path, nova: ThreadingHTTPServer) -> None:
    assert ask(path, VM1, "/openstack/latest/password", "POST", b"sealed")[0] == 200
    assert nova.seen[0][0] == "POST"  # type: ignore[attr-defined]
    assert nova.seen[0][3] == b"sealed"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "10.0.0.5"},
        {"X-Neutron-Network-ID": "n1"},
        VM1 | {"X-Neutron-Router-ID": "r1"},
        VM1 | {"X-Forwarded-For": "10.0.0.99"},
        VM1 | {"X-Forwarded-For": "10.0.0.5, 10.0.0.6"},
        {"X-Neutron-Network-ID": "n3", "X-Forwarded-For": "10.0.0.6"},
    ],
)
def test_who_is_not_known_gets_nothing(path: Path, nova: ThreadingHTTPServer, headers: dict[str, str]) -> None:
    assert ask(path, headers)[0] == 404
    assert nova.seen == []  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("nova_says", "instance_sees"),
    [
        (400, 400),
        (403, 403),
        (404, 404),
        (409, 409),
        (502, 502),
        (503, 503),
        (504, 504),
        (405, 405),
        (500, 502),
        (418, 502),
        (302, 502),
    ],
)
def test_answers_are_mapped(path: Path, nova: ThreadingHTTPServer, nova_says: int, instance_sees: int) -> None:
    assert ask(path, VM1, f"/status/{nova_says}")[0] == instance_sees


def test_a_proxy_is_not_sent_elsewhere(path: Path, nova: ThreadingHTTPServer) -> None:
    assert ask(path, VM1, f"http://127.0.0.1:{nova.server_address[1]}/")[0] == 400
    assert nova.seen == []  # type: ignore[attr-defined]


@contextlib.contextmanager
def answering(path: Path, port: int, secret: str = SECRET, scheme: str = "http", **more: Any) -> Iterator[Responder]:
    """A responder for a Nova on another port, for a block; it is the test that starts it."""
    where = NovaMetadata(url=f"{scheme}://127.0.0.1:{port}", shared_secret=secret, **more)
    responder = Responder(path, lambda: INTENT, where)
    try:
        yield responder
    finally:
        responder.stop()


def test_a_service_that_is_down_is_a_bad_gateway_and_named(tmp_path: Path) -> None:
    with socket.socket() as unused, structlog.testing.capture_logs() as logs:
        unused.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        port = unused.getsockname()[1]
        with answering(tmp_path / "s", port) as responder:
            responder.start()
            assert ask(tmp_path / "s", VM1)[0] == 502
    (entry,) = logs
    assert (entry["event"], entry["log_level"]) == ("metadata_service_unreachable", "error")
    assert (entry["url"], entry["instance"]) == (f"http://127.0.0.1:{port}", "vm1")
    assert "refused" in entry["reason"]


def test_a_service_that_does_not_answer_is_a_gateway_timeout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "NOVA_TIMEOUT", 0.2)  # nobody has 30 seconds
    with (
        structlog.testing.capture_logs() as logs,
        socket.create_server(("127.0.0.1", 0)) as silent,
        answering(tmp_path / "s", silent.getsockname()[1]) as responder,
    ):
        responder.start()
        assert ask(tmp_path / "s", VM1)[0] == 504
    assert [(entry["event"], entry["answered"]) for entry in logs] == [("metadata_service_slow", 504)]


def test_a_connection_that_nova_has_just_closed_costs_no_answer(tmp_path: Path) -> None:
    """The first request of this server's life is heard and not answered, as one that meets a closing connection."""
    body = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"
    with socket.create_server(("127.0.0.1", 0)) as nova:

        def serve() -> None:
            for reply in (b"", body):
                connection, _ = nova.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        with answering(tmp_path / "s", nova.getsockname()[1]) as responder:
            responder.start()
            assert ask(tmp_path / "s", VM1)[::2] == (200, b"hi")
        thread.join()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Files of a certificate for 127.0.0.1, which vouches for itself, and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nova")])
    now = datetime.now(UTC)
    built = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
    built = built.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
    built = built.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    place = tmp_path_factory.mktemp("tls")
    pem, private = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (place / "cert").write_bytes(built.sign(key, hashes.SHA256()).public_bytes(pem))
    (place / "key").write_bytes(key.private_bytes(pem, private, serialization.NoEncryption()))
    return str(place / "cert"), str(place / "key")


@pytest.fixture(scope="module")
def nova_with_tls(certificate: tuple[str, str]) -> Iterator[int]:
    """The port of a Nova that wants to see a certificate itself."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    context.load_verify_locations(certificate[0])
    context.verify_mode = ssl.CERT_REQUIRED
    server = ThreadingHTTPServer(("127.0.0.1", 0), Nova)
    server.seen = []  # type: ignore[attr-defined]
    server.handle_error = lambda request, address: None  # type: ignore[method-assign]  # refused handshakes
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("trusts", "shows", "insecure", "expected"),
    [
        (True, True, False, 200),
        (False, True, True, 200),
        (False, True, False, 502),
        (True, False, False, 502),
    ],
)
def test_tls_of_nova(
    tmp_path: Path, nova_with_tls: int, certificate: tuple[str, str], trusts: bool, shows: bool, insecure: bool,
    expected: int,
) -> None:  # fmt: skip
    file, key = certificate
    tls = {"ca_cert": file if trusts else "", "insecure": insecure}
    tls |= {"client_cert": file, "client_key": key} if shows else {}
    with answering(tmp_path / "s", nova_with_tls, scheme="https", **tls) as responder:
        responder.start()
        assert ask(tmp_path / "s", VM1)[0] == expected


def test_certificates_that_cannot_be_read_are_named(tmp_path: Path, nova_with_tls: int) -> None:
    missing = str(tmp_path / "missing")
    with (
        structlog.testing.capture_logs() as logs,
        answering(tmp_path / "s", nova_with_tls, scheme="https", client_cert=missing) as responder,
    ):
        responder.start()
        assert ask(tmp_path / "s", VM1)[0] == 502
    assert [entry["event"] for entry in logs] == ["metadata_service_unreachable"]
    assert "No such file" in logs[0]["reason"]


def test_who_asks_before_the_agent_knows_anybody_waits(tmp_path: Path, nova: ThreadingHTTPServer) -> None:
    told: list[tuple[int, str, bytes]] = []
    with answering(tmp_path / "s", nova.server_address[1]) as responder:
        early = threading.Thread(target=lambda: told.append(ask(tmp_path / "s", VM1)))
        early.start()
        early.join(0.2)
        assert early.is_alive()
        responder.start()
        responder.start()  # again, as each plan does
        early.join(10)
    assert told[0][0] == 200


def test_a_wrong_secret_is_refused_and_never_shown(tmp_path: Path, nova: ThreadingHTTPServer) -> None:
    with (
        structlog.testing.capture_logs() as logs,
        answering(tmp_path / "s", nova.server_address[1], "not that one") as responder,
    ):
        responder.start()
        assert ask(tmp_path / "s", VM1)[0] == 403
    assert "not that one" not in repr(NovaMetadata(shared_secret="not that one"))
    (entry,) = logs
    assert entry["event"] == "metadata_signature_refused"
    assert "metadata_proxy_shared_secret" in entry["hint"]
    assert "not that one" not in str(logs)


def test_only_its_owner_may_open_the_socket(path: Path) -> None:
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
