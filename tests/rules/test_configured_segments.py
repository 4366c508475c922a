"""Segments under the configuration of the scenario: ``network_vlan_ranges = external,vlan:100:200``."""

from dataclasses import replace
from pathlib import Path

import pytest

from netloom.model.errors import InvalidInput
from netloom.settings.load import network_settings, read
from tests.rules.cloud import Cloud, admin, member

FILES = Path(__file__).parents[1] / "unit" / "settings" / "neutron" / "controller"
SETTINGS = replace(network_settings(read(sorted(FILES.iterdir()))), quotas={"network": -1})
ADMIN, MEMBER = replace(admin(), settings=SETTINGS), replace(member(), settings=SETTINGS)
EXTERNAL = {"provider__network_type": "vlan", "provider__physical_network": "external"}


def test_the_first_type_is_that_of_projects_networks(cloud: Cloud) -> None:
    made = [cloud.create("network", MEMBER) for _ in range(2)]
    assert [(net["provider:network_type"], net["provider:physical_network"]) for net in made] == [("vlan", "vlan")] * 2
    assert [net["provider:segmentation_id"] for net in made] == [100, 101]


def test_the_next_type_follows_when_the_first_has_run_out(cloud: Cloud) -> None:
    cloud.create_many("network", [{}] * 101, MEMBER)
    made = cloud.create("network", MEMBER)
    assert (made["provider:network_type"], made["provider:segmentation_id"]) == ("gre", 1)


def test_a_name_without_a_range_admits_any_id_of_the_administrator_and_gives_none_away(cloud: Cloud) -> None:
    for number in (1, 2222, 4094):
        made = cloud.create("network", ADMIN, **EXTERNAL, provider__segmentation_id=number)
        assert (made["provider:physical_network"], made["provider:segmentation_id"]) == ("external", number)
    with pytest.raises(InvalidInput, match="segmentation_id required"):
        cloud.create("network", ADMIN, **EXTERNAL)
    with pytest.raises(InvalidInput, match="unknown for VLAN"):
        cloud.create("network", ADMIN, provider__network_type="vlan", provider__physical_network="internet")
    assert cloud.create("network", MEMBER)["provider:physical_network"] == "vlan"


def test_types_that_are_not_among_the_drivers_are_refused(cloud: Cloud) -> None:
    with pytest.raises(InvalidInput, match="geneve"):
        cloud.create("network", ADMIN, provider__network_type="geneve")
    flat = {"provider__network_type": "flat", "provider__physical_network": "external"}
    assert cloud.create("network", ADMIN, **flat)["provider:network_type"] == "flat"
    with pytest.raises(InvalidInput, match="unknown for flat"):
        cloud.create("network", ADMIN, **flat | {"provider__physical_network": "vlan"})
