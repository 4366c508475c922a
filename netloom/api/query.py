"""From the query string to what the database is asked for, and the links from page to page."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode

from netloom.api.errors import invalid
from netloom.model.agents import AgentType
from netloom.model.errors import BadRequest, HTTPBadRequest, InvalidInput
from netloom.model.fields import Resource
from netloom.model.kinds import Boolean, Choice, Integer, IntegerChoice, Invalid, Kind, Mac
from netloom.rules.reading import Query

TAG_FILTERS = ("tags", "tags-any", "not-tags", "not-tags-any")
_RESERVED = frozenset({"fields", "sort_key", "sort_dir", "limit", "marker", "page_reverse"})
_ADDRESS_KEYS = ("subnet_id", "ip_address", "ip_address_substr")
_CONVERTED = (AgentType, Boolean, Choice, Integer, Mac)
"""Kinds whose filter values are brought to their stored form; of others any text is a filter."""


def parse_query(resource: Resource, text: str, max_limit: int = 0) -> Query:
    """What a list request asks for. ``max_limit``: the most objects in an answer, 0 for any number.

    Raises ``HTTPBadRequest``, ``BadRequest`` or ``InvalidInput`` when it makes no sense.
    """
    pairs = _pairs(text)
    values: dict[str, list[str]] = defaultdict(list)
    for key, value in pairs:
        values[key].append(value)
    return Query(
        filters=_filters(resource, values),
        sorts=_sorts(resource, values.get("sort_key", []), values.get("sort_dir", [])),
        limit=_limit(values.get("limit", []), max_limit),
        marker=values["marker"][-1] or None if "marker" in values else None,
        page_reverse=_flag("page_reverse", values["page_reverse"][-1]) if "page_reverse" in values else False,
        fields=requested_fields(text),
    )


def requested_fields(text: str) -> frozenset[str] | None:
    """The attributes that ``fields`` names; None when all are wanted."""
    return frozenset(value for key, value in _pairs(text) if key == "fields" and value) or None


def page_links(url: str, text: str, query: Query, ids: Sequence[str]) -> list[dict[str, str]]:
    """Links to the pages around one with these ids, in the order asked for. ``url``: the collection's address.

    Behind the end, where there are none, the links lead from there: back to the last page, or on to the first.
    """
    assert query.limit is not None
    full = len(ids) >= query.limit
    links = []
    if query.page_reverse or full:
        links.append({"rel": "next", "href": _page(url, text, ids[-1:], False)})
    if not query.page_reverse or full:
        links.append({"rel": "previous", "href": _page(url, text, ids[:1], True)})
    return links


def _page(url: str, text: str, marker: Sequence[str], back: bool) -> str:
    pairs = [(key, value) for key, value in _pairs(text) if key not in ("marker", "page_reverse")]
    pairs += [("marker", key) for key in marker]
    pairs += [("page_reverse", "True")] if back else []
    return f"{url}?{urlencode(pairs)}"


def _pairs(text: str) -> list[tuple[str, str]]:
    if not text:
        return []
    if "%00" in text or "\x00" in text:
        raise HTTPBadRequest("The query contains a null character")
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=10_000)
    except ValueError as reason:
        raise HTTPBadRequest(f"Invalid query: {reason}") from None


def _filters(resource: Resource, values: dict[str, list[str]]) -> dict[str, Any]:
    filters: dict[str, Any] = {}
    refused = []
    for key, texts in values.items():
        field = resource.by_name.get(key)
        if key in _RESERVED:
            continue
        if key in TAG_FILTERS and "tags" in resource.by_name:
            filters[key] = texts
        elif field is None or not field.has("F"):
            refused.append(key)
        elif key == "fixed_ips":
            filters[key] = _addresses(texts)
        else:
            filters[key] = [_convert(key, field.kind, value) for value in texts]
    if refused:
        raise HTTPBadRequest(f"{refused} is invalid attribute for filtering")
    return filters


def _convert(name: str, kind: Kind, value: str) -> Any:
    if not isinstance(kind, _CONVERTED):
        return value
    try:
        return kind.check(value)
    except Invalid as reason:
        if isinstance(kind, Boolean | Integer | IntegerChoice):
            raise invalid(name, reason) from None
        return value


def _addresses(texts: list[str]) -> dict[str, list[str]]:
    """``fixed_ips=ip_address=192.0.2.1``: values by sub-key; unknown sub-keys are ignored."""
    wanted: dict[str, list[str]] = defaultdict(list)
    for text in texts:
        key, mark, value = text.partition("=")
        if not mark:
            raise InvalidInput(error_message=f"'{text}' is not of the form <key>=[value]")
        if key in _ADDRESS_KEYS:
            wanted[key].append(value)
    return wanted


def _sorts(resource: Resource, keys: list[str], ways: list[str]) -> list[tuple[str, str]]:
    if len(keys) != len(ways):
        raise HTTPBadRequest("The number of sort_keys and sort_dirs must be same")
    for key in keys:
        if key not in resource.by_name or not resource.by_name[key].has("S"):
            raise HTTPBadRequest(f"['{key}'] is invalid attribute for sort_keys")
    for way in ways:
        if way not in ("asc", "desc"):
            raise HTTPBadRequest("sort_dirs must be 'asc' or 'desc'")
    return list(zip(keys, ways, strict=True))


def _limit(texts: list[str], max_limit: int) -> int | None:
    text = texts[-1] if texts else "0"
    try:
        limit = int(text or "0")
    except ValueError:
        limit = -1
    if limit < 0:
        raise BadRequest(resource="limit", msg="limit must be an integer of 0 or more")
    if max_limit and (limit == 0 or limit > max_limit):
        return max_limit
    return min(limit, 2**31) or None


def _flag(name: str, text: str) -> bool:
    try:
        return bool(Boolean().check(text))
    except Invalid as reason:
        raise invalid(name, reason) from None
