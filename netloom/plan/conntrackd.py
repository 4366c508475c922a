"""conntrackd of an HA router: it puts each host's connections into the kernels of the others (conntrackd.conf(5)).

By multicast on the network of the election: any number of hosts, and none must know the others. Routers of one
network are told apart by their ports.
"""

from ipaddress import ip_interface

FIRST_PORT = 3780
GROUP = "225.0.0.50"

START = 'cd "$0" && rm -f lock control && exec conntrackd -C "$1"'
"""It goes to / after its start, so it does not find what it must remove at its end."""

CONFIGURATION = """\
Sync {{
    Mode NOTRACK {{
        DisableExternalCache yes
        StartupResync yes
    }}
    Multicast {{
        IPv4_address {group}
        Group {port}
        IPv4_interface {address}
        Interface {device}
        SndSocketBuffer 1249280
        RcvSocketBuffer 1249280
        Checksum on
    }}
    Options {{
        TCPWindowTracking Off
    }}
}}
General {{
    HashSize 8192
    HashLimit 262144
    Syslog off
    LogFile off
    LockFile /proc/self/cwd/lock
    UNIX {{
        Path /proc/self/cwd/control
    }}
    NetlinkBufferSize 2097152
    NetlinkBufferSizeMaxGrowth 8388608
    Filter From Userspace {{
        Protocol Accept {{
            TCP
            UDP
            ICMP
        }}
        Address Ignore {{
            IPv4_address 127.0.0.1
            IPv4_address {network}
        }}
    }}
}}
"""
# Paths are relative to where it starts: the kernel takes no longer ones than 107 characters for its socket.


def configuration(vrid: int, device: str, cidr: str) -> str:
    """The text for the router of this VRRP id, whose device of the election bears ``cidr``."""
    interface = ip_interface(cidr)
    return CONFIGURATION.format(
        group=GROUP,
        port=FIRST_PORT + vrid,
        address=interface.ip,
        device=device,
        network=interface.network,
    )
