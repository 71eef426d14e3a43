"""A few SIGKILLs at named points; `make chaos` goes through all of them, again and again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.campaign.kills import Site, site

# The hardest ones: around a push, a reading of answers, and the engine's own notes.
POINTS = ("tend-push.called", "tend-read.commit", "engine.committed")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("kills")) as made:
        yield made


@pytest.mark.parametrize("point", POINTS)
def test_a_worker_killed_there_leaves_nothing_undone_or_doubled(place: Site, point: str):
    assert place.killed_at(point, 1) == ""
