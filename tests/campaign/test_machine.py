"""Short form of the walks over the API; `make chaos` walks on."""

from __future__ import annotations

import pytest

from tests.campaign.machine import ANSWERED, walk
from tests.campaign.planted import BUGS, planted


def test_the_books_are_right_whatever_the_api_is_asked():
    ANSWERED.clear()
    walk(seed=4, examples=8, steps=30)
    went_well = {path for _, path, status in ANSWERED if status < 300}
    assert {"/imports", "/routing", "/state"} <= went_well


@pytest.mark.parametrize("name", ["machine_costs_are_forgotten", "decisions_are_not_kept"])
def test_a_planted_bug_is_found_over_the_api(name: str):
    [one] = [bug for bug in BUGS if bug.name == name]
    with (
        planted(one),
        pytest.raises((AssertionError, BaseExceptionGroup), match=f"I3|{next(iter(one.breaks))}"),
    ):
        walk(seed=1, examples=10, steps=25)
