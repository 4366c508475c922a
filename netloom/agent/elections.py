"""Telling the server at once how elections of routers went, beside whatever the loop is doing."""

import threading
from collections.abc import Callable, Mapping


class Teller:
    """A thread that passes on the states of routers whenever there may be news."""

    def __init__(self, tell: Callable[[Mapping[str, str]], None]) -> None:
        """``tell`` is given all states, by id of the router, and passes on what is new of them."""
        self._tell = tell
        self._news = threading.Event()
        self._stopped = False

    def start(self, states: Callable[[], Mapping[str, str]]) -> None:
        """Begin; ``states`` tells the present ones, from any thread."""
        threading.Thread(target=self._run, args=(states,), name="elections-teller", daemon=True).start()

    def wake(self) -> None:
        """There may be news; from any thread."""
        self._news.set()

    def stop(self) -> None:
        """Tell no more."""
        self._stopped = True
        self._news.set()

    def _run(self, states: Callable[[], Mapping[str, str]]) -> None:
        while self._news.wait() and not self._stopped:
            self._news.clear()
            self._tell(states())
