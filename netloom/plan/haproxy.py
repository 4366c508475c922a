"""haproxy of a load balancer: its configuration (haproxy 2.6 configuration manual).

A listener is a frontend of its id, a member a server of its id. A pool is a backend for each listener that uses it,
``POOL:LISTENER``, because how long to wait for a member is the listener's word. Whatever projects may write is quoted:
no word of theirs can become a line of the configuration.
"""

from collections.abc import Iterable, Iterator, Sequence

from netloom.feed.fragments import HealthMonitor, Listener, LoadBalancer, Member, Pool
from netloom.plan import l7
from netloom.plan.l7 import quoted

CONNECTIONS = 8192
"""At a time, of all listeners of a balancer; more wait in the kernel."""
PEERS_PORT = 10000
"""On the loopback: by it a process that was told to reload hands on which client belongs to which member."""
STICKY_SECONDS = 1800
STICKY_CLIENTS = "10k"
SERVERS = "servers"
"""File with the states of members that a reloaded process begins with."""
CERTIFICATES = "certificates"
PING, PROBE = "ping", "probe"
"""Programs that examine members, beside the configuration."""
WHICH = "@1 get var proc.configuration"
"""Asked of the master: which configuration does the present process have (management guide, 9.3)?"""
UDP = "UDP"
HTTP_PROTOCOLS = ("HTTP", "TERMINATED_HTTPS", "PROMETHEUS")
TLS_VERSIONS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")

PROGRAMS = {
    "PING": (PING, '#!/bin/sh\nexec ping -q -n -c 1 -W 30 "$3" >/dev/null 2>&1\n'),
    # A closed port says so (ICMP); silence is as good as an answer.
    "UDP-CONNECT": (
        PROBE,
        "#!/bin/bash\nexec 2>/dev/null\n"
        'exec 3<>"/dev/udp/$3/$4" && printf "\\n" >&3 && read -r -t 1 -n 1 <&3\n[ $? -ne 1 ]\n',
    ),
}
"""By type of monitor: name and text. haproxy gives them the member's address and port as third and fourth word, and
kills them when the time is up."""

HEAD = """\
global
    user {user}
    group {group}
    maxconn {connections}
    no strict-limits
    hard-stop-after 1h
    server-state-file {servers}
    localpeer here
    tune.ssl.default-dh-param 2048
    ssl-default-bind-options ssl-min-ver TLSv1.2
{extra}defaults
    retries 3
    option redispatch 1
    option contstats
    timeout http-request 30s
peers handover
    bind 127.0.0.1:{peers_port}
    server here
"""
BALANCE = {
    "ROUND_ROBIN": ("balance roundrobin",),
    "LEAST_CONNECTIONS": ("balance leastconn",),
    "SOURCE_IP": ("balance source", "hash-type consistent"),
    "SOURCE_IP_PORT": ("balance random",),
}
HEADERS = {
    "X-Forwarded-Port": "%[dst_port]",
    "X-Forwarded-Proto": "%[ssl_fc,iif(https,http)]",
    "X-Forwarded-IP": "%[src]",
    "X-Client-IP": "%[src]",
    "X-Real-IP": "%[src]",
    "X-SSL-Client-Verify": "%[ssl_c_verify]",
    "X-SSL-Client-Has-Cert": "%[ssl_c_used]",
    "X-SSL-Client-DN": "%[ssl_c_s_dn]",
    "X-SSL-Client-CN": "%[ssl_c_s_dn(cn)]",
    "X-SSL-Issuer": "%[ssl_c_i_dn]",
    "X-SSL-Client-SHA1": "%[ssl_c_sha1,hex]",
    "X-SSL-Client-Not-Before": "%[ssl_c_notbefore]",
    "X-SSL-Client-Not-After": "%[ssl_c_notafter]",
}
"""What is put into requests, in the words of haproxy's log formats. X-Forwarded-For has an option of its own."""


def configuration(balancer: LoadBalancer, user: str, group: str) -> str:
    """The text for all listeners of a balancer; for UDP ones only what examines their members."""
    pools = {pool.id: pool for pool in balancer.pools}
    kinds = {pool.monitor.type for pool in balancer.pools if pool.monitor}
    extra = "    external-check\n    insecure-fork-wanted\n" if kinds & PROGRAMS.keys() else ""
    head = HEAD.format(
        user=user, group=group, connections=CONNECTIONS, servers=SERVERS, peers_port=PEERS_PORT, extra=extra
    )
    sections: list[str] = []
    addresses = [cidr.partition("/")[0] for cidr in balancer.vip.addresses]
    for listener in balancer.listeners:
        if listener.protocol != UDP and _safe(listener):
            sections += _section(f"frontend {listener.id}", _frontend(listener, addresses, pools))
        for pool in _used(listener, pools):
            sections += _section(f"backend {backend(pool.id, listener.id)}", _backend(pool, listener))
    return head + "".join(f"{line}\n" for line in sections)


def named(digest: str) -> str:
    """What is added to a configuration so that its process tells by ``WHICH`` that it is this one."""
    return f"global\n    set-var proc.configuration str({digest})\n"


def backend(pool_id: str, listener_id: str) -> str:
    """Name of what a pool is for a listener."""
    return f"{pool_id}:{listener_id}"


def files(balancer: LoadBalancer) -> Iterator[tuple[str, str, int]]:
    """(Path beside the configuration, text, mode) of what the configuration names."""
    for listener in balancer.listeners:
        for certificate in listener.certificates:
            yield f"{CERTIFICATES}/{certificate.id}.pem", certificate.pem, 0o600
        for name, pem in (("client-ca", listener.client_ca), ("client-crl", listener.client_crl)):
            if pem:
                yield f"{CERTIFICATES}/{name}-{listener.id}.pem", pem, 0o600
    for pool in balancer.pools:
        if pool.tls_ca:
            yield f"{CERTIFICATES}/ca-{pool.id}.pem", pool.tls_ca, 0o600
        if pool.monitor and pool.monitor.type in PROGRAMS:
            yield *PROGRAMS[pool.monitor.type], 0o755


def _section(head: str, lines: Iterable[str]) -> list[str]:
    return [head, *(f"    {line}" for line in lines)]


def _safe(listener: Listener) -> bool:
    """Whether it has what it needs to keep its word: nothing is served in the clear, or to anybody, instead."""
    if listener.protocol != "TERMINATED_HTTPS":
        return True
    return bool(listener.certificates) and (listener.client_authentication == "NONE" or bool(listener.client_ca))


def _used(listener: Listener, pools: dict[str, Pool]) -> list[Pool]:
    """The pools that a listener may send to, each once."""
    named = [listener.pool_id, *(policy.pool_id for policy in listener.policies)]
    return [pools[id] for id in dict.fromkeys(named) if id in pools]


def _frontend(listener: Listener, addresses: Sequence[str], pools: dict[str, Pool]) -> Iterator[str]:
    http = listener.protocol in HTTP_PROTOCOLS
    yield f"mode {'http' if http else 'tcp'}"
    for address in addresses:
        yield f"bind {_endpoint(address, listener.port)}{_tls(listener)}"
    if listener.connection_limit >= 0:
        yield f"maxconn {listener.connection_limit or 1}"
    yield f"timeout client {listener.timeout_client_data}ms"
    if listener.allowed_cidrs:
        yield f"tcp-request connection reject unless {{ src -- {' '.join(map(quoted, listener.allowed_cidrs))} }}"
    if listener.timeout_tcp_inspect:
        yield f"tcp-request inspect-delay {listener.timeout_tcp_inspect}ms"
    if http:
        yield "option idle-close-on-response"  # a client that is about to ask again learns of a reload by an answer
        yield from _requests(listener)
        yield from l7.policies(listener, lambda pool_id: backend(pool_id, listener.id) if pool_id in pools else "")
    if listener.pool_id in pools:
        yield f"default_backend {backend(listener.pool_id, listener.id)}"


def _tls(listener: Listener) -> str:
    if listener.protocol != "TERMINATED_HTTPS":
        return ""
    words = ["ssl", *(f"crt {CERTIFICATES}/{certificate.id}.pem" for certificate in listener.certificates)]
    if listener.client_authentication != "NONE":
        verify = "required" if listener.client_authentication == "MANDATORY" else "optional"
        words += [f"ca-file {CERTIFICATES}/client-ca-{listener.id}.pem verify {verify}"]
        words += [f"crl-file {CERTIFICATES}/client-crl-{listener.id}.pem"] if listener.client_crl else []
    versions = [version for version in TLS_VERSIONS if version in listener.tls_versions]
    if versions:
        words += [f"ssl-min-ver {_version(versions[0])} ssl-max-ver {_version(versions[-1])}"]
    words += [f"ciphers {quoted(listener.tls_ciphers)}"] if listener.tls_ciphers else []
    words += [f"alpn {quoted(','.join(listener.alpn_protocols))}"] if listener.alpn_protocols else []
    return " " + " ".join(words)


def _version(version: str) -> str:
    return "TLSv1.0" if version == "TLSv1" else version


def _requests(listener: Listener) -> Iterator[str]:
    if listener.protocol == "PROMETHEUS":
        yield "http-request use-service prometheus-exporter if { path /metrics }"
    if "X-Forwarded-For" in listener.insert_headers:
        yield "option forwardfor"
    for name in listener.insert_headers:
        if name in HEADERS:
            yield f"http-request set-header {name} {HEADERS[name]}"
    if listener.hsts_max_age >= 0 and listener.protocol == "TERMINATED_HTTPS":
        words = [f"max-age={listener.hsts_max_age}"]
        words += ["includeSubDomains"] * listener.hsts_include_subdomains + ["preload"] * listener.hsts_preload
        yield f'http-response set-header Strict-Transport-Security "{"; ".join(words)}"'


def _backend(pool: Pool, listener: Listener) -> Iterator[str]:
    http = listener.protocol in HTTP_PROTOCOLS
    yield f"mode {'http' if http else 'tcp'}"
    yield from BALANCE[pool.algorithm]
    yield f"timeout connect {listener.timeout_member_connect}ms"
    yield f"timeout server {listener.timeout_member_data}ms"
    yield "option allbackups"
    yield from _persistence(pool, http=http)
    if pool.monitor:
        yield from _monitor(pool.monitor)
    cookies = http and pool.persistence is not None and pool.persistence.type == "HTTP_COOKIE"
    for member in pool.members:
        yield " ".join(_server(member, pool, cookies=cookies))


def _persistence(pool: Pool, *, http: bool) -> Iterator[str]:
    kept = pool.persistence
    if kept is None:
        return
    table = f"size {STICKY_CLIENTS} expire {kept.timeout or STICKY_SECONDS}s peers handover"
    if kept.type == "SOURCE_IP":
        yield f"stick-table type ipv6 {table}"  # of IPv4, too: as mapped ones
        yield "stick on src"
    elif http and kept.type == "HTTP_COOKIE":
        yield "cookie SRV insert indirect nocache"
    elif http and kept.type == "APP_COOKIE":
        name = l7.token(kept.cookie_name)
        yield f"stick-table type string len 64 {table}"
        yield f"stick store-response res.cook({name})"
        yield f"stick match req.cook({name})"


def _monitor(monitor: HealthMonitor) -> Iterator[str]:
    # One that nobody examines could not come back from where the file says that it was.
    yield "load-server-state-from-file global"
    yield f"timeout check {monitor.timeout}s"
    if monitor.type in PROGRAMS:
        yield "option external-check"
        yield "external-check path /usr/sbin:/usr/bin:/sbin:/bin"
        yield f"external-check command ./{PROGRAMS[monitor.type][0]}"
    elif monitor.type in ("HTTP", "HTTPS"):
        host = f" hdr Host {quoted(monitor.domain_name)}" if monitor.domain_name else ""
        version = f" ver {quoted(f'HTTP/{monitor.http_version}')}" if monitor.http_version else ""
        yield "option httpchk"
        yield f"http-check send meth {quoted(monitor.http_method)} uri {quoted(monitor.url_path)}{version}{host}"
        yield f"http-check expect status {quoted(monitor.expected_codes.replace(' ', ''))}"


def _server(member: Member, pool: Pool, *, cookies: bool) -> Iterator[str]:
    yield f"server {member.id} {_endpoint(member.address, member.port)} weight {member.weight}"
    if monitor := pool.monitor:
        # How many answers decide; and how long to wait between questions.
        yield f"check inter {monitor.delay}s fall {monitor.max_retries_down} rise {monitor.max_retries}"
        if monitor.type in ("HTTPS", "TLS-HELLO"):
            yield "check-ssl" if pool.tls else "check-ssl verify none"
        if member.monitor_address:
            yield f"addr {quoted(member.monitor_address)}"
        if member.monitor_port:
            yield f"port {member.monitor_port}"
    if pool.tls:
        yield f"ssl verify required ca-file {CERTIFICATES}/ca-{pool.id}.pem" if pool.tls_ca else "ssl verify none"
    yield from {"PROXY": ("send-proxy",), "PROXYV2": ("send-proxy-v2",)}.get(pool.protocol, ())
    if cookies:
        yield f"cookie {member.id}"
    if member.backup:
        yield "backup"
    if not (member.admin_state_up and pool.admin_state_up):
        yield "disabled"


def _endpoint(address: str, port: int) -> str:
    return quoted(f"[{address}]:{port}" if ":" in address else f"{address}:{port}")
