"""Bugs planted on purpose, one for each invariant: the campaign must find every one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.campaign.template import TOKEN
from workbench.decisions import jobs as deciding
from workbench.deliveries import jobs as exporting
from workbench.deliveries.tables import DeliveryRow
from workbench.inbox import writer
from workbench.items import importing
from workbench.items import store as items
from workbench.labeling import (
    copies,
    hints,
    judging,
    lanes,
    recalling,
    receiving,
    sending,
    store,
    tending,
    visits,
)
from workbench.labeling.domain import VisitState
from workbench.prelabeling import jobs as predicting
from workbench.tallies import service as tallies
from workbench.tallies import store as tally_store


@dataclass(frozen=True)
class Planted:
    """A bug.

    Attributes:
        name: What is done wrong.
        breaks: Invariants of which one at least must be found broken.
        plant: Puts the bug in.
        shown_by: A life that shows it; where it no longer does, later ones are lived too.
        is_wide: It shows only where there are webhooks, restores, recalls, exports or two suppliers.
    """

    name: str
    breaks: frozenset[str]
    plant: Callable[[pytest.MonkeyPatch], None]
    shown_by: int = 1000
    is_wide: bool = False


BUGS: list[Planted] = []


def bug(
    *breaks: str, shown_by: int = 1000, is_wide: bool = False
) -> Callable[[Callable[[pytest.MonkeyPatch], None]], Callable[[pytest.MonkeyPatch], None]]:
    """Adds a bug under its function's name."""

    def add(plant: Callable[[pytest.MonkeyPatch], None]) -> Callable[[pytest.MonkeyPatch], None]:
        BUGS.append(Planted(plant.__name__, frozenset(breaks), plant, shown_by, is_wide))
        return plant

    return add


@contextmanager
def planted(one: Planted) -> Iterator[None]:
    """The bug is in for as long as the block runs."""
    with pytest.MonkeyPatch.context() as patch:
        one.plant(patch)
        yield


@bug("I1", shown_by=1002)
def rejected_rows_are_not_counted(patch: pytest.MonkeyPatch) -> None:
    real = importing._add

    def add(session: Any, outside: Any, source: Any, *rest: Any) -> Any:
        found = real(session, outside, source, *rest)
        source.rows_rejected = 0
        return found

    patch.setattr(importing, "_add", add)


@bug("I1", shown_by=1002)
def refusals_are_not_written(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(importing, "_write_rejects", lambda path, rejected: None)


@bug("I2")
def moves_are_not_recorded(patch: pytest.MonkeyPatch) -> None:
    def move(session: Any, item_ids: Any, to_state: Any, **more: Any) -> None:
        if str(more.get("actor")) == "reconcile":
            for item_id in item_ids:
                row = session.get(items.ItemRow, item_id)
                row.state, row.state_at = to_state, more["at"]
            return
        items.move_items(session, item_ids, to_state, **more)

    patch.setattr(judging, "move_items", move)


@bug("I3")
def doubts_are_never_settled(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sending, "settle_doubts", lambda outside, lane_id: None)


@bug("I3", "I4")
def deleted_tasks_are_not_looked_for(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(receiving, "send_again", lambda *a, **k: None)


@bug("I3", shown_by=1003)
def lost_visits_are_not_queued_again(patch: pytest.MonkeyPatch) -> None:
    real = store.set_visits

    def set_visits(session: Any, visit_ids: Any, **values: Any) -> None:
        if values.get("state") == "queued" and "ls_task_id" not in values:
            return
        real(session, visit_ids, **values)

    patch.setattr(sending.store, "set_visits", set_visits)


@bug("I4", "I3")
def everything_in_doubt_is_sent_again(patch: pytest.MonkeyPatch) -> None:
    """A push whose answer was lost is sent again without asking what the server has."""

    def settle(outside: Any, lane_id: int) -> None:
        with outside.db.write() as session:
            doubtful = store.visits_in(session, lane_id, VisitState.PUSHING)
            store.set_visits(session, [v.id for v in doubtful], state="queued", push_started_at=None)

    patch.setattr(sending, "settle_doubts", settle)
    patch.setattr(receiving, "settle_copies", lambda *a, **k: 0)


@bug("I4", shown_by=1008)
def late_copies_stay(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(receiving, "settle_copies", lambda *a, **k: 0)
    patch.setattr(copies, "settle_copies", lambda *a, **k: 0)


@bug("I5")
def deletions_leave_no_tombstone(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(judging, "_tombstone", lambda session, context, row: None)


@bug("I5", shown_by=1002)
def edits_are_overlooked(patch: pytest.MonkeyPatch) -> None:
    real = judging._store

    def once(session: Any, context: Any, visit: Any, row: Any, *rest: Any) -> None:
        if row is None:
            real(session, context, visit, row, *rest)

    patch.setattr(judging, "_store", once)


@bug("I8")
def the_ledger_is_booked_twice(patch: pytest.MonkeyPatch) -> None:
    real = tally_store.book

    def book(session: Any, rows: Any) -> None:
        real(session, rows)
        real(session, [row | {"sequence": row["sequence"] + 1} for row in rows])

    patch.setattr(tallies.store, "book", book)


@bug("I8")
def corrections_are_not_booked(patch: pytest.MonkeyPatch) -> None:
    real = tally_store.book
    patch.setattr(
        tallies.store, "book", lambda session, rows: real(session, [r for r in rows if not r["sequence"]])
    )


@bug("I8")
def machine_costs_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(predicting, "machine_cost", lambda *a, **k: None)


@bug("I9")
def predictions_are_not_finite(patch: pytest.MonkeyPatch) -> None:
    real = predicting.add_predictions
    patch.setattr(
        predicting,
        "add_predictions",
        lambda session, rows: real(session, [row | {"confidence": float("inf")} for row in rows]),
    )


@bug("I10", shown_by=1003)
def the_lottery_is_drawn_with_another_key(patch: pytest.MonkeyPatch) -> None:
    real = deciding.ensure_lottery_key

    def key(outside: Any, session: Any, project_id: int) -> bytes:
        return bytes(reversed(real(outside, session, project_id)))

    patch.setattr(deciding, "ensure_lottery_key", key)


@bug("I10")
def decisions_are_not_kept(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(deciding, "add_decisions", lambda session, rows: None)


@bug("I15")
def hours_are_added_twice_for_edits(patch: pytest.MonkeyPatch) -> None:
    real = tally_store.add_hours
    patch.setattr(tallies.store, "add_hours", lambda s, p, c: (real(s, p, c), real(s, p, c)))


@bug("I15", shown_by=1013)
def pairs_are_never_taken_back(patch: pytest.MonkeyPatch) -> None:
    real = tally_store.add_pairs
    patch.setattr(
        tallies.store,
        "add_pairs",
        lambda s, p, c: real(s, p, {key: n for key, n in c.items() if n > 0}),
    )


@bug("I15", shown_by=1013)
def patterns_forget_what_was_before(patch: pytest.MonkeyPatch) -> None:
    real = tally_store.add_patterns
    patch.setattr(
        tallies.store,
        "add_patterns",
        lambda s, p, c: real(s, p, {key: n for key, n in c.items() if n > 0}),
    )


@bug("I15", "I8")
def sums_of_costs_drift(patch: pytest.MonkeyPatch) -> None:
    real = tally_store.add_counts

    def add(session: Any, table: Any, rows: Any, **more: Any) -> None:
        if table is tally_store.CostTallyRow:
            rows = [row | {"amount": row["amount"] + Decimal("0.000001")} for row in rows]
        real(session, table, rows, **more)

    patch.setattr(tally_store, "add_counts", add)


@bug("I16")
def history_is_written_anew(patch: pytest.MonkeyPatch) -> None:
    """Somebody edits an event that is on record."""
    from sqlalchemy import text

    from tests.campaign import simulation

    real = simulation.Life.settle

    def settle(life: Any) -> None:
        real(life)
        with life.outside.db.write() as session:
            session.execute(text("UPDATE activity SET actor = 'somebody else' WHERE seq = 1"))

    patch.setattr(simulation.Life, "settle", settle)


@bug("I6", is_wide=True)
def a_letter_is_answered_before_it_is_stored(patch: pytest.MonkeyPatch) -> None:
    real = writer.store.add_deliveries
    patch.setattr(writer.store, "add_deliveries", lambda session, rows: real(session, rows[1:] or rows))


@bug("I7", is_wide=True)
def the_inbox_is_not_worked_off(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(hints, "drain", lambda outside: 0)


@bug("I7", is_wide=True)
def dead_letters_are_dropped_in_silence(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(hints, "report_incident", lambda *a, **k: None)


@bug("I5", shown_by=1003, is_wide=True)
def letters_are_believed(patch: pytest.MonkeyPatch) -> None:
    """What is said to be deleted is struck out without asking the server."""
    from sqlalchemy import update

    from workbench.labeling.tables import AnnotationRow

    def take(outside: Any, session: Any, row: Any, hint: Any) -> bool:
        told = AnnotationRow.ls_annotation_id.in_(hint.annotation_ids)
        at = outside.now()
        session.execute(update(AnnotationRow).where(told).values(deleted_at=at))
        return True

    patch.setattr(hints, "_take", take)


@bug("I4", "I5", shown_by=1018, is_wide=True)
def a_restored_server_is_believed(patch: pytest.MonkeyPatch) -> None:
    """Nothing freezes: what the old database lacks counts as deleted."""
    for module in (receiving, sending, tending):
        for name in ("check_answers", "check_tasks_gone", "check_pushed", "check_lane_gone"):
            if hasattr(module, name):
                patch.setattr(module, name, lambda *a, **k: None)


@bug("I4", shown_by=1009, is_wide=True)
def what_a_restore_forgot_is_not_adopted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(copies, "adopt_keys", lambda *a, **k: [])


@bug("I4", is_wide=True)
def recalled_tasks_stay_open(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(recalling, "_take", lambda visit: None)


@bug("I12", shown_by=1001, is_wide=True)
def delivered_files_are_written_again(patch: pytest.MonkeyPatch) -> None:
    """A later export writes into the file of an earlier one."""
    real = exporting.finish

    def finish(outside: Any, delivery_id: int, *rest: Any) -> Any:
        found = real(outside, delivery_id, *rest)
        with outside.db.read() as session:
            for row in session.query(DeliveryRow).filter(DeliveryRow.state == "done"):
                with Path(row.path).open("a") as file:
                    file.write("\n")
        return found

    patch.setattr(exporting, "finish", finish)


@bug("I13", shown_by=1008, is_wide=True)
def audits_show_what_the_model_thinks(patch: pytest.MonkeyPatch) -> None:
    real = visits.store.add_visits

    def add(session: Any, rows: Any) -> None:
        real(session, [row | {"show_suggestion": True} for row in rows])

    patch.setattr(visits.store, "add_visits", add)


@bug("I14", is_wide=True)
def the_projects_server_is_taken_for_everybody(patch: pytest.MonkeyPatch) -> None:
    for module in (lanes, sending):
        patch.setattr(module, "check_place", lambda *a: None)
    patch.setattr(lanes, "server_for", lambda session, project, pool: project.server_id)


@bug("I19", is_wide=True)
def a_token_gets_into_a_message(patch: pytest.MonkeyPatch) -> None:
    real = tending.report_incident

    def report(session: Any, kind: str, about: str, sentence: str, **more: Any) -> None:
        real(session, kind, about, f"{sentence} {TOKEN.decode()}", **more)

    patch.setattr(tending, "report_incident", report)
