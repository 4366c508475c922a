"""Finding: filters, order, pages, and the use of addresses."""

import pytest

from netloom.model.errors import NotFound
from netloom.model.ports import PORT
from netloom.rules import tags
from tests.rules.cloud import Cloud, View, member


@pytest.fixture
def net(cloud: Cloud) -> str:
    made: str = cloud.create("network", name="net")["id"]
    cloud.create("subnet", network_id=made, ip_version=4, cidr="10.0.0.0/24", name="sub")
    return made


@pytest.fixture
def five(cloud: Cloud, net: str) -> list[View]:
    names = ["b", "a", "c", "a", ""]
    return cloud.create_many("port", [{"network_id": net, "name": name, "tags": [name or "x", "t"]} for name in names])


def names(found: list[View]) -> list[str]:
    return [view["name"] for view in found]


def test_order_is_by_id_unless_asked_otherwise(cloud: Cloud, five: list[View]) -> None:
    assert [port["id"] for port in cloud.find("port")] == sorted(port["id"] for port in five)
    assert names(cloud.find("port", sorts=[("name", "desc")])) == ["c", "b", "a", "a", ""]


@pytest.mark.parametrize("sorts", [[], [("name", "asc")], [("name", "desc"), ("admin_state_up", "asc")]])
def test_pages_cover_everything_once_both_ways(cloud: Cloud, five: list[View], sorts: list[tuple[str, str]]) -> None:
    whole = [port["id"] for port in cloud.find("port", sorts=sorts)]
    pages, marker = [], None
    while page := cloud.find("port", sorts=sorts, limit=2, marker=marker):
        pages.append([port["id"] for port in page])
        marker = pages[-1][-1]
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [key for page in pages for key in page] == whole
    before = cloud.find("port", sorts=sorts, limit=2, marker=whole[4], page_reverse=True)
    assert [port["id"] for port in before] == whole[2:4]
    assert cloud.find("port", sorts=sorts, limit=2, marker=whole[0], page_reverse=True) == []
    last = cloud.find("port", sorts=sorts, limit=2, page_reverse=True)
    assert [port["id"] for port in last] == whole[3:]


def test_pages_over_missing_values(cloud: Cloud, net: str) -> None:
    for index, gateway in enumerate(["10.1.0.1", None, None, "10.4.0.1"], start=1):
        cloud.create("subnet", network_id=net, ip_version=4, cidr=f"10.{index}.0.0/24", gateway_ip=gateway)
    for way in ("asc", "desc"):
        whole = [item["id"] for item in cloud.find("subnet", sorts=[("gateway_ip", way)])]
        seen: list[str] = []
        while page := cloud.find("subnet", sorts=[("gateway_ip", way)], limit=1, marker=seen[-1] if seen else None):
            seen.append(page[0]["id"])
        assert seen == whole
        assert len(whole) == 5


def test_an_unknown_marker_is_not_found(cloud: Cloud, five: list[View]) -> None:
    with pytest.raises(NotFound) as caught:
        cloud.find("port", limit=1, marker="nothing")
    assert caught.value.type == "PortNotFound"
    assert len(cloud.find("port", marker="nothing")) == 5
    with pytest.raises(NotFound):
        cloud.find("port", member("beta"), limit=1, marker=five[0]["id"])


def test_filters(cloud: Cloud, five: list[View], net: str) -> None:
    def count(**filters: object) -> int:
        return len(cloud.find("port", filters={key.replace("_any", "-any").replace("not_", "not-"): value
                                               for key, value in filters.items()}))  # fmt: skip

    assert count(name=["a", "c"]) == 3
    assert count(name=[""]) == 1
    assert count(name=["a"], id=[five[1]["id"], five[0]["id"]]) == 1
    assert count(tenant_id=["alpha"], project_id=["beta"]) == 0
    assert count(revision_number=["one"]) == 0
    assert count(security_groups=five[0]["security_groups"]) == 5
    subnet = five[0]["fixed_ips"][0]["subnet_id"]
    assert count(fixed_ips={"subnet_id": [subnet], "ip_address": ["10.0.0.2", "10.0.0.3"]}) == 2
    assert count(fixed_ips={"ip_address_substr": ["0.0.6"]}) == 1
    assert count(fixed_ips={"ip_address_substr": ["%"]}) == 0
    assert count(tags=["t,a"]) == 2
    assert count(tags_any=["b,c"]) == 2
    assert count(not_tags=["t,a"]) == 3
    assert count(not_tags_any=["a,b"]) == 2
    assert count(network_id=[net]) == 5
    assert count(admin_state_up=[False]) == 0


def test_only_what_is_asked_for_is_loaded(cloud: Cloud, five: list[View]) -> None:
    (port, *_) = cloud.find("port", fields=frozenset({"id", "tags"}))
    assert "t" in port["tags"]
    assert "fixed_ips" not in port
    assert port["tenant_id"] == port["project_id"] == "alpha"


def test_a_token_without_a_project_owns_nothing(cloud: Cloud, net: str) -> None:
    cloud.create("network", cloud.admin, project_id="")
    assert cloud.find("network", member("")) == []


def test_tags_bump_the_revision(cloud: Cloud, five: list[View]) -> None:
    with cloud.store.write() as tx:
        tags.replace(tx, PORT, five[0]["id"], ["new"])
    after = cloud.get("port", five[0]["id"])
    assert after is not None
    assert (after["tags"], after["revision_number"]) == (["new"], 2)


def test_how_many_addresses_are_in_use(cloud: Cloud, five: list[View], net: str) -> None:
    cloud.create("network", name="empty")
    cloud.create("subnet", network_id=net, ip_version=6, cidr="2001:db8::/64")
    found = {item["network_name"]: item for item in cloud.find("network_ip_availability", cloud.admin)}
    assert (found["empty"]["total_ips"], found["empty"]["used_ips"]) == (0, 0)
    only4 = cloud.find("network_ip_availability", cloud.admin, filters={"ip_version": [4]})
    assert [(item["network_id"], item["total_ips"], item["used_ips"]) for item in only4] == [(net, 253, 5)]
    assert only4[0]["subnet_ip_availability"][0]["subnet_name"] == "sub"
    one = cloud.get("network_ip_availability", net, cloud.admin)
    assert one is not None
    assert one["total_ips"] == 253 + 2**64 - 1
