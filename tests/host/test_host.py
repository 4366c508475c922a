"""A whole host: plan in, reality out, whatever was there before and whatever happens in between."""

import dataclasses
import os
import random
import signal
import threading
import uuid
from pathlib import Path

import pytest

from netloom.host.host import Host
from netloom.host.namespaces import RUN_NETNS
from netloom.host.vswitch import VSwitch
from netloom.standalone.guest import build
from netloom.state import (
    Address,
    Bridge,
    Chain,
    Daemon,
    File,
    FilterTable,
    Flow,
    HostState,
    Instance,
    LinuxBridge,
    Namespace,
    Nic,
    Route,
    SwitchPort,
    Sysctl,
    Veth,
)

from .sandbox import Sandbox, eventually, run


@pytest.fixture
def lab(sandbox):
    """A host with its Open vSwitch; ``start`` (re)starts the agent's half."""
    run("sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
    vswitch = VSwitch(sandbox.layout.ovs_rundir, sandbox.home / "db")
    vswitch.start()
    lab = Lab(sandbox, vswitch)
    try:
        lab.start()
        yield lab
    finally:
        lab.host.close()
        vswitch.stop(remove=True)


class Lab:
    """The agent's view of the host, and plans for it."""

    host: Host

    def __init__(self, box: Sandbox, vswitch: VSwitch) -> None:
        self.box = box
        self.vswitch = vswitch

    def start(self, guest=None):
        """Start the agent's half, anew if it ran."""
        if hasattr(self, "host"):
            self.host.close()
        self.host = Host(self.box.layout, guest)

    def bridge(self):
        yield Bridge(name="br-int", datapath_type="netdev")
        yield Flow(bridge="br-int", table=0, priority=0, match="", actions="drop")

    def router(self, number, ports=2, version=0):
        """What a router is made of; ``version`` varies it."""
        name, origin = self.box.router(number), f"router/{number}"
        yield Namespace(name=name, origin=origin)
        yield Sysctl(namespace=name, name="net/ipv4/ip_forward", value="1", origin=origin)
        yield Sysctl(namespace=name, name="net/ipv6/conf/default/accept_ra", value="0", origin=origin)
        for port in range(ports):
            yield from self.port(number, port, version)
        first = self.device(number, 0)
        yield Route(namespace=name, destination="default", family=4, via="10.0.0.254", device=first, origin=origin)
        yield Route(namespace=name, destination="172.16.0.0/12", family=4, device=first, origin=origin)
        rules = Chain(name="neutron-l3-agent-PREROUTING", rules=(f"-p tcp -m tcp --dport {80 + version} -j ACCEPT",))
        hook = Chain(name="PREROUTING", policy="ACCEPT", rules=("-j neutron-l3-agent-PREROUTING",))
        yield FilterTable(namespace=name, family=4, table="nat", chains=(hook, rules), origin=origin)
        yield File(path=f"radvd/{self.box.run}-{number}.conf", text=f"version {version}\n", origin=origin)
        yield Daemon(
            name=f"radvd-{self.box.run}-{number}",
            namespace=name,
            argv=("sleep", "1000"),
            restarts=str(version),
            origin=origin,
        )

    def device(self, router, port):
        return f"q{self.box.run}{router}-{port}"

    def port(self, router, port, version=0):
        name, device, origin = self.box.router(router), self.device(router, port), f"port/{router}-{port}"
        mac = f"fa:16:3e:{version:02x}:{router:02x}:{port:02x}"
        yield Veth(name=device, namespace=name, mac=mac, mtu=1450, origin=origin)
        accept = f"net/ipv6/conf/{device}/accept_ra"
        yield Sysctl(namespace=name, name=accept, value=str(version % 2), origin=origin)
        yield Address(namespace=name, device=device, cidr=f"10.0.{port}.1/24", announced=True, origin=origin)
        yield Address(namespace=name, device=device, cidr=f"10.1.{port}.{version + 1}/32", origin=origin)
        yield Address(namespace=name, device=device, cidr=f"2001:db8:{port + 1:x}::1/64", origin=origin)
        yield SwitchPort(bridge="br-int", name=device, tag=router + 1, origin=origin)
        yield Flow(bridge="br-int", table=0, priority=10, match=f"in_port={device}", actions="NORMAL", origin=origin)

    def seen(self):
        return self.host.observe()

    def cookies(self):
        return self.host._openflow.observe(["br-int"])["br-int"]


def test_no_card_is_plugged_whose_rules_could_not_be_loaded(lab):
    run("ip", "link", "add", "tapx", "type", "veth", "peer", "name", "tapx-g")
    plug = LinuxBridge(name="qbrx", card="tapx", inner="qvbx", outer="qvox", mtu=1450, origin="port/x")
    rules = Chain(name="neutron-openvswi-FORWARD", rules=("-j absent",))
    faulty = FilterTable(namespace="", family=4, table="filter", chains=(rules,))
    failed = lab.host.apply(state(lab.bridge(), [plug, faulty]))
    assert {failure.origin for failure in failed} == {"", "port/x"}
    assert not lab.seen().of(LinuxBridge)
    sound = dataclasses.replace(faulty, chains=(dataclasses.replace(rules, rules=("-j ACCEPT",)),))
    assert lab.host.apply(state(lab.bridge(), [plug, sound])) == []
    assert plug in lab.seen().of(LinuxBridge).values()
    assert lab.host.apply(state(lab.bridge())) == []
    assert not lab.seen().of(LinuxBridge)


def state(*parts):
    return HostState(element for part in parts for element in part)


def without_flows(plan):
    """What can be observed of a plan, but settings, which are never removed."""
    return HostState(element for element in plan if not isinstance(element, Flow | Sysctl))


def assert_is(lab, plan):
    """The host is as planned, to this agent and to one that starts anew; nothing is left to do."""
    assert str(without_flows(lab.seen())) == str(without_flows(plan))
    assert len(lab.cookies()) == len(plan.of(Flow))
    assert lab.host.apply(plan) == []


def test_applied_is_observed_and_a_restarted_agent_changes_nothing(lab):
    plan = state(lab.bridge(), lab.router(0), lab.router(1, ports=3))
    assert lab.host.apply(plan) == []
    assert_is(lab, plan)
    settings = {(sysctl.key, sysctl.value) for sysctl in plan.of(Sysctl).values()}
    assert {(sysctl.key, sysctl.value) for sysctl in lab.seen().of(Sysctl).values()} == settings
    before, cookies = running(lab), lab.cookies()
    links = run("ip", "-n", lab.box.router(0), "link")
    lab.start()
    assert_is(lab, plan)
    assert running(lab) == before
    assert lab.cookies() == cookies
    assert run("ip", "-n", lab.box.router(0), "link") == links


def running(lab):
    """Process numbers of the daemons."""
    return {
        path.parent.name: int(path.read_bytes().split(b",")[0].removeprefix(b'{"pid":'))
        for path in Path(lab.box.layout.run_dir, "daemons").glob("*/record")
    }


def test_an_emptied_plan_leaves_nothing(lab):
    lab.host.apply(state(lab.bridge(), lab.router(0), lab.router(1)))
    lab.start()  # what is left over is found by an agent that did not make it
    processes = running(lab).values()
    assert lab.host.apply(HostState()) == []
    assert len(lab.seen()) == 0
    assert not [name for name in os.listdir(RUN_NETNS) if lab.box.router() in name]
    assert lab.box.run not in run("ip", "link")
    assert os.listdir(lab.box.layout.state_dir) == []
    assert os.listdir(lab.box.layout.run_dir) == []
    assert not [pid for pid in processes if Path(f"/proc/{pid}").exists()]


def test_things_of_others_stay(lab):
    run("ip", "netns", "add", lab.box.router(5))
    run("ip", "link", "add", f"qx{lab.box.run}", "type", "veth", "peer", "name", f"qy{lab.box.run}")
    lab.host.apply(state(lab.bridge(), lab.router(0)))
    db = f"--db={lab.vswitch.connection}"
    run("ovs-vsctl", db, "add-br", "br-op", "--", "set", "bridge", "br-op", "datapath_type=netdev")
    run("ip", "-n", lab.box.router(0), "address", "add", "10.9.9.9/32", "dev", lab.device(0, 0))
    lab.host.audit()
    assert lab.host.apply(state(lab.bridge(), lab.router(0))) == []
    assert "10.9.9.9" in run("ip", "-n", lab.box.router(0), "address")
    lab.host.apply(HostState())
    assert lab.box.router(5) in os.listdir(RUN_NETNS)
    assert f"qx{lab.box.run}" in run("ip", "link")
    assert "br-op" in run("ovs-vsctl", db, "list-br")


def test_a_failure_leaves_the_others_and_is_tried_again(lab):
    run("ip", "netns", "add", lab.box.router(1))
    plan = state(lab.bridge(), lab.router(0), lab.router(1))
    bad = Route(
        namespace=lab.box.router(0),
        destination="10.200.0.0/16",
        family=4,
        via="192.0.2.9",
        device=lab.device(0, 0),
        origin="x",
    )
    plan.add(bad)
    failed = lab.host.apply(plan)
    assert {failure.origin for failure in failed} >= {"x", "router/1"}
    assert {failure.origin for failure in failed} <= {"x", "router/1", "port/1-0", "port/1-1"}
    good = state(lab.bridge(), lab.router(0))
    assert [element for element in without_flows(good) if element not in set(lab.seen())] == []
    run("ip", "netns", "del", lab.box.router(1))
    whole = state(lab.bridge(), lab.router(0), lab.router(1))
    assert lab.host.apply(whole) == []
    assert_is(lab, whole)


def test_a_dead_daemon_wakes_the_agent_and_is_started_again(lab):
    plan = state(lab.bridge(), lab.router(0))
    lab.host.apply(plan)
    eventually(lambda: not lab.host.wait(0.05))
    (before,) = running(lab).values()
    threading.Timer(0.1, os.kill, (before, signal.SIGKILL)).start()
    assert lab.host.wait(10)
    eventually(lambda: lab.host.apply(plan) == [] and running(lab) and [*running(lab).values()] != [before])
    assert_is(lab, plan)


def test_a_descriptor_wakes_the_agent_each_time(lab):
    eventually(lambda: not lab.host.wait(0.05))
    wake = os.eventfd(0, os.EFD_NONBLOCK)
    for _ in range(2):
        assert not lab.host.wait(0.05, wake)
        threading.Timer(0.05, os.eventfd_write, (wake, 1)).start()
        assert lab.host.wait(10, wake)
        os.eventfd_read(wake)
    os.close(wake)


def test_what_others_broke_is_repaired_by_an_audit(lab):
    plan = state(lab.bridge(), lab.router(0), lab.router(1))
    lab.host.apply(plan)
    run("ip", "netns", "del", lab.box.router(1))
    name = ("ip", "netns", "exec", lab.box.router(0))
    run(*name, "iptables", "-t", "nat", "-F")
    run(*name, "ip", "route", "del", "default")
    run(*name, "ip", "address", "flush", "dev", lab.device(0, 1))
    run(*name, "sysctl", "-qw", "net.ipv4.ip_forward=0")
    lab.host.audit()
    eventually(lambda: lab.host.apply(plan) == [] and str(without_flows(lab.seen())) == str(without_flows(plan)))
    assert_is(lab, plan)
    assert run(*name, "sysctl", "-n", "net.ipv4.ip_forward") == "1\n"
    for daemon, pid in running(lab).items():
        assert os.path.samefile(f"/proc/{pid}/ns/net", RUN_NETNS / lab.box.router(int(daemon.rpartition("-")[2])))


def test_a_lost_last_address_does_not_take_routes_along(lab):
    where = {"namespace": lab.box.router(0), "device": lab.device(0, 0)}
    pair = Veth(name=lab.device(0, 0), namespace=lab.box.router(0), mac="fa:16:3e:00:00:01", mtu=1450)
    base = [*lab.bridge(), Namespace(name=lab.box.router(0)), pair]
    route = Route(destination="192.0.2.0/24", family=4, **where)
    lab.host.apply(state(base, [route, Address(cidr="10.0.0.1/24", **where)]))
    plan = state(base, [route])
    assert lab.host.apply(plan) == []
    assert_is(lab, plan)


def test_an_agent_killed_while_it_applies_is_followed_by_one_that_converges(lab):
    plans = [state(lab.bridge(), *(lab.router(n, 2, version) for n in range(4))) for version in range(2)]
    completed = 0
    for turn, milliseconds in enumerate((20, 40, 60, 90, 120, 160)):
        lab.host.close()
        child = os.fork()
        if child == 0:
            try:  # whatever happens, the child must not go on as a second run of the tests
                Host(lab.box.layout).apply(plans[turn % 2])
            finally:
                os._exit(0)
        killer = threading.Timer(milliseconds / 1000, os.kill, (child, signal.SIGKILL))
        killer.start()
        # WNOWAIT keeps the number taken until the killer is done with it.
        completed += os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT).si_code == os.CLD_EXITED
        killer.cancel()
        killer.join()
        os.waitpid(child, 0)
        lab.host = Host(lab.box.layout)
        plan = plans[(turn + 1) // 2 % 2]
        eventually(lambda plan=plan: lab.host.apply(plan) == [] and not lab.host.apply(plan))
        assert_is(lab, plan)
    assert completed < 6, "nobody was killed: the delays are too long"


@pytest.mark.parametrize("seed", range(3))
def test_walk_between_random_plans(lab, seed):
    chance = random.Random(seed)
    for _ in range(8):
        routers = [n for n in range(4) if chance.random() < 0.6]
        plan = state(
            lab.bridge() if routers or chance.random() < 0.7 else (),
            *(lab.router(n, chance.randint(1, 3), chance.randint(0, 2)) for n in routers),
        )
        if chance.random() < 0.3:
            lab.start()
        if chance.random() < 0.3:
            lab.host.audit()
        assert lab.host.apply(plan) == []
        if plan.of(Bridge):
            assert_is(lab, plan)


def test_an_instance_boots_into_its_network_and_again_when_it_dies(lab):
    lab.start(guest=build(lab.box.home / "guest"))
    tap, number = f"tap{lab.box.run}", uuid.uuid4()
    nic = Nic(port_id="port-1", device=tap, mac="fa:16:3e:00:00:05", mtu=1450)
    instance = Instance(id=str(number), hostname="vm1", image="any", memory_mb=64, vcpus=1, nics=(nic,))
    ids = (("attached-mac", nic.mac), ("iface-id", nic.port_id))
    plug = SwitchPort(bridge="br-int", name=tap, tag=1, external_ids=ids)
    plan = state(lab.bridge(), [instance, plug])
    try:
        assert lab.host.apply(plan) == []
        assert_is(lab, plan)
        assert lab.host.facts().interfaces["port-1"].device == tap
        eventually(lambda: not lab.host.wait(0.05))
        (first,) = guests(lab)
        os.kill(first, signal.SIGKILL)
        assert lab.host.wait(10)
        eventually(lambda: lab.host.apply(plan) == [] and guests(lab) not in ([], [first]))
        eventually(lambda: lab.host.apply(plan) == [] and str(without_flows(lab.seen())) == str(without_flows(plan)))
    finally:
        lab.host.apply(HostState())
    assert len(lab.seen()) == 0


def guests(lab):
    """First processes of the instances, by the descriptors that tell of their death."""
    infos = [Path(f"/proc/self/fdinfo/{descriptor}").read_text() for descriptor in lab.host._instances.deaths()]
    return [int(line.split()[1]) for info in infos for line in info.splitlines() if line.startswith("Pid:")]


def test_fifty_routers_are_made_kept_and_grow_by_one_port(lab):
    routers = [e for n in range(50) for e in lab.router(n, ports=4) if not isinstance(e, SwitchPort | Flow)]
    plan = state(routers)
    more = state(routers, (e for e in lab.port(0, 9) if not isinstance(e, SwitchPort | Flow)))
    assert lab.host.apply(plan) == []
    assert lab.host.apply(more) == []
    lab.start()
    assert without_flows(lab.seen()) == without_flows(more)
    assert lab.host.apply(more) == []
