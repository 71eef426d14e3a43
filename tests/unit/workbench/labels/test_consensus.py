from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.factories import LABELS
from workbench.labels.service import _consensus, _spread


def given_(*answers: str | tuple[str, str]):
    """Counted answers of one item: a label, or (label, purpose of the visit)."""
    found = []
    for answer in answers:
        label, purpose = (answer, "ordinary") if isinstance(answer, str) else answer
        visit = SimpleNamespace(purpose=purpose, guideline_version_id=3)
        found.append((visit, SimpleNamespace(label=label)))
    return found


def consensus(*answers):
    item = SimpleNamespace(id=5)
    return _consensus([item], {5: given_(*answers)}, LABELS)[5]  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("answers", "label", "method", "share"),
    [
        (["Neutral"], "Neutral", "one answer", 1.0),
        (["Neutral", "Neutral"], "Neutral", "majority", 1.0),
        (["Neutral", "Negative", "Neutral"], "Neutral", "majority", 2 / 3),
        (["Positive", "Negative", ("Neutral", "adjudication")], "Neutral", "adjudication", 1 / 3),
        (["Positive", "Positive", ("Neutral", "adjudication")], "Neutral", "adjudication", 1 / 3),
        ([("Neutral", "adjudication"), ("Negative", "adjudication")], "Negative", "adjudication", 1 / 2),
    ],
)
def test_what_the_answers_come_to(answers, label, method, share):
    found = consensus(*answers)
    assert (found["label"], found["method"], found["annotations"]) == (label, method, len(answers))
    assert found["share"] == pytest.approx(share)
    assert (found["source"], found["guideline_version_id"]) == ("people", 3)


@pytest.mark.parametrize(
    "answers", [[], ["Positive", "Negative"], ["Positive", "Negative", "Neutral"], ["No longer a label"]]
)
def test_a_tie_is_nobodys_label(answers):
    assert consensus(*answers) is None


@given(st.lists(st.sampled_from(LABELS), min_size=1, max_size=9), st.randoms())
def test_the_order_of_answers_changes_nothing(answers, random):
    shuffled = list(answers)
    random.shuffle(shuffled)
    one, other = consensus(*answers), consensus(*shuffled)
    assert one == other
    most = sorted((answers.count(label) for label in LABELS), reverse=True)
    assert (one is None) == (most[0] == most[1])


def test_the_reason_counts_the_answers():
    assert _spread(given_("Neutral", "Negative", "Neutral")) == "2 × Neutral, 1 × Negative"  # type: ignore[arg-type]  # noqa: RUF001
