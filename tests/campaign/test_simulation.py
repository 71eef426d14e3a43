"""Short form of the simulated lives; `make chaos` lives thousands."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.campaign.planted import BUGS, Planted, planted
from tests.campaign.seeds import SIMULATION
from tests.campaign.simulation import IN_MEMORY, Template, run

LIVES = 40
FIRST = 1000
TRIES = 40
"""Lives in which a planted bug must show itself."""


@pytest.fixture(scope="module")
def template() -> Iterator[Template]:
    folder = Path(tempfile.mkdtemp(dir=IN_MEMORY if IN_MEMORY.is_dir() else None))
    made = Template(folder / "template")
    yield made
    made.close()
    shutil.rmtree(folder, ignore_errors=True)


def test_every_invariant_holds_when_the_faults_stop(template: Template):
    lived: Counter[str] = Counter()
    for seed in range(FIRST, FIRST + LIVES):
        outcome = run(template, seed)
        assert outcome.is_good, outcome.told()
        lived.update(outcome.actions)
    assert {"answer", "edit", "delete", "sync killed", "delete task", "clock forward"} <= set(lived)


@pytest.mark.parametrize("seed", SIMULATION, ids=str)
def test_a_seed_that_failed_once(template: Template, seed: int):
    outcome = run(template, seed)
    assert outcome.is_good, outcome.told()


@pytest.mark.parametrize("one", BUGS, ids=[one.name for one in BUGS])
def test_a_planted_bug_is_found(template: Template, one: Planted):
    found: Counter[str] = Counter()
    with planted(one):
        for seed in range(one.shown_by, one.shown_by + TRIES):
            outcome = run(template, seed)
            found.update({key for key, _ in outcome.violations})
            if one.breaks & set(found):
                print(f"{one.name} shown by {seed}")
                return
    raise AssertionError(f"{TRIES} lives did not show it; found only {dict(found)}")
