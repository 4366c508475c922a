"""Packet filter tables of a router: address translation, and the guard of the metadata proxy.

Chains bear the names that runbooks know. Their order, and each rule's text, are those of iptables-save
(1.8.9, nft backend): built-in chains by hook, then ours by name.

A packet's way: PREROUTING turns a floating address into the fixed one; POSTROUTING leaves what merely passes
between private networks; then a source with a floating IP takes it, and any other takes the gateway's address
when it leaves, or when it goes to a floating IP of the same router, so that the answer comes back through it.
IPv6 is routed, never translated.
"""

from collections.abc import Iterator, Mapping

from netloom.feed.fragments import FloatingIp, Router
from netloom.plan import names
from netloom.plan.intent import Intent
from netloom.plan.routing import active, gateway
from netloom.plan.settings import PlanSettings
from netloom.state import Chain, Element, Facts, FilterTable

METADATA_PORT = 9697
"""Of the metadata proxy in a router's namespace."""
FROM_INSTANCE = "0x1/0xffff"
"""Mark of a metadata request that came the proper way."""
FROM_OUTSIDE = "0x2/0xffff"
"""Mark of a packet that came through the gateway."""
BUILT_IN = {
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
}
FILTER_JUMPS = {
    "INPUT": ("-j neutron-l3-agent-INPUT",),
    "FORWARD": ("-j neutron-filter-top", "-j neutron-l3-agent-FORWARD"),
    "OUTPUT": ("-j neutron-filter-top", "-j neutron-l3-agent-OUTPUT"),
    "neutron-filter-top": ("-j neutron-l3-agent-local",),
    "neutron-l3-agent-FORWARD": ("-j neutron-l3-agent-scope",),
    "neutron-l3-agent-OUTPUT": (),
    "neutron-l3-agent-local": (),
    "neutron-l3-agent-scope": (),
}
NAT_JUMPS = {
    "PREROUTING": ("-j neutron-l3-agent-PREROUTING",),
    "OUTPUT": ("-j neutron-l3-agent-OUTPUT",),
    "POSTROUTING": ("-j neutron-l3-agent-POSTROUTING", "-j neutron-postrouting-bottom"),
    "neutron-postrouting-bottom": (
        '-m comment --comment "Perform source NAT on outgoing traffic." -j neutron-l3-agent-snat',
    ),
}


def plan(intent: Intent, facts: Facts, settings: PlanSettings, vlans: Mapping[str, int]) -> Iterator[Element]:
    """The tables of the routers that this host carries."""
    for router in active(intent):
        outside = gateway(router, intent)
        device, addresses = (outside[0], outside[1].addresses) if outside else ("", ())
        own = next((cidr.split("/")[0] for cidr in addresses if ":" not in cidr), "")
        yield _table(router, "filter", _filter(settings))
        yield _table(router, "mangle", _mangle(device, settings))
        yield _table(router, "nat", _nat(router, device, own, settings))


def _table(router: Router, table: str, rules: Mapping[str, tuple[str, ...]]) -> FilterTable:
    built_in = BUILT_IN[table]
    ours = sorted(rules.keys() - set(built_in))
    return FilterTable(
        namespace=names.router_namespace(router.id),
        family=4,
        table=table,
        chains=(
            *(Chain(name=name, policy="ACCEPT", rules=rules.get(name, ())) for name in built_in),
            *(Chain(name=name, rules=rules[name]) for name in ours),
        ),
        origin=router.name,
    )


def _to_metadata(settings: PlanSettings, target: str) -> tuple[str, ...]:
    match = "-d 169.254.169.254/32 -i qr-+ -p tcp -m tcp --dport 80"
    return (f"{match} {target}",) if settings.enable_metadata_proxy else ()


def _filter(settings: PlanSettings) -> dict[str, tuple[str, ...]]:
    guard = (
        f"-m mark --mark {FROM_INSTANCE} -j ACCEPT",
        f"-p tcp -m tcp --dport {METADATA_PORT} -j DROP",
    )
    return FILTER_JUMPS | {"neutron-l3-agent-INPUT": guard if settings.enable_metadata_proxy else ()}


def _mangle(device: str, settings: PlanSettings) -> dict[str, tuple[str, ...]]:
    """Marks; ``device`` is the gateway's, empty without one."""
    return {
        "PREROUTING": ("-j neutron-l3-agent-PREROUTING",),
        "neutron-l3-agent-PREROUTING": (
            "-j neutron-l3-agent-mark",
            *_to_metadata(settings, f"-j MARK --set-xmark {FROM_INSTANCE}"),
        ),
        "neutron-l3-agent-mark": (f"-i {device} -j MARK --set-xmark {FROM_OUTSIDE}",) if device else (),
    }


def _nat(router: Router, device: str, own: str, settings: PlanSettings) -> dict[str, tuple[str, ...]]:
    """``device`` is the gateway's and ``own`` its IPv4 address; each is empty without one."""
    floating = router.floating_ips if device else ()
    untranslated = f"! -i {device} ! -o {device} -m conntrack ! --ctstate DNAT -j ACCEPT"
    inward = tuple(map(_inward, floating))
    return NAT_JUMPS | {
        "neutron-l3-agent-OUTPUT": inward,
        "neutron-l3-agent-POSTROUTING": (untranslated,) if device else (),
        "neutron-l3-agent-PREROUTING": (*_to_metadata(settings, f"-j REDIRECT --to-ports {METADATA_PORT}"), *inward),
        "neutron-l3-agent-float-snat": tuple(map(_outward, floating)),
        "neutron-l3-agent-snat": ("-j neutron-l3-agent-float-snat", *_gateway_snat(router, device, own)),
    }


def _inward(floating: FloatingIp) -> str:
    return f"-d {floating.floating_address}/32 -j DNAT --to-destination {floating.fixed_address}"


def _outward(floating: FloatingIp) -> str:
    return f"-s {floating.fixed_address}/32 -j SNAT --to-source {floating.floating_address} --random-fully"


def _gateway_snat(router: Router, device: str, own: str) -> tuple[str, ...]:
    if not own:
        return ()
    to_source = f"-j SNAT --to-source {own} --random-fully"
    # A private address that asks a floating IP of this router: the answer must come back here, with or without SNAT.
    hairpin = f"-m mark ! --mark {FROM_OUTSIDE} -m conntrack --ctstate DNAT {to_source}"
    return (f"-o {device} {to_source}", hairpin) if router.enable_snat else (hairpin,)
