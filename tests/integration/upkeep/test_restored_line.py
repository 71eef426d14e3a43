"""Our database comes back from a back-up while Label Studio went on: nothing is doubled, nothing is lost."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from tests.integration.line.world import World, build
from workbench.db import migrate
from workbench.invariants.service import check
from workbench.items.domain import ItemState
from workbench.outside import outside_of
from workbench.settings import load_settings
from workbench.tallies.tables import LedgerRow
from workbench.upkeep.restore import restore
from workbench.upkeep.service import back_up

HOLD = ("I4", "I5", "I8", "I9", "I10", "I15")


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("moment", ["before the lane", "before the push", "before the answers"])
def test_the_line_goes_on_after_a_restore(tmp_path, clock, moment: str):
    settings = load_settings(data_dir=tmp_path / "data")
    migrate.upgrade(settings)
    world = build(outside_of(settings, label_studio=lambda url, token: None, now=clock), items=6)  # type: ignore[arg-type,return-value]
    if moment == "before the lane":
        made = back_up(world.outside, by="t")
    world.predict()
    world.decide()
    if moment == "before the push":
        made = back_up(world.outside, by="t")
    world.sync()
    if moment == "before the answers":
        made = back_up(world.outside, by="t")
    world.say([(0, 1, "Positive"), (1, 2, "Negative"), (2, 3, "Neutral")])
    clock.forward(seconds=40)
    world.sync()
    world.resolve()
    answered = len(world.annotations())
    assert answered == 3
    world.outside.db.close()

    clock.forward(minutes=10)
    restore(settings, made, now=clock(), by="t", replace=True)
    again = outside_of(settings, label_studio=lambda url, token: world.server, now=clock)  # type: ignore[arg-type,return-value]
    again = replace(again, load_model=world.outside.load_model)
    after = World(again, world.server, world.predictor, world.project_id, world.pool_id, world.person_ids)
    after.predict()
    after.decide()
    for _ in range(8):
        clock.forward(seconds=40)
        after.sync()
        after.resolve()
    tasks = Counter(task.new.item_key for task in world.server.tasks.values())
    assert set(tasks) == {item.public_id for item in after.items()}
    assert set(tasks.values()) == {1}
    assert len(after.annotations()) == answered
    assert [item.state for item in after.items()].count(ItemState.RESOLVED) == answered
    with again.db.read() as session:
        lines = session.scalar(select(func.count(LedgerRow.id)).where(LedgerRow.source_kind == "annotation"))
    found = check(again, only=HOLD, settle_s=0)
    assert [one for result in found for one in result.violations] == []
    assert lines is not None
    again.db.close()
