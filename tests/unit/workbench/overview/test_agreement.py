"""A model version against people's answers."""

from __future__ import annotations

from workbench.overview.agreement import by_label
from workbench.overview.domain import Share
from workbench.overview.store import ModelCount

COUNTS = [
    ModelCount(1, "m@1", True, "a", "a", 6),
    ModelCount(1, "m@1", True, "a", "b", 2),
    ModelCount(1, "m@1", True, "b", "b", 3),
    ModelCount(1, "m@1", False, "a", "a", 99),
    ModelCount(2, "m@2", True, "b", "a", 50),
]


def test_each_label_by_what_is_right_and_what_is_found_in_blind_answers_alone() -> None:
    a, b, never = by_label(COUNTS, 1, ("a", "b", "c"))
    assert (a.right, a.found) == (Share(6, 8), Share(6, 6))
    assert (b.right, b.found) == (Share(3, 3), Share(3, 5))
    assert never.right.value is None


def test_without_blind_answers_there_is_nothing_to_say() -> None:
    assert by_label(COUNTS[3:4], 1, ("a", "b")) == ()
