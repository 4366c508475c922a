"""Fragments of load balancers, with all that belongs to them."""

import ipaddress
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from netloom.feed.fragments import (
    Certificate,
    HaGroup,
    HaPort,
    HealthMonitor,
    L7Policy,
    L7Rule,
    Listener,
    LoadBalancer,
    Member,
    Pool,
    RouterPort,
    SessionPersistence,
)
from netloom.store.among import among
from netloom.store.database import Tx
from netloom.store.tables.loadbalancers import (
    HEALTHMONITORS,
    L7POLICIES,
    L7RULES,
    LB_BINDINGS,
    LB_SECRETS,
    LISTENERS,
    LOADBALANCERS,
    MEMBERS,
    POOL_MONITORS,
    POOLS,
)
from netloom.store.tables.network import IP_ALLOCATIONS, NETWORKS, PORTS, SUBNETS

Row = Mapping[str, Any]
Secrets = Mapping[tuple[str, str], str]
"""PEM by project and id: nobody is served with what is another's."""
REFERENCES = ("default_tls_container_ref", "client_ca_tls_container_ref", "client_crl_container_ref")


def load_balancers(tx: Tx, ids: Collection[str]) -> Mapping[str, LoadBalancer]:
    """Load balancers with a VIP; 10 statements, one more when there are certificates."""
    table = LOADBALANCERS.c
    rows = tx.rows(sa.select(LOADBALANCERS).where(among(tx, table.id, ids), table.vip_port_id.is_not(None)))
    if not rows:
        return {}
    known = [row["id"] for row in rows]
    elections = _elections(tx, known)
    vips = _vips(tx, [row["vip_port_id"] for row in rows])
    addresses = _addresses(tx, [*vips, *(port.id for ports in elections.values() for port in ports)])
    pools, listeners = _pools(tx, known), _listeners(tx, known)
    return {
        row["id"]: LoadBalancer(
            id=row["id"],
            project_id=row["project_id"] or "",
            admin_state_up=row["admin_state_up"],
            vip=_vip(vips[row["vip_port_id"]], addresses[row["vip_port_id"]]),
            listeners=tuple(listeners[row["id"]]),
            pools=tuple(pools[row["id"]]),
            ha=_group(row, vips[row["vip_port_id"]], elections[row["id"]], addresses),
            revision=row["generation"],
        )
        for row in rows
    }


def _vips(tx: Tx, port_ids: Collection[str]) -> Mapping[str, Any]:
    columns = (PORTS.c.id, PORTS.c.network_id, PORTS.c.mac_address, NETWORKS.c.mtu)
    statement = sa.select(*columns).join(NETWORKS, NETWORKS.c.id == PORTS.c.network_id)
    return {row.id: row for row in tx.execute(statement.where(among(tx, PORTS.c.id, port_ids)))}


def _elections(tx: Tx, ids: Collection[str]) -> Mapping[str, list[Any]]:
    """The ports of the hosts' elections, by balancer."""
    found: dict[str, list[Any]] = defaultdict(list)
    columns = (LB_BINDINGS.c.loadbalancer_id, LB_BINDINGS.c.host, PORTS.c.id, PORTS.c.mac_address)
    statement = sa.select(*columns).join(PORTS, PORTS.c.id == LB_BINDINGS.c.port_id)
    wanted = among(tx, LB_BINDINGS.c.loadbalancer_id, ids)
    for row in tx.execute(statement.where(wanted).order_by(LB_BINDINGS.c.host)):
        found[row.loadbalancer_id].append(row)
    return found


def _addresses(tx: Tx, port_ids: Collection[str]) -> Mapping[str, list[tuple[str, str]]]:
    """Addresses with their prefix lengths, and ids of their subnets, by port."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    place = IP_ALLOCATIONS.c
    statement = sa.select(place.port_id, place.ip_address, SUBNETS.c.cidr, place.subnet_id)
    statement = statement.join(SUBNETS, SUBNETS.c.id == place.subnet_id).where(among(tx, place.port_id, port_ids))
    for port_id, address, cidr, subnet_id in tx.tuples(statement.order_by(place.position, place.ip_address)):
        found[port_id].append((f"{address}/{ipaddress.ip_network(cidr).prefixlen}", subnet_id))
    return found


def _vip(port: Any, addresses: list[tuple[str, str]]) -> RouterPort:
    return RouterPort(
        port_id=port.id,
        network_id=port.network_id,
        mac=port.mac_address,
        mtu=port.mtu or 0,
        addresses=tuple(address for address, _ in addresses),
        subnets=tuple(subnet for _, subnet in addresses),
    )


def _group(row: Row, vip: Any, ports: list[Any], addresses: Mapping[str, list[tuple[str, str]]]) -> HaGroup | None:
    if row["vrid"] is None:
        return None
    placed = (HaPort(port.host, port.id, port.mac_address, _first(addresses[port.id])) for port in ports)
    return HaGroup(vip.network_id, vip.mtu or 0, row["vrid"], tuple(placed))


def _first(addresses: list[tuple[str, str]]) -> str:
    return addresses[0][0] if addresses else ""


def _listeners(tx: Tx, ids: Collection[str]) -> Mapping[str, list[Listener]]:
    """Those that are administratively up, by balancer."""
    table = LISTENERS.c
    wanted = sa.select(LISTENERS).where(among(tx, table.loadbalancer_id, ids), table.admin_state_up)
    rows = tx.rows(wanted.order_by(table.id))
    policies = _policies(tx, [row["id"] for row in rows])
    secrets = _secrets(tx, rows)
    found: dict[str, list[Listener]] = defaultdict(list)
    for row in rows:
        found[row["loadbalancer_id"]].append(_listener(row, policies[row["id"]], secrets))
    return found


def _listener(row: Row, policies: Iterable[L7Policy], secrets: Secrets) -> Listener:
    project = row["project_id"]
    shown = filter(None, [row["default_tls_container_ref"], *(row["sni_container_refs"] or ())])
    held = {key: secrets[project, key] for key in map(_secret, shown) if (project, key) in secrets}
    headers = row["insert_headers"] or {}
    return Listener(
        id=row["id"],
        protocol=row["protocol"],
        port=row["protocol_port"],
        pool_id=row["default_pool_id"] or "",
        connection_limit=-1 if row["connection_limit"] is None else row["connection_limit"],
        timeout_client_data=row["timeout_client_data"],
        timeout_member_connect=row["timeout_member_connect"],
        timeout_member_data=row["timeout_member_data"],
        timeout_tcp_inspect=row["timeout_tcp_inspect"],
        allowed_cidrs=tuple(sorted(row["allowed_cidrs"] or ())),
        insert_headers=tuple(sorted(name for name, value in headers.items() if value == "true")),
        certificates=tuple(Certificate(key, pem) for key, pem in held.items()),
        client_authentication=row["client_authentication"] or "NONE",
        client_ca=secrets.get((project, _secret(row["client_ca_tls_container_ref"])), ""),
        client_crl=secrets.get((project, _secret(row["client_crl_container_ref"])), ""),
        tls_versions=tuple(sorted(row["tls_versions"] or ())),
        tls_ciphers=row["tls_ciphers"] or "",
        alpn_protocols=tuple(row["alpn_protocols"] or ()),  # their order counts
        hsts_max_age=-1 if row["hsts_max_age"] is None else row["hsts_max_age"],
        hsts_include_subdomains=bool(row["hsts_include_subdomains"]),
        hsts_preload=bool(row["hsts_preload"]),
        policies=tuple(policies),
    )


def _secret(reference: str | None) -> str:
    """Id of the secret that a reference (a URL) ends with."""
    return (reference or "").rstrip("/").rpartition("/")[2]


def _secrets(tx: Tx, listeners: Iterable[Row]) -> Secrets:
    """PEM of what listeners refer to, as far as it is kept here and is of their project."""
    named = [(row["project_id"], row[name]) for row in listeners for name in REFERENCES]
    named += [(row["project_id"], each) for row in listeners for each in row["sni_container_refs"] or ()]
    return _payloads(tx, {(project, _secret(reference)) for project, reference in named if reference})


def _payloads(tx: Tx, wanted: Collection[tuple[str, str]]) -> Secrets:
    if not wanted:
        return {}
    table = LB_SECRETS.c
    statement = sa.select(table.project_id, table.id, table.payload)
    rows = tx.tuples(statement.where(among(tx, table.id, [secret for _, secret in wanted])))
    return {(project, secret): payload for project, secret, payload in rows if (project, secret) in wanted}


def _policies(tx: Tx, listener_ids: Collection[str]) -> Mapping[str, list[L7Policy]]:
    """Those that are administratively up, by listener."""
    rules: dict[str, list[L7Rule]] = defaultdict(list)
    rule, policy = L7RULES.c, L7POLICIES.c
    mine = sa.select(policy.id).where(among(tx, policy.listener_id, listener_ids))
    asked = sa.select(L7RULES).where(rule.l7policy_id.in_(mine), rule.admin_state_up)
    for row in tx.rows(asked.order_by(rule.id)):
        rules[row["l7policy_id"]].append(
            L7Rule(row["type"], row["compare_type"], row["value"], row["key"] or "", bool(row["invert"]))
        )
    found: dict[str, list[L7Policy]] = defaultdict(list)
    wanted = sa.select(L7POLICIES).where(among(tx, policy.listener_id, listener_ids), policy.admin_state_up)
    for row in tx.rows(wanted.order_by(policy.position, policy.id)):
        found[row["listener_id"]].append(
            L7Policy(
                id=row["id"],
                action=row["action"],
                rules=tuple(rules[row["id"]]),
                pool_id=row["redirect_pool_id"] or "",
                target=row["redirect_url"] or row["redirect_prefix"] or "",
                code=row["redirect_http_code"] or 302,
            )
        )
    return found


def _pools(tx: Tx, ids: Collection[str]) -> Mapping[str, list[Pool]]:
    """The pools by balancer."""
    rows = tx.rows(sa.select(POOLS).where(among(tx, POOLS.c.loadbalancer_id, ids)).order_by(POOLS.c.id))
    pool_ids = [row["id"] for row in rows]
    members, monitors = _members(tx, pool_ids), _monitors(tx, pool_ids)
    secrets = _payloads(tx, {(row["project_id"], _secret(ref)) for row in rows if (ref := row["ca_tls_container_ref"])})
    found: dict[str, list[Pool]] = defaultdict(list)
    for row in rows:
        found[row["loadbalancer_id"]].append(
            Pool(
                id=row["id"],
                protocol=row["protocol"],
                algorithm=row["lb_algorithm"],
                members=tuple(members[row["id"]]),
                persistence=_persistence(row["session_persistence"]),
                monitor=monitors.get(row["id"]),
                admin_state_up=row["admin_state_up"],
                tls=bool(row["tls_enabled"]),
                tls_ca=secrets.get((row["project_id"], _secret(row["ca_tls_container_ref"])), ""),
            )
        )
    return found


def _persistence(kept: Row | None) -> SessionPersistence | None:
    if not kept:
        return None
    return SessionPersistence(kept["type"], kept.get("cookie_name") or "", kept.get("persistence_timeout") or 0)


def _members(tx: Tx, pool_ids: Collection[str]) -> Mapping[str, list[Member]]:
    found: dict[str, list[Member]] = defaultdict(list)
    table = MEMBERS.c
    wanted = sa.select(MEMBERS).where(among(tx, table.pool_id, pool_ids))
    for row in tx.rows(wanted.order_by(table.made, table.created_at, table.id)):
        found[row["pool_id"]].append(
            Member(
                id=row["id"],
                address=_canonical(row["address"]),
                port=row["protocol_port"],
                weight=1 if row["weight"] is None else row["weight"],
                backup=bool(row["backup"]),
                admin_state_up=row["admin_state_up"],
                monitor_address=_canonical(row["monitor_address"]) if row["monitor_address"] else "",
                monitor_port=row["monitor_port"] or 0,
            )
        )
    return found


def _canonical(address: str) -> str:
    """The one form of an address: the API keeps those of members as they were given."""
    return str(ipaddress.ip_address(address))


def _monitors(tx: Tx, pool_ids: Collection[str]) -> Mapping[str, HealthMonitor]:
    """The monitor of each pool: of several (LBaaS v1) that of the least id."""
    table = HEALTHMONITORS.c
    wanted = sa.select(POOL_MONITORS.c.pool_id, HEALTHMONITORS).join(
        POOL_MONITORS, POOL_MONITORS.c.healthmonitor_id == table.id
    )
    found: dict[str, HealthMonitor] = {}
    for row in tx.rows(
        wanted.where(among(tx, POOL_MONITORS.c.pool_id, pool_ids), table.admin_state_up).order_by(table.id)
    ):
        found.setdefault(row["pool_id"], _monitor(row))
    return found


def _monitor(row: Row) -> HealthMonitor:
    return HealthMonitor(
        id=row["id"],
        type=row["type"],
        delay=row["delay"],
        timeout=row["timeout"],
        max_retries=row["max_retries"],
        max_retries_down=row["max_retries_down"] or 3,
        http_method=row["http_method"] or "GET",
        url_path=row["url_path"] or "/",
        expected_codes=row["expected_codes"] or "200",
        http_version="" if row["http_version"] is None else str(row["http_version"]),
        domain_name=row["domain_name"] or "",
    )
