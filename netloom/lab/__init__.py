"""Many hosts on one machine: each has its own network, mounts, processes and Open vSwitch.

``Lab.up("ha")`` builds one; the module ``netloom.lab.lab`` tells the rest.
"""
