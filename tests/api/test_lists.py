"""Filters, fields, sorting and paging, the same for every resource."""

from urllib.parse import parse_qs, urlsplit

import pytest


@pytest.fixture
def networks(alice):
    """Four networks: two of them named b, one down, one without a name."""
    bodies = [{"name": "a"}, {"name": "b", "admin_state_up": False}, {"name": "b", "description": "x"}, {"name": ""}]
    return alice.post("networks", {"networks": bodies})["networks"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("name=a", [0]),
        ("name=a&name=b", [0, 1, 2]),
        ("name=b&admin_state_up=False", [1]),
        ("name=b&admin_state_up=yes", [2]),
        ("name=", [3]),
        ("description=x", [2]),
        ("name=none", []),
        ("id=not-a-uuid", []),
        ("tenant_id=alpha&name=a", [0]),
        ("project_id=alpha&tenant_id=beta", []),
        ("shared=1", []),
        ("router:external=f&name=a", [0]),
        ("mtu=1450&name=a", [0]),
        ("is_default=true", []),
        ("status=ACTIVE&name=a", [0]),
    ],
)
def test_filters(alice, networks, query, found):
    ids = {item["id"] for item in alice.get(f"networks?{query}")["networks"]}
    assert ids == {networks[index]["id"] for index in found}


@pytest.mark.parametrize(
    "query",
    ["bogus=1", "subnets=x", "created_at=x", "changed_since=x", "admin_state_up=maybe", "mtu=many", "name=%00"],
)
def test_filters_that_make_no_sense(alice, query):
    alice.fails(400, "HTTPBadRequest", "GET", f"networks?{query}")


def test_an_unknown_filter_is_named(alice):
    message = alice.fails(400, "HTTPBadRequest", "GET", "networks?bogus=1")
    assert message == "['bogus'] is invalid attribute for filtering"


def test_filters_do_not_widen_what_one_may_see(alice, bob, networks):
    assert bob.get("networks?tenant_id=alpha")["networks"] == []
    assert bob.get(f"networks?id={networks[0]['id']}")["networks"] == []


def test_fields(alice, networks):
    shown = alice.get("networks?fields=name&fields=tenant_id&name=a")["networks"]
    assert shown == [{"name": "a", "tenant_id": "alpha"}]
    assert alice.get("networks?fields=colour&name=a")["networks"] == [{}]
    path = f"networks/{networks[0]['id']}"
    assert alice.get(f"{path}?fields=id")["network"] == {"id": networks[0]["id"]}
    assert alice.get(f"{path}?fields=provider:network_type")["network"] == {}


def test_the_default_order_is_by_id(alice, networks):
    ids = [item["id"] for item in alice.get("networks")["networks"]]
    assert ids == sorted(item["id"] for item in networks)


def test_sorting(alice, networks):
    assert alice.names("networks?sort_key=name&sort_dir=desc") == ["b", "b", "a", ""]
    ways = "sort_key=name&sort_dir=asc&sort_key=admin_state_up&sort_dir=desc"
    assert [item["admin_state_up"] for item in alice.get(f"networks?{ways}")["networks"]] == [True, True, True, False]
    assert len(alice.get("networks?sort_key=tenant_id&sort_dir=asc")["networks"]) == 4


@pytest.mark.parametrize(
    "query",
    ["sort_key=name", "sort_dir=asc", "sort_key=subnets&sort_dir=asc", "sort_key=x&sort_dir=asc",
     "sort_key=name&sort_dir=up"],
)  # fmt: skip
def test_sorts_that_make_no_sense(alice, query):
    alice.fails(400, "HTTPBadRequest", "GET", f"networks?{query}")


def _page(alice, url):
    answer = alice.get(url)
    links = {link["rel"]: link["href"] for link in answer.get("networks_links", [])}
    return [item["id"] for item in answer["networks"]], links


def test_pages_forwards_and_back(alice, networks):
    ids = sorted(item["id"] for item in networks)
    first, links = _page(alice, "networks?limit=3&tenant_id=alpha")
    assert first == ids[:3]
    assert set(links) == {"next", "previous"}
    assert links["next"].startswith("http://testserver/v2.0/networks?")
    assert parse_qs(urlsplit(links["next"]).query) == {"limit": ["3"], "tenant_id": ["alpha"], "marker": [ids[2]]}
    second, links = _page(alice, f"/v2.0/networks?{urlsplit(links['next']).query}")
    assert second == ids[3:]
    assert set(links) == {"previous"}
    assert parse_qs(urlsplit(links["previous"]).query)["page_reverse"] == ["True"]
    back, links = _page(alice, f"/v2.0/networks?{urlsplit(links['previous']).query}")
    assert back == ids[:3]
    assert set(links) == {"next", "previous"}
    before, links = _page(alice, f"networks?limit=3&page_reverse=True&marker={ids[1]}")
    assert before == ids[:1]
    assert set(links) == {"next"}
    nothing, links = _page(alice, f"networks?limit=3&marker={ids[3]}")
    assert (nothing, set(links)) == ([], {"previous"})
    back, links = _page(alice, f"/v2.0/networks?{urlsplit(links['previous']).query}")
    assert (back, set(links)) == (ids[1:], {"next", "previous"})
    nothing, links = _page(alice, f"networks?limit=3&page_reverse=True&marker={ids[0]}")
    assert (nothing, set(links)) == ([], {"next"})
    assert _page(alice, f"/v2.0/networks?{urlsplit(links['next']).query}")[0] == ids[:3]


def test_pages_of_a_sorted_list(alice, networks):
    seen = []
    query = "networks?limit=1&sort_key=name&sort_dir=asc"
    for _ in range(5):
        ids, _links = _page(alice, query + (f"&marker={seen[-1]}" if seen else ""))
        seen += ids
    assert [next(item["name"] for item in networks if item["id"] == key) for key in seen] == ["", "a", "b", "b"]
    assert len(set(seen)) == 4


def test_a_page_of_hidden_fields_still_leads_on(alice, networks):
    answer = alice.get("networks?limit=2&fields=name")
    assert "marker=" in answer["networks_links"][0]["href"]


def test_limits(alice, networks):
    assert len(alice.get("networks?limit=0")["networks"]) == 4
    assert "networks_links" not in alice.get("networks?limit=0")
    assert len(alice.get(f"networks?marker={networks[0]['id']}")["networks"]) == 4
    for limit in ("-1", "many", "1.5"):
        alice.fails(400, "BadRequest", "GET", f"networks?limit={limit}")
    alice.fails(404, "NetworkNotFound", "GET", "networks?limit=1&marker=none")
