"""How a run looks in a terminal: one short line per event that people care about."""

import logging
import sys
import time

import dagster as dg


class _Lines(logging.Formatter):
    def __init__(self) -> None:
        super().__init__()
        self._start = time.monotonic()

    def format(self, record: logging.LogRecord) -> str:
        details = getattr(record, "dagster_meta", {})
        message = details.get("orig_message") or record.getMessage()
        return f"{time.monotonic() - self._start:7.1f} s  {message}"


@dg.logger({}, "One short line per message; for commands in a terminal.")
def terminal_logger(_context: dg.InitLoggerContext) -> logging.Logger:
    """A logger that prints what assets say, and errors, on standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines())
    logger = logging.Logger("textmill.terminal", level=logging.INFO)
    logger.addHandler(handler)
    return logger
