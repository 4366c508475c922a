"""Numbers for ids: registers and conjunctions hold 32 bits, ids have more."""

import hashlib
from collections.abc import Iterable


def number(ids: Iterable[str]) -> dict[str, int]:
    """A number of 1..2^32-1 for each id, distinct, and the same whatever other ids there are.

    For a UUID it is its first eight digits, so that people find ``reg5=0x1a2b3c4d`` by eye; for other
    texts a digest. Only when two ids really ask for one number, the later in sorted order takes another.
    """
    numbers: dict[str, int] = {}
    taken = {0}
    for name in sorted(set(ids)):
        attempt, value = 0, _preferred(name)
        while value in taken:
            attempt += 1
            value = _digest(f"{name}#{attempt}")
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
