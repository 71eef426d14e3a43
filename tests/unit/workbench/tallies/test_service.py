"""Whatever happens to annotations, the trackers say what counting everything anew would say."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import combinations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import func, select

from tests.factories import LABELS, NOW, make_items, make_person, make_pool, make_project, make_server
from tests.integration.line.world import add_model
from workbench.people.tables import RateCardRow
from workbench.tallies.domain import Change, Fact, ItemAnswers, Rate, Status, amount_due, hour_of
from workbench.tallies.service import count_resolved, machine_cost, record_annotations
from workbench.tallies.tables import (
    CostTallyRow,
    HourTallyRow,
    LedgerRow,
    ModelTallyRow,
    PairTallyRow,
    PatternTallyRow,
)

CAP_S = 300
FACTS = {
    "status": st.sampled_from([Status.COUNTED] * 3 + list(Status)[1:4]),
    "label": st.sampled_from(LABELS),
    "lead_time_s": st.one_of(st.none(), st.floats(0, 1000).map(lambda s: round(s, 3))),
}


class Books:
    """A project with people, items and prices, in a database."""

    def __init__(self, outside):
        self.outside = outside
        with outside.db.write() as session:
            pool = make_pool(session)
            server = make_server(session)
            project = make_project(session)
            self.project_id = project.id
            self.people = [make_person(session, server, pool, n + 1).id for n in range(3)]
            self.items = [item.id for item in make_items(session, project, 3)]
            self.model = add_model(session, project.id).id
            self.pool_id = pool.id
        self.rates = [self.card("item", "0.08"), self.card("hour", "18.00")]

    def card(self, unit: str, price: str) -> Rate:
        with self.outside.db.write() as session:
            card = RateCardRow(
                pool_id=self.pool_id,
                skill="",
                unit=unit,
                price=Decimal(price),
                currency="USD",
                valid_from=datetime(2020, 1, 1, tzinfo=UTC),
            )
            session.add(card)
            session.flush()
            return Rate(card.id, unit, card.price, "USD")

    def fact(self, key: int, **values) -> Fact:
        given = {
            "annotation_id": key,
            "item_id": self.items[0],
            "person_id": self.people[0],
            "status": Status.COUNTED,
            "label": "Positive",
            "blind": True,
            "predicted": "Negative",
            "model_version_id": self.model,
            "lead_time_s": 20.0,
            "at": NOW,
        } | values
        return Fact(**given)

    def record(self, before: Fact | None, after: Fact | None, all_before=(), all_after=()) -> None:
        touched = {fact.item_id for fact in (before, after) if fact}
        with self.outside.db.write() as session:
            record_annotations(
                session,
                self.project_id,
                [Change(before, after)],
                [ItemAnswers(blind(all_before, item), blind(all_after, item)) for item in touched],
                labels=LABELS,
                rates=self.rates,
                lead_time_cap_s=CAP_S,
                now=NOW + timedelta(days=1),
            )

    def rows(self, table):
        with self.outside.db.read() as session:
            return list(session.scalars(select(table)))

    def ledger(self):
        return sorted(
            self.rows(LedgerRow), key=lambda line: (line.source_id, line.rate_card_id, line.sequence)
        )

    def clear(self):
        with self.outside.db.write() as session:
            for table in (
                LedgerRow,
                CostTallyRow,
                HourTallyRow,
                PatternTallyRow,
                PairTallyRow,
                ModelTallyRow,
            ):
                session.query(table).delete()


def blind(facts, item_id) -> tuple[tuple[int, str], ...]:
    first: dict[int, str] = {}
    for fact in facts:
        if fact.item_id == item_id and fact.blind and fact.used:
            first.setdefault(fact.person_id, fact.label)
    return tuple(first.items())


def from_scratch(facts: list[Fact]):
    """The trackers, counted plainly from what stands."""
    hours, models, patterns, pairs = defaultdict(Counter), Counter(), Counter(), Counter()
    for fact in facts:
        if fact.status is Status.DELETED:
            continue
        row = hours[hour_of(fact.at), fact.person_id]
        row["annotations"] += 1
        row[fact.status.value] += 1
        if fact.lead_time_s is not None and fact.status is not Status.NOT_COUNTED:
            row["lead_time_ms"] += round(min(fact.lead_time_s, CAP_S) * 1000)
            row["timed"] += 1
        if fact.used:
            models[fact.model_version_id, fact.blind, fact.predicted, fact.label] += 1
    for item in {fact.item_id for fact in facts}:
        answers = blind(facts, item)
        given = Counter(label for _, label in answers)
        if len(answers) >= 2:
            patterns[",".join(str(given[label]) for label in LABELS)] += 1
        for (one, label), (other, label_2) in combinations(sorted(answers), 2):
            pairs[one, other, label, label_2] += 1
    return hours, models, patterns, pairs


class Annotating(RuleBasedStateMachine):
    books: Books
    keys = Bundle("keys")

    def __init__(self) -> None:
        super().__init__()
        self.books.clear()
        self.facts: dict[int, Fact] = {}
        self.last = 0

    def change(self, key: int, after: Fact) -> None:
        before, all_before = self.facts.get(key), list(self.facts.values())
        self.facts[key] = after
        self.books.record(before, after, all_before, list(self.facts.values()))

    @rule(
        target=keys,
        item=st.integers(0, 2),
        person=st.integers(0, 2),
        blind=st.booleans(),
        predicted=st.sampled_from(["", *LABELS]),
        hours=st.integers(0, 2),
        **FACTS,
    )
    def new(self, item, person, hours, **values):
        self.last += 1
        books, at = self.books, NOW + timedelta(hours=hours, minutes=5)
        fact = books.fact(
            self.last, item_id=books.items[item], person_id=books.people[person], at=at, **values
        )
        self.change(self.last, fact)
        return self.last

    @rule(key=keys, **FACTS)
    def edit_or_judge_anew_or_return(self, key, **values):
        self.change(key, replace(self.facts[key], **values))

    @rule(key=keys)
    def delete(self, key):
        self.change(key, replace(self.facts[key], status=Status.DELETED))

    @rule(key=consumes(keys))
    def forget_altogether(self, key):
        before, all_before = self.facts.pop(key), list(self.facts.values())
        self.books.record(before, None, [*all_before, before], list(self.facts.values()))

    @invariant()
    def trackers_are_what_stands(self):
        hours, models, patterns, pairs = from_scratch(list(self.facts.values()))
        names = ("annotations", "counted", "above_overlap", "skipped", "not_counted", "lead_time_ms", "timed")
        found = {
            (row.hour, row.person_id): {name: getattr(row, name) for name in names if getattr(row, name)}
            for row in self.books.rows(HourTallyRow)
        }
        assert {key: row for key, row in found.items() if row} == {
            key: {name: n for name, n in row.items() if n} for key, row in hours.items()
        }
        assert {r.pattern: r.items for r in self.books.rows(PatternTallyRow) if r.items} == dict(patterns)
        assert {
            (r.person_a, r.person_b, r.label_a, r.label_b): r.items
            for r in self.books.rows(PairTallyRow)
            if r.items
        } == dict(pairs)
        given = {key: n for key, n in models.items() if key[2]}
        assert {
            (r.model_version_id, r.blind, r.predicted, r.given): r.answers
            for r in self.books.rows(ModelTallyRow)
            if r.answers
        } == given

    @invariant()
    def the_ledger_is_what_is_owed(self):
        lines = self.books.ledger()
        sums, amounts = defaultdict(Decimal), Counter()
        for line in lines:
            sums[line.source_id, line.rate_card_id] += line.amount
            amounts[line.source_id, line.rate_card_id] += 1
        for key, fact in self.facts.items():
            for rate in self.books.rates:
                assert sums[str(key), rate.card_id] == amount_due(fact, rate, CAP_S)[1]
        assert sum(sums.values()) == sum(
            amount_due(fact, rate, CAP_S)[1] for fact in self.facts.values() for rate in self.books.rates
        )
        for (source, card), n in amounts.items():
            sequence = [x.sequence for x in lines if (x.source_id, x.rate_card_id) == (source, card)]
            assert sequence == list(range(n))
        tally = {row.kind: (row.amount, row.entries) for row in self.books.rows(CostTallyRow)}
        by_kind = defaultdict(list)
        for line in lines:
            by_kind[line.kind].append(line.amount)
        assert tally == {kind: (sum(a, Decimal(0)), len(a)) for kind, a in by_kind.items()}


@pytest.fixture
def books(outside):
    return Books(outside)


def test_any_sequence_of_changes_keeps_the_trackers_right(books):
    class Here(Annotating):
        pass

    Here.books = books
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=25,
            stateful_step_count=12,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_one_line_a_card_then_corrections(books):
    first = books.fact(1)
    books.record(None, first)
    books.record(first, first)
    assert [(x.sequence, x.amount, x.note) for x in books.ledger()] == [
        (0, Decimal("0.08"), ""),
        (0, Decimal("0.1"), ""),
    ]
    gone = replace(first, status=Status.DELETED)
    books.record(first, gone)
    books.record(gone, first)
    per_item = [x for x in books.ledger() if x.unit == "item"]
    assert [(x.sequence, x.amount, x.quantity, x.note) for x in per_item] == [
        (0, Decimal("0.08"), 1, ""),
        (1, Decimal("-0.08"), -1, "correction"),
        (2, Decimal("0.08"), 1, "correction"),
    ]
    assert per_item[0].at == first.at
    assert per_item[1].at == NOW + timedelta(days=1)


def test_a_new_price_is_for_new_answers_only(books):
    first = books.fact(1)
    books.record(None, first)
    books.rates = [books.card("item", "0.20"), books.card("hour", "36.00")]
    edited = replace(first, label="Negative")
    books.record(first, edited)
    assert [x.amount for x in books.ledger()] == [Decimal("0.08"), Decimal("0.1")], (
        "paid once, at the old price"
    )
    books.record(None, books.fact(2, item_id=books.items[1]))
    assert [x.amount for x in books.ledger() if x.source_id == "2"] == [Decimal("0.2"), Decimal("0.2")]
    gone = replace(edited, status=Status.DELETED)
    books.record(edited, gone)
    assert sum(x.amount for x in books.ledger() if x.source_id == "1") == 0
    books.record(gone, edited)
    assert sum(x.amount for x in books.ledger() if x.source_id == "1") == Decimal("0.18")


def test_an_odd_hourly_price_is_not_corrected_by_rounding(books):
    books.rates = [books.card("hour", "17.77")]
    first = books.fact(1, lead_time_s=1.234)
    books.record(None, first)
    books.rates = []
    for label in ("Negative", "Neutral"):
        books.record(first, replace(first, label=label))
    assert len(books.ledger()) == 1


def test_a_further_unit_is_paid_from_its_first_answer_on(books):
    books.rates = books.rates[:1]
    first = books.fact(1)
    books.record(None, first)
    books.rates = [*books.rates, books.card("hour", "18.00")]
    books.record(None, books.fact(2, item_id=books.items[1]))
    assert [x.unit for x in books.ledger()] == ["item", "item", "hour"]


def test_free_work_is_on_the_books_too(books):
    books.rates = [books.card("item", "0")]
    first = books.fact(1)
    books.record(None, first)
    books.record(first, replace(first, status=Status.DELETED))
    assert [(x.quantity, x.amount) for x in books.ledger()] == [(1, 0), (-1, 0)]


def test_an_answer_by_nobody_known_is_booked_without_a_person(books):
    books.record(None, books.fact(1, person_id=-1))
    assert {x.person_id for x in books.ledger()} == {None}
    assert {row.person_id for row in books.rows(HourTallyRow)} == {-1}


def test_a_prediction_is_booked_once(books):
    from sqlalchemy.exc import IntegrityError

    def book():
        with books.outside.db.write() as session:
            machine_cost(
                session, books.project_id, {books.items[0]: Decimal("0.01")},
                source_id="1", currency="USD", now=NOW, note="",
            )  # fmt: skip

    book()
    with pytest.raises(IntegrityError):
        book()
    assert [(r.kind, r.amount, r.entries) for r in books.rows(CostTallyRow)] == [
        ("machine", Decimal("0.01"), 1)
    ]


def test_resolved_items_are_counted_apart_for_machine_and_people(books):
    with books.outside.db.write() as session:
        count_resolved(session, books.project_id, machine=2, people=3, at=NOW + timedelta(minutes=7))
        count_resolved(session, books.project_id, machine=0, people=1, at=NOW + timedelta(minutes=59))
        count_resolved(session, books.project_id, machine=0, people=0, at=NOW)
    assert {(r.hour, r.person_id): r.resolved for r in books.rows(HourTallyRow)} == {
        (NOW, 0): 2,
        (NOW, -1): 4,
    }


def test_sums_are_exact_where_floats_would_drift(books):
    from workbench.tallies.store import item_costs

    books.rates = [books.card("item", "0.1")]
    for key in range(1, 31):
        books.record(None, books.fact(key))
    with books.outside.db.read() as session:
        assert item_costs(session, books.items)[books.items[0]] == Decimal(3)
        assert session.scalar(select(func.sum(CostTallyRow.amount))) == Decimal(3)
