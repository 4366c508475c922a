"""Extensions, the OpenAPI document and its page."""

from netloom.model.resources import RESOURCES


def test_extensions(alice):
    listed = alice.get("extensions")["extensions"]
    assert {"router", "security-group", "provider"} <= {item["alias"] for item in listed}
    for item in listed:
        assert set(item) == {"name", "alias", "description", "updated", "links"}
        assert alice.get(f"extensions/{item['alias']}")["extension"] == item
    alice.fails(404, "ExtensionNotFound", "GET", "extensions/none")


def test_the_document_has_every_resource_and_only_references_that_lead_somewhere(alice):
    document = alice.client.get("/openapi.json").json()
    assert document["servers"] == [{"url": "http://testserver/v2.0"}]
    assert {f"/{resource.collection}" for resource in RESOURCES} <= document["paths"].keys()
    for reference in _references(document):
        place = document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
        assert place


def _references(value):
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "$ref":
                yield item
            else:
                yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)


def test_the_page_needs_nothing_from_elsewhere(alice):
    page = alice.client.get("/docs").text
    assert "network_id" in page
    assert "//" not in page.replace("https://", "//", 0).split("</style>")[1]
