"""`workbench doctor`: what is missing, and how to mend it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.opening import settings_of
from workbench.cli.terminal import CHECK_FAILED, JsonFlag, progress, show
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from workbench.invariants.domain import Result

_SHOWN = 10
_MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}
_COLOURS = {"ok": "\x1b[32m", "warn": "\x1b[33m", "fail": "\x1b[31m"}


def doctor(
    context: typer.Context,
    as_json: JsonFlag = False,
    invariants: Annotated[
        bool, typer.Option("--invariants", help="Check the books, and Label Studio against them.")
    ] = False,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="One invariant, as I4; may be given more than once.")
    ] = None,
    settle: Annotated[
        float, typer.Option(min=0, help="Seconds after which what looks wrong is looked at again.")
    ] = 60.0,
) -> None:
    """Check this installation and say how to mend what is wrong; exit code 3 if something is."""
    from workbench.cli.check import Check
    from workbench.cli.checks import every_check

    if invariants or only:
        _check_invariants(context, [key.upper() for key in only or []], settle, as_json=as_json)
        return
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


def _check_invariants(context: typer.Context, only: list[str], settle: float, *, as_json: bool) -> None:
    """How each invariant stands, kept for the operations page."""
    from workbench.cli.opening import opened
    from workbench.invariants.service import check, keep

    with opened(context) as outside:
        results = check(outside, only, settle_s=settle, tell=progress)
        run_id = keep(outside, results)
    wrong = [one for one in results if one.violations]
    lines = [line for one in results for line in _told(one)]
    n = sum(len(one.violations) for one in wrong)
    lines.append(f"{len(results)} invariants: {len(wrong)} do not hold, {n} violations")
    value = {"ok": not wrong, "run": run_id, "invariants": [one.value() for one in results]}
    show(value, lines, as_json=as_json)
    if wrong:
        raise typer.Exit(CHECK_FAILED)


def _told(one: Result) -> list[str]:
    state = "fail" if one.violations else "warn" if one.left_out else "ok"
    lines = _lines(state, f"{one.key} {one.promise}", f"{one.checked:,} checked", one.left_out)
    for violation in one.violations[:_SHOWN]:
        lines += [f"        {violation.sentence}", f"        → {violation.remedy}"]
    more = len(one.violations) - _SHOWN
    return [*lines, f"        … and {more:,} more"] if more > 0 else lines


def _lines(state: str, name: str, sentence: str, remedy: str) -> list[str]:
    mark = _MARKS[state]
    if sys.stdout.isatty():
        mark = f"{_COLOURS[state]}{mark}\x1b[0m"
    lines = [f"{mark}  {name}: {sentence}"]
    return [*lines, f"      → {remedy}"] if remedy else lines
