"""Configuration: Neutron's own section and option names, with defaults that work.

``options.py`` declares the options for oslo.config, ``load.py`` reads the files; the rest of Netloom sees
the frozen dataclasses of this room, never oslo.config.
"""
