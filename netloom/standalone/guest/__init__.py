"""The guest of the standalone cloud: one small root file system, built from what Debian packages installed."""

from netloom.standalone.guest.build import build

__all__ = ["build"]
