"""How it is asked: HTTP, authentication, policy, filters, paging, errors of the Networking API v2.0."""
