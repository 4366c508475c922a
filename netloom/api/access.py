"""What the caller of one request may do: the policy's rules, put to objects and their attributes."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from netloom.api.policy import Credentials, Decision, Rule
from netloom.model.errors import PolicyNotAuthorized
from netloom.model.fields import COMPUTED, Resource
from netloom.model.networks import NETWORK
from netloom.model.security_groups import SECURITY_GROUP
from netloom.rules.context import Context
from netloom.rules.query import missing, rows_by_ids
from netloom.store.database import Tx

View = dict[str, Any]
PARENTS: Mapping[str, tuple[Resource, str]] = {
    "network": (NETWORK, "network_id"),
    "security_group": (SECURITY_GROUP, "security_group_id"),
}
"""What objects may belong to, by the prefix in rules (``network:project_id``), and the attribute that names it."""
_ALIASES = {"tenant_id": "project_id", "target_project": "target_tenant"}


class Parents:
    """What the objects of a request belong to, visible to the caller or not. Loaded at once, when a rule asks."""

    def __init__(self, tx: Tx, context: Context, views: Sequence[Mapping[str, Any]]) -> None:
        self._tx = tx
        self._context = context
        self._views = views
        self._known: dict[str, dict[str, View]] = {}

    def of(self, kind: str, view: Mapping[str, Any]) -> View:
        """The parent of ``view``. Raises ``KeyError`` when it has none, and the parent's 404 when that is gone."""
        resource, reference = PARENTS[kind]
        if kind not in self._known:
            self._known[kind] = self._load(resource, reference)
        parent_id = view[reference]
        parent = self._known[kind].get(parent_id)
        if parent is None:
            raise missing(resource, parent_id)
        return parent

    def _load(self, resource: Resource, reference: str) -> dict[str, View]:
        ids = sorted({view[reference] for view in self._views if view.get(reference)})
        rows = rows_by_ids(self._tx, self._context, resource, ids, scoped=False)
        return {row["id"]: row for row in rows}


class ObjectTarget:
    """An object as rules look at it."""

    __slots__ = ("parents", "resource", "values")

    def __init__(self, resource: Resource, values: Mapping[str, Any], parents: Parents) -> None:
        self.resource = resource
        self.values = values
        self.parents = parents

    def __getitem__(self, name: str) -> Any:
        if name in self.values:
            return self.values[name]
        kind, _, attribute = name.partition(":")
        if attribute and kind in PARENTS:
            return self.parents.of(kind, self.values)[_ALIASES.get(attribute, attribute)]
        return self.values[_ALIASES.get(name, name)]

    def of(self, plural: str, name: str) -> Any:
        """The attribute of the object itself, or of the parent that is one of ``plural``; None when there is none."""
        if plural in (self.resource.plural, self.resource.name):
            return self.values.get(_ALIASES.get(name, name))
        for kind, (resource, reference) in PARENTS.items():
            if plural in (resource.plural, resource.name) and self.values.get(reference):
                return self.parents.of(kind, self.values).get(name)
        return None


class Access:
    """The rules, for one caller."""

    def __init__(self, rules: Mapping[str, Rule], credentials: Credentials) -> None:
        self._rules = rules
        self._credentials = credentials
        self._decisions: dict[str, Decision] = {}

    def decide(self, name: str) -> Decision:
        """What the rule says: yes, no, or a function of the target. Without such a rule ``default`` decides."""
        if name not in self._decisions:
            rule = self._rules.get(name) or self._rules["default"]
            self._decisions[name] = rule(self._credentials)
        return self._decisions[name]

    def allows(self, name: str, target: ObjectTarget) -> bool:
        """Whether the rule lets the caller do ``name`` to ``target``."""
        decision = self.decide(name)
        return decision if isinstance(decision, bool) else decision(target)

    def require(self, names: Iterable[str], target: ObjectTarget) -> None:
        """Raise ``PolicyNotAuthorized`` unless all rules allow it."""
        for name in names:
            if not self.allows(name, target):
                raise PolicyNotAuthorized(action=f"rule:{name}")

    def writing(self, verb: str, resource: Resource, values: Mapping[str, Any]) -> list[str]:
        """The rules for creating or updating with ``values``: the action's, then those of guarded attributes.

        On create an attribute counts only when it differs from its default; members of records have rules too.
        """
        action = f"{verb}_{resource.name}"
        names = [action]
        for item in resource.fields:
            if not item.has("P") or item.name not in values:
                continue
            value = values[item.name]
            if verb == "create" and item.default is not COMPUTED and value == item.default:
                continue
            rule = f"{action}:{item.name}"
            names += [rule, *(f"{rule}:{key}" for key in _keys(value))]
        return [name for name in names if name == action or name in self._rules]

    def shown(
        self, resource: Resource, views: Sequence[View], parents: Parents, fields: Collection[str] | None = None
    ) -> list[View]:
        """The views as answers have them, without the attributes that are not for this caller, or not asked for."""
        sometimes = self._hide(resource, views, parents)
        for view in views:
            for name in sometimes:
                view.pop(name, None)
        for name in resource.spoken:
            for view in views:
                if name in view:
                    view[name] = str(view[name])
        if fields is None:
            return list(views)
        return [{name: view[name] for name in fields if name in view} for view in views]

    def wanted(self, resource: Resource, fields: frozenset[str] | None) -> frozenset[str]:
        """Of the attributes asked for (None: all) those that this caller may be shown: others need no looking up."""
        names = resource.by_name if fields is None else fields & resource.by_name.keys()
        rules = ((name, f"get_{resource.name}:{name}") for name in names)
        return frozenset(name for name, rule in rules if rule not in self._rules or self.decide(rule) is not False)

    def visible(self, resource: Resource, views: Sequence[View], parents: Parents) -> list[View]:
        """Those of ``views`` that the caller may get at all."""
        decision = self.decide(f"get_{resource.name}")
        if isinstance(decision, bool):
            return list(views) if decision else []
        return [view for view in views if decision(ObjectTarget(resource, view, parents))]

    def _hide(self, resource: Resource, views: Sequence[View], parents: Parents) -> list[str]:
        """Attributes to remove from all views; those hidden in some views only are removed here."""
        if not views:
            return []
        hidden = [name for name in views[0] if not (name in resource.by_name and resource.by_name[name].has("V"))]
        for name in resource.by_name:
            rule = f"get_{resource.name}:{name}"
            if rule not in self._rules:
                continue
            decision = self.decide(rule)
            if decision is False:
                hidden.append(name)
            elif decision is not True:
                for view in views:
                    if not decision(ObjectTarget(resource, view, parents)):
                        view.pop(name, None)
        return hidden


def _keys(value: Any) -> list[str]:
    """The keys of a record, or of a list of records."""
    records = value if isinstance(value, list) else [value]
    return sorted({key for record in records if isinstance(record, dict) for key in record})
