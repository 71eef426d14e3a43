"""`workbench doctor`: what is missing, and how to mend it."""

from __future__ import annotations

import sys

import typer

from workbench.cli.opening import settings_of
from workbench.cli.terminal import CHECK_FAILED, JsonFlag, show
from workbench.errors import WorkbenchError

_MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}
_COLOURS = {"ok": "\x1b[32m", "warn": "\x1b[33m", "fail": "\x1b[31m"}


def doctor(context: typer.Context, as_json: JsonFlag = False) -> None:
    """Check this installation and say how to mend what is wrong; exit code 3 if something is."""
    from workbench.cli.checks import Check, every_check

    try:
        settings = settings_of(context)
    except WorkbenchError as problem:
        checks = [Check.failed("settings", str(problem), "mend what the sentence names, then run this again")]
    else:
        checks = every_check(settings)
    failed = [check for check in checks if check.state == "fail"]
    value = {"ok": not failed, "checks": [check.value() for check in checks]}
    lines = [
        line for check in checks for line in _lines(check.state, check.name, check.sentence, check.remedy)
    ]
    warned = sum(check.state == "warn" for check in checks)
    ending = f"{len(checks)} checks: {len(failed)} failed, {warned} to look at"
    show(value, [*lines, ending], as_json=as_json)
    if failed:
        raise typer.Exit(CHECK_FAILED)


def _lines(state: str, name: str, sentence: str, remedy: str) -> list[str]:
    mark = _MARKS[state]
    if sys.stdout.isatty():
        mark = f"{_COLOURS[state]}{mark}\x1b[0m"
    lines = [f"{mark}  {name}: {sentence}"]
    return [*lines, f"      → {remedy}"] if remedy else lines
