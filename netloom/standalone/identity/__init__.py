"""The embedded identity service: as much of Keystone as OpenStack's clients and Tempest ask for."""
