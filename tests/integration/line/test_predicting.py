from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import delete

from tests.integration.line.world import Run, StubPredictor, add_model, build
from workbench.errors import WrongState
from workbench.items.domain import ItemState
from workbench.items.store import counts_by_state
from workbench.items.tables import ItemPartRow
from workbench.model_versions.service import promote
from workbench.prelabeling.domain import FAILED
from workbench.prelabeling.jobs import predict_chunk, run
from workbench.prelabeling.tables import PredictionRow
from workbench.tallies.tables import CostTallyRow, LedgerRow

NAN = (np.nan, np.nan, np.nan)


def _small_chunks(outside, size):
    return replace(outside, settings=outside.settings.model_copy(update={"chunk_items": size}))


def test_every_item_is_predicted_and_its_cost_booked(outside):
    world = build(_small_chunks(outside, 3), items=7)
    job = Run(world.outside)
    assert run(job, {"project_id": world.project_id})["items"] == 7
    assert job.progressed == [3, 6, 7]
    predictions = world.rows(PredictionRow)
    assert [p.label for p in predictions] == ["Positive"] * 7
    assert set(world.states()) == {"predicted"}
    lines = world.rows(LedgerRow)
    assert sum(p.cost for p in predictions) == sum(line.amount for line in lines)
    assert {line.kind for line in lines} == {"machine"}
    tally = world.rows(CostTallyRow)[0]
    assert (tally.amount, tally.entries) == (sum(line.amount for line in lines), 7)
    with outside.db.read() as session:
        assert counts_by_state(session, world.project_id)[ItemState.PREDICTED] == 7


def test_a_text_that_breaks_the_model_goes_to_people(outside):
    broken = StubPredictor(lambda text: NAN if text.startswith("text 2 ") else (0.9, 0.07, 0.03))
    accept = {"rules": [{"name": "sure", "when": "true", "accept": True}]}
    world = build(outside, predictor=broken, policy=accept)
    world.predict()
    world.decide()
    failed = world.rows(PredictionRow)[2]
    assert (failed.label, failed.failure, failed.confidence) == ("", FAILED, None)
    assert world.states() == ["accepted", "accepted", "queued", "accepted"]


def test_an_item_without_the_shown_text_is_not_guessed(outside):
    world = build(outside)
    first = world.items()[0].id
    with outside.db.write() as session:
        session.execute(delete(ItemPartRow).where(ItemPartRow.item_id == first))
    assert world.predict()["items"] == 4
    found = world.rows(PredictionRow)
    assert [p.failure for p in found] == [FAILED, "", "", ""]
    assert set(world.states()) == {"predicted"}


def test_a_chunk_that_ran_before_changes_nothing(outside):
    world = build(outside)
    version = 1
    predict_chunk(world.outside, world.project_id, version)
    before = [(p.label, p.cost, p.created_at) for p in world.rows(PredictionRow)]
    assert predict_chunk(world.outside, world.project_id, version)["items"] == 0
    assert [(p.label, p.cost, p.created_at) for p in world.rows(PredictionRow)] == before
    assert len(world.rows(LedgerRow)) == 4


def test_a_chunk_that_was_overtaken_stores_only_what_is_still_waiting(outside):
    """A step whose process seemed dead may still be at work when the next one takes the same items."""
    world = build(outside)
    other = StubPredictor(lambda text: (0.1, 0.1, 0.8))

    class Slow(StubPredictor):
        def predict(self, texts):
            overtaking = replace(world.outside, load_model=lambda spec: other)
            predict_chunk(overtaking, world.project_id, 1)
            return super().predict(texts)

    slow = replace(world.outside, load_model=lambda spec: Slow())
    predict_chunk(slow, world.project_id, 1)
    assert [p.label for p in world.rows(PredictionRow)] == ["Negative"] * 4
    assert len(world.rows(LedgerRow)) == 4
    assert set(world.states()) == {"predicted"}


def test_a_model_that_is_replaced_midway_finishes_its_job_and_the_new_one_takes_the_rest(outside):
    world = build(_small_chunks(outside, 2), items=4)
    rounds = []

    def promoted_after_the_first_chunk():
        rounds.append(1)
        if len(rounds) == 3:
            with outside.db.write() as session:
                newer = add_model(session, world.project_id, version=2, stage="registered")
                promote(session, world.project_id, newer.id, by="t", now=outside.now())

    job = Run(world.outside, between=promoted_after_the_first_chunk)
    result = run(job, {"project_id": world.project_id})
    versions = {p.model_version_id for p in world.rows(PredictionRow)}
    assert (result, versions) == ({"items": 4, "model_version_id": 1}, {1})


def test_without_a_live_model_it_says_so(outside):
    world = build(outside, model=False)
    with pytest.raises(WrongState, match="no live model"):
        world.predict()
    assert set(world.states()) == {"imported"}
