"""What a security group rule may say."""

import pytest

from netloom.model.security_groups import PROTOCOLS
from netloom.rules import rule_values
from netloom.rules.rule_values import key, normalise


def rule(**values):
    return {"direction": "ingress", "ethertype": "IPv4", **values}


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ({"protocol": None}, {"protocol": None}),
        ({"protocol": "any"}, {"protocol": None}),
        ({"protocol": "TCP"}, {"protocol": "tcp"}),
        ({"protocol": 6}, {"protocol": "6"}),
        ({"protocol": "255"}, {"protocol": "255"}),
        ({"protocol": "icmp", "ethertype": "IPv6"}, {"protocol": "ipv6-icmp"}),
        ({"protocol": "icmpv6", "ethertype": "IPv6"}, {"protocol": "ipv6-icmp"}),
        ({"protocol": 1, "ethertype": "IPv6"}, {"protocol": "58"}),
        (
            {"protocol": "tcp", "port_range_min": 1, "port_range_max": 65535},
            {"port_range_min": None, "port_range_max": None},
        ),
        (
            {"protocol": "udplite", "port_range_min": 5, "port_range_max": 5},
            {"port_range_min": 5, "port_range_max": 5},
        ),
        (
            {"protocol": "icmp", "port_range_min": 0, "port_range_max": 0},
            {"port_range_min": 0, "port_range_max": 0},
        ),
        ({"protocol": "icmp", "port_range_min": 8}, {"port_range_min": 8, "port_range_max": None}),
        ({"remote_ip_prefix": "10.0.0.7"}, {"remote_ip_prefix": "10.0.0.7/32", "normalized_cidr": "10.0.0.7/32"}),
        ({"remote_ip_prefix": "10.0.0.7/8"}, {"remote_ip_prefix": "10.0.0.7/8", "normalized_cidr": "10.0.0.0/8"}),
        (
            {"remote_ip_prefix": "2001:db8::7", "ethertype": "IPv6"},
            {"remote_ip_prefix": "2001:db8::7/128", "normalized_cidr": "2001:db8::7/128"},
        ),
        ({"remote_ip_prefix": "", "remote_group_id": ""}, {"remote_ip_prefix": None, "remote_group_id": None}),
    ],
)
def test_stored_form(given, stored):
    assert normalise(rule(**given)).items() >= stored.items()


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_every_named_protocol_is_taken(protocol):
    assert normalise(rule(protocol=protocol, ethertype="IPv6"))["protocol"]


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"protocol": "nonsense"}, "SecurityGroupRuleInvalidProtocol"),
        ({"protocol": 256}, "SecurityGroupRuleInvalidProtocol"),
        ({"protocol": -1}, "SecurityGroupRuleInvalidProtocol"),
        ({"protocol": True}, "SecurityGroupRuleInvalidProtocol"),
        ({"protocol": ["tcp"]}, "SecurityGroupRuleInvalidProtocol"),
        ({"protocol": "²"}, "SecurityGroupRuleInvalidProtocol"),
        ({"protocol": "icmpv6"}, "SecurityGroupEthertypeConflictWithProtocol"),
        ({"protocol": "ipv6-frag"}, "SecurityGroupEthertypeConflictWithProtocol"),
        ({"protocol": "41"}, "SecurityGroupEthertypeConflictWithProtocol"),
        ({"protocol": 58}, "SecurityGroupEthertypeConflictWithProtocol"),
        ({"port_range_min": 1, "port_range_max": 2}, "SecurityGroupProtocolRequiredWithPorts"),
        ({"protocol": "esp", "port_range_min": 1, "port_range_max": 2}, "SecurityGroupInvalidProtocolForPort"),
        ({"protocol": "tcp", "port_range_min": 2, "port_range_max": 1}, "SecurityGroupInvalidPortRange"),
        ({"protocol": "tcp", "port_range_min": 2}, "SecurityGroupInvalidPortRange"),
        ({"protocol": "tcp", "port_range_max": 2}, "SecurityGroupInvalidPortRange"),
        ({"protocol": "tcp", "port_range_min": 0, "port_range_max": 2}, "SecurityGroupInvalidPortValue"),
        ({"protocol": "udp", "port_range_min": 1, "port_range_max": 65536}, "SecurityGroupInvalidPortValue"),
        ({"protocol": "icmp", "port_range_min": 256}, "SecurityGroupInvalidIcmpValue"),
        ({"protocol": "icmp", "port_range_min": 8, "port_range_max": -1}, "SecurityGroupInvalidIcmpValue"),
        ({"protocol": "icmp", "port_range_max": 0}, "SecurityGroupMissingIcmpType"),
        ({"remote_ip_prefix": "10.0.0.0/8", "remote_group_id": "g"}, "SecurityGroupMultipleRemoteEntites"),
        ({"remote_address_group_id": "a", "remote_group_id": "g"}, "SecurityGroupMultipleRemoteEntites"),
        ({"remote_ip_prefix": "10.0.0.0/8", "ethertype": "IPv6"}, "SecurityGroupRuleParameterConflict"),
        ({"remote_ip_prefix": "::/0"}, "SecurityGroupRuleParameterConflict"),
        ({"remote_ip_prefix": "10.0.0.0/33"}, "InvalidCIDR"),
        ({"remote_ip_prefix": "nonsense"}, "InvalidCIDR"),
    ],
)
def test_refused(given, error):
    with pytest.raises(rule_values.BadRequest) as caught:
        normalise(rule(**given))
    assert (caught.value.type, caught.value.status) == (error, 400)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"protocol": "tcp"}, {"protocol": "6"}, True),
        ({"protocol": "icmp"}, {"protocol": 1}, True),
        ({"protocol": "ipv6-icmp", "ethertype": "IPv6"}, {"protocol": 58, "ethertype": "IPv6"}, True),
        ({"remote_ip_prefix": "0.0.0.0/0"}, {}, True),
        ({"remote_ip_prefix": "10.1.2.3/8"}, {"remote_ip_prefix": "10.0.0.0/8"}, True),
        ({"description": "a"}, {"description": "b"}, True),
        ({"protocol": "tcp"}, {"protocol": "udp"}, False),
        ({"remote_ip_prefix": "10.0.0.0/8"}, {}, False),
        ({"remote_group_id": "g"}, {}, False),
        ({"ethertype": "IPv6"}, {}, False),
    ],
)
def test_equality(one, other, same):
    assert (key(normalise(rule(**one))) == key(normalise(rule(**other)))) is same
