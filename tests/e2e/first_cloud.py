"""Where the walk-through of a first cloud is: a machine with a network card, a gateway and the Internet behind it."""

import contextlib
from collections.abc import Iterator

from tests.e2e.cloud import Cloud
from tests.sandbox import sandbox

HOST, GATEWAY, FLOATING = "172.16.0.120", "172.16.0.253", "172.16.0.118"
INTERNET, OUTSIDE = "8.8.8.8", "outside"
KEY = "/run/openstack.pem"


class Story:
    """What the tests tell each other."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.machine = cloud.machine
        self.ids: dict[str, str] = {}

    @property
    def router(self) -> str:
        """Namespace of the router."""
        return f"qrouter-{self.ids['router']}"

    def namespaces(self) -> set[str]:
        """Those that are there, but for the one that stands for the world."""
        return {line.split()[0] for line in self.machine.run("ip", "netns").stdout.splitlines()} - {OUTSIDE}

    def mac(self, device: str) -> str:
        """Of a device of the machine."""
        return self.machine.run("cat", f"/sys/class/net/{device}/address").stdout.strip()

    def in_router(self, *argv: str) -> str:
        """Run a command in the router's namespace; its output."""
        return self.machine.run("ip", "netns", "exec", self.router, *argv).stdout

    def device(self, prefix: str, owner: str) -> str:
        """The device of the router's port with this owner."""
        ports = self.cloud.openstack(f"port list --router {self.ids['router']} --device-owner {owner}")
        return prefix + ports[0]["ID"][:11]

    def default_group(self) -> str:
        """Id of admin's default security group."""
        groups = self.cloud.openstack("security group list --project admin")
        return str(next(group["ID"] for group in groups if group["Name"] == "default"))

    def make_key(self) -> str:
        """Make a key; path of its public half."""
        self.machine.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", KEY)
        return f"{KEY}.pub"

    def ssh(self, *command: str) -> str:
        """Run a command on the instance by its floating IP and the key; its output."""
        options = ["-i", KEY, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
        more = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=5", f"ubuntu@{FLOATING}")
        return self.machine.run("ssh", *options, *more, *command).stdout


@contextlib.contextmanager
def place(configuration: str = "") -> Iterator[Story]:
    """A cloud on a machine with the device ens160, behind which a gateway and the Internet are."""
    with sandbox() as machine:
        for command in (
            f"netns add {OUTSIDE}",
            f"link add ens160 type veth peer name eth0 netns {OUTSIDE}",
            "link set ens160 up",
            f"-n {OUTSIDE} address add {GATEWAY}/24 dev eth0",
            f"-n {OUTSIDE} address add {INTERNET}/32 dev lo",
            f"-n {OUTSIDE} link set lo up",
            f"-n {OUTSIDE} link set eth0 up",
            f"netns exec {OUTSIDE} ethtool -K eth0 tx off",
        ):
            machine.run("ip", *command.split())
        if configuration:
            write = "umask 077; mkdir /etc/netloom; cat > /etc/netloom/netloom.conf"
            machine.run("sh", "-c", write, text=configuration)
        yield Story(Cloud(machine, "--bare", "--external", f"{HOST}/24", "--external-device", "ens160"))
