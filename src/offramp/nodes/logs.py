"""What a node says on stderr: lines of text for people, or a JSON object a line for programs.

Takes the standard library's records. What they say of a request is in their `request`.
"""

import logging
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

from offramp.protocol.record import Record
from offramp.protocol.trace_context import trace_id

LogFormat = Literal["text", "json"]
TEXT = "%(asctime)s %(levelname)s %(message)s"

log = logging.getLogger("offramp")


class JsonLines(logging.Formatter):
    """A line a record: `time`, `level`, `message`, `process`, what is known of the request, `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname,
            "message": record.getMessage(),
            "process": record.process,
            **getattr(record, "request", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def log_to_stderr(form: LogFormat = "text") -> None:
    """Write what the node has to say for itself, and anybody's warnings, where an operator looks."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if form == "json" else logging.Formatter(TEXT))
    logging.basicConfig(handlers=[handler])
    log.setLevel(logging.INFO)


class RequestLog:
    """Writes a line a request."""

    def ended(self, record: Record) -> None:
        """Write it: what was asked under which name, what became of it, in what time, by what."""
        took = 1000 * (record.ended - record.began)
        by = ", ".join(f"{count} {kind}" for kind, count in record.by.items())
        name, model = record.id or "-", record.model or "-"
        log.info(
            "request %s: %s %s in %.2f ms%s", name, model, record.outcome, took, f" ({by})" if by else "",
            extra={"request": said_of(record) | {"ms": round(took, 3), "answered": by, "stages": _stages(record)}},
        )  # fmt: skip


def said_of(record: Record) -> dict[str, Any]:
    """What a line about a request says of it: who asked what by which name, and what became of it."""
    said = {"request": record.id, "trace": trace_id(record.trace), "model": record.model, "front": record.front}
    known = {name: value for name, value in said.items() if value}
    if record.error is not None:
        known["error"] = str(record.error)
    return known | {"outcome": record.outcome}


def _stages(record: Record) -> dict[str, float]:
    """Milliseconds in each."""
    found: dict[str, float] = {}
    for stage, start, end in record.stages:
        found[stage] = round(found.get(stage, 0.0) + 1000 * (end - start), 3)
    return found
