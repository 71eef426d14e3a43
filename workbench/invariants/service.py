"""The invariants checked, kept and told."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from workbench.errors import InvalidInput
from workbench.incidents.store import heal_incident, report_incident
from workbench.invariants import decided, items, lanes, money, records, rollups, store
from workbench.invariants.domain import Found, Result, still_there
from workbench.outside import Outside

SETTLES_WITHIN_S = 60.0
"""When faults stop, everything settles in this time without anybody's help."""
KEPT = timedelta(days=90)
BOOKS_DIFFER = "books_differ"
INSTALLATION = "installation"


@dataclass(frozen=True)
class Invariant:
    """One promise about the books.

    Attributes:
        key: Its number.
        promise: What must hold.
        look: Looks whether it does.
        asks_servers: Label Studio is asked.
    """

    key: str
    promise: str
    look: Callable[[Session, Outside], Found]
    asks_servers: bool = False


INVARIANTS = (
    Invariant("I1", "every imported row is one item or one stored refusal", items.imports),
    Invariant("I2", "every item stands where its last move put it, by legal moves", items.moves),
    Invariant("I3", "no open item is without an owner for ten minutes", items.owners),
    Invariant("I4", "Label Studio shows what we sent there, each once", lanes.tasks, asks_servers=True),
    Invariant("I5", "every answer there is here, as it stands there", lanes.answers, asks_servers=True),
    Invariant("I7", "what arrived is handled, or set aside with an alert", records.arrivals),
    Invariant("I8", "every answer and prediction is booked once, for what it earns", money.ledger),
    Invariant("I9", "one finite prediction per item and model version", decided.predictions),
    Invariant("I10", "one decision per item and round; each comes out again", decided.decisions),
    Invariant("I12", "delivered files are unchanged", records.deliveries),
    Invariant("I14", "nothing of a supplier lies on another's server", records.apart),
    Invariant("I15", "every kept count equals counting anew", rollups.rollups),
    Invariant("I16", "the record of who did what is whole", records.chain),
    Invariant("I17", "what the job engine counts as done is in our books", records.jobs),
    Invariant("I19", "no token stands in clear", records.secrets),
)


def check(
    outside: Outside,
    only: Collection[str] = (),
    *,
    settle_s: float = SETTLES_WITHIN_S,
    wait: Callable[[float], None] = time.sleep,
    tell: Callable[[str], None] = lambda _: None,
) -> list[Result]:
    """How each invariant stands; what is only under way is not held against anybody.

    What does not hold is looked at a second time after the time in which things settle: only what is still
    wrong then is a violation.

    Args:
        outside: The outside world.
        only: Numbers of invariants; empty for all.
        settle_s: Seconds until the second look; 0: there is none, nothing is at work.
        wait: How to wait.
        tell: Where progress is told.

    Raises:
        InvalidInput: There is no invariant of such a number.
    """
    chosen = _chosen(only)
    results = []
    for one in chosen:
        tell(f"{one.key}: {one.promise}")
        results.append(_look(outside, one))
    doubtful = {one.key for one in results if one.violations}
    if not doubtful or not settle_s:
        return results
    tell(f"{', '.join(sorted(doubtful))} may be under way; looking again in {settle_s:.0f} s")
    wait(settle_s)
    return [
        _confirmed(first, _look(outside, one)) if one.key in doubtful else first
        for one, first in zip(chosen, results, strict=True)
    ]


def _chosen(only: Collection[str]) -> list[Invariant]:
    known = {one.key for one in INVARIANTS}
    unknown = sorted(set(only) - known)
    if unknown:
        raise InvalidInput(f"there is no invariant {unknown[0]}; there are {', '.join(sorted(known))}")
    return [one for one in INVARIANTS if not only or one.key in only]


def _look(outside: Outside, one: Invariant) -> Result:
    with outside.db.read() as session:
        found = one.look(session, outside)
    return Result(one.key, one.promise, found.checked, tuple(found.violations), found.left_out)


def _confirmed(first: Result, second: Result) -> Result:
    stays = still_there(first.violations, second.violations)
    return Result(second.key, second.promise, second.checked, stays, second.left_out)


def keep(outside: Outside, results: Sequence[Result]) -> str:
    """Store a run, report what differs and heal what does no longer; returns the run's id."""
    run_id, now = outside.new_id(), outside.now()
    with outside.db.write() as session:
        store.keep_run(session, run_id, results, at=now)
        store.forget_runs(session, before=now - KEPT)
        for one in results:
            about = f"{INSTALLATION}:{one.key}"
            if one.violations:
                n = len(one.violations)
                sentence = f"{one.key} does not hold ({one.promise}): {n} found; {one.violations[0].sentence}"
                remedy = one.violations[0].remedy
                report_incident(
                    session, BOOKS_DIFFER, about, sentence, now=now, severity="bad", remedy=remedy
                )
            elif not one.left_out:
                heal_incident(session, BOOKS_DIFFER, about, "a later run found it in order", now=now)
    return run_id


def compare_books(outside: Outside, *, settle_s: float = SETTLES_WITHIN_S) -> dict[str, Any]:
    """What the nightly comparison found, kept: numbers of invariants with how many violations."""
    results = check(outside, settle_s=settle_s)
    keep(outside, results)
    return {
        "checked": sum(one.checked for one in results),
        "violations": {one.key: len(one.violations) for one in results if one.violations},
    }


def last_results(session: Session) -> list[dict[str, Any]]:
    """How each invariant stood when last looked at, for the page."""
    promises = {one.key: one.promise for one in INVARIANTS}
    return [
        {
            "key": row.invariant,
            "promise": promises.get(row.invariant, ""),
            "at": row.at,
            "checked": row.checked,
            "violations": row.violations,
            "sentences": row.sentences,
            "left_out": row.left_out,
        }
        for row in store.last_run(session)
    ]
