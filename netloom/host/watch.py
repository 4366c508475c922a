"""Noticing that a process ended, beside whatever else its agent waits for."""

import contextlib
import os
import select
import threading
from collections.abc import Callable, Iterable


class Watcher:
    """Calls ``on_event``, in a thread of its own, once for each watched descriptor that becomes readable."""

    def __init__(self, on_event: Callable[[], None]) -> None:
        self._on_event = on_event
        self._epoll = select.epoll()
        self._closing = os.eventfd(0, os.EFD_CLOEXEC)
        self._epoll.register(self._closing, select.EPOLLIN)
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        self._thread.start()

    def watch(self, descriptors: Iterable[int]) -> None:
        """Watch these too; those watched already stay so until their owner closes them."""
        for descriptor in descriptors:
            with contextlib.suppress(FileExistsError):
                self._epoll.register(descriptor, select.EPOLLIN | select.EPOLLONESHOT)

    def watch_again(self, descriptor: int) -> None:
        """Watch one that lives on, e.g. an eventfd, for its next event."""
        try:
            self._epoll.modify(descriptor, select.EPOLLIN | select.EPOLLONESHOT)
        except FileNotFoundError:
            self.watch([descriptor])

    def close(self) -> None:
        """Watch no more."""
        os.eventfd_write(self._closing, 1)
        self._thread.join()
        self._epoll.close()
        os.close(self._closing)

    def _run(self) -> None:
        while self._closing not in [descriptor for descriptor, _ in self._epoll.poll()]:
            self._on_event()
