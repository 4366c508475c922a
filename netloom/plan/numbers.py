"""Numbers for ids: registers and conjunctions hold 32 bits, ids have more."""

import hashlib
from collections.abc import Iterable


def number(ids: Iterable[str], first: int = 1, last: int = 0xFFFFFFFF) -> dict[str, int]:
    """A number from ``first`` to ``last`` for each id, distinct, and the same whatever other ids there are.

    For a UUID it is its first eight digits, so that people find ``reg5=0x1a2b3c4d`` by eye (the last of them, when
    the range is small); for other texts a digest. Only when two ids really ask for one number, the later in sorted
    order takes another.
    """
    numbers: dict[str, int] = {}
    taken: set[int] = set()
    for name in sorted(set(ids)):
        attempt, value = 0, _preferred(name) % (last + 1)
        while value in taken or value < first:
            attempt += 1
            value = _digest(f"{name}#{attempt}") % (last + 1)
        taken.add(value)
        numbers[name] = value
    return numbers


def _preferred(name: str) -> int:
    head, dash, _ = name.partition("-")
    if len(head) == 8 and dash and len(name) == 36:
        try:
            return int(head, 16)
        except ValueError:
            pass
    return _digest(name)


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big")
