"""What is wired on a host is found, whoever wired it, and can be drawn."""

import pytest

from netloom import picture
from netloom.host.survey import survey
from netloom.host.vswitch import VSwitch
from netloom.state import Bridge, Device, Namespace, SwitchPort

from .sandbox import run

PORT, INSTANCE = "0a1b2c3d-4e5f-4000-8000-000000000001", "0a1b2c3d-4e5f-4000-8000-0000000000ff"
SHORT = PORT[:11]
MAC = "fa:16:3e:00:00:01"


@pytest.fixture
def wired(sandbox):
    """A card behind a Linux bridge and a trunk bridge, and a namespace, made with the commands of operators."""
    vswitch = VSwitch(sandbox.layout.ovs_rundir, sandbox.home / "db")
    vswitch.start()

    def vsctl(*words: str) -> None:
        run("ovs-vsctl", f"--db={vswitch.connection}", *words)

    namespace, device = sandbox.router(), sandbox.device()
    run("ip", "netns", "add", namespace)
    try:
        run("ip", "link", "add", device, "up", "type", "veth", "peer", "name", "inner", "netns", namespace)
        run("ip", "link", "add", f"qbr{SHORT}", "type", "bridge")
        run("ip", "link", "add", f"qvo{SHORT}", "up", "type", "veth", "peer", "name", f"qvb{SHORT}")
        run("ip", "link", "set", f"qvb{SHORT}", "master", f"qbr{SHORT}")
        run("ip", "tuntap", "add", f"tap{SHORT}", "mode", "tap")
        run("ip", "link", "set", f"tap{SHORT}", "master", f"qbr{SHORT}", "mtu", "1400")
        for bridge in ("br-int", "tbr-1"):
            vsctl("add-br", bridge, "--", "set", "bridge", bridge, "datapath_type=netdev")
        for bridge, name, peer in (("br-int", "spi-1", "spt-1"), ("tbr-1", "spt-1", "spi-1")):
            patch = ("set", "interface", name, "type=patch", f"options:peer={peer}")
            vsctl("add-port", bridge, name, f"tag={7 if bridge == 'br-int' else 1100}", "--", *patch)
        vsctl("add-port", "br-int", device, "tag=7", "--", "set", "port", device, "other_config:net_uuid=some-network")
        ids = (f"iface-id={PORT}", f"vm-uuid={INSTANCE}", f'attached-mac="{MAC}"')
        words = [f"external_ids:{word}" for word in ids]
        vsctl("add-port", "tbr-1", f"qvo{SHORT}", "--", "set", "interface", f"qvo{SHORT}", *words)
        yield sandbox
    finally:
        vswitch.stop(remove=True)
        run("ip", "netns", "del", namespace)


def test_what_others_wired_is_found(wired):
    state = survey(wired.layout)
    namespace, device = wired.router(), wired.device()
    assert set(state.of(Bridge)) == {("br-int",), ("tbr-1",)}
    assert state.of(SwitchPort)["spt-1",] == SwitchPort(
        bridge="tbr-1", name="spt-1", kind="patch", tag=1100, options=(("peer", "spi-1"),)
    )
    assert (namespace,) in state.of(Namespace)
    devices = state.of(Device)
    pair = devices["", device]
    assert (pair.kind, pair.up, pair.peer, pair.peer_namespace) == ("veth", True, "inner", namespace)
    assert (devices[namespace, "inner"].up, devices[namespace, "inner"].kind) == (False, "veth")
    tap = devices["", f"tap{SHORT}"]
    assert (tap.kind, tap.mtu, tap.master) == ("tun", 1400, f"qbr{SHORT}")
    assert (devices["", f"qvo{SHORT}"].peer, devices["", f"qvo{SHORT}"].peer_namespace) == (f"qvb{SHORT}", "")


def test_it_can_be_drawn_from_end_to_end(wired):
    (tree,) = picture.whole(survey(wired.layout), "br-int", {})
    lines = picture.as_text(picture.draw([tree])).splitlines()
    card = next(line for line in lines if "spi-1" in line)
    words = ("spi-1  tag 7", "spt-1  tag 1100", f"qvo{SHORT}", f"qvb{SHORT}", f"tap{SHORT}", MAC)
    places = [card.index(word) for word in words]
    assert places == sorted(places)
    assert f"─ {INSTANCE} ─" in "".join(lines)
    assert any(wired.device() in line and "inner" in line for line in lines)
