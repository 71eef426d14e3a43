"""I15: what is counted beside the work is what counting anew gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from workbench.invariants.domain import Collected, Found
from workbench.items.tables import ItemCountRow, ItemRow
from workbench.labeling.tables import AnnotationRow, VisitRow
from workbench.labels.tables import LabelRow
from workbench.outside import Outside
from workbench.projects.store import label_values
from workbench.projects.tables import ProjectRow
from workbench.tallies.domain import (
    HOUR_SUMS,
    USED,
    Change,
    Fact,
    ItemAnswers,
    Status,
    hour_changes,
    hour_of,
    pair_changes,
    pattern_changes,
)
from workbench.tallies.service import MACHINE, PEOPLE
from workbench.tallies.tables import (
    CostTallyRow,
    HourTallyRow,
    LedgerRow,
    ModelTallyRow,
    PairTallyRow,
    PatternTallyRow,
)

NOBODY_KNOWN = -2
_USED = [status.value for status in USED]
_REMEDY = "stop deliveries of the project and report this; the annotations are right, the kept count is not"

Counts = Mapping[Hashable, int]


def rollups(session: Session, outside: Outside) -> Found:  # noqa: ARG001
    """I15: every tally equals the same figure worked out from items, annotations, labels and ledger."""
    seen = Collected()
    for project in session.scalars(select(ProjectRow)):
        figures: dict[str, tuple[Counts, Counts]] = {
            "item_counts": (_kept_states(session, project), _states(session, project)),
            "tally_costs": (_kept_costs(session, project), _costs(session, project)),
            "tally_hours": (_kept_hours(session, project), _hours(session, project)),
            "tally_models": (_kept_models(session, project), _models(session, project)),
        }
        patterns, pairs = _blind(session, project)
        figures["tally_patterns"] = (_kept_patterns(session, project), patterns)
        figures["tally_pairs"] = (_kept_pairs(session, project), pairs)
        for table, (kept, counted) in figures.items():
            keys = {*kept, *counted}
            seen.checked += len(keys)
            wrong = [key for key in keys if kept.get(key, 0) != counted.get(key, 0)]
            for key in wrong:
                sentence = (
                    f"{table} of project {project.id} says {kept.get(key, 0)} for {_name(key)}; "
                    f"counted anew it is {counted.get(key, 0)}"
                )
                seen.add(f"{table}:{project.id}:{_name(key)}", "differs", sentence, _REMEDY)
    return seen.found()


def _name(key: Hashable) -> str:
    return " / ".join(str(part) for part in key) if isinstance(key, tuple) else str(key)


def _kept_states(session: Session, project: ProjectRow) -> Counts:
    rows = session.scalars(select(ItemCountRow).where(ItemCountRow.project_id == project.id))
    return {row.state: row.items for row in rows if row.items}


def _states(session: Session, project: ProjectRow) -> Counts:
    rows = session.execute(
        select(ItemRow.state, func.count()).where(ItemRow.project_id == project.id).group_by(ItemRow.state)
    )
    return {state: n for state, n in rows}  # noqa: C416 - rows, not pairs


def _kept_costs(session: Session, project: ProjectRow) -> Counts:
    found: dict[Hashable, int] = {}
    for row in session.scalars(select(CostTallyRow).where(CostTallyRow.project_id == project.id)):
        found[row.kind, row.currency, "amount"] = int(row.amount * 1_000_000)
        found[row.kind, row.currency, "entries"] = row.entries
    return found


def _costs(session: Session, project: ProjectRow) -> Counts:
    found: dict[Hashable, int] = {}
    same = (LedgerRow.kind, LedgerRow.currency)
    rows = session.execute(
        select(*same, func.sum(LedgerRow.amount), func.count())
        .where(LedgerRow.project_id == project.id)
        .group_by(*same)
    )
    for kind, currency, amount, entries in rows:
        found[kind, currency, "amount"] = int(amount * 1_000_000)
        found[kind, currency, "entries"] = entries
    return found


def _kept_hours(session: Session, project: ProjectRow) -> Counts:
    found: dict[Hashable, int] = {}
    for row in session.scalars(select(HourTallyRow).where(HourTallyRow.project_id == project.id)):
        for name in (*HOUR_SUMS, "resolved"):
            found[row.hour, row.person_id, name] = getattr(row, name)
    return found


def _hours(session: Session, project: ProjectRow) -> Counts:
    found: Counter[Hashable] = Counter()
    for fact in _facts(session, project):
        for (hour, person), sums in hour_changes([Change(None, fact)], project.lead_time_cap_s).items():
            for name, n in sums.items():
                found[hour, person, name] += n
    rows = session.execute(
        select(LabelRow.resolved_at, LabelRow.source)
        .where(LabelRow.project_id == project.id, LabelRow.revision == 1)
        .execution_options(yield_per=5000)
    )
    for at, source in rows:
        found[hour_of(at), MACHINE if source == "machine" else PEOPLE, "resolved"] += 1
    return found


def _facts(session: Session, project: ProjectRow) -> Iterator[Fact]:
    rows = session.execute(
        select(
            AnnotationRow.id,
            AnnotationRow.item_id,
            AnnotationRow.person_id,
            AnnotationRow.status,
            AnnotationRow.label,
            AnnotationRow.lead_time_s,
            AnnotationRow.created_at,
        )
        .where(AnnotationRow.project_id == project.id, AnnotationRow.deleted_at.is_(None))
        .execution_options(yield_per=5000)
    )
    for number, item_id, person_id, status, label, lead_time_s, at in rows:
        yield Fact(
            annotation_id=number,
            item_id=item_id,
            person_id=person_id or NOBODY_KNOWN,
            status=Status(status),
            label=label,
            blind=False,
            predicted="",
            model_version_id=None,
            lead_time_s=lead_time_s,
            at=at,
        )


def _kept_models(session: Session, project: ProjectRow) -> Counts:
    rows = session.scalars(select(ModelTallyRow).where(ModelTallyRow.project_id == project.id))
    return {(row.model_version_id, row.blind, row.predicted, row.given): row.answers for row in rows}


def _models(session: Session, project: ProjectRow) -> Counts:
    same = (
        AnnotationRow.model_version_id,
        AnnotationRow.blind,
        AnnotationRow.predicted,
        AnnotationRow.label,
    )
    rows = session.execute(
        select(*same, func.count())
        .where(
            AnnotationRow.project_id == project.id,
            AnnotationRow.model_version_id.is_not(None),
            AnnotationRow.predicted != "",
            AnnotationRow.status.in_(_USED),
            AnnotationRow.deleted_at.is_(None),
        )
        .group_by(*same)
    )
    return {(version, blind, predicted, given): n for version, blind, predicted, given, n in rows}


def _kept_patterns(session: Session, project: ProjectRow) -> Counts:
    rows = session.scalars(select(PatternTallyRow).where(PatternTallyRow.project_id == project.id))
    return {row.pattern: row.items for row in rows}


def _kept_pairs(session: Session, project: ProjectRow) -> Counts:
    rows = session.scalars(select(PairTallyRow).where(PairTallyRow.project_id == project.id))
    return {(row.person_a, row.person_b, row.label_a, row.label_b): row.items for row in rows}


def _blind(session: Session, project: ProjectRow) -> tuple[Counts, Counts]:
    """Patterns and pairs of the first usable blind answer of each person, item by item."""
    labels = label_values(session, project.id)
    patterns: Counter[Hashable] = Counter()
    pairs: Counter[Hashable] = Counter()
    for answers in _blind_answers(session, project):
        whole = [ItemAnswers((), tuple(answers.items()))]
        patterns.update(pattern_changes(whole, labels))
        pairs.update(pair_changes(whole))
    return patterns, pairs


def _blind_answers(session: Session, project: ProjectRow) -> Iterator[dict[int, str]]:
    rows = session.execute(
        select(AnnotationRow.item_id, AnnotationRow.person_id, AnnotationRow.label)
        .join(VisitRow, VisitRow.id == AnnotationRow.visit_id)
        .where(
            AnnotationRow.project_id == project.id,
            AnnotationRow.blind,
            AnnotationRow.person_id.is_not(None),
            AnnotationRow.status.in_(_USED),
            AnnotationRow.deleted_at.is_(None),
        )
        .order_by(AnnotationRow.item_id, AnnotationRow.created_at, AnnotationRow.id)
        .execution_options(yield_per=5000)
    )
    at, answers = 0, dict[int, str]()
    for item_id, person_id, label in rows:
        if person_id is None:
            continue
        if item_id != at and answers:
            yield answers
            answers = {}
        at = item_id
        answers.setdefault(person_id, label)
    if answers:
        yield answers
