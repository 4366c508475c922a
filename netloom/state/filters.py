"""Packet filter tables inside a namespace, in the words of iptables-save."""

from dataclasses import dataclass

from netloom.state.element import Element, Key

SHARED_MARK = "neutron-openvswi-"
"""Begins the names of our chains in the host's own namespace, as runbooks know them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """A chain and its rules in order.

    Rules are written exactly as iptables-save prints them, without ``-A NAME``: a table on the host equals
    the planned one when their texts do.
    """

    name: str
    policy: str = "-"
    """``ACCEPT`` or ``DROP`` of a built-in chain, ``-`` of one of ours."""
    rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterTable(Element):
    """One whole table of one family in a namespace that is ours alone; loaded atomically by restore.

    In the host's own namespace (``""``), which is not ours alone, it is only our part of the table: the chains whose
    names begin with ``SHARED_MARK``, and the rules of built-in chains that jump to them.
    """

    namespace: str
    family: int
    """4 or 6."""
    table: str
    """``nat``, ``filter``, ``mangle`` or ``raw``."""
    chains: tuple[Chain, ...]

    @property
    def key(self) -> Key:
        return (self.namespace, str(self.family), self.table)

    @property
    def text(self) -> str:
        """The table as iptables-restore reads it."""
        lines = [f"*{self.table}"]
        lines += [f":{chain.name} {chain.policy} [0:0]" for chain in self.chains]
        lines += [f"-A {chain.name} {rule}" for chain in self.chains for rule in chain.rules]
        return "\n".join([*lines, "COMMIT", ""])

    def __str__(self) -> str:
        rules = " ; ".join(self.text.splitlines()[1:-1])
        return f"filter namespace={self.namespace} family={self.family} table={self.table} {rules}"
