"""Short form of the simulated lives; `make chaos` lives thousands."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.campaign.planted import BUGS, Planted, planted
from tests.campaign.seeds import SIMULATION, WIDER
from tests.campaign.simulation import run
from tests.campaign.template import IN_MEMORY, Template

LIVES, WIDE = 16, 10
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


def test_they_hold_with_webhooks_restores_recalls_and_two_suppliers(template: Template):
    lived: Counter[str] = Counter()
    for seed in range(FIRST, FIRST + WIDE):
        outcome = run(template, seed, is_wide=True)
        assert outcome.is_good, outcome.told()
        lived.update(outcome.actions)
    assert {"recall", "export", "server restored", "our database restored", "new epoch"} <= set(lived)


@pytest.mark.parametrize(
    ("seed", "is_wide"), [*((s, False) for s in SIMULATION), *((s, True) for s in WIDER)]
)
def test_a_seed_that_failed_once(template: Template, seed: int, is_wide: bool):
    outcome = run(template, seed, is_wide=is_wide)
    assert outcome.is_good, outcome.told()


@pytest.mark.parametrize("one", BUGS, ids=[one.name for one in BUGS])
def test_a_planted_bug_is_found(template: Template, one: Planted):
    found: Counter[str] = Counter()
    with planted(one):
        for seed in range(one.shown_by, one.shown_by + TRIES):
            outcome = run(template, seed, is_wide=one.is_wide)
            found.update({key for key, _ in outcome.violations})
            if one.breaks & set(found):
                print(f"{one.name} shown by {seed}")
                return
    raise AssertionError(f"{TRIES} lives did not show it; found only {dict(found)}")
