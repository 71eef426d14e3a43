from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from workbench.logs import configure_logs


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """What is logged, line by line; logging is as it was afterwards."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logs(stream)
    yield stream
    root.handlers, root.level = before, level
    structlog.reset_defaults()


def lines_of(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_secrets_and_item_text_never_reach_a_log(logged: io.StringIO) -> None:
    log = structlog.get_logger("test")
    log.info(
        "sent", token="abc", text="item words", nested={"Authorization": "x", "rows": [{"cookie": "y"}]}, n=3
    )
    logging.getLogger("library").warning("from a library")
    first, second = lines_of(logged)
    assert first["token"] == first["text"] == "[hidden]"
    assert first["nested"] == {"Authorization": "[hidden]", "rows": [{"cookie": "[hidden]"}]}
    assert (first["n"], first["level"], second["event"]) == (3, "info", "from a library")


def test_a_failure_is_told_by_kind_and_place_not_by_its_words(logged: io.StringIO) -> None:
    try:
        int("item words")
    except ValueError:
        structlog.get_logger("test").exception("broke")
        logging.getLogger("library").exception("broke")
    for line in lines_of(logged):
        assert line["error"] == "ValueError"
        assert "item words" not in json.dumps(line)
        assert "test_logs.py" in str(line["at"])
