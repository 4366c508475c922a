"""What ``quantum`` 2.2.1 and ``nova`` 2.13.0 of 2013 send for each command, and a client that sends it.

Both need Python 2.7, so this is what was recorded from them; commands of the schedulers other than lists are as the
client of 2016 sends them, with the older one's order of parameters. Ids are written as ``{name}`` where the client had
them from its user or from an answer before.
"""

import json
from dataclasses import dataclass
from typing import Any

from tests.standalone.world import PASSWORDS, Answer, World

Request = tuple[str, str] | tuple[str, str, dict[str, Any]]
"""Method, path below the service's address, and body."""


@dataclass(frozen=True)
class Command:
    """A command line and its requests; ``remember`` names the id that is answered."""

    line: str
    requests: tuple[Request, ...]
    remember: str = ""


def _by_name(plural: str, name: str) -> Request:
    """How ``quantum`` finds the id of a name."""
    return "GET", f"/v2.0/{plural}.json?fields=id&name={name}"


def _by_id(plural: str, name: str) -> Request:
    """How it makes sure of an id."""
    return "GET", f"/v2.0/{plural}.json?fields=id&id={{{name}}}"


NETWORKS = (
    Command(
        "quantum net-create net1",
        (("POST", "/v2.0/networks.json", {"network": {"admin_state_up": True, "name": "net1"}}),),
        "net1",
    ),
    Command(
        "quantum subnet-create net1 172.24.17.0/24 --name s1 --gateway 172.24.17.254",
        (
            _by_name("networks", "net1"),
            (
                "POST",
                "/v2.0/subnets.json",
                {
                    "subnet": {
                        "cidr": "172.24.17.0/24",
                        "gateway_ip": "172.24.17.254",
                        "ip_version": 4,
                        "name": "s1",
                        "network_id": "{net1}",
                    }
                },
            ),
        ),
        "s1",
    ),
    Command("quantum subnet-list", (("GET", "/v2.0/subnets.json"),)),
    Command(
        "quantum net-list",
        (("GET", "/v2.0/networks.json"), ("GET", "/v2.0/subnets.json?fields=id&fields=cidr&id={s1}")),
    ),
    Command(
        "quantum router-create r1",
        (("POST", "/v2.0/routers.json", {"router": {"admin_state_up": True, "name": "r1"}}),),
        "r1",
    ),
)
SCHEDULERS = (
    Command("quantum agent-list", (("GET", "/v2.0/agents.json"),)),
    Command("quantum agent-show {dhcp}", (("GET", "/v2.0/agents/{dhcp}.json"),)),
    Command(
        "quantum agent-update {dhcp} --description spare",
        (_by_id("agents", "dhcp"), ("PUT", "/v2.0/agents/{dhcp}.json", {"agent": {"description": "spare"}})),
    ),
    Command(
        "quantum dhcp-agent-network-remove {dhcp} net1",
        (_by_name("networks", "net1"), ("DELETE", "/v2.0/agents/{dhcp}/dhcp-networks/{net1}.json")),
    ),
    Command(
        "quantum dhcp-agent-network-add {dhcp} net1",
        (
            _by_name("networks", "net1"),
            ("POST", "/v2.0/agents/{dhcp}/dhcp-networks.json", {"network_id": "{net1}"}),
        ),
    ),
    Command(
        "quantum dhcp-agent-list-hosting-net net1",
        (_by_name("networks", "net1"), ("GET", "/v2.0/networks/{net1}/dhcp-agents.json")),
    ),
    Command(
        "quantum net-list-on-dhcp-agent {dhcp}",
        (
            ("GET", "/v2.0/agents/{dhcp}/dhcp-networks.json"),
            ("GET", "/v2.0/subnets.json?fields=id&fields=cidr&id={s1}"),
        ),
    ),
    Command(
        "quantum l3-agent-router-add {l3} r1",
        (_by_name("routers", "r1"), ("POST", "/v2.0/agents/{l3}/l3-routers.json", {"router_id": "{r1}"})),
    ),
    Command(
        "quantum l3-agent-list-hosting-router r1",
        (_by_name("routers", "r1"), ("GET", "/v2.0/routers/{r1}/l3-agents.json")),
    ),
    Command("quantum router-list-on-l3-agent {l3}", (("GET", "/v2.0/agents/{l3}/l3-routers.json"),)),
    Command(
        "quantum l3-agent-router-remove {l3} r1",
        (_by_name("routers", "r1"), ("DELETE", "/v2.0/agents/{l3}/l3-routers/{r1}.json")),
    ),
    Command(
        "quantum agent-update {dhcp} --admin_state_up False",
        (_by_id("agents", "dhcp"), ("PUT", "/v2.0/agents/{dhcp}.json", {"agent": {"admin_state_up": "False"}})),
    ),
    Command("quantum agent-delete {dhcp}", (_by_id("agents", "dhcp"), ("DELETE", "/v2.0/agents/{dhcp}.json"))),
)
"""All twelve commands of the schedulers; the agents' ids are ``dhcp`` and ``l3``."""


def _rule(protocol: str, first: str, last: str) -> Command:
    body = {
        "security_group_rule": {
            "cidr": "0.0.0.0/0",
            "from_port": first,
            "group_id": None,
            "ip_protocol": protocol,
            "parent_group_id": "{default}",
            "to_port": last,
        }
    }
    line = f"nova secgroup-add-rule default {protocol} {first} {last} 0.0.0.0/0"
    return Command(line, (("GET", "/os-security-groups"), ("POST", "/os-security-group-rules", body)))


RULES = (_rule("icmp", "-1", "-1"), _rule("tcp", "22", "22"), _rule("tcp", "80", "80"))
LIST_RULES = Command("nova secgroup-list-rules default", (("GET", "/os-security-groups"),))
BOOT = Command(
    "nova boot --flavor m1.tiny --image cirros --nic net-id={net1} vm1",
    (
        ("GET", "/images/detail"),
        ("GET", "/flavors/m1.tiny"),
        ("GET", "/flavors/detail"),
        ("GET", "/flavors/detail"),
        (
            "POST",
            "/servers",
            {
                "server": {
                    "flavorRef": "{m1.tiny}",
                    "imageRef": "{cirros}",
                    "max_count": 1,
                    "min_count": 1,
                    "name": "vm1",
                    "networks": [{"uuid": "{net1}"}],
                }
            },
        ),
        ("GET", "/servers/{vm1}"),
        ("GET", "/flavors/{m1.tiny}"),
        ("GET", "/images/{cirros}"),
    ),
)
LIST = Command("nova list", (("GET", "/servers/detail"),))
UNKNOWN = "/flavors/m1.tiny"
"""What ``nova`` asks for first, though it is a name: the one answer that is no success."""

POOLS = (
    Command(
        "quantum lb-pool-create --lb-method ROUND_ROBIN --name mypool --protocol HTTP --subnet-id {s1}",
        (
            (
                "POST",
                "/v2.0/lb/pools.json",
                {
                    "pool": {
                        "admin_state_up": True,
                        "lb_method": "ROUND_ROBIN",
                        "name": "mypool",
                        "protocol": "HTTP",
                        "subnet_id": "{s1}",
                    }
                },
            ),
        ),
        "mypool",
    ),
    Command("quantum lb-pool-list", (("GET", "/v2.0/lb/pools.json"),)),
    Command(
        "quantum lb-member-create --address 172.24.17.2 --protocol-port 80 mypool",
        (
            _by_name("lb/pools", "mypool"),
            (
                "POST",
                "/v2.0/lb/members.json",
                {
                    "member": {
                        "address": "172.24.17.2",
                        "admin_state_up": True,
                        "pool_id": "{mypool}",
                        "protocol_port": "80",
                    }
                },
            ),
        ),
        "member",
    ),
    Command(
        "quantum lb-healthmonitor-create --delay 3 --type HTTP --max-retries 3 --timeout 3",
        (
            (
                "POST",
                "/v2.0/lb/health_monitors.json",
                {
                    "health_monitor": {
                        "admin_state_up": True,
                        "delay": "3",
                        "max_retries": "3",
                        "timeout": "3",
                        "type": "HTTP",
                    }
                },
            ),
        ),
        "monitor",
    ),
    Command(
        "quantum lb-healthmonitor-associate {monitor} mypool",
        (
            _by_name("lb/pools", "mypool"),
            ("POST", "/v2.0/lb/pools/{mypool}/health_monitors.json", {"health_monitor": {"id": "{monitor}"}}),
        ),
    ),
    Command(
        "quantum lb-vip-create --name myvip --protocol-port 80 --protocol HTTP --subnet-id {s1} mypool",
        (
            _by_name("lb/pools", "mypool"),
            (
                "POST",
                "/v2.0/lb/vips.json",
                {
                    "vip": {
                        "admin_state_up": True,
                        "name": "myvip",
                        "pool_id": "{mypool}",
                        "protocol": "HTTP",
                        "protocol_port": "80",
                        "subnet_id": "{s1}",
                    }
                },
            ),
        ),
        "myvip",
    ),
    Command("quantum lb-vip-list", (("GET", "/v2.0/lb/vips.json"),)),
    Command("quantum lb-member-list", (("GET", "/v2.0/lb/members.json"),)),
    Command("quantum lb-healthmonitor-list", (("GET", "/v2.0/lb/health_monitors.json"),)),
)


class Grizzly:
    """Sends what the clients of 2013 send, with a token of identity v2.0 and to the addresses of its catalog."""

    def __init__(self, world: World, user: str) -> None:
        """Sign in as both clients do."""
        credentials = {"username": user, "password": PASSWORDS[user]}
        body = {"auth": {"tenantName": user, "passwordCredentials": credentials}}
        answer = world.raw("POST", "/identity/v2.0/tokens", json.dumps(body), self._headers("quantum"))
        assert answer.status == 200, answer.content
        access = answer.body["access"]
        self._world, self._user = world, user
        self._token = access["token"]["id"]
        addresses = {entry["type"]: entry["endpoints"][0]["publicURL"] for entry in access["serviceCatalog"]}
        # nova takes a slash off, quantum does not: it asks for //v2.0/networks.json.
        self._addresses = {"quantum": addresses["network"], "nova": addresses["compute"].rstrip("/")}
        self.ids: dict[str, str] = {}

    def run(self, command: Command) -> Any:
        """Send a command's requests; the answer to the first one that looks for no id."""
        program = command.line.split()[0]
        said: list[Any] = []
        for method, path, *bodies in command.requests:
            answer = self._send(program, method, path, *bodies)
            wanted = (404,) if path == UNKNOWN else (200, 201, 202, 204)
            assert answer.status in wanted, f"{command.line}: {method} {path}: {answer.status} {answer.content!r}"
            if "fields=id&name=" in path:
                assert len(next(iter(answer.body.values()))) == 1, f"{command.line}: {path}: {answer.body}"
            self._learn(path, answer)
            if "?fields=id&" not in path or "fields=cidr" in path:
                said.append(answer.body)
        if command.remember:
            self.ids[command.remember] = next(iter(said[0].values()))["id"]
        return said[0]

    def _learn(self, path: str, answer: Answer) -> None:
        """Take ids by name out of lists and new instances, as the clients do."""
        if path in ("/images/detail", "/flavors/detail", "/os-security-groups"):
            self.ids |= {entry["name"]: entry["id"] for entry in next(iter(answer.body.values()))}
        elif path == "/servers":
            self.ids["vm1"] = answer.body["server"]["id"]

    def _send(self, program: str, method: str, path: str, body: Any = None) -> Answer:
        address = self._addresses[program].removeprefix(self._world.url)
        content = json.dumps(body) if body is not None else None
        for name, value in self.ids.items():
            path = path.replace(f"{{{name}}}", value)
            content = content and content.replace(f'"{{{name}}}"', f'"{value}"')
        return self._world.raw(method, address + path, content, self._headers(program))

    def _headers(self, program: str) -> dict[str, str]:
        headers = {"User-Agent": f"python-{program}client", "Accept": "application/json"}
        if program == "nova":
            headers["X-Auth-Project-Id"] = self._user
        if (token := getattr(self, "_token", None)) is not None:
            headers["X-Auth-Token"] = token
        return headers | {"Content-Type": "application/json"}
