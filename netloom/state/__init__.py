"""The vocabulary of a host: what a plan asks for and what an observation finds.

Every element is frozen, has a ``key`` (which thing it is), equality over everything that matters, a
canonical one-line ``str`` form for golden files and people, and an ``origin``: the name of the fragment
that asked for it (``port/<id>``), so that a trace, an error or a leftover can say why it exists.
Origins do not take part in equality: two plans that want the same thing are the same plan.
"""

from netloom.state.daemons import Daemon, File
from netloom.state.devices import Device
from netloom.state.elections import Election
from netloom.state.element import Element, Key
from netloom.state.filters import Chain, FilterTable
from netloom.state.host import Changes, Facts, Failure, HostState, Interface
from netloom.state.instances import Instance, Nic
from netloom.state.links import Address, Namespace, Route, Sysctl, Veth
from netloom.state.linux_bridges import IpSet, LinuxBridge
from netloom.state.switch import Bridge, Flow, SwitchPort

__all__ = [
    "Address",
    "Bridge",
    "Chain",
    "Changes",
    "Daemon",
    "Device",
    "Election",
    "Element",
    "Facts",
    "Failure",
    "File",
    "FilterTable",
    "Flow",
    "HostState",
    "Instance",
    "Interface",
    "IpSet",
    "Key",
    "LinuxBridge",
    "Namespace",
    "Nic",
    "Route",
    "SwitchPort",
    "Sysctl",
    "Veth",
]
