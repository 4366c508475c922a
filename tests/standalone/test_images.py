"""Images as their clients use them."""

import hashlib
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
import urllib3

OCTETS = {"Content-Type": "application/octet-stream"}


def create(server, user="demo", **values):
    body = {"name": "ubuntu", "disk_format": "qcow2", "container_format": "bare"} | values
    return server.ask("POST", "/image/v2/images", body, user)


def test_versions(server):
    assert server.raw("GET", "/image").status == 300
    assert server.raw("GET", "/image/versions").status == 200
    assert server.ask("GET", "/image/v2/schemas/image").body["name"] == "image"
    assert server.ask("GET", "/image/v2/schemas/metadefs/namespace").status == 404
    assert server.raw("GET", "/image/v2/images").status == 401


def test_the_guest_is_there_from_the_start(server):
    [guest] = server.ask("GET", "/image/v2/images?limit=20&sort_key=name&sort_dir=asc&name=cirros").body["images"]
    assert (guest["status"], guest["visibility"], guest["os_admin_user"]) == ("active", "public", "cirros")
    assert server.ask("GET", f"/image/v2/images?id=in:{guest['id']}").body["images"][0]["name"] == "cirros"
    assert server.ask("GET", "/image/v2/images/cirros").status == 404


def test_upload_and_download(server):
    made = create(server, **{"owner_specified.openstack.object": "images/ubuntu", "min_disk": 0}).body
    assert (made["status"], made["owner_specified.openstack.object"]) == ("queued", "images/ubuntu")
    path = f"/image/v2/images/{made['id']}"
    content = bytes(range(256)) * 40_000
    parts = (content[i : i + 65536] for i in range(0, len(content), 65536))  # sent in chunks
    assert server.ask("PUT", f"{path}/file", content=parts, headers=OCTETS).status == 204
    shown = server.ask("GET", path).body
    assert (shown["status"], shown["size"]) == ("active", len(content))
    assert shown["checksum"] == hashlib.md5(content).hexdigest()
    assert (shown["os_hash_algo"], shown["os_hash_value"]) == ("sha512", hashlib.sha512(content).hexdigest())
    assert server.ask("GET", f"{path}/file").content == content
    file = server.settings.state_dir / "images" / made["id"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert server.ask("PUT", f"{path}/file", content=b"again", headers=OCTETS).status == 409
    assert server.ask("DELETE", path).status == 204
    assert not file.exists()
    assert server.ask("GET", path).status == 404


def test_who_may_see_and_change(server):
    mine = create(server).body["id"]
    assert create(server, visibility="public").status == 403
    public = create(server, "admin", visibility="public", name="shown").body["id"]
    private = create(server, "admin", visibility="private", name="hidden").body["id"]
    seen = {image["id"] for image in server.ask("GET", "/image/v2/images").body["images"]}
    assert {mine, public} <= seen
    assert private not in seen
    assert server.ask("GET", f"/image/v2/images/{private}").status == 404
    assert server.ask("DELETE", f"/image/v2/images/{public}").status == 403
    patch = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
    operations = [
        {"op": "replace", "path": "/name", "value": "new"},
        {"op": "add", "path": "/os_admin_user", "value": "ubuntu"},
    ]
    changed = server.ask("PATCH", f"/image/v2/images/{mine}", operations, headers=patch)
    assert (changed.status, changed.body["name"], changed.body["os_admin_user"]) == (200, "new", "ubuntu")
    wrong = [{"op": "replace", "path": "/status", "value": "active"}]
    assert server.ask("PATCH", f"/image/v2/images/{mine}", wrong, headers=patch).status == 403
    assert create(server, disk_format="odd").status == 400
    for image_id in (mine, public, private):
        assert server.ask("DELETE", f"/image/v2/images/{image_id}", user="admin").status == 204


def test_pages(server):
    made = [create(server, name=f"page{i}").body["id"] for i in range(3)]
    first = server.ask("GET", "/image/v2/images?limit=2&sort_key=name&sort_dir=desc").body
    assert [image["name"] for image in first["images"]] == ["page2", "page1"]
    second = server.ask("GET", f"/image{first['next']}").body
    assert second["images"][0]["name"] == "page0"
    assert "next" not in second
    for image_id in made:
        server.ask("DELETE", f"/image/v2/images/{image_id}")


def test_an_upload_that_is_cut_short_leaves_nothing(server):
    made = create(server).body
    path = f"/image/v2/images/{made['id']}"

    def broken():
        yield b"x" * 70_000
        raise ConnectionAbortedError

    with pytest.raises((ConnectionAbortedError, urllib3.exceptions.HTTPError)):
        server.ask("PUT", f"{path}/file", content=broken(), headers=OCTETS)
    server.until(lambda: server.ask("PUT", f"{path}/file", content=b"whole", headers=OCTETS).status == 204)
    directory = server.settings.state_dir / "images"
    server.until(lambda: [file.name for file in directory.glob(f"{made['id']}*")] == [made["id"]])
    assert server.ask("GET", f"{path}/file").content == b"whole"
    server.ask("DELETE", path)


def test_of_uploads_at_once_one_alone_is_taken(server):
    with ThreadPoolExecutor(8) as pool:
        for _ in range(6):
            path = f"/image/v2/images/{create(server).body['id']}"

            def put(content, path=path):
                return server.ask("PUT", f"{path}/file", content=content, headers=OCTETS).status

            texts = [bytes([65 + i]) * 1000 for i in range(8)]
            statuses = list(pool.map(put, texts))
            assert sorted(statuses) == [204] + [409] * 7
            assert server.ask("GET", f"{path}/file").content == texts[statuses.index(204)]
            server.ask("DELETE", path)
