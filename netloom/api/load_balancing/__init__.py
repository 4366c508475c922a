"""The APIs of load balancing over HTTP: Octavia v2, LBaaS v1, and the store of certificates."""
