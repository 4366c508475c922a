"""Small stand-ins that make one machine a whole cloud: identity, compute and images.

In production the real Keystone, Nova and Glance take their places; nothing else of Netloom knows the difference.
"""
