"""The rules of load balancing: one engine for Octavia's API and for LBaaS v1."""
