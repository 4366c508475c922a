"""What became of each fragment: applied, waiting for something, or failed and why."""

from collections.abc import Collection, Mapping

from netloom.feed.fragments import Fragment, Network, Port
from netloom.feed.protocol import Status
from netloom.plan import names
from netloom.state import Facts, Failure

HOSTWIDE = ""
"""Origin of elements that no single fragment asked for, such as br-int."""


def judge(
    fragments: Mapping[str, Fragment],
    versions: Mapping[str, str],
    facts: Facts,
    failures: Collection[Failure],
    host: str,
) -> dict[str, Status]:
    """The status of every fragment after an apply.

    A failure of something hostwide (br-int) concerns the ports of this host, whose traffic it carries; that of a
    network or of a physical network's bridge concerns the ports in it.
    """
    reasons: dict[str, str] = {}
    for failure in failures:
        reasons.setdefault(failure.origin, f"{' '.join(failure.element.split(' ', 2)[:2])}: {failure.reason}")
    statuses = {}
    for name, fragment in fragments.items():
        if (version := versions.get(name)) is not None:
            statuses[name] = _status(name, version, fragment, facts, _reason(fragment, fragments, reasons, host), host)
    return statuses


def _reason(fragment: Fragment, fragments: Mapping[str, Fragment], reasons: Mapping[str, str], host: str) -> str | None:
    """Why a fragment is not applied, as far as something failed."""
    origins = [fragment.name]
    if isinstance(fragment, Port) and fragment.host == host:
        network = fragments.get(f"network/{fragment.network_id}")
        if isinstance(network, Network):
            origins += [names.origin_of_physical(network.physical_network), network.name]
        origins.append(HOSTWIDE)
    return next((reasons[origin] for origin in origins if origin in reasons), None)


def _status(name: str, version: str, fragment: Fragment, facts: Facts, failed: str | None, host: str) -> Status:
    if failed is not None:
        return Status(name, version, "failed", failed)
    local = isinstance(fragment, Port) and fragment.host == host
    if local and isinstance(fragment, Port) and _must_be_plugged(fragment) and fragment.id not in facts.interfaces:
        return Status(
            name,
            version,
            "waiting",
            f"no interface is plugged for it ({names.tap(fragment.id)}, iface-id {fragment.id})",
        )
    return Status(name, version, "applied")


def _must_be_plugged(port: Port) -> bool:
    """Whether somebody else (compute) brings the port's device; those of routers and DHCP are ours."""
    return not port.device_owner.startswith("network:")
