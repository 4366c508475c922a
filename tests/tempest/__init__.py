"""OpenStack's own API tests (Tempest) against a server without a data plane."""
