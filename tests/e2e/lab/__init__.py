"""The cloud on many hosts."""
