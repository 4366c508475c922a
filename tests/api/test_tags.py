"""Tags: as a sub-resource, as filters, and what they do to revisions."""

import pytest


@pytest.fixture
def path(alice):
    return f"networks/{alice.network()['id']}"


def test_replace_add_and_remove(alice, path):
    assert alice.get(f"{path}/tags") == {"tags": []}
    assert alice.put(f"{path}/tags", {"tags": ["b", "a"]}) == {"tags": ["b", "a"]}
    answer = alice.ask("POST", f"{path}/tags", {"tags": ["c"]})
    assert (answer.status_code, answer.json()) == (200, {"tags": ["c"]})
    answer = alice.ask("PUT", f"{path}/tags/d%20e")
    assert (answer.status_code, answer.text) == (201, "null")
    assert sorted(alice.get(f"{path}/tags")["tags"]) == ["a", "b", "c", "d e"]
    assert sorted(alice.get(path)["network"]["tags"]) == ["a", "b", "c", "d e"]
    assert alice.ask("GET", f"{path}/tags/d%20e.json").status_code == 204
    alice.delete(f"{path}/tags/a")
    alice.fails(404, "TagNotFound", "DELETE", f"{path}/tags/a")
    alice.fails(404, "TagNotFound", "GET", f"{path}/tags/a")
    alice.delete(f"{path}/tags")
    assert alice.get(f"{path}/tags") == {"tags": []}


def test_tags_are_changes(alice, path):
    alice.put(f"{path}/tags", {"tags": ["a"]})
    assert alice.get(path)["network"]["revision_number"] == 2
    assert alice.ask("PUT", f"{path}/tags/a").status_code == 201
    assert alice.get(path)["network"]["revision_number"] == 2


@pytest.mark.parametrize("body", [{}, {"tags": "a"}, {"tags": ["a", "a"]}, {"tags": ["x" * 256]}, {"tags": [1]}])
def test_tags_that_make_no_sense(alice, path, body):
    alice.fails(400, "HTTPBadRequest", "PUT", f"{path}/tags", body)
    assert alice.get(f"{path}/tags") == {"tags": []}


def test_too_many_tags(alice, path):
    alice.fails(400, "BadRequest", "PUT", f"{path}/tags", {"tags": [str(number) for number in range(51)]})


def test_whose_tags(alice, bob, admin, path):
    bob.fails(404, "TagResourceNotFound", "GET", f"{path}/tags")
    bob.fails(404, "TagResourceNotFound", "PUT", f"{path}/tags/a")
    alice.fails(404, "TagResourceNotFound", "PUT", "networks/none/tags", {"tags": []})
    shared = f"networks/{admin.network(shared=True)['id']}"
    bob.fails(403, "PolicyNotAuthorized", "PUT", f"{shared}/tags", {"tags": ["a"]})
    alice.fails(404, "HTTPNotFound", "PUT", f"{path}/tags/a%2Fb")


def test_filters(alice):
    for name, tags in (("ab", ["a", "b"]), ("a", ["a"]), ("b", ["b"]), ("none", [])):
        alice.put(f"networks/{alice.network(name=name)['id']}/tags", {"tags": tags})
    found = {
        key: sorted(alice.names(f"networks?{key}=a,b")) for key in ("tags", "tags-any", "not-tags", "not-tags-any")
    }
    assert found == {
        "tags": ["ab"],
        "tags-any": ["a", "ab", "b"],
        "not-tags": ["a", "b", "none"],
        "not-tags-any": ["none"],
    }
