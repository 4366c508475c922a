"""keepalived of an HA router or load balancer: its configuration (keepalived.conf(5)), and what looks after it."""

from collections.abc import Iterable, Sequence

from netloom.state import Route

PRIORITY = 50
"""Of each host that is fit: the one of the highest address wins an election, and none takes over from an equal."""
STARTUP_DELAY = 1.5
"""Seconds until a new host stands for election: until then the others have learned of it, and it hears them."""

SCRIPT = """\
#!/bin/sh
# Runs keepalived for a router or a load balancer: keepalived.sh CONFIGURATION DIRECTORY [ADDRESS]
# However keepalived ends, the addresses and routes that it set end with it: else two hosts would answer.
# ADDRESS, with its prefix length, is the one of a balancer's host, which is not keepalived's.
# HUP makes it read its configuration again, TERM ends it; it ends also when this script does.
conf=$1 run=$2 own=$3

clean() {
    rm -f "$run/pid" "$run/vrrp.pid"
    devices=$(sed -n 's/^ *\\(\\(ha-\\|qr-\\|qg-\\|tap\\)[^:]*\\):.*/\\1/p' /proc/self/net/dev)
    for device in $devices; do
        case $device in
        ha-*) echo "address flush dev $device to 169.254.0.0/24" ;;
        tap*) ip -o address show dev "$device" | while read -r _ _ _ address _; do
            case $address in "$own" | fe80:*ff:fe*) ;; *) echo "address del $address dev $device" ;; esac
        done ;;
        *) echo "address flush dev $device" ;;
        esac
    done | ip -force -batch -
    for device in $devices; do echo "route flush dev $device proto keepalived"; done | ip -6 -force -batch -
}

reload() {
    # One that has only just begun would die of it.
    until [ -s "$run/vrrp.pid" ] || ! kill -0 $child; do sleep 0.02; done
    kill -HUP $child
}

clean
setpriv --pdeathsig TERM keepalived -n -l -P -R -f "$conf" -p "$run/pid" -r "$run/vrrp.pid" &
child=$!
trap 'kill -TERM $child' TERM
trap reload HUP
while kill -0 $child 2>/dev/null; do
    wait $child
    status=$?
done
clean
exit $status
"""

CONFIGURATION = """\
global_defs {{
    router_id {name}
    vrrp_version {version}
    vrrp_priority -20
    vrrp_startup_delay {startup_delay}
    vrrp_garp_master_delay 1
    vrrp_garp_master_repeat 3
    vrrp_garp_master_refresh 10
    vrrp_garp_lower_prio_delay 1
    vrrp_garp_lower_prio_repeat 3
    vrrp_higher_prio_send_advert true
}}
track_file health {{
    file ${{_PWD}}/{health}
    weight 1
    init_file 0
}}
vrrp_instance {name} {{
    state BACKUP
    interface {device}
    virtual_router_id {vrid}
    priority {priority}
    advert_int {advert_int:g}
    track_file {{
        health
    }}
    virtual_ipaddress {{
        {elected} dev {device} no_track
    }}
    virtual_ipaddress_excluded {{
{addresses}    }}
    virtual_routes {{
{routes}    }}
}}
"""


def configuration(
    *,
    vrid: int,
    device: str,
    version: int,
    advert_int: float,
    health: str,
    addresses: Iterable[tuple[str, str]],
    routes: Sequence[Route],
    family: int = 4,
) -> str:
    """The text of keepalived.conf.

    ``addresses`` are pairs of (device, address with prefix length); ``advert_int`` is in seconds; ``family`` is that
    of the protocol by which the hosts hear each other. An advertisement
    names one address only, so that it stays short; devices are not tracked, so that one that is about to be removed is
    no failure. A host that yields says so once more: the other one, which may have been active all the time, then
    announces its addresses again.
    """
    ordered = sorted(routes, key=lambda route: bool(route.via))  # a next hop is reached by an on-link route
    return CONFIGURATION.format(
        name=f"VR_{vrid}",
        startup_delay=STARTUP_DELAY,
        version=version,
        health=health,
        device=device,
        vrid=vrid,
        priority=PRIORITY,
        advert_int=advert_int,
        elected=f"{elected_address(vrid, family)}/{24 if family == 4 else 64}",
        addresses="".join(f"        {cidr} dev {on} no_track\n" for on, cidr in addresses),
        routes="".join(f"        {_route(route)} no_track\n" for route in ordered),
    )


def version(advert_int: float, family: int = 4) -> int:
    """Of VRRP, by the configured seconds between advertisements: a fraction or IPv6 needs the third."""
    return 2 if float(advert_int).is_integer() and family == 4 else 3


def elected_address(vrid: int, family: int = 4) -> str:
    """The address that is on the active host alone, and in no other use. Hosts speak VRRP by the protocol of it."""
    return f"169.254.0.{vrid}" if family == 4 else f"fe80::6e6c:{vrid:x}"


def handover(advert_int: float) -> float:
    """Seconds within which another host takes over: the longest wait of RFC 5798 6.1, and some for its work."""
    return round(4 * advert_int + 0.5, 3)


def _route(route: Route) -> str:
    destination = route.destination
    if destination == "default":
        destination = "0.0.0.0/0" if route.family == 4 else "::/0"
    if route.via:
        return f"{destination} via {route.via} dev {route.device}"
    return f"{destination} dev {route.device}" + (" scope link" if route.family == 4 else "")
