"""The flow pipeline: every table, register, mark and priority, in one place. The numbering is Neutron's.

A frame from a guest with port security walks br-int like this (openvswitch firewall)::

    0 ──▶ 60 classify ──▶ 71 anti-spoofing ──▶ 72 egress rules ──▶ 73 accepted ──▶ 94 uplink, or all
                                                                      │ for a guest of this host
    0 ──▶ 60 classify ──▶ 61 arriving ────────────────────────────────┴▶ 81 ──▶ 82 ingress rules ──▶ 92 ──▶ 95 out
      from a network, for a guest

Tables 72 and 82 hold rules by *profile*, a set of security groups, so that ports with the same groups share
their flows: reg7 says which profile applies. Conjunctions stand for remote sets: one flow an address, one
flow a rule, so a member that joins costs one flow a direction, however many ports and rules there are.
"""

from netloom.state import Flow

# br-int ---------------------------------------------------------------------------------------------------
LOCAL_SWITCHING = 0
CANARY = 23
"""Only its default drop; operators' checks look for it."""
ARP_SPOOF = 24
"""ARP and neighbour advertisements of guests, where another firewall driver filters the rest."""
MAC_SPOOF = 25
CLASSIFY = 60
ARRIVING = 61
"""Frames from a network, by local VLAN and MAC. Ours: in Neutron's table 60 a device that nobody knows could
tag its frames and pass for a network."""
BASE_EGRESS = 71
RULES_EGRESS = 72
ACCEPT_EGRESS = 73
BASE_INGRESS = 81
RULES_INGRESS = 82
ACCEPT_INGRESS = 92
NORMAL_SWITCHING = 94
DELIVER = 95
"""Output to the guest that reg5 names. Ours: Neutron outputs in 82, once for every rule."""
EVERYBODY = 96
"""Where a network has more receivers than one flow can name: some of them, by number."""

INTEGRATION_TABLES = (
    LOCAL_SWITCHING,
    CANARY,
    ARP_SPOOF,
    MAC_SPOOF,
    CLASSIFY,
    ARRIVING,
    BASE_EGRESS,
    RULES_EGRESS,
    ACCEPT_EGRESS,
    BASE_INGRESS,
    RULES_INGRESS,
    ACCEPT_INGRESS,
    NORMAL_SWITCHING,
    DELIVER,
    EVERYBODY,
)

# Registers of br-int: all 32 bits wide, all survive conntrack's recirculation.
REG_PORT = 5
"""Guest to deliver to: the first eight digits of its port's id (see ``numbers``)."""
REG_NETWORK = 6
"""Local VLAN: the scope of MAC addresses, and the conntrack zone. On bridges of trunks the zone alone."""
REG_PROFILE = 7
"""Profile whose rules apply."""

ZONE = f"zone=NXM_NX_REG{REG_NETWORK}[0..15]"
MARK_REVOKED = 1
"""ct_mark of a connection that was established under a rule that is no more: replies stop too."""

# Priorities of table 0.
DEAD = 65535
TAGGED_BY_GUEST = 11
TO_ARP_SPOOF = 10
TO_MAC_SPOOF = 9
ELECTION = 5
"""Between the hosts that carry one router."""
FROM_NETWORK = 3
FOREIGN = 2
"""Frames of a physical network that no port here belongs to."""
SPOOF_ALLOWED = 2
DEFAULT = 0

# Table 60.
TAGGED = 105
"""A guest's own VLAN tag means nothing here."""
FROM_PORT = 100

# Table 61.
TO_PORT = 90
IP_TO_ALL = 20
"""Broadcast and multicast packets: to each guest by its own rules; in table 94, too."""
STRAY = 10
"""Unicast frame to a MAC that this host does not know; in table 94, too."""
GROUP_ADDRESSED = 3

# Tables 71 and 81.
NEIGHBOUR = 95
DHCP_CLIENT = 80
NOT_A_GUESTS = 70
"""A guest is no DHCP server, no router, and does not answer for others."""
GENUINE = 65
"""An address of the port from a MAC of the port."""

# Tables 72 and 82; neighbour discovery comes first in 72, too.
UNTRACKED = 90
INVALID = 89
REPLY = 88
REVOKED = 87
METADATA = 80
RULE = 77
RULE_REMOTE_SET = 70
NO_RULE = 40

# Tables 73 and 92.
LOCAL_PORT = 100
COMMIT = 90
ACCEPT = 80

# Table 94.
DIRECT = 12
FLOODED = 1

# br-tun ---------------------------------------------------------------------------------------------------
#
#   from br-int ──▶ 2 ──▶ 20 unicast: known place, learned place, else flooded
#                   ├───▶ 21 who has an address? answered here when known, else flooded
#                   └───▶ 22 to all hosts that share the network
#   from a tunnel ──▶ 3, 4, 6 VNI to local VLAN ──▶ 10 learn ──▶ br-int
PATCH_TO_TUNNELS = 2
FROM_TUNNEL = {"gre": 3, "vxlan": 4, "geneve": 6}
"""By network type: VNI to local VLAN."""
LEARN = 10
UNICAST = 20
ARP_RESPONDER = 21
"""Answers solicitations of neighbours (IPv6), too."""
FLOOD = 22
TUNNEL_TABLES = (LOCAL_SWITCHING, PATCH_TO_TUNNELS, *FROM_TUNNEL.values(), LEARN, UNICAST, ARP_RESPONDER, FLOOD)
LEARNED_SECONDS = 300

# Table 2.
SOLICITATION = 1

# Table 20.
PLACED = 3
"""Intent knows the one host that has the MAC."""
LEARNED = 2
CARRIED = 1
"""Several hosts carry the router with the MAC, and none has spoken yet."""

# Table 21.
DUPLICATE_DETECTION = 2
ANSWER = 1

# Bridges of physical networks: table 0 alone.
TO_WIRE = 4
NOT_FOR_WIRE = 2

# Bridges of trunks: table 0 alone; with iptables_hybrid also tables 71 to 95, for sub-ports.
UNTAGGED = "vlan_tci=0x0000/0x1fff"
BETWEEN_CARD_AND_PATCH = 1
TRUNK_FIREWALL_TABLES = (
    BASE_EGRESS,
    RULES_EGRESS,
    ACCEPT_EGRESS,
    BASE_INGRESS,
    RULES_INGRESS,
    ACCEPT_INGRESS,
    NORMAL_SWITCHING,
    DELIVER,
)

# MACs --------------------------------------------------------------------------------------------------------
BROADCAST = "ff:ff:ff:ff:ff:ff"
GROUP = "01:00:00:00:00:00/01:00:00:00:00:00"
"""Broadcast and multicast."""
INDIVIDUAL = "00:00:00:00:00:00/01:00:00:00:00:00"


def flow(
    bridge: str, table: int, priority: int, match: str | tuple[str, ...], actions: str, *, origin: str = ""
) -> Flow:
    """A flow; ``match`` may come in parts, empty ones are left out."""
    text = match if isinstance(match, str) else ",".join(part for part in match if part)
    return Flow(bridge=bridge, table=table, priority=priority, match=text, actions=actions, origin=origin)


def resubmit(table: int) -> str:
    """Action: go on in a table."""
    return f"resubmit(,{table})"


def load(register: int, value: int) -> str:
    """Action: set a register."""
    return f"load:{value:#x}->NXM_NX_REG{register}[]"


def actions(*parts: str) -> str:
    """An action list of its parts, empty ones left out."""
    return ",".join(part for part in parts if part)
