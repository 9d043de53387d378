"""What a node says on stderr: lines of text for people, or a JSON object a line for programs.

Takes the standard library's records. What they say of a request is in their `request`.
"""

import logging
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

from offramp.protocol.record import ABOUT, Record

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
        if record.exc_info and record.exc_info[1] is not None:
            line |= getattr(record.exc_info[1], ABOUT, {})
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
        error = {} if record.error is None else {"error": str(record.error)}
        about = record.said() | error | {"outcome": record.outcome, "ms": round(took, 3), "answered": by}
        text = "request %s: %s %s in %.2f ms%s"
        more = {"request": about | {"stages": _stages(record)}}
        log.info(text, name, model, record.outcome, took, f" ({by})" if by else "", extra=more)


def _stages(record: Record) -> dict[str, float]:
    """Milliseconds in each."""
    found: dict[str, float] = {}
    for stage, start, end in record.stages:
        found[stage] = round(found.get(stage, 0.0) + 1000 * (end - start), 3)
    return found
