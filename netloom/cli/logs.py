"""Logging: one line an event, for people and for grep."""

import contextlib
import io
import logging
import sys

import structlog


class _Lossy(io.TextIOWrapper):
    """A log on a full disk loses lines; it must not keep its process from working."""

    def write(self, text: str, /) -> int:
        with contextlib.suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            super().flush()


def configure(debug: bool) -> None:
    """Send structured events, and the standard library's, to standard error."""
    level = logging.DEBUG if debug else logging.INFO
    errors = open(sys.stderr.fileno(), "wb", buffering=0, closefd=False)  # noqa: SIM115  # unbuffered: nothing piles up
    stream = _Lossy(errors, encoding="utf-8", errors="backslashreplace", write_through=True)
    logging.basicConfig(
        level=logging.WARNING, stream=stream, format="%(asctime)s [%(levelname)s] %(name)s: %(message)s"
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(stream),
    )
