"""Anti-spoofing alone (tables 24 and 25), for hosts where another driver filters: ARP, neighbour discovery, MACs.

A tag that a guest sets itself means nothing here, and would hide the packet behind it from iptables.
"""

from collections.abc import Iterator

from netloom.plan import matches
from netloom.plan import pipeline as p
from netloom.plan.attachments import Guest
from netloom.state import Flow


def guest_flows(guest: Guest, bridge: str) -> Iterator[Flow]:
    """Flows of one guest with port security: what it says of its addresses must be true."""
    port, origin = f"in_port={guest.device}", guest.origin
    if not guest.plug.peer:
        tagged = (port, "vlan_tci=0x1000/0x1000")
        yield p.flow(bridge, p.LOCAL_SWITCHING, p.TAGGED_BY_GUEST, tagged, "drop", origin=origin)
    advertisement = ("icmp6", port, "icmp_type=136")
    yield p.flow(bridge, p.LOCAL_SWITCHING, p.TO_ARP_SPOOF, advertisement, p.resubmit(p.ARP_SPOOF), origin=origin)
    yield p.flow(bridge, p.LOCAL_SWITCHING, p.TO_ARP_SPOOF, ("arp", port), p.resubmit(p.ARP_SPOOF), origin=origin)
    yield p.flow(bridge, p.LOCAL_SWITCHING, p.TO_MAC_SPOOF, port, p.resubmit(p.MAC_SPOOF), origin=origin)
    prefixes = {prefix for _, prefix in guest.pairs}
    for prefix in sorted(prefix for prefix in prefixes if matches.version(prefix) == 4):
        match = ("arp", port, matches.field_of("arp_spa", prefix))
        yield p.flow(bridge, p.ARP_SPOOF, p.SPOOF_ALLOWED, match, p.resubmit(p.MAC_SPOOF), origin=origin)
    targets = {prefix for prefix in prefixes if matches.version(prefix) == 6}
    for target in sorted(targets | {matches.link_local(mac) for mac in guest.macs}):
        solicited = (*advertisement, matches.field_of("nd_target", target))
        yield p.flow(bridge, p.ARP_SPOOF, p.SPOOF_ALLOWED, solicited, "NORMAL", origin=origin)
    for mac in guest.macs:
        yield p.flow(bridge, p.MAC_SPOOF, p.SPOOF_ALLOWED, (port, f"dl_src={mac}"), "NORMAL", origin=origin)
