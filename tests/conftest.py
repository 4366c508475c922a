"""For all tests: an end asked for politely is an interruption, so that fixtures clean up."""

import signal
from types import FrameType


def pytest_configure() -> None:
    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
