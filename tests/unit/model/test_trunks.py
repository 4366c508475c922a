"""Sub-ports as requests name them."""

import pytest

from netloom.model.kinds import Invalid
from netloom.model.trunks import SubPorts

FIRST, SECOND = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"


@pytest.mark.parametrize(
    "told",
    [
        {"port_id": FIRST, "segmentation_type": "vlan", "segmentation_id": "7"},
        f"port_id={FIRST},segmentation_type=vlan,segmentation_id=7",
    ],
)
def test_sub_ports_in_words_and_numbers(told):
    assert SubPorts().parse([told]) == [{"port_id": FIRST, "segmentation_type": "vlan", "segmentation_id": 7}]


def test_what_needs_no_tag():
    """A sub-port that is to be removed, and one that takes the tag of its network."""
    told = [{"port_id": FIRST}, {"port_id": SECOND, "segmentation_type": "inherit"}]
    assert SubPorts().parse(told) == told


def test_tags_of_different_types_may_be_equal():
    told = [
        {"port_id": port, "segmentation_type": kind, "segmentation_id": 7}
        for port, kind in ((FIRST, "vlan"), (SECOND, "vxlan"))
    ]
    assert SubPorts().parse(told) == told


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ([{"port_id": FIRST}] * 2, f"Non unique UUID for subport: '{FIRST}'"),
        ([{"port_id": FIRST, "segmentation_type": "vlan"}], "Must specify both"),
        ([{"port_id": FIRST, "segmentation_type": "vlan", "segmentation_id": 0}], "Must specify both"),
        (
            [{"port_id": port, "segmentation_type": "vlan", "segmentation_id": 7} for port in (FIRST, SECOND)],
            "Segmentation ID '7' of type 'vlan' is not unique",
        ),
        (None, "not a valid value"),
    ],
)
def test_sub_ports_that_make_no_sense(told, reason):
    with pytest.raises(Invalid, match=reason):
        SubPorts().parse(told)
