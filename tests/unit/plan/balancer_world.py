"""A load balancer on network 1 of the switching world, with every kind of listener, pool and monitor."""

import msgspec

from netloom.feed.fragments import (
    AddressPair,
    Certificate,
    FixedIp,
    HaGroup,
    HaPort,
    HealthMonitor,
    L7Policy,
    L7Rule,
    Listener,
    LoadBalancer,
    Member,
    Network,
    Pool,
    Port,
    RouterPort,
    SessionPersistence,
)
from tests.unit.plan import services
from tests.unit.plan.switching_world import HOST, id_of, network, port

BALANCER = id_of(0x1B, 1)
VIP = 4
"""Number of the VIP's port among the guests."""
OWNER = "neutron:LOADBALANCER"
SUBNETS = (
    services.subnet("four", "10.0.0.0/24", "10.0.0.254"),
    services.subnet("six", "2001:db8::/64", "2001:db8::ffff"),
)
CHECK = HealthMonitor(id=id_of(0x4C, 1), type="HTTP", delay=3, timeout=3, max_retries=3)


def net() -> Network:
    """Network 1 with its subnets."""
    return msgspec.structs.replace(network(), subnets=SUBNETS)


def member(number: int, **more: object) -> Member:
    """Guest ``number``, port 80."""
    return Member(**({"id": id_of(0x3E, number), "address": f"10.0.0.{number}", "port": 80} | more))  # type: ignore[arg-type]


def pool(number: int = 1, *members: Member, **more: object) -> Pool:
    """Pool ``number``, of guests 2 and 3 unless told otherwise."""
    defaults: dict[str, object] = {"protocol": "HTTP", "algorithm": "ROUND_ROBIN", "monitor": CHECK}
    those = members or (member(2), member(3))
    return Pool(id=id_of(0x90, number), members=those, **(defaults | more))  # type: ignore[arg-type]


def listener(number: int = 1, **more: object) -> Listener:
    """Listener ``number`` for HTTP on port 80 with the pool of its number."""
    defaults: dict[str, object] = {"protocol": "HTTP", "port": 80, "pool_id": id_of(0x90, number)}
    return Listener(id=id_of(0x11, number), **(defaults | more))  # type: ignore[arg-type]


def balancer(*parts: Listener | Pool, **more: object) -> LoadBalancer:
    """A balancer of these parts; of a listener and a pool unless told otherwise."""
    vip = port(VIP)
    here = RouterPort(
        port_id=vip.id,
        network_id=vip.network_id,
        mac=vip.mac,
        mtu=1500,
        addresses=("10.0.0.4/24", "2001:db8::4/64"),
        subnets=("four", "six"),
    )
    those = parts or (listener(), pool())
    defaults: dict[str, object] = {
        "project_id": "demo",
        "admin_state_up": True,
        "vip": here,
        "listeners": tuple(part for part in those if isinstance(part, Listener)),
        "pools": tuple(part for part in those if isinstance(part, Pool)),
    }
    return LoadBalancer(id=BALANCER, **(defaults | more))  # type: ignore[arg-type]


def vip_port(*groups: str, **more: object) -> Port:
    """The VIP's port, bound here."""
    return port(VIP, groups, device_owner=OWNER, device_id=BALANCER, **more)


GROUP = HaGroup(
    network_id=network().id,
    mtu=1500,
    vrid=9,
    ports=(
        HaPort(HOST, id_of(0xB0, 5), port(5).mac, "10.0.0.5/24"),
        HaPort("host2", id_of(0xB0, 6), port(6).mac, "10.0.0.6/24"),
    ),
)


def own_port(*groups: str) -> Port:
    """This host's port where two hosts carry the balancer."""
    pairs = tuple(AddressPair(address, port(5).mac) for address in ("10.0.0.4", "2001:db8::4"))
    own = (FixedIp("four", "10.0.0.5"),)
    return port(5, groups, device_owner=OWNER, device_id=BALANCER, fixed_ips=own, address_pairs=pairs)


RULES = (
    L7Rule(type="HOST_NAME", compare_type="EQUAL_TO", value="it's} here"),
    L7Rule(type="PATH", compare_type="REGEX", value='^/x{2}\\d "#$HOME'),
    L7Rule(type="HEADER", compare_type="CONTAINS", value="-i", key="X-A", invert=True),
    L7Rule(type="FILE_TYPE", compare_type="EQUAL_TO", value="jpg"),
    L7Rule(type="FILE_TYPE", compare_type="REGEX", value="^(jpg|png)$"),
    L7Rule(type="COOKIE", compare_type="STARTS_WITH", value="a\nfrontend b", key="c) d"),
)
TLS_RULES = (
    L7Rule(type="SSL_CONN_HAS_CERT", compare_type="EQUAL_TO", value="True"),
    L7Rule(type="SSL_VERIFY_RESULT", compare_type="EQUAL_TO", value="0"),
    L7Rule(type="SSL_DN_FIELD", compare_type="ENDS_WITH", value="x", key="CN"),
)


def everything(certificate: str = "KEY AND CERTIFICATE", authority: str = "AUTHORITY") -> LoadBalancer:
    """A balancer that uses whatever there is to use; the arguments are PEM."""
    other = id_of(0x90, 2)
    policies = (
        L7Policy(id=id_of(0x17, 1), action="REDIRECT_TO_POOL", rules=RULES, pool_id=other),
        L7Policy(id=id_of(0x17, 2), action="REDIRECT_TO_URL", rules=RULES[:1], target="http://x/%20a b", code=301),
        L7Policy(id=id_of(0x17, 3), action="REDIRECT_PREFIX", rules=RULES[:1], target="https://y"),
        L7Policy(id=id_of(0x17, 4), action="REJECT", rules=TLS_RULES),
        L7Policy(id=id_of(0x17, 5), action="REJECT", rules=()),
    )
    headers = ("X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto", "X-SSL-Client-CN")
    probe, ping = (msgspec.structs.replace(CHECK, type=type) for type in ("UDP-CONNECT", "PING"))
    codes = msgspec.structs.replace(CHECK, http_version="1.1", domain_name="a b", expected_codes="200,202-204")
    return balancer(
        listener(
            1,
            protocol="TERMINATED_HTTPS",
            port=443,
            insert_headers=headers,
            policies=policies,
            certificates=(Certificate("one", certificate), Certificate("two", certificate)),
            client_authentication="OPTIONAL",
            client_ca=authority,
            tls_versions=("TLSv1.2", "TLSv1.3"),
            tls_ciphers="ECDHE-RSA-AES128-GCM-SHA256",
            alpn_protocols=("h2", "http/1.1"),
            hsts_max_age=60,
            hsts_preload=True,
        ),
        listener(3, protocol="TCP", port=3306, connection_limit=100, allowed_cidrs=("10.0.0.0/8", "2001:db8::/32")),
        listener(4, protocol="UDP", port=53),
        listener(5, protocol="PROMETHEUS", port=9100, pool_id=""),
        listener(6, protocol="HTTPS", port=8443, timeout_tcp_inspect=10),
        pool(1, member(2), member(3, backup=True), persistence=SessionPersistence("HTTP_COOKIE"), monitor=codes),
        pool(
            2,
            member(2, admin_state_up=False),
            algorithm="SOURCE_IP",
            persistence=SessionPersistence("APP_COOKIE", "JSESSIONID"),
            tls=True,
            tls_ca=authority,
        ),
        pool(
            3,
            member(2, monitor_address="10.0.0.9", monitor_port=99),
            member(3, address="2001:db8::3", weight=0),
            protocol="PROXYV2",
            algorithm="LEAST_CONNECTIONS",
            persistence=SessionPersistence("SOURCE_IP", timeout=20),
            monitor=ping,
        ),
        pool(4, protocol="UDP", monitor=probe),
        pool(6, protocol="HTTPS", monitor=msgspec.structs.replace(CHECK, type="TLS-HELLO"), admin_state_up=False),
    )


def worded(text: str) -> LoadBalancer:
    """A balancer of which all that may be any text is this one."""
    check = msgspec.structs.replace(
        CHECK, url_path=text, expected_codes=text, http_method=text, http_version=text, domain_name=text
    )
    rules = tuple(
        L7Rule(type=type, compare_type="REGEX", value=text, key=text)
        for type in ("HOST_NAME", "PATH", "FILE_TYPE", "HEADER", "COOKIE", "SSL_VERIFY_RESULT", "SSL_DN_FIELD")
    )
    policies = (
        L7Policy(id=id_of(0x17, 1), action="REDIRECT_TO_URL", rules=rules, target=text),
        L7Policy(id=id_of(0x17, 2), action="REDIRECT_PREFIX", rules=rules, target=text),
    )
    return balancer(
        listener(
            1,
            protocol="TERMINATED_HTTPS",
            policies=policies,
            allowed_cidrs=(text,),
            insert_headers=(text,),
            certificates=(Certificate("one", text),),
            tls_versions=(text,),
            tls_ciphers=text,
            alpn_protocols=(text,),
        ),
        pool(
            1,
            member(2, address=text, monitor_address=text),
            persistence=SessionPersistence("APP_COOKIE", text),
            monitor=check,
        ),
    )
