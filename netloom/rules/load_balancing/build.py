"""New objects of a load balancer, gathered and then stored together: as many statements for any number of them."""

import ipaddress
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from netloom.model.fields import Resource
from netloom.model.lb_l7 import L7POLICY, L7RULE
from netloom.model.lb_pools import HEALTHMONITOR, MEMBER, POOL
from netloom.model.loadbalancers import HTTP_PROTOCOLS, LISTENER
from netloom.rules.load_balancing import quotas, values
from netloom.rules.load_balancing.changes import attach_tags, lb_time
from netloom.rules.load_balancing.errors import DuplicateMemberEntry, TooManyL7RulesOnL7Policy, ValidationException
from netloom.rules.load_balancing.secrets import check_references
from netloom.rules.query import table_of
from netloom.store.database import Tx
from netloom.store.tables.loadbalancers import (
    HEALTHMONITORS,
    L7POLICIES,
    L7RULES,
    LISTENERS,
    MEMBERS,
    POOL_MONITORS,
    POOLS,
)

Body = Mapping[str, Any]
Place = tuple[str, int]
RULES_OF_A_POLICY = 50
ORDER = (POOLS, LISTENERS, MEMBERS, HEALTHMONITORS, POOL_MONITORS, L7POLICIES, L7RULES)
"""Each table after those that it refers to."""


def place(member: Body) -> Place:
    """What a pool knows a member by: its address, however it was written, and its port."""
    return str(ipaddress.ip_address(member["address"])), member["protocol_port"]


def places(members: Sequence[Body]) -> list[Place]:
    """The places of members that are to be in one pool. Raises DuplicateMemberEntry."""
    found = [place(member) for member in members]
    for (address, port), count in Counter(found).most_common(1):
        if count > 1:
            raise DuplicateMemberEntry(ip_address=address, port=port)
    return found


class Build:
    """New objects of one load balancer. Bodies are parsed; what is nested in them is built along."""

    def __init__(self, tx: Tx, balancer: Mapping[str, Any]) -> None:
        """``balancer``: its columns, with the generation of this change."""
        self._tx = tx
        self._balancer = balancer
        self._rows: dict[sa.Table, list[dict[str, Any]]] = {table: [] for table in ORDER}
        self._tags: dict[str, Any] = {}
        self._referring: list[Body] = []
        """What may refer to certificates."""

    def listener(self, body: Body, pools: Mapping[str, str]) -> str:
        """A listener; ``pools``: protocols of the pools that it and its policies can name, by id. Its id."""
        values.listener(body)
        self._referring.append(body)
        pool_id = body["default_pool_id"]
        if body.get("default_pool"):
            pool_id = self.pool(body["default_pool"])
            pools = {**pools, pool_id: body["default_pool"]["protocol"]}
        if pool_id is not None:
            values.pair(body["protocol"], pools[pool_id])
        key = self._add(
            LISTENER, body,
            loadbalancer_id=self._balancer["id"], default_pool_id=pool_id, operating_status="OFFLINE", api=2,
        )  # fmt: skip
        nested = sorted(body["l7policies"], key=lambda each: int(each["position"]))
        for position, each in enumerate(nested, start=1):
            self.policy(key, body["protocol"], each, position, pools)
        return key

    def pool(self, body: Body) -> str:
        """A pool with its members and health monitor. Its id."""
        values.pool(body)
        places(body["members"])
        self._referring.append(body)
        key = self._add(POOL, body, loadbalancer_id=self._balancer["id"], operating_status="OFFLINE", api=2)
        for each in body["members"]:
            self.member(key, each)
        if body.get("healthmonitor"):
            self.monitor(key, body["protocol"], body["healthmonitor"])
        return key

    def member(self, pool_id: str, body: Body) -> str:
        """A member of a pool. Its id."""
        return self._add(MEMBER, body, pool_id=pool_id, vnic_type="normal", operating_status="NO_MONITOR", api=2)

    def monitor(self, pool_id: str, protocol: str, body: Body) -> str:
        """The health monitor of a pool of this protocol. Its id."""
        key = self._add(HEALTHMONITOR, values.monitor(body, protocol), api=2)
        self._rows[POOL_MONITORS].append({"pool_id": pool_id, "healthmonitor_id": key})
        return key

    def policy(self, listener_id: str, protocol: str, body: Body, position: int, pools: Mapping[str, str]) -> str:
        """An L7 policy of a listener with its rules; ``pools`` as for ``listener``. Its id."""
        if protocol not in HTTP_PROTOCOLS:
            raise ValidationException(detail=f"L7 policies are not for listeners of protocol {protocol}")
        if body.get("redirect_pool"):
            pool_id = self.pool(body["redirect_pool"])
            pools = {**pools, pool_id: body["redirect_pool"]["protocol"]}
            body = {**body, "redirect_pool_id": pool_id}
        if body["redirect_pool_id"] is not None:
            values.pair(protocol, pools[body["redirect_pool_id"]])
        key = self._add(L7POLICY, values.policy(body), listener_id=listener_id, position=position)
        if len(body["rules"]) > RULES_OF_A_POLICY:
            raise TooManyL7RulesOnL7Policy(id=key)
        for each in body["rules"]:
            self.rule(key, each)
        return key

    def rule(self, policy_id: str, body: Body) -> str:
        """A rule of an L7 policy. Its id."""
        values.rule(body)
        return self._add(L7RULE, body, l7policy_id=policy_id)

    def store(self) -> None:
        """Store what was gathered. Raises QuotaException, CertificateRetrievalException."""
        check_references(self._tx, self._balancer["project_id"], *self._referring)
        counts = {table: len(rows) for table, rows in self._rows.items() if table is not POOL_MONITORS}
        quotas.check(self._tx, self._balancer["project_id"], counts)
        for table in ORDER:
            if self._rows[table]:
                self._tx.execute(table.insert(), self._rows[table])
        attach_tags(self._tx, self._tags)

    def _add(self, resource: Resource, body: Body, **computed: Any) -> str:
        table, generation, key = table_of(resource), self._balancer["generation"], str(uuid.uuid4())
        stored = {item.column: body[item.name] for item in resource.stored if item.name in body}
        row = dict.fromkeys((item.column for item in resource.stored), None) | stored | computed
        row |= {"id": key, "project_id": self._balancer["project_id"], "made": generation, "touched": generation}
        self._rows[table].append(row | {"created_at": lb_time(self._tx), "updated_at": None})
        self._tags[key] = body["tags"]
        return key
