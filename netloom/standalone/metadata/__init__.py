"""The metadata service of compute: what instances are told about themselves."""
