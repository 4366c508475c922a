"""The ``netloom`` command."""
