"""One small cloud for the planners of services: a router between demo-net and ext-net, DHCP, an instance."""

from netloom.feed.fragments import (
    DhcpNetwork,
    DhcpOption,
    DhcpServer,
    FixedIp,
    FloatingIp,
    Fragment,
    HostRoute,
    Network,
    Nic,
    Port,
    Router,
    RouterPort,
    Server,
    Subnet,
)
from netloom.plan.intent import Intent
from netloom.plan.settings import PlanSettings
from netloom.state import Facts, HostState

DEMO, EXT, SIX = "net-demo", "net-ext", "net-six"
ROUTER = "f3e74f75-0fb6-4797-acdb-b553f7c874e6"
DHCP_PORT, DHCP_PORT6 = "d4c0ffee-0000-0000-0000-000000000001", "d6c0ffee-0000-0000-0000-000000000001"
VM_PORT = "0a11ce00-0000-0000-0000-000000000001"
SETTINGS = PlanSettings(host="host1")
VLANS = {DEMO: 1, EXT: 2, SIX: 3}


def subnet(id: str, cidr: str, gateway: str, **more: object) -> Subnet:
    version = 6 if ":" in cidr else 4
    defaults: dict[str, object] = {
        "enable_dhcp": True,
        "dns_nameservers": (),
        "host_routes": (),
        "ra_mode": "",
        "address_mode": "",
        "pools": (),
    }
    return Subnet(id=id, cidr=cidr, ip_version=version, gateway=gateway, **(defaults | more))  # type: ignore[arg-type]


def network(id: str, *subnets: Subnet, mtu: int = 1450, external: bool = False) -> Network:
    return Network(
        id=id,
        project_id="demo",
        mtu=mtu,
        network_type="vxlan",
        physical_network="",
        segmentation_id=7,
        admin_state_up=True,
        external=external,
        subnets=subnets,
    )


def port(id: str, network_id: str, mac: str, *fixed: tuple[str, str], **more: object) -> Port:
    defaults: dict[str, object] = {
        "project_id": "demo",
        "device_id": "",
        "device_owner": "compute:nova",
        "host": "host1",
        "admin_state_up": True,
        "port_security": True,
        "address_pairs": (),
        "security_groups": (),
        "dhcp_options": (),
    }
    ips = tuple(FixedIp(subnet_id=s, address=a) for s, a in fixed)
    return Port(id=id, network_id=network_id, mac=mac, fixed_ips=ips, **(defaults | more))  # type: ignore[arg-type]


GATEWAY = RouterPort(
    port_id="38c8b13d-d4aa-4000-8000-000000000001",
    network_id=EXT,
    mac="fa:16:3e:00:00:01",
    mtu=1500,
    addresses=("172.16.0.117/24",),
    subnets=("sub-ext",),
)
INSIDE = RouterPort(
    port_id="db18e68a-8aaa-4000-8000-000000000001",
    network_id=DEMO,
    mac="fa:16:3e:00:00:02",
    mtu=1450,
    addresses=("192.168.1.1/24",),
    subnets=("sub-demo",),
)
INSIDE6 = RouterPort(
    port_id="66666666-8aaa-4000-8000-000000000001",
    network_id=SIX,
    mac="fa:16:3e:00:00:06",
    mtu=1450,
    addresses=("2001:db8:6::/64",),
    subnets=("sub-six",),
)
FLOATING = FloatingIp(id="fip-1", floating_address="172.16.0.118", fixed_address="192.168.1.5", port_id=VM_PORT)


def router(**more: object) -> Router:
    defaults: dict[str, object] = {
        "id": ROUTER,
        "project_id": "demo",
        "admin_state_up": True,
        "enable_snat": True,
        "interfaces": (INSIDE, INSIDE6),
        "gateway": GATEWAY,
        "gateway_routes": ("172.16.0.253",),
        "floating_ips": (FLOATING,),
        "routes": (HostRoute(destination="10.9.0.0/16", nexthop="192.168.1.77"),),
    }
    return Router(**(defaults | more))  # type: ignore[arg-type]


DEMO_NET = network(DEMO, subnet("sub-demo", "192.168.1.0/24", "192.168.1.1", dns_nameservers=("8.8.8.8",)))
EXT_NET = network(EXT, subnet("sub-ext", "172.16.0.0/24", "172.16.0.253", enable_dhcp=False), mtu=1500, external=True)
SIX_NET = network(
    SIX,
    subnet(
        "sub-six",
        "2001:db8:6::/64",
        "2001:db8:6::",
        ra_mode="dhcpv6-stateful",
        address_mode="dhcpv6-stateful",
        dns_nameservers=("2001:db8::53",),
    ),
)
INSTANCE_PORT = port(
    VM_PORT,
    DEMO,
    "fa:16:3e:00:00:05",
    ("sub-demo", "192.168.1.5"),
    device_id="instance-1",
    dhcp_options=(DhcpOption(name="bootfile-name", value="pxelinux.0", ip_version=4),),
)
SERVER = Server(
    id="instance-1",
    name="vm1",
    hostname="vm1",
    project_id="demo",
    image_id="image-1",
    memory_mb=64,
    vcpus=1,
    running=True,
    boot=0,
    nics=(Nic(port_id=VM_PORT, mac="fa:16:3e:00:00:05", mtu=1450),),
)


def cloud() -> list[Fragment]:
    """All fragments of the example."""
    return [
        DEMO_NET,
        EXT_NET,
        SIX_NET,
        router(),
        INSTANCE_PORT,
        port("six-port", SIX, "fa:16:3e:00:00:16", ("sub-six", "2001:db8:6::16"), device_id="instance-6"),
        port(DHCP_PORT, DEMO, "fa:16:3e:00:00:03", ("sub-demo", "192.168.1.2"), device_owner="network:dhcp"),
        port(DHCP_PORT6, SIX, "fa:16:3e:00:00:04", ("sub-six", "2001:db8:6::2"), device_owner="network:dhcp"),
        DhcpNetwork(
            id=DEMO,
            servers=(DhcpServer("host1", DHCP_PORT),),
            isolated_subnets=("sub-demo",),
            dns_domain="openstacklocal",
        ),
        DhcpNetwork(
            id=SIX, servers=(DhcpServer("host1", DHCP_PORT6),), isolated_subnets=(), dns_domain="openstacklocal"
        ),
        SERVER,
    ]


def intent(*fragments: Fragment) -> Intent:
    return Intent({fragment.name: fragment for fragment in fragments})


def planned(
    planner: object, *fragments: Fragment, settings: PlanSettings = SETTINGS, facts: Facts | None = None
) -> HostState:
    """What one planner makes of fragments."""
    return HostState(planner(intent(*fragments), facts or Facts(), settings, VLANS))  # type: ignore[operator]
