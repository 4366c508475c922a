"""The tables. One module per concern; all share one ``METADATA``."""
