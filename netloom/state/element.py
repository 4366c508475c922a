"""What all elements of a host's state have in common."""

from dataclasses import dataclass, field
from typing import TypeAlias

Key: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """One thing on a host. Subclasses define ``key`` and a canonical ``__str__``."""

    origin: str = field(default="", compare=False)
    """Name of the fragment that asked for this element, e.g. ``router/<id>``; empty when observed."""

    @property
    def key(self) -> Key:
        """Identity among elements of the same class; two elements of one key are versions of one thing."""
        raise NotImplementedError
