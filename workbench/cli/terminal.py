"""What commands print: results on standard output, progress and errors on standard error."""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Annotated, Any

import typer

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON value instead of text.")]

OK, ERROR, USAGE, CHECK_FAILED, DIFFERENT, INTERRUPTED = 0, 1, 2, 3, 4, 130
_COLOURS = {"+": "32", "-": "31", "~": "33", "!": "1;31"}


def show(value: Any, lines: Iterable[str], *, as_json: bool) -> None:
    """Prints the value as one line of JSON, or the lines."""
    if as_json:
        print(json.dumps(value, ensure_ascii=False, default=_plain))
    else:
        for line in lines:
            print(line)


def painted(line: str, mark: str) -> str:
    """A line of a difference behind its mark, in its colour where a person is watching."""
    text = f"  {mark} {line}" if mark else line
    if mark not in _COLOURS or not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{_COLOURS[mark]}m{text}\x1b[0m"


def show_table(
    rows: Sequence[dict[str, Any]], columns: Sequence[str], *, as_json: bool, empty: str = "none"
) -> None:
    """Prints rows as JSON, or as a table of these columns."""
    if as_json:
        show(list(rows), [], as_json=True)
    elif not rows:
        print(empty)
    elif not sys.stdout.isatty():
        # A pipe gets whole values, tab-separated: nothing is cut to a width.
        print("\t".join(columns))
        for row in rows:
            print("\t".join(_cell(row.get(column)) for column in columns))
    else:
        from rich.console import Console
        from rich.table import Table

        table = Table(box=None, header_style="bold", pad_edge=False)
        for column in columns:
            table.add_column(column.replace("_", " "))
        for row in rows:
            table.add_row(*(_cell(row.get(column)) for column in columns))
        Console().print(table)


def progress(message: str) -> None:
    """A line on standard error, where a person is watching."""
    if sys.stderr.isatty():
        print(message, file=sys.stderr, flush=True)


def complain(problem: BaseException) -> None:
    """Prints an error: one line for each thing that is wrong, without a stack trace."""
    text = str(problem).strip() or type(problem).__name__
    for line in text.splitlines():
        print(f"error: {line}", file=sys.stderr, flush=True)


def is_debugging() -> bool:
    """Whether stack traces are wanted (WORKBENCH_DEBUG=1)."""
    return os.environ.get("WORKBENCH_DEBUG", "") not in {"", "0"}


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dt.datetime):
        return value.strftime("%Y-%m-%d %H:%M UTC")
    return str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value.normalize() + 0, "f")
    if isinstance(value, dt.date | dt.datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form")
