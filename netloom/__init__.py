"""Netloom: a cloud networking service with the API of OpenStack Networking."""

__version__ = "0.1.0"
