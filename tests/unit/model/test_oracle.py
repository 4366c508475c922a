"""Our declarations against neutron-lib's definitions, attribute by attribute, for every extension that we list."""

import importlib
import pkgutil
from collections import defaultdict

import pytest
from neutron_lib import constants
from neutron_lib.api import definitions

from netloom.model.extensions import EXTENSIONS
from netloom.model.fields import COMPUTED, REQUIRED, Field
from netloom.model.resources import BY_PLURAL, RESOURCES

CORE = {"network", "subnet", "port", "subnetpool"}
"""Definitions that are no extensions."""
NOT_LISTED = {
    "dvr": "routers show distributed (false), but none can be made so",
}
"""Extensions whose attributes we show without listing them, and why."""
OUTSIDE = {
    "security_groups": "the reference defines groups and rules in its own tree",
    "security_group_rules": "the same",
    "rbac_policies": "the same",
}
STANDARD = {"project_id", "tenant_id", "description", "revision_number", "created_at", "updated_at", "tags"}
"""Attributes that the reference adds to its resources at run time."""
ELSEWHERE = {("ports", "security_groups")}
"""Attributes that the reference adds outside neutron-lib."""
LIST_DIFFERENCES = {
    "tag-creation": "the reference's date has a 23rd month",
}
FLAGS = {
    "C": "allow_post", "U": "allow_put", "V": "is_visible", "F": "is_filter", "S": "is_sort_key", "P": "enforce_policy",
}  # fmt: skip


def _definitions():
    for module in pkgutil.iter_modules(definitions.__path__):
        definition = importlib.import_module(f"neutron_lib.api.definitions.{module.name}")
        if hasattr(definition, "ALIAS"):
            yield definition


DEFINITIONS = {definition.ALIAS: definition for definition in _definitions()}
LISTED = {item.alias: item for item in EXTENSIONS}


def _attributes():
    """What the definitions say of each attribute of each resource, merged over what we serve."""
    merged = defaultdict(lambda: defaultdict(dict))
    for alias, definition in DEFINITIONS.items():
        if alias in LISTED or alias in CORE or alias in NOT_LISTED:
            for plural, attributes in definition.RESOURCE_ATTRIBUTE_MAP.items():
                for name, described in attributes.items():
                    merged[plural][name] |= described
    return merged


ATTRIBUTES = _attributes()
PAIRS = [(plural, name) for plural in ATTRIBUTES if plural in BY_PLURAL for name in ATTRIBUTES[plural]]


def test_every_listed_extension_bears_its_exact_name_and_date():
    for alias, extension in LISTED.items():
        if (definition := DEFINITIONS.get(alias)) is None:
            continue
        assert extension.name == definition.NAME
        if alias not in LIST_DIFFERENCES:
            assert extension.updated == definition.UPDATED_TIMESTAMP


def test_extensions_are_listed_once_and_with_what_they_require():
    assert len(LISTED) == len(EXTENSIONS)
    served_elsewhere = {"rbac-address-scope"}  # required by rbac-subnetpool, which works without address scopes
    for alias in LISTED:
        required = getattr(DEFINITIONS.get(alias), "REQUIRED_EXTENSIONS", None) or []
        assert set(required) - served_elsewhere <= LISTED.keys()


def test_each_declared_extension_is_listed_or_has_a_reason():
    for resource in RESOURCES:
        aliases = {resource.extension, *(item.extension for item in resource.fields)} - {""}
        assert aliases <= LISTED.keys() | NOT_LISTED.keys()


def test_nothing_that_the_definitions_have_is_missing():
    assert {plural for plural in ATTRIBUTES if plural not in BY_PLURAL} == set()
    assert {pair for pair in PAIRS if pair[1] not in BY_PLURAL[pair[0]].by_name} == set()


def test_nothing_is_declared_that_the_definitions_do_not_have():
    for plural, resource in BY_PLURAL.items():
        if plural not in OUTSIDE:
            extra = {(plural, name) for name in resource.by_name.keys() - ATTRIBUTES[plural].keys() - STANDARD}
            assert extra <= ELSEWHERE


@pytest.mark.parametrize(("plural", "name"), PAIRS, ids=lambda value: value)
def test_flags_and_default(plural, name):
    ours, theirs = BY_PLURAL[plural].by_name[name], ATTRIBUTES[plural][name]
    assert _flags(ours) == "".join(letter for letter, key in FLAGS.items() if theirs.get(key))
    if theirs.get("allow_post") and name not in ("project_id", "tenant_id"):
        assert _default(ours) == theirs.get("default", "required")


def _flags(field: Field) -> str:
    return "".join(letter for letter in FLAGS if field.has(letter))


def _default(field: Field):
    """The default as neutron-lib would write it."""
    if field.default is REQUIRED:
        return "required"
    if field.default is COMPUTED:
        return constants.ATTR_NOT_SPECIFIED
    return list(field.default) if isinstance(field.default, tuple) else field.default
