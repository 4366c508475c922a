"""Daemons: they outlive the agent, are noticed when they die, and end when unwanted."""

import contextlib
import os
import select
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from netloom.host.daemons import Daemons
from netloom.state import Daemon

from .sandbox import changes, eventually, namespaces

PROGRAM = """
import signal
signal.signal(signal.SIGUSR1, lambda *_: print("reloaded", flush=True))
print("ready", flush=True)
while True:
    signal.pause()
"""

HEIR = """
import os, signal, socket, sys
signal.signal(signal.SIGUSR1, lambda *_: print("heir knows", open(sys.argv[1] + "/bequest").read(), flush=True))
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[2] + "/asked")
server.listen()
print("ready", os.path.exists(sys.argv[1] + "/bequest"), flush=True)
while True:
    client, _ = server.accept()
    client.sendall(b"answer to " + client.recv(100))
    client.close()
"""

SLOW = """
import os, signal, socket, sys, time
def serve(*_):
    time.sleep(0.3)
    open(sys.argv[1] + "/served", "a").write("serves " + open(sys.argv[1] + "/told").read())
signal.signal(signal.SIGUSR1, serve)
server = socket.socket(socket.AF_UNIX)
serve()
server.bind(sys.argv[2] + "/asked")
server.listen()
while True:
    client, _ = server.accept()
    client.recv(100)
    client.sendall(open(sys.argv[1] + "/served").read().encode()[-20:])
    client.close()
"""


def daemon(box, number=0, script="", **others):
    """A daemon that reloads on USR1, or a shell script."""
    settings = {"reload_signal": "USR1", "origin": "network/1"} | others
    program = ("sh", "-c", script, "sh") if script else (sys.executable, "-S", "-c", PROGRAM)
    return Daemon(name=f"d-{box.run}-{number}", namespace=box.router(), argv=(*program, "{state}", "{run}"), **settings)


@pytest.fixture
def agent(sandbox):
    """Makes agents' drivers; at most one lives."""
    namespaces(sandbox, 1)
    live = []

    def start():
        while live:
            live.pop().close()
        live.append(Daemons(sandbox.layout))
        return live[-1]

    yield start
    while live:
        live.pop().close()


def converge(driver, *wanted):
    difference = changes(Daemon, wanted, driver.observe())
    driver.delete(difference)
    failures = driver.apply(difference)
    driver.sweep({one.name for one in wanted})
    return failures


def pid(box, number=0):
    return int(Path(box.layout.run_dir, "daemons", f"d-{box.run}-{number}", "record").read_bytes().split(b",")[0][7:])


def log(box, number=0):
    return Path(box.layout.run_dir, "daemons", f"d-{box.run}-{number}", "log").read_text()


def alive(number):
    try:
        return "\nState:\tZ" not in Path(f"/proc/{number}/status").read_text()
    except FileNotFoundError:
        return False


def of_session(leader):
    """Processes that live."""
    found = []
    for number in (int(entry) for entry in os.listdir("/proc") if entry.isdecimal()):
        with contextlib.suppress(OSError):
            if os.getsid(number) == leader and alive(number):
                found.append(number)
    return found


def test_it_runs_in_its_namespace_apart_from_the_agent(sandbox, agent):
    assert converge(agent(), daemon(sandbox)) == []
    eventually(lambda: "ready" in log(sandbox))
    number = pid(sandbox)
    assert os.stat(f"/proc/{number}/ns/net").st_ino == os.stat(f"/run/netns/{sandbox.router()}").st_ino
    assert os.getsid(number) == number
    environment = Path(f"/proc/{number}/environ").read_text().split("\0")
    assert {entry.partition("=")[0] for entry in environment if entry} == {"PATH", "LANG", "NETLOOM_AGENT"}
    arguments = Path(f"/proc/{number}/cmdline").read_text().split("\0")
    assert arguments[4:6] == [str(sandbox.layout.state_dir), str(sandbox.layout.run_dir)]


def test_a_restarted_agent_keeps_it(sandbox, agent):
    wanted = daemon(sandbox)
    converge(agent(), wanted)
    before = pid(sandbox)
    driver = agent()
    assert list(driver.observe()) == [wanted]
    assert converge(driver, wanted) == []
    assert pid(sandbox) == before
    assert alive(before)


def test_changes_reload_or_restart(sandbox, agent):
    driver = agent()
    converge(driver, daemon(sandbox, reloads="1"))
    eventually(lambda: "ready" in log(sandbox))
    before = pid(sandbox)
    converge(agent(), daemon(sandbox, reloads="2"))
    eventually(lambda: "reloaded" in log(sandbox))
    assert pid(sandbox) == before
    converge(agent(), daemon(sandbox, reloads="2", restarts="1"))
    again = pid(sandbox)
    assert again != before
    assert not alive(before)
    eventually(lambda: log(sandbox).count("ready") == 2)
    converge(agent(), daemon(sandbox, reloads="3", restarts="1", reload_signal="restart"))
    assert pid(sandbox) != again


@pytest.mark.parametrize("restarted", [False, True], ids=["same agent", "restarted agent"])
def test_what_a_killed_one_leaves_behind_ends_too(sandbox, agent, restarted):
    driver = agent()
    converge(driver, daemon(sandbox, script="sleep 1000 & echo child $!; wait"))
    eventually(lambda: "child" in log(sandbox))
    first, child = pid(sandbox), int(log(sandbox).split()[1])
    os.kill(first, signal.SIGKILL)
    eventually(lambda: not alive(first))
    assert alive(child)
    assert converge(agent() if restarted else driver) == []
    eventually(lambda: not alive(child))


def test_what_begins_another_program_at_that_moment_ends_too(sandbox, agent, tmp_path):
    """For a moment such a process does not show its environment, by which it is known."""
    program = tmp_path / "program"
    program.write_text(f"exec sh {program}\n")
    driver = agent()
    converge(driver, daemon(sandbox, script=f"for each in $(seq 40); do sh {program} & done; echo all; wait"))
    first = pid(sandbox)
    try:
        eventually(lambda: "all" in log(sandbox))
        os.kill(first, signal.SIGKILL)
        eventually(lambda: not alive(first))
        assert converge(driver) == []
        eventually(lambda: not of_session(first), 2)
    finally:
        for left in of_session(first):
            os.kill(left, signal.SIGKILL)


def test_a_reload_that_would_be_ignored_is_refused(sandbox, agent):
    bad = daemon(
        sandbox, reloads="2", check=("sh", "-c", "echo asked; echo no such thing in $0 >&2; exit 1", "{state}")
    )
    converge(agent(), daemon(sandbox, reloads="1"))
    eventually(lambda: "ready" in log(sandbox))
    for _ in range(2):
        (failure,) = converge(agent(), bad)
        assert failure.reason.endswith(f"it cannot be reloaded: no such thing in {sandbox.layout.state_dir}")
        assert failure.origin == "network/1"
    assert converge(agent(), replace(bad, check=("true",))) == []
    eventually(lambda: "reloaded" in log(sandbox))
    assert log(sandbox).count("reloaded") == 1


def test_a_process_leaves_its_successor_what_that_must_know(sandbox, agent):
    bequest = ("{run}/asked", "what now", "{state}/bequest")
    argv = (sys.executable, "-S", "-c", HEIR, "{state}", "{run}")
    wanted = replace(daemon(sandbox, reloads="1"), argv=argv, bequest=bequest)
    Path(sandbox.layout.state_dir, "bequest").write_text("of long ago")
    converge(agent(), wanted)
    eventually(lambda: "ready False" in log(sandbox))
    converge(agent(), replace(wanted, reloads="2"))
    eventually(lambda: "heir knows answer to what now" in log(sandbox))
    Path(sandbox.layout.run_dir, "asked").unlink()
    converge(agent(), replace(wanted, reloads="3"))
    assert not Path(sandbox.layout.state_dir, "bequest").exists()


def test_who_serves_only_some_time_after_it_was_told_is_waited_for(sandbox, agent):
    told, served = (Path(sandbox.layout.state_dir, name) for name in ("told", "served"))
    argv = (sys.executable, "-S", "-c", SLOW, "{state}", "{run}")
    for digest in ("first", "second"):
        told.write_text(digest)
        wanted = replace(daemon(sandbox, reloads=digest), argv=argv, serves=("{run}/asked", "what do you serve"))
        began = time.monotonic()
        assert converge(agent(), wanted) == []
        assert served.read_text().endswith(f"serves {digest}")
        assert time.monotonic() - began < 3, "seconds: no longer than it takes"


def test_one_that_does_not_take_the_signal_yet_is_started_anew(sandbox, agent):
    driver = agent()
    converge(driver, daemon(sandbox, script="exec sleep 100", reloads="1"))
    before = pid(sandbox)
    assert converge(driver, daemon(sandbox, script="exec sleep 100", reloads="2")) == []
    assert pid(sandbox) != before
    assert alive(pid(sandbox))


def test_unwanted_ones_end_and_leave_nothing(sandbox, agent):
    converge(agent(), daemon(sandbox), daemon(sandbox, 1))
    doomed, kept = pid(sandbox), pid(sandbox, 1)
    converge(agent(), daemon(sandbox, 1))
    assert not alive(doomed)
    assert alive(kept)
    assert os.listdir(sandbox.layout.run_dir / "daemons") == [f"d-{sandbox.run}-1"]


def test_a_stubborn_one_is_killed_with_its_children(sandbox, agent, monkeypatch):
    monkeypatch.setattr("netloom.host.daemons._GRACE", 0.3)
    driver = agent()
    converge(driver, daemon(sandbox, script="trap '' TERM; sleep 1000 & echo child $!; wait; sleep 1000"))
    eventually(lambda: "child" in log(sandbox))
    child, doomed = int(log(sandbox).split()[1]), pid(sandbox)
    converge(driver)
    eventually(lambda: not alive(child))
    assert not alive(doomed)


def test_a_death_is_noticed_and_repaired(sandbox, agent):
    driver = agent()
    converge(driver, daemon(sandbox))
    before = pid(sandbox)
    record = driver._running[daemon(sandbox).name].record  # it lived for a minute, as far as the driver knows
    driver._running[daemon(sandbox).name].record = type(record)(**{**_fields(record), "start": record.start - 6000})
    os.kill(before, signal.SIGKILL)
    poll = select.poll()
    for descriptor in driver.deaths():
        poll.register(descriptor, select.POLLIN)
    assert poll.poll(5000)
    assert list(driver.observe()) == []
    assert converge(driver, daemon(sandbox)) == []
    assert alive(pid(sandbox))
    assert pid(sandbox) != before


def _fields(record):
    return {name: getattr(record, name) for name in record.__struct_fields__}


def test_one_that_fails_at_once_says_why_and_is_tried_again(sandbox, agent):
    driver = agent()
    broken = daemon(sandbox, script="echo bad option >&2; exit 3")
    assert converge(driver, broken) == []
    eventually(lambda: not list(driver.observe()))
    failed = converge(driver, broken)
    assert [failure.origin for failure in failed] == ["network/1"]
    assert "ended right after its start with status 3: bad option" in failed[0].reason
    assert 0 < driver.retry_in() <= 1
    eventually(lambda: driver.retry_in() == 0)
    assert converge(driver, daemon(sandbox)) == []
    assert driver.retry_in() is None
    assert alive(pid(sandbox))


def test_one_that_cannot_start_leaves_the_others(sandbox, agent):
    absent = Daemon(name=f"d-{sandbox.run}-9", namespace=sandbox.router(), argv=("absent-program",), origin="network/9")
    failed = converge(agent(), absent, daemon(sandbox))
    assert [(failure.origin, failure.reason) for failure in failed] == [
        ("network/9", "No such file or directory: absent-program")
    ]
    assert alive(pid(sandbox))


def test_a_reused_process_number_deceives_nobody(sandbox, agent):
    converge(agent(), daemon(sandbox))
    number = pid(sandbox)
    path = sandbox.layout.run_dir / "daemons" / f"d-{sandbox.run}-0" / "record"
    path.write_bytes(path.read_bytes().replace(f'"pid":{number}'.encode(), f'"pid":{os.getpid()}'.encode()))
    driver = agent()
    assert list(driver.observe()) == []
    converge(driver)  # unwanted, but the number is the test's own: it lives on
    assert not path.exists()


def test_one_that_was_never_recorded_is_ended(sandbox, agent):
    converge(agent(), daemon(sandbox))
    number = pid(sandbox)
    (sandbox.layout.run_dir / "daemons" / f"d-{sandbox.run}-0" / "record").unlink()
    agent()
    eventually(lambda: not alive(number))
