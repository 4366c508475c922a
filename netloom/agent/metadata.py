"""The metadata responder: finds out which instance asks, and asks Nova's metadata service on its behalf.

The proxy of the namespaces (netloom/plan/metadata.py) says through which router or network a request came
and from which address; the port with that address is known from the agent's intent. Nova trusts the identity
because it is signed with a secret that both share.
"""

import hmac
import os
import re
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer

import structlog
import urllib3

from netloom.feed.fragments import Port
from netloom.plan.intent import Intent
from netloom.plan.metadata import FORWARDED_HEADER, NETWORK_HEADER, ROUTER_HEADER

PASSED_ON = {200, 400, 403, 404, 405, 409, 502, 503, 504}
"""Answers of Nova that instances see as they are; any other is a failure of Nova (502)."""
NOVA_TIMEOUT = 30.0
"""Seconds; the proxy of the namespaces waits a little longer."""
IDLE_TIMEOUT = 60.0
"""Seconds that a connection of the proxy may be silent."""
LARGEST_BODY = 1 << 20
TEXT = "text/plain; charset=UTF-8"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class NovaMetadata:
    """Where Nova's metadata service is, by the meaning of Neutron's options."""

    url: str = "http://127.0.0.1:8775"
    """``nova_metadata_protocol``, ``_host`` and ``_port``."""
    shared_secret: str = field(default="", repr=False)
    insecure: bool = False
    """Do not verify the service's certificate."""
    ca_cert: str = ""
    client_cert: str = ""
    client_key: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the instance gets."""

    status: int
    body: bytes = b""
    content_type: str = TEXT


def find_port(intent: Intent, *, network_id: str, router_id: str, address: str) -> Port | None:
    """The port that an address belongs to, among those of a network or of the networks of a router.

    ``address`` may be IPv4 (also mapped into IPv6), IPv6, or a link-local address made from the port's MAC
    (RFC 4291, appendix A). Exactly one of the ids must be given; None when not, or when nothing fits.
    """
    if bool(network_id) == bool(router_id):
        return None
    if network_id:
        networks: Iterable[str] = (network_id,)
    else:
        router = intent.routers.get(router_id)
        networks = {port.network_id for port in router.interfaces} if router else ()
    try:
        peer = ip_address(address)
    except ValueError:
        return None
    peer = (peer.ipv4_mapped or peer) if isinstance(peer, IPv6Address) else peer
    ports = (port for network in networks for port in intent.ports_of(network))
    if peer.version == 6 and peer.is_link_local:
        mac = mac_of_link_local(IPv6Address(peer))
        return next((port for port in ports if port.mac.lower() == mac), None)
    text = str(peer)
    return next((port for port in ports if any(fixed.address == text for fixed in port.fixed_ips)), None)


def mac_of_link_local(address: IPv6Address) -> str:
    """The MAC that a link-local address was made from; empty when it was not made from one."""
    interface_id = address.packed[8:]
    if interface_id[3:5] != b"\xff\xfe":
        return ""
    return bytes([interface_id[0] ^ 2, *interface_id[1:3], *interface_id[5:]]).hex(":")


class Responder:
    """Answers the metadata proxy of this host on a UNIX socket until it is stopped."""

    def __init__(
        self, path: Path, intent: Callable[[], Intent], nova: NovaMetadata, *, owner: int = -1, group: int = -1
    ) -> None:
        """Listen on ``path``, which only its owner (a user id; -1: this process's) may open.

        ``intent`` gives the intent as it is now.

        Raises:
            OSError: the socket cannot be made there.
        """
        self._intent = intent
        self._nova = nova
        self._pool = _pool(nova)
        self._server = _Server(path, self, owner, group)
        self._thread = threading.Thread(target=self._server.serve_forever, name="metadata", daemon=True)

    def start(self) -> None:
        """Answer, in threads of its own, from the first call on; who asked before has waited."""
        if self._thread.ident is None:
            self._thread.start()

    def stop(self) -> None:
        """Stop answering and remove the socket."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
        self._pool.close()

    def answer(self, method: str, target: str, headers: Callable[[str], list[str]], body: bytes) -> Answer:
        """Answer one request. ``headers`` gives all values of a header by its name."""
        if not target.startswith("/"):
            return _status(HTTPStatus.BAD_REQUEST)
        peers = headers(FORWARDED_HEADER)
        networks, routers = headers(NETWORK_HEADER), headers(ROUTER_HEADER)
        if len(peers) != 1 or len(networks) + len(routers) != 1:
            return _status(HTTPStatus.NOT_FOUND)
        network_id, router_id = "".join(networks), "".join(routers)
        port = find_port(self._intent(), network_id=network_id, router_id=router_id, address=peers[0].strip())
        if port is None or not port.device_id:
            log.warning("metadata_unknown_peer", address=peers[0], network_id=network_id, router_id=router_id)
            return _status(HTTPStatus.NOT_FOUND)
        return self._ask(port, method, target, peers[0].strip(), body)

    def _ask(self, port: Port, method: str, target: str, peer: str, body: bytes) -> Answer:
        identity = {
            FORWARDED_HEADER: peer,
            "X-Instance-ID": port.device_id,
            "X-Tenant-ID": port.project_id,
            "X-Instance-ID-Signature": sign(self._nova.shared_secret, port.device_id),
        }
        try:
            reply = self._reply(method, target, body, identity)
        except (urllib3.exceptions.HTTPError, OSError) as error:  # the latter: its certificates cannot be read
            if _slow(error):
                return self._failed("metadata_service_slow", HTTPStatus.GATEWAY_TIMEOUT, port, reason=str(error))
            return self._failed("metadata_service_unreachable", HTTPStatus.BAD_GATEWAY, port, reason=str(error))
        if reply.status not in PASSED_ON:
            return self._failed("metadata_service_failed", HTTPStatus.BAD_GATEWAY, port, said=reply.status)
        if reply.status == HTTPStatus.FORBIDDEN:
            hint = "its metadata_proxy_shared_secret is not the one of this host"
            return self._failed("metadata_signature_refused", HTTPStatus.FORBIDDEN, port, hint=hint)
        if reply.status != HTTPStatus.OK:
            return _status(HTTPStatus(reply.status))
        return Answer(reply.status, reply.data, reply.headers.get("Content-Type", TEXT))

    def _reply(self, method: str, target: str, body: bytes, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        """What Nova says; a kept connection that it closed in this very moment is no reason to fail."""
        ask = partial(self._pool.urlopen, method, target, body=body or None, headers=headers, redirect=False)
        try:
            return ask()
        except urllib3.exceptions.ProtocolError:
            if method != "GET":
                raise
            return ask()

    def _failed(self, event: str, status: HTTPStatus, port: Port, **why: str | int) -> Answer:
        """Tell operators which instance could not be answered and why, and the instance that it was not its fault."""
        log.error(event, url=self._nova.url, instance=port.device_id, answered=status.value, **why)
        return _status(status)


def sign(secret: str, instance_id: str) -> str:
    """What proves to Nova that we, who know the secret, say which instance asks."""
    return hmac.digest(secret.encode(), instance_id.encode(), "sha256").hex()


def _slow(error: Exception) -> bool:
    """Whether something was waited for in vain; a refused connection is a kind of timeout, too, to the library."""
    refused = isinstance(error, urllib3.exceptions.NewConnectionError)
    return isinstance(error, urllib3.exceptions.TimeoutError) and not refused


def _status(status: HTTPStatus) -> Answer:
    return Answer(status, f"{status.value} {status.phrase}\n".encode())


def _pool(nova: NovaMetadata) -> urllib3.HTTPConnectionPool:
    timeout = urllib3.Timeout(NOVA_TIMEOUT)
    common = {"maxsize": 64, "timeout": timeout, "retries": False}
    if not nova.url.startswith("https:"):
        return urllib3.connection_from_url(nova.url, **common)
    return urllib3.connection_from_url(
        nova.url,
        **common,
        cert_reqs="CERT_NONE" if nova.insecure else "CERT_REQUIRED",
        ca_certs=nova.ca_cert or None,
        cert_file=nova.client_cert or None,
        key_file=nova.client_key or None,
    )


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True
    request_queue_size = 4096

    def __init__(self, path: Path, responder: Responder, owner: int, group: int) -> None:
        self.responder = responder
        self._path = path
        self._ownership = owner, group
        path.unlink(missing_ok=True)
        super().__init__(str(path), _Handler)

    def server_bind(self) -> None:
        before = os.umask(0o177)  # never open to others, not even for a moment
        try:
            super().server_bind()
        finally:
            os.umask(before)
        os.chown(self._path, *self._ownership)

    def server_close(self) -> None:
        super().server_close()
        self._path.unlink(missing_ok=True)

    def handle_error(self, request: object, client_address: object) -> None:
        """A proxy that hangs up is no reason for a stack trace."""
        log.warning("metadata_connection_failed", exc_info=not isinstance(sys.exception(), OSError))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = IDLE_TIMEOUT
    server: _Server

    def _respond(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not re.fullmatch(r"[0-9]{1,9}", length):
            self.close_connection = True
            self._send(_status(HTTPStatus.LENGTH_REQUIRED))
        elif int(length) > LARGEST_BODY:
            self.close_connection = True
            self._send(_status(HTTPStatus.REQUEST_ENTITY_TOO_LARGE))
        else:
            body = self.rfile.read(int(length))
            values = self.headers.get_all
            answer = self.server.responder.answer(self.command, self.path, lambda name: values(name, []), body)
            self._send(answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = _respond

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def address_string(self) -> str:
        """Clients of a UNIX socket have no address."""
        return "proxy"

    def log_message(self, format: str, *args: object) -> None:
        """Requests are logged where they fail, by those who know why."""
