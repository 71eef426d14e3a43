"""Logs as JSON lines, without secrets or the text of items."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

HIDDEN = "[hidden]"
_SECRET = ("token", "password", "secret", "authorization", "cookie", "api_key", "apikey", "credential")
_TEXT = {"text", "texts", "item_text", "body", "form", "data", "content", "result"}
_LONGEST = 2000


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The event with secrets and item text taken out, however deep they lie."""
    return {key: _clean(key, value) for key, value in event.items()}


def _clean(key: str, value: Any) -> Any:
    name = key.lower().replace("-", "_")
    if any(part in name for part in _SECRET) or name in _TEXT:
        return HIDDEN
    if isinstance(value, dict):
        return {str(inner): _clean(str(inner), one) for inner, one in value.items()}
    if isinstance(value, list | tuple):
        return [_clean("", one) for one in value]
    if isinstance(value, str) and len(value) > _LONGEST:
        return value[:_LONGEST] + "…"
    return value


def where_it_broke(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replaces an exception by its kind and the lines of code it came through.

    Not by its message: that of a database error holds the values of the row, so the text of items.
    """
    problem = event.pop("exc_info", None)
    if problem is True:
        problem = sys.exc_info()[1]
    if isinstance(problem, tuple):
        problem = problem[1]
    if isinstance(problem, BaseException):
        event["error"] = type(problem).__name__
        event["at"] = _lines(problem)
        cause = problem.__cause__ or problem.__context__
        if cause is not None:
            event["cause"] = type(cause).__name__
    return event


def _lines(problem: BaseException) -> list[str]:
    found = []
    step = problem.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        found.append(f"{code.co_filename.rsplit('/site-packages/', 1)[-1]}:{step.tb_lineno} {code.co_name}")
        step = step.tb_next
    return found[-12:]


def configure_logs(stream: TextIO | None = None, *, level: int = logging.INFO) -> None:
    """From now on every log line of this process, ours and that of libraries, is one JSON object.

    Args:
        stream: Where lines go; standard error when not given.
        level: The least level that is written.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        where_it_broke,
        redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    # The database layer would write rows, so the text of items.
    for noisy in ("httpx", "httpcore", "uvicorn.access", "alembic.runtime", "sqlalchemy"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    for own in ("uvicorn", "uvicorn.error"):
        logging.getLogger(own).handlers = []
        logging.getLogger(own).propagate = True
