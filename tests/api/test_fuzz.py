"""Requests made from our own OpenAPI document: nothing is answered with a fault, and a refused one changes nothing."""

import json
import zlib

import pytest
import schemathesis
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, settings
from schemathesis import GenerationMode

from netloom.api.openapi import document
from netloom.store.tables.base import METADATA

SCHEMA = schemathesis.openapi.from_dict(document())
SCHEMA.config.generation.update(modes=[GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
WRITES = schemathesis.openapi.from_dict(document())
WRITES.config.generation.update(modes=[GenerationMode.POSITIVE])
SAME_AS_FOR_NETWORKS = r"^/(?!networks).*/tags"
SENSIBLE = {"cidr": "10.9.0.0/24", "prefixes": ["10.0.0.0/16"], "object_type": "network", "action": "access_as_shared"}
"""Values of which a random one would hardly ever get past the first check."""


def bounded(examples):
    """So many requests for each operation and database."""
    return settings(
        max_examples=examples, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip


@pytest.fixture
def objects(admin):
    """One object of every kind: its id by the name of the resource."""
    network = admin.network(**{"router:external": True})
    subnet = admin.subnet(network["id"], "203.0.113.0/24")
    group = admin.post("security-groups", {"security_group": {"name": "g"}})["security_group"]
    pool = {"name": "p", "prefixes": ["10.0.0.0/8"]}
    rule = {"security_group_id": group["id"], "direction": "ingress"}
    made = {
        "network": network,
        "subnet": subnet,
        "port": admin.port(network["id"]),
        "security_group": group,
        "security_group_rule": admin.post("security-group-rules", {"security_group_rule": rule})["security_group_rule"],
        "router": admin.post("routers", {"router": {}})["router"],
        "floatingip": admin.post("floatingips", {"floatingip": {"floating_network_id": network["id"]}})["floatingip"],
        "address_group": admin.post("address-groups", {"address_group": {}})["address_group"],
        "subnetpool": admin.post("subnetpools", {"subnetpool": pool})["subnetpool"],
    }
    return {name: item["id"] for name, item in made.items()}


@SCHEMA.exclude(path_regex=SAME_AS_FOR_NETWORKS).parametrize()
@bounded(3)
def test_any_request(case, admin, store, objects):
    _check(case, admin, store, objects)


@WRITES.include(method=["POST", "PUT"]).exclude(path_regex="tags").parametrize()
@bounded(10)
def test_writes_of_the_right_form(case, admin, store, objects):
    _check(case, admin, store, objects)


def _check(case, admin, store, objects):
    path, body = _with_real_ids(case, objects)
    before = _everything(store)
    content = json.dumps(body).encode() if isinstance(body, dict | list) else None
    answer = admin.client.request(
        case.method, f"/v2.0{path}", params=_texts(case.query), content=content, headers=admin.headers
    )
    assert answer.status_code < 500, (case.method, path, body, answer.text)
    if answer.status_code >= 400:
        assert _everything(store) == before


def _with_real_ids(case, objects):
    """The path and body of a request; in three of four the ids are those of objects that are there."""
    body = case.body
    collection = case.path.split("/")[1].replace("-", "_")
    real = zlib.crc32(repr((case.path_parameters, body)).encode("utf-8", "replace")) % 4 > 0
    if not real or collection in ("quotas", "extensions"):
        return case.formatted_path, body
    wanted = objects.get(collection.removesuffix("s"), "none")
    path = case.path.replace("{id}", wanted).replace("{tag}", "blue")
    return path, _fill(body, objects)


def _fill(value, objects):
    """The body with ids of objects that are there under the names that end so."""
    if isinstance(value, dict):
        kept = {key: item for key, item in value.items() if key not in ("project_id", "tenant_id")}
        return {key: SENSIBLE.get(key) or _id(key, objects) or _fill(item, objects) for key, item in kept.items()}
    return [_fill(item, objects) for item in value] if isinstance(value, list) else value


def _id(key, objects):
    if key in ("floating_network_id", "object_id"):
        return objects["network"]
    return objects.get(key.removesuffix("_id")) if isinstance(key, str) and key.endswith("_id") else None


def _texts(query):
    if not isinstance(query, dict):
        return None
    return {key: value for key, value in query.items() if isinstance(value, str | int | float | list)}


def _everything(store):
    """All rows of all tables, in text form."""
    with store.engine.connect() as connection:
        tables = [connection.execute(sa.select(table)).all() for table in METADATA.sorted_tables]
    return [sorted(map(repr, rows)) for rows in tables]
