"""A live copy of Open vSwitch's database, transactions on it, and waiting for it to change.

A synchronous face, for one thread, of the IDL in the ``ovs`` package (RFC 7047; ovs-vswitchd.conf.db(5)).
"""

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias
from uuid import UUID

import ovs.jsonrpc
import ovs.poller
import ovs.stream
from ovs.db import idl

from netloom.host.vswitch import Process, daemon_pid

ATTEMPTS = 10
VSWITCHD_POLL_SECONDS = 0.1

Row: TypeAlias = Any
"""A row of the IDL: its attributes are the table's columns."""


class _Idl(idl.Idl):  # type: ignore[misc]  # the ovs package has no types
    """Notes changes of everything but the table of the database's own counters."""

    changed = True

    def __init__(self, connection: str, schema: idl.SchemaHelper) -> None:
        self.versions: dict[UUID, int] = {}
        super().__init__(connection, schema, leader_only=False)

    def notify(self, event: str, row: Row, updates: Row = None) -> None:
        if event == idl.ROW_DELETE:
            self.versions.pop(row.uuid, None)
        else:
            self.versions[row.uuid] = self.change_seqno
        if row._table.name != "Open_vSwitch":
            self.changed = True

    @property
    def up_to_date(self) -> bool:
        # The session is private, but the IDL does not tell otherwise that it has lost its connection.
        return bool(self.state == self.IDL_S_MONITORING and self._session.is_connected())


class Replica:
    """The tables and columns asked for. It reconnects by itself when the database server has been away.

    Raises, as its methods do:
        ConnectionError: the database does not answer within ``timeout`` seconds.
    """

    def __init__(self, connection: str, tables: Mapping[str, Sequence[str]], pidfile: Path, timeout: float) -> None:
        self._connection = connection
        self._timeout = timeout
        self._idl = _Idl(connection, self._schema(tables))
        # Retry soon, not after the usual 1 to 8 seconds: the server is on this host.
        self._idl._session.reconnect.set_backoff(100, 1000)
        self._pidfile = pidfile
        self._connected = True
        self._vswitchd: Process | None = None
        self._vswitchd_seen = False
        self.switched = True
        """Set by ``wait`` when more happened than a ``wake``; whoever asks resets it."""
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.synchronise()
        self._vswitchd = self._find_vswitchd()

    def close(self) -> None:
        """Close the connection."""
        self._idl.close()
        if self._vswitchd:
            self._vswitchd.close()
        os.close(self._wake)

    def rows(self, table: str) -> list[Row]:
        """All rows of a table."""
        return list(self._idl.tables[table].rows.values())

    def version(self, row: Row) -> int:
        """A number that is another one after every change of the row; reading a row's columns is slow."""
        return self._idl.versions.get(row.uuid, 0)

    @property
    def generation(self) -> int:
        """A number that is another one after every change of any row."""
        return int(self._idl.change_seqno)

    def synchronise(self) -> None:
        """Take in what the server has sent; wait for it if the connection is broken."""
        if not self.until(lambda: self._idl.up_to_date):
            raise self._silent(f"waited {self._timeout:g} s")

    def until(
        self, condition: Callable[[], bool], seconds: float | None = None, *, descriptors: Iterable[int] = ()
    ) -> bool:
        """Take in what comes until the condition holds; False when it does not within ``seconds``.

        By default ``timeout`` seconds. The condition is also tried when a descriptor becomes readable.
        """
        deadline = time.monotonic() + (self._timeout if seconds is None else seconds)
        while True:
            while self._idl.run():
                pass
            if condition():
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            poller = ovs.poller.Poller()
            self._idl.wait(poller)
            for descriptor in descriptors:
                poller.fd_wait(descriptor, ovs.poller.POLLIN)
            poller.timer_wait(max(1, left * 1000))
            poller.block()

    def commit(self, build: Callable[["Transaction"], None]) -> str:
        """Make one transaction, and wait until ovs-vswitchd has done what it asks for.

        ``build`` is called again when somebody else changed the database meanwhile. Returns why it did not
        succeed, for people, or "".
        """
        error = ""
        for _ in range(ATTEMPTS):
            self.synchronise()
            transaction = Transaction(self._idl, self.rows)
            try:
                build(transaction)
                wanted = transaction.count_up()
                status = self._complete(transaction.idl)
            except BaseException:
                transaction.idl.abort()
                raise
            if status == idl.Transaction.SUCCESS:
                return self._confirmed(transaction.root, wanted)
            error = str(transaction.idl.get_error())
        return f"Open vSwitch's database refuses it: {error}"

    def _confirmed(self, root: Row, wanted: int) -> str:
        if self._vswitchd_seen and not daemon_pid(self._pidfile):
            return "ovs-vswitchd is not running; it will be done when it is back"
        if self.until(lambda: root.cur_cfg >= wanted):
            return ""
        return f"ovs-vswitchd has not taken it up within {self._timeout:g} s; is it running?"

    def _complete(self, transaction: idl.Transaction) -> str:
        transaction.commit()  # sends it; from then on it says how it stands
        if not self.until(lambda: transaction.commit() != idl.Transaction.INCOMPLETE):
            raise self._silent(f"no reply to a transaction within {self._timeout:g} s")
        return str(transaction.commit())

    def wait(self, timeout: float) -> bool:
        """Wait until a row changes, a daemon of the switch has gone or come back, or ``wake`` is called.

        False when nothing of this happened within ``timeout`` seconds. The first call returns at once.
        """
        deadline = time.monotonic() + timeout
        while True:
            left = max(0.0, deadline - time.monotonic())
            # While ovs-vswitchd is away only its pid file tells of its return.
            pause = left if self._vswitchd else min(left, VSWITCHD_POLL_SECONDS)
            descriptors = [self._wake, self._vswitchd.fileno()] if self._vswitchd else [self._wake]
            if self.until(self._happened, pause, descriptors=descriptors):
                return True
            if not left:
                return False

    def wake(self) -> None:
        """Make ``wait`` return True; from any thread."""
        os.eventfd_write(self._wake, 1)

    def _happened(self) -> bool:
        switched = self._idl.changed | self._connection_changed() | self._vswitchd_changed()
        self._idl.changed = False
        self.switched |= switched
        return self._woken() or switched

    def _connection_changed(self) -> bool:
        """Whether the database server has gone or come since the last call."""
        before, self._connected = self._connected, self._idl.up_to_date
        return before != self._connected

    def _woken(self) -> bool:
        try:
            return os.eventfd_read(self._wake) > 0
        except BlockingIOError:
            return False

    def _vswitchd_changed(self) -> bool:
        """Whether ovs-vswitchd has gone or come since the last call.

        Nothing in the database changes when it restarts, but all flows are gone.
        """
        if self._vswitchd:
            if not self._vswitchd.wait(0):
                return False
            self._vswitchd.close()
            self._vswitchd = None
            return True
        self._vswitchd = self._find_vswitchd()
        if not self._vswitchd:
            return False
        self.commit(lambda _: None)  # returns when its bridges are up
        return True

    def _find_vswitchd(self) -> Process | None:
        pid = daemon_pid(self._pidfile)
        try:
            process = Process(pid) if pid else None
        except ProcessLookupError:  # ended since
            return None
        self._vswitchd_seen = self._vswitchd_seen or process is not None
        return process

    def _schema(self, tables: Mapping[str, Sequence[str]]) -> idl.SchemaHelper:
        """The server's schema, reduced to what we use."""
        milliseconds = int(self._timeout * 1000)
        error, stream = ovs.stream.Stream.open_block(ovs.stream.Stream.open(self._connection), milliseconds)
        if error:
            raise self._silent(os.strerror(error))
        rpc = ovs.jsonrpc.Connection(stream)
        error, reply = rpc.transact_block(ovs.jsonrpc.Message.create_request("get_schema", ["Open_vSwitch"]))
        rpc.close()
        if error or reply.error:
            raise self._silent(os.strerror(error) if error else str(reply.error))
        helper = idl.SchemaHelper(None, reply.result)
        for table, columns in tables.items():
            helper.register_columns(table, list(columns))
        return helper

    def _silent(self, reason: str) -> ConnectionError:
        return ConnectionError(
            f"Open vSwitch's database at {self._connection} does not answer ({reason}): "
            "is ovsdb-server running, and is ovsdb_connection right?"
        )


class Transaction:
    """Rows by name as they will be after the transaction, and what can be done to them."""

    def __init__(self, replica: idl.Idl, rows: Callable[[str], Iterable[Row]]) -> None:
        self.idl = idl.Transaction(replica)
        self._tables = replica.tables
        (self.root,) = rows("Open_vSwitch")
        self.bridges: dict[str, Row] = {row.name: row for row in rows("Bridge")}
        places = [(port.name, port, row) for row in self.bridges.values() for port in row.ports]
        self.ports: dict[str, Row] = {name: port for name, port, _ in places}
        self.bridge_of: dict[str, Row] = {name: bridge for name, _, bridge in places}

    def count_up(self) -> int:
        """Ask ovs-vswitchd to look; returns what ``cur_cfg`` will be when it has.

        Not the IDL's own increment: that one is dropped when nothing else changes.
        """
        self.root.verify("next_cfg")
        wanted: int = self.root.next_cfg + 1
        self.root.next_cfg = wanted
        return wanted

    def insert_bridge(self, name: str) -> Row:
        """Add a bridge with its local port; returns its row."""
        bridge = self.idl.insert(self._tables["Bridge"])
        bridge.name = name
        self.bridges[name] = bridge
        self.root.addvalue("bridges", bridge)
        self.insert_port(name, name).interfaces[0].type = "internal"
        return bridge

    def insert_port(self, bridge: str, name: str) -> Row:
        """Add a port with an interface of the same name; returns its row."""
        interface = self.idl.insert(self._tables["Interface"])
        interface.name = name
        port = self.idl.insert(self._tables["Port"])
        port.name = name
        port.interfaces = [interface]
        self.ports[name] = port
        self.bridge_of[name] = self.bridges[bridge]
        self.bridges[bridge].addvalue("ports", port)
        return port

    def move_port(self, name: str, bridge: str) -> None:
        """Put a port on that bridge, if it is on another one."""
        if self.bridge_of[name] is not self.bridges[bridge]:
            self.bridge_of[name].delvalue("ports", self.ports[name])
            self.bridges[bridge].addvalue("ports", self.ports[name])
            self.bridge_of[name] = self.bridges[bridge]

    def remove_port(self, name: str) -> None:
        """Take a port off its bridge; its rows go with it."""
        self.bridge_of.pop(name).delvalue("ports", self.ports.pop(name))

    def remove_bridge(self, name: str) -> None:
        """Remove a bridge with all its ports."""
        self.root.delvalue("bridges", self.bridges.pop(name))
