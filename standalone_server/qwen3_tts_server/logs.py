"""What the log looks like: text for people, or one JSON object a line for programs.

Every line that is written while a request is handled carries the request's id, whoever writes it:
the id is part of the context, which the tasks that a request starts inherit. Knows nothing about
what is logged.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

__all__ = ["FORMATS", "REQUEST", "configure", "dress", "named"]

FORMATS = ("text", "json")

#: The id of the request that the running task works for; empty for none.
REQUEST: ContextVar[str] = ContextVar("request", default="")


@contextmanager
def named(request_id: str) -> Iterator[None]:
    """What is logged inside, and by the tasks that are started inside, is that request's."""
    token = REQUEST.set(request_id)
    try:
        yield
    finally:
        REQUEST.reset(token)


def configure(log_format: str, level: str | None = None) -> None:
    """Give the command line's log this format, and our packages that level; None leaves it."""
    for handler in logging.getLogger().handlers:
        dress(handler, log_format)
    if log_format == "json":
        logging.captureWarnings(True)  # or they would be lines that are no JSON
    if level is not None:
        for package in ("qwen3_tts_live", "qwen3_tts_server"):
            logging.getLogger(package).setLevel(level.upper())


def dress(handler: logging.Handler, log_format: str) -> None:
    """Have `handler` write one of `FORMATS`, with the ids of requests."""
    handler.addFilter(_Stamp())
    handler.setFormatter(_Json() if log_format == "json" else _Text())


class _Stamp(logging.Filter):
    """Notes whose line it is, where that is known; runs where the line is written."""

    def filter(self, record: logging.LogRecord) -> bool:
        if not hasattr(record, "request_id"):
            record.request_id = REQUEST.get()
        return True


class _Text(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(levelname)-7s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        line = super().formatMessage(record)
        number = getattr(record, "request_id", "")
        return f"{line} request={number}" if number and number not in line else line


class _Json(logging.Formatter):
    """`fields` of a record (`extra={"fields": {...}}`) are fields of its object."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if number := getattr(record, "request_id", ""):
            line["request_id"] = number
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)
