"""Namespaces: made, recognised, swept; those of others untouched."""

import os

from netloom.host.layout import Layout
from netloom.host.namespaces import RUN_NETNS, Namespaces
from netloom.state import Namespace

from .sandbox import changes, namespaces, run


def test_made_ones_are_seen_by_ip_netns_and_by_a_restarted_agent(sandbox):
    wanted = namespaces(sandbox, 2)
    assert list(Namespaces(sandbox.layout).observe()) == wanted
    assert {namespace.name for namespace in wanted} <= {line.split()[0] for line in run("ip", "netns").splitlines()}
    assert "UP" in run("ip", "-n", wanted[0].name, "link", "show", "lo")


def test_deleted_ones_leave_nothing(sandbox):
    wanted = namespaces(sandbox, 2)
    driver = Namespaces(sandbox.layout)
    assert driver.delete(changes(Namespace, wanted[1:], wanted)) == []
    assert list(driver.observe()) == wanted[1:]
    assert not (RUN_NETNS / wanted[0].name).exists()


def test_one_of_somebody_else_is_refused_and_left_alone(sandbox):
    name = sandbox.router()
    run("ip", "netns", "add", name)
    before = os.stat(RUN_NETNS / name).st_ino
    driver = Namespaces(sandbox.layout)
    assert list(driver.observe()) == []
    failed = driver.create(changes(Namespace, [Namespace(name=name, origin="router/1")]))
    assert [(failure.origin, "not ours" in failure.reason) for failure in failed] == [("router/1", True)]
    assert os.stat(RUN_NETNS / name).st_ino == before


def test_two_agents_do_not_see_each_others(sandbox):
    namespaces(sandbox, 1)
    other = Layout(sandbox.layout.state_dir, sandbox.home / "other", "", sandbox.home)
    assert list(Namespaces(other).observe()) == []


def test_a_name_that_a_crash_left_without_a_namespace_is_taken(sandbox):
    RUN_NETNS.mkdir(exist_ok=True)
    (RUN_NETNS / sandbox.router()).touch()
    assert list(Namespaces(sandbox.layout).observe()) == []
    assert len(namespaces(sandbox, 1)) == 1


def test_the_thread_comes_back(sandbox):
    before = os.readlink("/proc/thread-self/ns/net")
    namespaces(sandbox, 1)
    assert os.readlink("/proc/thread-self/ns/net") == before
