"""Security group rules."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from netloom.model.errors import BadRequest, Conflict, PolicyNotAuthorized
from netloom.model.security_groups import ADDRESS_GROUP, SECURITY_GROUP, SECURITY_GROUP_RULE
from netloom.rules import quotas, reading, standard
from netloom.rules.context import Context
from netloom.rules.rule_values import key, normalise
from netloom.rules.visibility import viewer, visible
from netloom.store.database import Tx
from netloom.store.tables.network import ADDRESS_GROUPS, SECURITY_GROUP_RULES, SECURITY_GROUPS

Body = dict[str, Any]


class SecurityGroupNotSingleGroupRules(BadRequest):
    """A bulk of rules for several groups."""

    message = "Only allowed to update rules for one security profile at a time."


class SecurityGroupRuleExists(Conflict):
    """The group has such a rule."""

    message = "Security group rule already exists. Rule id is {rule_id}."


class DuplicateSecurityGroupRuleInPost(Conflict):
    """A bulk has the same rule twice."""

    message = "Duplicate Security Group Rule in POST."


def create(tx: Tx, context: Context, bodies: list[Body]) -> list[Body]:
    """Add rules to one group; all or nothing.

    Raises: the errors of ``rule_values``, SecurityGroupNotSingleGroupRules, SecurityGroupNotFound (group or remote),
    AddressGroupNotFound, PolicyNotAuthorized (a foreign group), OverQuota, SecurityGroupRuleExists,
    DuplicateSecurityGroupRuleInPost.
    """
    rules = [normalise(body) for body in bodies]
    if len({rule["security_group_id"] for rule in rules}) > 1:
        raise SecurityGroupNotSingleGroupRules()
    group_id = rules[0]["security_group_id"]
    _check_groups(tx, context, group_id, {rule["remote_group_id"] for rule in rules} - {None})
    _check_address_groups(tx, context, {rule["remote_address_group_id"] for rule in rules} - {None})
    project_id = tx.execute(sa.select(SECURITY_GROUPS.c.project_id).where(SECURITY_GROUPS.c.id == group_id)).scalar()
    quotas.check(tx, context, "security_group_rule", project_id or "", len(rules))
    # The bump also locks the group: two requests cannot both find that a rule is not there.
    standard.revise(tx, SECURITY_GROUPS, [group_id])
    _check_duplicates(tx, group_id, rules)
    rows = [standard.new_row(tx, SECURITY_GROUP_RULE, rule | {"project_id": project_id}) for rule in rules]
    tx.execute(SECURITY_GROUP_RULES.insert(), rows)
    tx.changed("security_group", group_id)
    return reading.by_ids(tx, context, SECURITY_GROUP_RULE, [row["id"] for row in rows])


def update(tx: Tx, context: Context, current: Body, changes: Body) -> Body:
    """Change a rule's description; nothing else of a rule can change."""
    if standard.update_row(tx, SECURITY_GROUP_RULE, current, {k: changes[k] for k in ("description",) if k in changes}):
        standard.revise(tx, SECURITY_GROUPS, [current["security_group_id"]])
    return reading.by_ids(tx, context, SECURITY_GROUP_RULE, [current["id"]])[0]


def delete(tx: Tx, _context: Context, current: Body) -> None:
    """Remove a rule from its group."""
    tx.execute(SECURITY_GROUP_RULES.delete().where(SECURITY_GROUP_RULES.c.id == current["id"]))
    standard.revise(tx, SECURITY_GROUPS, [current["security_group_id"]])
    tx.changed("security_group", current["security_group_id"])


def _check_groups(tx: Tx, context: Context, group_id: str, remotes: Collection[str]) -> None:
    """All groups must be visible, and ``group_id`` be the caller's; none can be deleted until this transaction ends."""
    table = SECURITY_GROUPS
    wanted = {group_id, *remotes}
    statement = sa.select(table.c.id, table.c.project_id).where(
        table.c.id.in_(wanted), visible(viewer(context), SECURITY_GROUP, table)
    )
    known = {row.id: row.project_id for row in tx.execute(statement.with_for_update(read=True, key_share=True))}
    if absent := sorted(wanted - known.keys(), key=lambda missing: missing != group_id):
        raise reading.missing(SECURITY_GROUP, absent[0])
    if not context.is_admin and known[group_id] != context.project_id:
        raise PolicyNotAuthorized(action="create_security_group_rule")


def _check_address_groups(tx: Tx, context: Context, wanted: Collection[str]) -> None:
    if not wanted:
        return
    table = ADDRESS_GROUPS
    statement = sa.select(table.c.id).where(table.c.id.in_(wanted), visible(viewer(context), ADDRESS_GROUP, table))
    known = set(tx.execute(statement.with_for_update(read=True, key_share=True)).scalars())
    for absent in sorted(set(wanted) - known):
        raise reading.missing(ADDRESS_GROUP, absent)


def _check_duplicates(tx: Tx, group_id: str, rules: Sequence[Mapping[str, Any]]) -> None:
    keys = [key(rule) for rule in rules]
    if len(set(keys)) < len(keys):
        raise DuplicateSecurityGroupRuleInPost()
    present = tx.rows(sa.select(SECURITY_GROUP_RULES).where(SECURITY_GROUP_RULES.c.security_group_id == group_id))
    known = {key(rule): rule["id"] for rule in present}
    for wanted in keys:
        if wanted in known:
            raise SecurityGroupRuleExists(rule_id=known[wanted])
