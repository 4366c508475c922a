"""Our part of the packet filter tables of the host's own namespace, which others have rules in, too.

Ours are the chains whose names begin with ``SHARED_MARK``, and the rules of built-in chains that jump to them. Only
chains that differ are loaded, so that one port of a thousand costs no more than its own rules.
"""

from collections.abc import Iterator
from dataclasses import replace

from netloom.state import Chain, FilterTable
from netloom.state.filters import SHARED_MARK

_JUMP = f"-j {SHARED_MARK}"


def ours(table: FilterTable) -> FilterTable:
    """The part of a table that is ours; it may have no chains."""
    return replace(table, chains=tuple(part for chain in table.chains if (part := _part(chain))))


def load(have: FilterTable, want: FilterTable) -> str:
    """What makes our part of a table the wanted one, as iptables-restore reads it with ``--noflush``.

    Chains that change are emptied and filled in one transaction: no packet meets half of one.
    """
    own_have, own_want = _own(have), _own(want)
    changed = [chain for name, chain in own_want.items() if own_have.get(name) != chain]
    gone = sorted(own_have.keys() - own_want.keys())
    lines = [f"*{want.table}"]
    lines += [f":{name} - [0:0]" for name in (*(chain.name for chain in changed), *gone)]
    lines += [f"-A {chain.name} {rule}" for chain in changed for rule in chain.rules]
    before, after = set(_jumps(have)), set(_jumps(want))
    lines += [f"-D {chain} {rule}" for chain, rule in sorted(before - after)]
    lines += [f"-I {chain} 1 {rule}" for chain, rule in sorted(after - before)]
    lines += [f"-X {name}" for name in gone]
    return "\n".join([*lines, "COMMIT", ""])


def _part(chain: Chain) -> Chain | None:
    if chain.policy == "-":
        return chain if chain.name.startswith(SHARED_MARK) else None
    jumps = tuple(rule for rule in chain.rules if rule.startswith(_JUMP))
    return Chain(name=chain.name, policy="ACCEPT", rules=jumps) if jumps else None


def _own(table: FilterTable) -> dict[str, Chain]:
    return {chain.name: chain for chain in table.chains if chain.policy == "-"}


def _jumps(table: FilterTable) -> Iterator[tuple[str, str]]:
    for chain in table.chains:
        yield from ((chain.name, rule) for rule in (chain.rules if chain.policy != "-" else ()))
