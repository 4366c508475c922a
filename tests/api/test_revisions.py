"""Revision numbers and ``If-Match``."""

import pytest


def test_revisions_grow_by_one_with_each_change(alice):
    network = alice.network(name="a")
    path = f"networks/{network['id']}"
    assert network["revision_number"] == 1
    assert alice.put(path, {"network": {"name": "b"}})["network"]["revision_number"] == 2
    assert alice.put(path, {"network": {"name": "b"}})["network"]["revision_number"] == 2


@pytest.mark.parametrize("form", ["revision_number=1", '"revision_number=1"', "'revision_number=1'"])
def test_a_change_of_the_known_revision(alice, form):
    path = f"networks/{alice.network()['id']}"
    alice.put(path, {"network": {"name": "b"}}, headers={"If-Match": form})
    message = alice.fails(
        412, "RevisionNumberConstraintFailed", "PUT", path, {"network": {"name": "c"}}, headers={"If-Match": form}
    )
    assert message == "Constrained to 1, but current revision is 2"
    alice.fails(412, "RevisionNumberConstraintFailed", "DELETE", path, headers={"If-Match": form})
    assert alice.get(path, headers={"If-Match": form})["network"]["name"] == "b"
    alice.delete(path, headers={"If-Match": "revision_number=2"})


def test_a_constraint_that_makes_no_sense(alice):
    path = f"networks/{alice.network()['id']}"
    for text in ("1", "revision_number=x", "*"):
        alice.fails(400, "HTTPBadRequest", "PUT", path, {"network": {"name": "c"}}, headers={"If-Match": text})
