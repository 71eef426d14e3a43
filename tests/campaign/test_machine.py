"""Short form of the walks over the API; `make chaos` walks on."""

from __future__ import annotations

import pytest

from tests.campaign.machine import ANSWERED, walk
from tests.campaign.planted import BUGS, planted
from tests.postgresql_server import PostgreSQLServer


def test_the_books_are_right_whatever_the_api_is_asked():
    ANSWERED.clear()
    walk(seed=4, examples=4, steps=25)
    went_well = {path for _, path, status in ANSWERED if status < 400}
    assert len({"/imports", "/routing", "/state", "/items/recall", "/users", "/prices"} & went_well) > 3


@pytest.mark.database("postgresql")
def test_so_they_are_on_postgresql(postgresql_server: PostgreSQLServer):
    ANSWERED.clear()
    walk(seed=5, examples=2, steps=25, fresh=postgresql_server.emptied)
    assert sum(status < 400 for _, _, status in ANSWERED) > 0


@pytest.mark.parametrize("name", ["machine_costs_are_forgotten", "decisions_are_not_kept"])
def test_a_planted_bug_is_found_over_the_api(name: str):
    [one] = [bug for bug in BUGS if bug.name == name]
    with (
        planted(one),
        pytest.raises((AssertionError, BaseExceptionGroup), match=f"I3|{next(iter(one.breaks))}"),
    ):
        walk(seed=1, examples=10, steps=25)
