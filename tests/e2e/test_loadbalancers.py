"""Load balancers, managed by today's unmodified client, with real servers behind them.

One balancer and one story: what a test sets, it sets back.
"""

import contextlib
import subprocess
import time

import pytest

from tests.e2e.balancing import INSIDE, SERVERS, Balancer, Site, alternating, group
from tests.e2e.world import World
from tests.sandbox import eventually

HELD = "/run/held"
"""A file that is there as long as a connection is."""
UDP_SERVER = """
import os, socket, sys
port = socket.socket(type=socket.SOCK_DGRAM)
port.bind(("", 53))
print(os.getpid(), flush=True)
while True:
    port.sendto(sys.argv[1].encode() + b"\\n", port.recvfrom(99)[1])
"""
SECURE = "www.example.org"
CERTIFICATE = f"""
cd /run && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={SECURE} \
  -addext subjectAltName=DNS:{SECURE} -keyout lb.key -out lb.crt 2>/dev/null
openssl pkcs12 -export -inkey lb.key -in lb.crt -passout pass: | base64
"""


@pytest.fixture(scope="module")
def site(world: World) -> Site:
    return Site(world)


@pytest.fixture(scope="module")
def balancer(site):
    """One with a listener on port 80 and the two servers, which are examined every second."""
    made = Balancer(site, "lb1")
    try:
        made.listener, made.pool = site.world.name("listener1"), site.world.name("pool1")
        made.run(f"listener create --name {made.listener} --protocol HTTP --protocol-port 80 {made.id}")
        made.run(
            f"pool create --name {made.pool} --lb-algorithm ROUND_ROBIN --listener {made.listener} --protocol HTTP"
        )
        for base, address in zip(SERVERS, INSIDE, strict=True):
            made.run(
                f"member create --name {base} --subnet-id {site.subnet} --address {address} --protocol-port 80"
                f" {made.pool}"
            )
        watch = "--delay 1 --timeout 1 --max-retries 1 --max-retries-down 1 --type HTTP --url-path /"
        made.run(f"healthmonitor create {watch} {made.pool}")
        eventually(lambda: set(made.members(made.pool).values()) == {"ONLINE"}, what="members ONLINE")
        yield made
    finally:
        made.delete()


def test_requests_go_to_the_servers_strictly_in_turn(site, balancer):
    assert alternating(site.served(balancer.url(), 6))


def test_what_the_client_shows(site, balancer):
    shown = balancer.shown
    assert (shown["provisioning_status"], shown["operating_status"]) == ("ACTIVE", "ONLINE")
    (listener,) = balancer.tree["listeners"]
    (pool,) = listener["pools"]
    assert {member["address"]: member["operating_status"] for member in pool["members"]} == dict.fromkeys(
        INSIDE, "ONLINE"
    )
    assert pool["health_monitor"]["provisioning_status"] == "ACTIVE"
    counted = site.openstack(f"loadbalancer stats show {balancer.id}")["total_connections"]
    site.served(balancer.url(), 3)
    eventually(
        lambda: site.openstack(f"loadbalancer stats show {balancer.id}")["total_connections"] >= counted + 3,
        what="three connections more",
    )
    assert site.openstack(f"loadbalancer listener stats show {balancer.listener}")["bytes_out"] > 0
    assert "haproxy" in {each["name"] for each in site.openstack("loadbalancer provider list")}
    assert site.openstack("loadbalancer flavor list") == []
    assert site.openstack("loadbalancer quota show admin")["load_balancer"] == 10


def test_every_list_and_the_quotas(site, balancer):
    run = site.openstack
    for kind, name in (("", balancer.name), ("listener ", balancer.listener), ("pool ", balancer.pool)):
        assert name in {each["name"] for each in run(f"loadbalancer {kind}list")}
    assert len(run("loadbalancer healthmonitor list")) == 1
    assert run(f"loadbalancer l7policy list --listener {balancer.listener}") == []
    for kind in ("availabilityzone", "flavorprofile", "amphora"):
        assert isinstance(run(f"loadbalancer {kind} list"), list)
    run("loadbalancer quota set --listener 1 --healthmonitor 7 admin")
    try:
        shown = run("loadbalancer quota show admin")
        assert (shown["listener"], shown["health_monitor"], shown["pool"]) == (1, 7, -1)
        full = f"loadbalancer listener create --protocol HTTP --protocol-port 81 {balancer.id}"
        assert "Quota has been met" in run(full, check=False)
    finally:
        run("loadbalancer quota reset admin")
    assert run("loadbalancer quota show admin") == run("loadbalancer quota defaults show")


def test_a_server_that_dies_is_left_out_until_it_returns(site, balancer):
    site.stop("vm1")
    assert set(site.served(balancer.url())) == {"vm2"}, "a member that refuses is left for another one at once"
    since = time.monotonic()
    eventually(lambda: balancer.members(balancer.pool) == {INSIDE[0]: "ERROR", INSIDE[1]: "ONLINE"}, 10)
    assert time.monotonic() - since < 8
    assert balancer.shown["operating_status"] == "DEGRADED"
    site.stop("vm2")
    eventually(lambda: balancer.shown["operating_status"] == "ERROR", 10, what="ERROR without any server")
    assert "503" in site.curl(balancer.url(), "-o", "/dev/null", "-w", "%{http_code}")
    for base in SERVERS:
        site.start(base)
    eventually(lambda: balancer.shown["operating_status"] == "ONLINE", 10, what="ONLINE again")
    # haproxy goes on with its round before it counts who has returned.
    eventually(lambda: alternating(site.served(balancer.url())), 10, what="both in turn again")


def test_policies_of_layer_7(site, balancer):
    name = site.world.name("policy1")
    target = "--action REDIRECT_TO_URL --redirect-url http://www.example.org/"
    balancer.run(f"l7policy create {target} --name {name} {balancer.listener}")
    rule = balancer.run(f"l7rule create --type PATH --compare-type STARTS_WITH --value /old {name}")["id"]
    said = site.curl(balancer.url("old/page"), "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}")
    assert said == "302 http://www.example.org/"
    assert site.curl(balancer.url()) in SERVERS
    balancer.run(f"l7rule set --type COOKIE --compare-type EQUAL_TO --key tier --value gold {name} {rule}")
    balancer.run(f"l7policy set --action REJECT {name}")
    code = ("-o", "/dev/null", "-w", "%{http_code}")
    assert site.curl(balancer.url(), "-b", "tier=gold", *code) == "403"
    assert site.curl(balancer.url("old"), "-b", "tier=tin", *code) == "404", "it is the server's to answer"
    balancer.run(f"l7policy delete {name}")


@contextlib.contextmanager
def telling_names(site):
    """Servers on the cards of the instances that answer datagrams to port 53 by their names, for a block."""
    machine, pids = site.world.machine, []
    for base, guest in site.guests.items():
        words = ("nsenter", f"--net=/proc/{guest.process}/ns/net", "/usr/bin/python3", "-c", UDP_SERVER, base)
        process = machine.popen(*words)
        assert process.stdout
        pids.append(process.stdout.readline().strip())
    try:
        yield
    finally:
        machine.run("kill", *pids)


def test_datagrams_reach_the_servers(site, balancer):
    site.openstack(f"security group rule create --protocol udp --dst-port 53 {site.group}")
    pool, listener = site.world.name("names"), site.world.name("dns")
    balancer.run(f"pool create --name {pool} --lb-algorithm ROUND_ROBIN --protocol UDP --loadbalancer {balancer.id}")
    for address in INSIDE:
        balancer.run(f"member create --address {address} --protocol-port 53 {pool}")
    options = f"--name {listener} --protocol UDP --protocol-port 53 --default-pool {pool}"
    balancer.run(f"listener create {options} {balancer.id}")
    script = f"exec 3<>/dev/udp/{balancer.vip}/53; echo ask >&3; timeout 1 head -n 1 <&3"

    def asked() -> str:
        return str(site.world.namespace(f"qdhcp-{site.network}", "bash", "-c", script, check=False).strip())

    with telling_names(site):
        eventually(lambda: {asked(), asked()} == set(SERVERS), what="an answer of each server")
    assert site.curl(balancer.url()) in SERVERS, "the listener for TCP serves on"
    balancer.run(f"listener delete {listener}")
    balancer.run(f"pool delete {pool}")


def test_tls_ends_at_the_balancer(site, balancer):
    payload = site.world.machine.run("sh", "-c", CERTIFICATE).stdout.strip()
    form = "--payload-content-type application/octet-stream --payload-content-encoding base64"
    words = f"secret store --name {site.world.name('tls')} {form} --payload"
    reference = site.openstack(words, payload)["Secret href"]
    try:
        name = site.world.name("secure")
        options = f"--protocol TERMINATED_HTTPS --protocol-port 443 --default-pool {balancer.pool}"
        balancer.run(f"listener create --name {name} {options} --default-tls-container-ref {reference} {balancer.id}")
        known = ("--cacert", "/run/lb.crt", "--resolve", f"{SECURE}:443:{balancer.vip}")
        assert site.curl(f"https://{SECURE}/", *known, check=True) in SERVERS
        balancer.run(f"listener delete {name}")
    finally:
        site.openstack(f"secret delete {reference}")


def test_a_floating_ip_of_the_vip_answers_outside(site, balancer):
    world = site.world
    world.router("edge", "lb")
    made = world.openstack(f"floating ip create --port {balancer.port} public")
    world.made("floating ip", made["id"])

    def asked() -> str:
        url = f"http://{made['floating_ip_address']}/"
        return str(world.machine.run("curl", "-s", "--max-time", "2", url, check=False).stdout.strip())

    eventually(lambda: asked() in SERVERS, what="an answer at the floating IP")
    assert alternating([asked() for _ in range(4)])


def test_security_groups_of_the_vip_are_enforced(site, balancer):
    other = site.world.name("listener2")
    options = f"--protocol HTTP --protocol-port 8080 --default-pool {balancer.pool}"
    balancer.run(f"listener create --name {other} {options} {balancer.id}")
    assert site.curl(balancer.url(port=8080)) in SERVERS
    web = group(site.world, "vip", "--protocol tcp --dst-port 80")
    balancer.run(f"set --vip-sg-id {web} {balancer.id}")
    eventually(lambda: not site.curl(balancer.url(port=8080), "--max-time", "1"), what="port 8080 closed")
    assert site.curl(balancer.url()) in SERVERS
    balancer.run(f"unset --vip-sg-id {balancer.id}")
    eventually(lambda: site.curl(balancer.url(port=8080)) in SERVERS, what="port 8080 open again")
    balancer.run(f"listener delete {other}")


def test_what_is_disabled_serves_no_more(site, balancer):
    balancer.run(f"member set --disable {balancer.pool} vm1")
    assert set(site.served(balancer.url())) == {"vm2"}
    balancer.run(f"member set --enable {balancer.pool} vm1")
    eventually(lambda: "vm1" in site.served(balancer.url(), 2), what="the member back")
    for thing in (f"listener set {{}} {balancer.listener}", f"set {{}} {balancer.id}"):
        balancer.run(thing.format("--disable"))
        assert site.curl(balancer.url(), "--max-time", "1") == ""
        balancer.run(thing.format("--enable"))
        eventually(lambda: site.curl(balancer.url()) in SERVERS, what="an answer again")


@contextlib.contextmanager
def held(site, balancer):
    """A client that has a connection to the VIP and says nothing, for a block."""
    script = (
        f"touch {HELD} && exec 3<>/dev/tcp/{balancer.vip}/80 && echo there && while [ -e {HELD} ]; do sleep 0.1; done"
    )
    words = ("ip", "netns", "exec", f"qdhcp-{site.network}", "bash", "-c", script)
    process: subprocess.Popen[str] = site.world.machine.popen(*words)
    try:
        assert process.stdout
        assert process.stdout.readline() == "there\n"
        yield
    finally:
        site.world.machine.run("rm", HELD)
        process.communicate(timeout=5)


def test_a_connection_limit_holds(site, balancer):
    balancer.run(f"listener set --connection-limit 1 {balancer.listener}")
    assert site.curl(balancer.url()) in SERVERS
    with held(site, balancer):
        assert site.curl(balancer.url(), "--max-time", "1") == ""
    eventually(lambda: site.curl(balancer.url()) in SERVERS, what="an answer once the other is gone")
    balancer.run(f"listener unset --connection-limit {balancer.listener}")


def test_sessions_stay_with_their_server(site, balancer):
    balancer.run(f"pool set --session-persistence type=SOURCE_IP {balancer.pool}")
    assert len(set(site.served(balancer.url()))) == 1
    balancer.run(f"pool set --session-persistence type=HTTP_COOKIE {balancer.pool}")
    jar = ("-c", "/run/jar", "-b", "/run/jar")
    assert len({site.curl(balancer.url(), *jar) for _ in range(4)}) == 1
    assert alternating(site.served(balancer.url())), "without a cookie nobody is known"
    balancer.run(f"pool unset --session-persistence {balancer.pool}")


def test_deleted_with_all_that_it_has(site, balancer):
    assert "children" in site.openstack(f"loadbalancer delete {balancer.id}", check=False)
    site.openstack(f"loadbalancer delete --cascade {balancer.id}")
    eventually(lambda: not site.remains(balancer.id), what="nothing left of the load balancer")
    assert balancer.id not in {each["id"] for each in site.openstack("loadbalancer list")}
    assert site.openstack(f"port list --network {site.network} --device-owner Octavia") == []
    assert balancer.port[:11] not in site.world.machine.run("ip", "-o", "link").stdout
