"""Rows of a small cloud, written straight into the tables."""

import uuid
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from netloom.store.database import Tx
from netloom.store.tables.compute import SERVER_NICS, SERVERS
from netloom.store.tables.loadbalancers import LB_BINDINGS, LISTENERS, LOADBALANCERS, MEMBERS, POOLS
from netloom.store.tables.network import (
    ADDRESS_GROUPS,
    AGENTS,
    DHCP_BINDINGS,
    FLOATINGIPS,
    IP_ALLOCATIONS,
    NETWORKS,
    PORT_SECURITY_GROUPS,
    PORTS,
    ROUTER_BINDINGS,
    ROUTERS,
    SECURITY_GROUP_RULES,
    SECURITY_GROUPS,
    SUB_PORTS,
    SUBNETS,
    TRUNKS,
)

NETWORK_TYPE = "vxlan"


def _insert(tx: Tx, table: sa.Table, **values: Any) -> str:
    row = {"id": str(uuid.uuid4()), "project_id": "p", **values}
    tx.execute(table.insert(), row)
    return row["id"]


def network(tx: Tx, **values: Any) -> str:
    return _insert(
        tx, NETWORKS, **{"admin_state_up": True, "mtu": 1450, "provider_network_type": NETWORK_TYPE} | values
    )


def subnet(tx: Tx, network_id: str, cidr: str = "10.0.0.0/24", **values: Any) -> str:
    version = 6 if ":" in cidr else 4
    values = {"gateway_ip": "10.0.0.1", "enable_dhcp": True, **values}
    return _insert(tx, SUBNETS, network_id=network_id, cidr=cidr, ip_version=version, **values)


def port(
    tx: Tx, network_id: str, host: str = "", places: Iterable[tuple[str, str]] = (), groups: Iterable[str] = (),
    **values: Any,
) -> str:  # fmt: skip
    key = str(uuid.uuid4())
    values = {"mac_address": f"fa:16:{key[:2]}:{key[2:4]}:{key[4:6]}:{key[6:8]}", "admin_state_up": True, **values}
    values = {"port_security_enabled": True, "binding_vif_type": "ovs" if host else "unbound", **values}
    values = {"allowed_address_pairs": [], **values}
    _insert(tx, PORTS, id=key, network_id=network_id, binding_host_id=host, **values)
    for position, (subnet_id, address) in enumerate(places):
        row = {"subnet_id": subnet_id, "ip_address": address, "port_id": key, "network_id": network_id}
        tx.execute(IP_ALLOCATIONS.insert(), row | {"position": position})
    for group in groups:
        tx.execute(PORT_SECURITY_GROUPS.insert(), {"port_id": key, "security_group_id": group})
    return key


def group(tx: Tx, **values: Any) -> str:
    return _insert(tx, SECURITY_GROUPS, **{"stateful": True} | values)


def rule(tx: Tx, group_id: str, direction: str = "ingress", ethertype: str = "IPv4", **values: Any) -> str:
    return _insert(
        tx, SECURITY_GROUP_RULES, security_group_id=group_id, direction=direction, ethertype=ethertype, **values
    )


def address_group(tx: Tx, *addresses: str) -> str:
    return _insert(tx, ADDRESS_GROUPS, addresses=list(addresses))


def router(tx: Tx, *hosts: str, **values: Any) -> str:
    router_id = _insert(tx, ROUTERS, **{"admin_state_up": True, "enable_snat": True} | values)
    for host in hosts:
        tx.execute(ROUTER_BINDINGS.insert(), {"router_id": router_id, "host": host})
    return router_id


def trunk(tx: Tx, parent: str, *subs: tuple[str, int]) -> str:
    """A trunk of a parent port, with sub-ports and their tags."""
    trunk_id = _insert(tx, TRUNKS, port_id=parent)
    for port_id, tag in subs:
        row = {"port_id": port_id, "trunk_id": trunk_id, "segmentation_type": "vlan", "segmentation_id": tag}
        tx.execute(SUB_PORTS.insert(), row)
    return trunk_id


def load_balancer(
    tx: Tx, vip: str | None, network_id: str, hosts: Iterable[tuple[str, str | None]], **values: Any
) -> str:
    """A load balancer with the port of its VIP; hosts, each with the port of its election or none."""
    plain = {"admin_state_up": True, "api": 2, "generation": 1, "own_port": True, "operating_status": "OFFLINE"}
    row = {"vip_port_id": vip, "vip_network_id": network_id, **plain, **values}
    key = _insert(tx, LOADBALANCERS, **row)
    for host, port_id in hosts:
        tx.execute(LB_BINDINGS.insert(), {"loadbalancer_id": key, "host": host, "port_id": port_id})
    return key


def lb_pool(tx: Tx, balancer: str, **values: Any) -> str:
    plain = {"protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "operating_status": "OFFLINE"}
    return _insert(tx, POOLS, **_below(plain | {"loadbalancer_id": balancer}, values))


def lb_listener(tx: Tx, balancer: str, **values: Any) -> str:
    times = dict.fromkeys(("timeout_client_data", "timeout_member_connect", "timeout_member_data"), 5000)
    plain = {"protocol": "HTTP", "protocol_port": 80, "operating_status": "OFFLINE", "timeout_tcp_inspect": 0, **times}
    return _insert(tx, LISTENERS, **_below(plain | {"loadbalancer_id": balancer}, values))


def lb_member(tx: Tx, pool: str, address: str, **values: Any) -> str:
    plain = {"pool_id": pool, "address": address, "protocol_port": 80, "weight": 1, "operating_status": "NO_MONITOR"}
    return _insert(tx, MEMBERS, **_below(plain, values))


def _below(plain: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    return {"admin_state_up": True, "api": 2, "made": 1, "touched": 1} | plain | values


def floating_ip(tx: Tx, **values: Any) -> str:
    return _insert(tx, FLOATINGIPS, **values)


def serve_dhcp(tx: Tx, network_id: str, host: str) -> None:
    tx.execute(DHCP_BINDINGS.insert(), {"network_id": network_id, "host": host})


def server(tx: Tx, host: str, nics: Iterable[str] = (), **values: Any) -> str:
    now = "2026-01-31T12:00:00Z"
    plain = {
        "name": "vm", "hostname": "vm", "user_id": "u", "image_id": "i", "flavor": {}, "memory_mb": 64, "vcpus": 1,
        "disk_gb": 1, "reservation_id": "r", "availability_zone": "nova", "vm_state": "building", "prepared": True,
        "created_at": now, "updated_at": now, "task_since": 0.0,
    }  # fmt: skip
    key = _insert(tx, SERVERS, host=host, **plain | values)
    for position, port_id in enumerate(nics):
        row = {"server_id": key, "port_id": port_id, "network_id": "n", "mac": "fa:16:3e:00:00:01", "mtu": 1450}
        tx.execute(SERVER_NICS.insert(), row | {"position": position, "ours": True})
    return key


def agent(tx: Tx, host: str, agent_type: str = "Open vSwitch agent", **configurations: Any) -> None:
    now = "2026-01-31 12:00:00"
    plain = {"binary": "b", "topic": "N/A", "admin_state_up": True, "created_at": now, "started_at": now}
    row = {"id": str(uuid.uuid4()), "host": host, "agent_type": agent_type, "heartbeat_timestamp": now}
    tx.execute(AGENTS.insert(), row | plain | {"configurations": configurations})
