"""Fixtures of the tests that need root."""

from .sandbox import sandbox

__all__ = ["sandbox"]
