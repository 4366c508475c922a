"""Other hosts, and what of theirs a host must know to reach it."""

from netloom.feed.fragments.base import Fragment


class TunnelPeer(Fragment, frozen=True, tag="peer"):
    """A host that shares an overlay network with those that get this fragment; ``id`` is its name."""

    address: str
    """Its end of the tunnels."""
    types: tuple[str, ...]
    """Tunnels that it has, sorted: ``geneve``, ``gre``, ``vxlan``."""


class Neighbour(Fragment, frozen=True, tag="neighbour"):
    """A port of an overlay network, to the other hosts of that network: no more than they need to reach it."""

    network_id: str
    mac: str
    addresses: tuple[str, ...]
    """Its fixed addresses and those of its allowed address pairs that it alone may have, without prefix lengths."""
    hosts: tuple[str, ...]
    """Where it is, sorted. Several: each carries the router whose port it is, and the active one answers, so the
    place of its MAC must be learned."""
