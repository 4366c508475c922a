"""Subnet pools: prefixes from which subnets are cut."""

import ipaddress
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import sqlalchemy as sa

from netloom.model.errors import BadRequest, Conflict, InvalidInput
from netloom.model.sharing import RBAC_POLICY
from netloom.model.subnets import SUBNETPOOL
from netloom.rules import quotas, reading, standard
from netloom.rules.context import Context
from netloom.rules.subnet_values import Network
from netloom.rules.visibility import viewer, visible
from netloom.store.database import Tx
from netloom.store.tables.network import RBAC_POLICIES, SUBNETPOOLS, SUBNETS, TAGS

Body = dict[str, Any]
LENGTHS = {4: (8, 32), 6: (64, 128)}
"""Default least and greatest prefix length by IP version."""
QUOTA_UNIT = {4: 32, 6: 64}
"""Prefix length of what ``default_quota`` counts, by IP version."""

ONE_DEFAULT = "A default subnetpool for this IP family has already been set. Only one default may exist per IP family"


class EmptySubnetPoolPrefixList(BadRequest):
    """A pool without prefixes."""

    message = "Empty subnet pool prefix list."


class PrefixVersionMismatch(BadRequest):
    """Prefixes of both IP versions."""

    message = "Cannot mix IPv4 and IPv6 prefixes in a subnet pool."


class IllegalSubnetPoolPrefixBounds(BadRequest):
    """The lengths do not fit each other."""

    message = "Illegal prefix bounds: {first}={first_length}, {second}={second_length}."


class IllegalSubnetPoolPrefixUpdate(BadRequest):
    """Prefixes that are in use, or were there, would go."""

    message = "Illegal update to prefixes: {msg}."


class MinPrefixSubnetAllocationError(BadRequest):
    """The subnet would be too large."""

    message = "Unable to allocate subnet with prefix length {prefixlen}, minimum allowed prefix is {min_prefixlen}."


class MaxPrefixSubnetAllocationError(BadRequest):
    """The subnet would be too small."""

    message = "Unable to allocate subnet with prefix length {prefixlen}, maximum allowed prefix is {max_prefixlen}."


class SubnetAllocationError(Conflict):
    """No room in the pool."""

    message = "Failed to allocate subnet: {reason}."


class SubnetPoolQuotaExceeded(Conflict):
    """The project has had its part of the pool."""

    message = "Per-tenant subnet pool prefix quota exceeded."


class SubnetPoolDeleteError(BadRequest):
    """Subnets come from the pool."""

    message = "Unable to delete subnet pool: {reason}."


class Cut(NamedTuple):
    """A prefix asked of a pool: this one, or one of this length."""

    project_id: str
    cidr: str | None
    prefixlen: int | None


def create(tx: Tx, context: Context, bodies: list[Body]) -> list[Body]:
    """Make subnet pools.

    Raises: EmptySubnetPoolPrefixList, PrefixVersionMismatch, IllegalSubnetPoolPrefixBounds, InvalidInput, OverQuota.
    """
    rows = []
    for body in bodies:
        prefixes = _merged(body["prefixes"])
        version = prefixes[0].version
        lengths = _lengths(version, {}, body)
        quotas.check(tx, context, "subnetpool", body["project_id"], 1)
        if body["is_default"]:
            _check_default(tx, version)
        computed: Body = {"prefixes": [str(prefix) for prefix in prefixes], "ip_version": version, **lengths}
        rows.append(standard.new_row(tx, SUBNETPOOL, {"default_quota": None} | body, **computed))
    tx.execute(SUBNETPOOLS.insert(), rows)
    entries = [
        {
            "project_id": row["project_id"], "object_type": "subnetpool", "object_id": row["id"],
            "target_tenant": "*", "action": "access_as_shared",
        }
        for row, body in zip(rows, bodies, strict=True) if body["shared"]
    ]  # fmt: skip
    if entries:
        tx.execute(RBAC_POLICIES.insert(), [standard.new_row(tx, RBAC_POLICY, entry) for entry in entries])
    return reading.by_ids(tx, context, SUBNETPOOL, [row["id"] for row in rows])


def update(tx: Tx, context: Context, current: Body, changes: Body) -> Body:
    """Change a pool; its prefixes can only grow here.

    Raises: IllegalSubnetPoolPrefixUpdate, IllegalSubnetPoolPrefixBounds, PrefixVersionMismatch, InvalidInput.
    """
    version = current["ip_version"]
    computed = _lengths(version, current, changes)
    if "prefixes" in changes:
        prefixes = _merged(changes["prefixes"])
        if any(not _inside(ipaddress.ip_network(old), prefixes) for old in current["prefixes"]):
            raise IllegalSubnetPoolPrefixUpdate(msg="existing prefixes must be a subset of the new prefixes")
        computed["prefixes"] = [str(prefix) for prefix in prefixes]
    if changes.get("is_default") and not current["is_default"]:
        _check_default(tx, version)
    standard.update_row(tx, SUBNETPOOL, current, {k: v for k, v in changes.items() if k not in computed}, **computed)
    return reading.by_ids(tx, context, SUBNETPOOL, [current["id"]])[0]


def delete(tx: Tx, context: Context, current: Body) -> None:
    """Remove a pool from which no subnet comes. Raises SubnetPoolDeleteError."""
    reading.by_ids(tx, context, SUBNETPOOL, [current["id"]], lock="change", fields=frozenset())
    if _used(tx, current["id"]):
        raise SubnetPoolDeleteError(reason="Subnet pool has existing allocations")
    for table, column in ((TAGS, TAGS.c.resource_id), (RBAC_POLICIES, RBAC_POLICIES.c.object_id)):
        tx.execute(table.delete().where(column == current["id"]))
    tx.execute(SUBNETPOOLS.delete().where(SUBNETPOOLS.c.id == current["id"]))


def add_prefixes(tx: Tx, context: Context, current: Body, body: Body) -> Body:
    """Add prefixes; what is there already is merged. Returns ``{"prefixes": [...]}``."""
    prefixes = _merged([*current["prefixes"], *_listed(body)])
    return _set_prefixes(tx, current, prefixes)


def remove_prefixes(tx: Tx, context: Context, current: Body, body: Body) -> Body:
    """Take prefixes away, unless subnets come from them. Raises IllegalSubnetPoolPrefixUpdate."""
    gone = [ipaddress.ip_network(text) for text in _listed(body)]
    rest = list(_free([ipaddress.ip_network(text) for text in current["prefixes"]], gone))
    for used, _ in _used(tx, current["id"]):
        if not _inside(used, rest):
            raise IllegalSubnetPoolPrefixUpdate(msg=f"subnet {used} comes from the prefixes to be removed")
    return _set_prefixes(tx, current, _merged([str(prefix) for prefix in rest]))


def defaults(tx: Tx, context: Context) -> dict[int, Body]:
    """Id, IP version and default prefix length of the default pools that the caller may know of, by IP version."""
    columns = (SUBNETPOOLS.c.id, SUBNETPOOLS.c.ip_version, SUBNETPOOLS.c.default_prefixlen)
    mine = visible(viewer(context), SUBNETPOOL, SUBNETPOOLS)
    statement = sa.select(*columns).where(SUBNETPOOLS.c.is_default.is_(True), mine)
    return {row["ip_version"]: row for row in tx.rows(statement.order_by(SUBNETPOOLS.c.ip_version))}


def cut(tx: Tx, context: Context, pool_id: str, cuts: Sequence[Cut], pool: Body) -> list[Network]:
    """Cut prefixes from a pool (its locked view), none of which overlaps a subnet of the pool.

    Raises: MinPrefixSubnetAllocationError, MaxPrefixSubnetAllocationError, SubnetAllocationError,
    SubnetPoolQuotaExceeded.
    """
    used = _used(tx, pool_id)
    prefixes = [ipaddress.ip_network(prefix) for prefix in pool["prefixes"]]
    found: list[Network] = []
    for wanted in cuts:
        free = list(_free(prefixes, [prefix for prefix, _ in used]))
        network = _chosen(pool, free, wanted)
        used.append((network, wanted.project_id))
        _check_quota(pool, used, wanted.project_id)
        found.append(network)
    return found


def _chosen(pool: Body, free: Sequence[Network], wanted: Cut) -> Network:
    """A prefix from the smallest free block that is large enough, the lowest of those."""
    given = ipaddress.ip_network(wanted.cidr) if wanted.cidr else None
    length = given.prefixlen if given else wanted.prefixlen if wanted.prefixlen is not None else None
    length = pool["default_prefixlen"] if length is None else length
    if length < pool["min_prefixlen"]:
        raise MinPrefixSubnetAllocationError(prefixlen=length, min_prefixlen=pool["min_prefixlen"])
    if length > pool["max_prefixlen"]:
        raise MaxPrefixSubnetAllocationError(prefixlen=length, max_prefixlen=pool["max_prefixlen"])
    if given is not None:
        if not _inside(given, free):
            raise SubnetAllocationError(reason=f"Cannot allocate requested subnet {given} from the available prefixes")
        return given
    blocks = [block for block in free if block.prefixlen <= length]
    if not blocks:
        raise SubnetAllocationError(reason=f"Insufficient prefix space to allocate subnet size /{length}")
    block = min(blocks, key=lambda item: (-item.prefixlen, int(item.network_address)))
    return ipaddress.ip_network((block.network_address, length))


def _check_quota(pool: Body, used: Iterable[tuple[Network, str]], project_id: str) -> None:
    if pool["default_quota"] is None:
        return
    unit = QUOTA_UNIT[pool["ip_version"]]
    # A prefix smaller than the unit (IPv6 longer than /64) counts as the part of a unit that it is.
    taken = sum(2.0 ** (unit - prefix.prefixlen) for prefix, owner in used if owner == project_id)
    if taken > pool["default_quota"]:
        raise SubnetPoolQuotaExceeded()


def _used(tx: Tx, pool_id: str) -> list[tuple[Network, str]]:
    statement = sa.select(SUBNETS.c.cidr, SUBNETS.c.project_id).where(SUBNETS.c.subnetpool_id == pool_id)
    return [(ipaddress.ip_network(cidr), project_id) for cidr, project_id in tx.tuples(statement)]


def _merged(texts: Sequence[str]) -> list[Network]:
    if not texts:
        raise EmptySubnetPoolPrefixList()
    prefixes = [ipaddress.ip_network(text) for text in texts]
    if len({prefix.version for prefix in prefixes}) > 1:
        raise PrefixVersionMismatch()
    return list(ipaddress.collapse_addresses(prefixes))  # type: ignore[type-var]


def _inside(prefix: Network, blocks: Sequence[Network]) -> bool:
    return any(block.version == prefix.version and prefix.subnet_of(block) for block in blocks)  # type: ignore[arg-type]


def _free(prefixes: Sequence[Network], used: Iterable[Network]) -> Iterable[Network]:
    """What is left of the prefixes, as the largest possible blocks."""
    taken = sorted((int(item.network_address), int(item.broadcast_address)) for item in used)
    for prefix in prefixes:
        start, end = int(prefix.network_address), int(prefix.broadcast_address)
        for first, last in taken:
            if last < start or first > end:
                continue
            yield from _blocks(prefix, start, first - 1)
            start = last + 1
        yield from _blocks(prefix, start, end)


def _blocks(prefix: Network, first: int, last: int) -> Iterable[Network]:
    if first > last:
        return []
    make = type(prefix.network_address)
    return ipaddress.summarize_address_range(make(first), make(last))


def _lengths(version: int, current: Body, body: Body) -> Body:
    """The three prefix lengths after a request. Raises IllegalSubnetPoolPrefixBounds."""
    least, most = LENGTHS[version]
    given = current | body
    shortest, longest = int(given.get("min_prefixlen", least)), int(given.get("max_prefixlen", most))
    default = int(given.get("default_prefixlen", shortest))
    limits = (("min_prefixlen", shortest), ("default_prefixlen", default), ("max_prefixlen", longest), ("IP", most))
    for (first, low), (second, high) in pairwise(limits):
        if low > high:
            raise IllegalSubnetPoolPrefixBounds(first=first, first_length=low, second=second, second_length=high)
    return {"min_prefixlen": shortest, "max_prefixlen": longest, "default_prefixlen": default}


def _check_default(tx: Tx, version: int) -> None:
    tx.alone("default subnet pool")  # nobody makes another one until this transaction ends
    held = sa.select(SUBNETPOOLS.c.id).where(SUBNETPOOLS.c.is_default.is_(True), SUBNETPOOLS.c.ip_version == version)
    if tx.row(held) is not None:
        raise InvalidInput(error_message=ONE_DEFAULT)


def _listed(body: Body) -> list[str]:
    kind = SUBNETPOOL.by_name["prefixes"].kind
    try:
        return list(kind.parse(body.get("prefixes")))
    except ValueError as reason:
        raise InvalidInput(error_message=f"prefixes: {reason}") from None


def _set_prefixes(tx: Tx, current: Body, prefixes: Sequence[Network]) -> Body:
    texts = [str(prefix) for prefix in prefixes]
    standard.update_row(tx, SUBNETPOOL, current, {"prefixes": texts})
    return {"prefixes": texts}
