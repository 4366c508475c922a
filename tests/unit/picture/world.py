"""A host with one instance behind a trunk and a per-port Linux bridge, and what serves its four networks."""

from collections.abc import Iterator

from netloom.state import Bridge, Device, Element, HostState, Instance, Nic, SwitchPort

INSTANCE = "65909ef2-1b7b-40f4-9bce-1ca44dc1d059"
PARENT = "027824df-170d-4f5b-9619-daa3373255a2"
SUB_PORTS = {
    "867d7f27-8da0-4dfc-8d37-82e9f1db5f97": (1, 1100),
    "dd79c326-2a73-4d66-a6d5-a71aaefd3948": (2, 1200),
    "e7837b32-b51a-48c8-a4ee-18195b1d336d": (3, 1300),
}
"""Local VLAN and the instance's, by id."""
NETWORKS = {
    1: ("a5620b9c-70f6-4b8f-953a-b54730c014a2", "net1", 1031),
    2: ("a8e2324b-38a7-4780-9a61-b5b99500a32e", "net2", 1090),
    3: ("4f3bf5ff-4a68-42b6-93a1-58ce3ea7fba8", "net3", 1048),
    4: ("00ceeee0-f72e-441b-9c3e-f398b3ded30f", "trunk", 1052),
}
"""Id, name and VLAN on the wire, by local VLAN."""
ROUTER = "d282be23-d5fa-4080-95d9-e087854c9b6a"
DHCP_PORTS = {1: "407b0a11-aaaa", 2: "65140a11-aaaa", 3: "a92f0a11-aaaa", 4: "1cf00a11-aaaa"}
ROUTER_PORTS = {1: "2c9a0a11-aaaa", 2: "3d7a0a11-aaaa", 3: "ceea0a11-aaaa", 4: "ecfa0a11-aaaa"}
MAC = "fa:16:3e:31:39:80"
NAMES = {INSTANCE: "vlan-aware-vm", ROUTER: "router1"} | {id: name for id, name, _ in NETWORKS.values()}


def patch(bridge: str, name: str, peer: str, tag: int | None = None, port: str = "", vlan: int = 0) -> SwitchPort:
    ids = (("attached-mac", MAC), ("iface-id", port)) if port else ()
    config = network_config(vlan) if vlan else ()
    options = (("peer", peer),)
    return SwitchPort(
        bridge=bridge, name=name, kind="patch", tag=tag, options=options, external_ids=ids, other_config=config
    )


def network_config(vlan: int) -> tuple[tuple[str, str], ...]:
    network, _, number = NETWORKS[vlan]
    return (
        ("net_uuid", network),
        ("network_type", "vlan"),
        ("physical_network", "physnet"),
        ("segmentation_id", str(number)),
    )


def device(name: str, kind: str = "", namespace: str = "", **more: str) -> Device:
    return Device(namespace=namespace, name=name, kind=kind, mac=MAC, mtu=1500, up=True, **more)


def pair(name: str, other: str, namespace: str = "", master: str = "") -> Iterator[Device]:
    """A veth pair whose first end is the host's."""
    yield device(name, "veth", peer=other, peer_namespace=namespace)
    yield device(other, "veth", namespace, peer=name if not namespace else "", master=master)


def served(vlan: int, name: str, port: str, namespace: str) -> Iterator[Element]:
    """A port of br-int that leads into a namespace."""
    yield SwitchPort(
        bridge="br-int",
        name=name,
        tag=vlan,
        external_ids=(("attached-mac", MAC), ("iface-id", port)),
        other_config=network_config(vlan),
    )
    yield from pair(name, name, namespace)


def trunk() -> Iterator[Element]:
    """The instance, its tap, Linux bridge and trunk bridge."""
    short = PARENT[:11]
    yield Instance(
        id=INSTANCE,
        hostname="vlan-aware-vm",
        image="",
        memory_mb=512,
        vcpus=1,
        nics=(Nic(port_id=PARENT, device=f"tap{short}", mac=MAC, mtu=1500),),
    )
    yield Bridge(name="tbr-3b9bb4f7-a", datapath_type="system")
    yield device(f"qbr{short}", "bridge")
    yield device(f"tap{short}", "tun", master=f"qbr{short}")
    yield device(f"qvb{short}", "veth", master=f"qbr{short}", peer=f"qvo{short}")
    yield device(f"qvo{short}", "veth", master="ovs-system", peer=f"qvb{short}")
    ids = (("attached-mac", MAC), ("iface-id", PARENT), ("vm-uuid", INSTANCE))
    yield SwitchPort(bridge="tbr-3b9bb4f7-a", name=f"qvo{short}", external_ids=ids)
    yield patch("tbr-3b9bb4f7-a", f"tpt-{PARENT[:10]}", f"tpi-{PARENT[:10]}")
    yield patch("br-int", f"tpi-{PARENT[:10]}", f"tpt-{PARENT[:10]}", 4, PARENT, 4)
    for port, (local, tag) in SUB_PORTS.items():
        yield patch("tbr-3b9bb4f7-a", f"spt-{port[:10]}", f"spi-{port[:10]}", tag)
        yield patch("br-int", f"spi-{port[:10]}", f"spt-{port[:10]}", local, port, local)


def host() -> HostState:
    """The host."""
    state = HostState(Bridge(name=name, datapath_type="system") for name in ("br-int", "br-ex", "br-eth1", "br-tun"))
    for near, far in (("int-br-ex", "phy-br-ex"), ("int-br-eth1", "phy-br-eth1"), ("patch-tun", "patch-int")):
        bridge = "br-tun" if near == "patch-tun" else far.removeprefix("phy-")
        state.update([patch("br-int", near, far), patch(bridge, far, near)])
    state.update([SwitchPort(bridge="br-eth1", name="eth1"), device("eth1"), device("eth0")])
    tunnel = (("in_key", "flow"), ("remote_ip", "10.0.1.32"))
    state.add(SwitchPort(bridge="br-tun", name="vxlan-0a000120", kind="vxlan", options=tunnel))
    for vlan, (network, _, _) in NETWORKS.items():
        dhcp, router = DHCP_PORTS[vlan], ROUTER_PORTS[vlan]
        state.update(served(vlan, f"tap{dhcp[:11]}", dhcp, f"qdhcp-{network}"))
        state.update(served(vlan, f"qr-{router[:11]}", router, f"qrouter-{ROUTER}"))
    state.update(trunk())
    return state


def plain_instance(id: str, port: str, vlan: int) -> Iterator[Element]:
    """An instance whose card is on br-int."""
    ids = (("attached-mac", MAC), ("iface-id", port), ("vm-uuid", id))
    name = f"tap{port[:11]}"
    yield SwitchPort(bridge="br-int", name=name, tag=vlan, external_ids=ids, other_config=network_config(vlan))
    yield device(name, "veth")
