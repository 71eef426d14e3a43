"""The sentence that says why an item has its label."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from workbench.overview.item_pages.story import (
    AnswerOf,
    DecisionOf,
    LabelOf,
    PredictionOf,
    VisitOf,
    headline_of,
)

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
LABEL = LabelOf(1, "Spam", "people", "majority", 2, 1.0, "", "", 1, AT, None)
PREDICTION = PredictionOf("m@2", "Spam", 0.934, 0.9, 0.1, (), "", Decimal(0), AT)
ACCEPTED = DecisionOf(1, "accept", "rule 'sure': confidence 0.93 ≥ 0.90", "sure", 1, 0, AT)
TO_PEOPLE = replace(ACCEPTED, outcome="people", reason="rule 'people'")


def answer(person: str, label: str = "Spam", status: str = "counted") -> AnswerOf:
    return AnswerOf(person, label, status, "", 3.0, False, AT, None, ())


def visit(*answers: AnswerOf) -> VisitOf:
    return VisitOf("ordinary", "lane", 1, "answered", 2, AT, answers)


def test_a_machines_label_names_model_confidence_and_rule() -> None:
    machine = replace(LABEL, source="machine", method="accepted", annotations=0, model="m@2")
    assert headline_of("resolved", [machine], [PREDICTION], [ACCEPTED], []) == (
        "“Spam”, because m@2 predicted it with confidence 0.93 and the routing policy accepted it "
        "(rule 'sure': confidence 0.93 ≥ 0.90)."
    )


def test_a_label_of_people_names_those_whose_answer_counts() -> None:
    given = visit(answer("Bo"), answer("Ada"), answer("Cy", "Ham"), answer("Di", status="above_overlap"))
    assert headline_of("resolved", [LABEL], [], [TO_PEOPLE], [given]) == (
        "“Spam”, because 2 of 2 counted answers said so (Ada, Bo)."
    )


def test_a_settled_tie_and_a_blind_check_are_said() -> None:
    tie = replace(LABEL, method="adjudication", annotations=3, share=2 / 3)
    found = headline_of("resolved", [tie], [], [ACCEPTED], [visit(answer("Ada")), visit(answer("Eve"))])
    assert found == (
        "“Spam”, because people disagreed and adjudication decided: in the end 2 of 3 counted answers said so "
        "(Ada, Eve). It was a blind check of a label that the machine would have kept."
    )


@pytest.mark.parametrize(
    ("state", "words"), [("imported", "waits for a prediction"), ("in_labeling", "people's queue")]
)
def test_an_item_without_a_label_says_what_it_waits_for(state: str, words: str) -> None:
    assert words in headline_of(state, [], [], [], [])
