"""The agent dies, or is cut off, and nothing else is."""

import pytest

from tests.faults.town import Town
from tests.sandbox import eventually

BURST = 8
OTHER_SERVER = "[DEFAULT]\nbind_port = 9797\n[netloom]\nrun_path = /run/other\n"


@pytest.mark.parametrize("signal", ["TERM", "KILL"])
def test_a_restart_under_traffic_loses_nothing_and_changes_nothing(town: Town, signal: str) -> None:
    with town.traffic() as traffic, town.unchanged():
        town.restart_agent(signal)
    assert traffic.losses == {}


def taps(town: Town) -> int:
    return sum(path.name.startswith("tap") for path in town.place("/sys/class/net").iterdir())


def ports_of_the_switch(town: Town) -> int:
    ports = town.machine.run("ovs-vsctl", "list-ports", "br-int").stdout.split()
    return sum(port.startswith(("tap", "qvo")) for port in ports)


def test_killed_in_the_middle_of_a_burst_it_converges(town: Town) -> None:
    before = town.look()
    first_taps, first_ports = taps(town), ports_of_the_switch(town)
    records = town.place("/var/lib/netloom/host/instances")
    first_records = len(list(records.iterdir()))
    moments = (
        lambda: len(list(records.iterdir())) > first_records,
        lambda: taps(town) > first_taps,
        lambda: taps(town) > first_taps + 5,
        lambda: ports_of_the_switch(town) > first_ports,
    )
    town.api.boot("burst", town.network, BURST)
    for moment in moments:
        eventually(moment, what="the moment to kill the agent")
        town.kill(town.pid("agent"))
        town.start("agent")
    servers = town.ready("burst", BURST)
    ports = town.api.all("ports", f"network_id={town.network}&fields=id&fields=status&fields=device_id")
    assert {port["status"] for port in ports} == {"ACTIVE"}
    assert taps(town) == first_taps + BURST
    address = {server["id"]: server["addresses"]["town"] for server in servers}
    assert all(town.runs(town.instance(server)) for server in address)
    town.at_rest()
    with town.unchanged():
        town.restart_agent("TERM")
    for server in servers:
        town.api.call("DELETE", f"{town.api.compute}/servers/{server['id']}")
    eventually(lambda: taps(town) < first_taps + BURST, what="the first instance to go")
    town.restart_agent("KILL")
    eventually(lambda: town.api.servers("burst") == [], 40, "all instances deleted")
    town.becomes(before, "changes of the switch", "files")


def test_cut_off_it_goes_on_and_is_current_when_the_server_is_back(town: Town) -> None:
    port, address = town.port_of(town.two)["id"], town.fixed(town.two)
    with town.traffic() as traffic:
        with town.unchanged():
            town.kill(town.pid("server"))
            town.restart_agent("KILL")  # it has what it was told before
        # The intent changes behind its back, by a server that it does not know.
        town.write("/etc/netloom/other.conf", OTHER_SERVER)
        files = ("netloom", "other")
        options = " ".join(f"--config-file /etc/netloom/{name}.conf" for name in files)
        town.start("server", options, "/run/other")
        other = town.other_api("http://127.0.0.1:9797")
        group = other.make("security-group", name="closed")["id"]
        other.call("PUT", f"/v2.0/ports/{port}", {"port": {"security_groups": [group]}})
        with town.converging(2):
            pass
        assert town.pings(address)
        town.kill(town.pid("server", "/run/other"))
    assert traffic.losses == {}
    town.start_server()
    eventually(lambda: not town.pings(address), what="the port's new security group")
    town.api.call("PUT", f"/v2.0/ports/{port}", {"port": {"security_groups": [town.group]}})
    town.api.call("DELETE", f"/v2.0/security-groups/{group}")
    eventually(lambda: town.pings(address), what="the port's old security group")


def test_without_a_snapshot_and_without_a_server_it_touches_nothing(town: Town) -> None:
    town.at_rest()
    snapshot = town.place("/var/lib/netloom/fragments")
    with town.traffic() as traffic, town.unchanged():
        town.kill(town.pid("server"), town.pid("agent"))
        snapshot.unlink()
        with town.logged("agent", "no server at the other end", 4):
            town.start("agent")
        assert not snapshot.exists()
    assert traffic.losses == {}
    with town.unchanged(), town.converging():
        town.start_server()
    assert snapshot.exists()
