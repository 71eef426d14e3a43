from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import insert, select

from tests.factories import LABELS
from tests.integration.line.world import StubPredictor, add_model, build
from workbench.decisions.service import activate_policy, decision_rows, ensure_lottery_key
from workbench.decisions.store import Undecided, active_policy
from workbench.decisions.tables import DecisionRow, LotteryKeyRow, RoutingPolicyRow
from workbench.errors import WrongState
from workbench.items.tables import ItemMoveRow, ItemRow
from workbench.prelabeling.tables import PredictionRow

POLICY = {
    "rules": [
        {"name": "sure", "when": "confidence >= 0.8", "accept": True},
        {"name": "hard", "when": "confidence < 0.5", "pool": "english", "overlap": 2, "priority": 80},
    ],
    "audit_rate": 0.1,
    "blind_rate": 0.2,
    "audit_overlap": 2,
}

# Drawn so often that sixty items surely have some of each purpose.
OFTEN = POLICY | {"audit_rate": 0.5, "blind_rate": 0.5}


def _mixed(text: str) -> tuple[float, float, float]:
    return [(0.95, 0.03, 0.02), (0.6, 0.3, 0.1), (0.4, 0.3, 0.3)][int(text.split()[1]) % 3]


def _decided(outside, chunk):
    settings = outside.settings.model_copy(update={"chunk_items": chunk})
    world = build(
        replace(outside, settings=settings), items=60, policy=OFTEN, predictor=StubPredictor(_mixed)
    )
    world.predict()
    return world


@pytest.fixture
def worlds(outside, tmp_path):
    """The same items under the same key in databases of their own, decided in chunks of several sizes."""
    import sqlite3
    from pathlib import Path

    from workbench.db.database import Database

    first = _decided(outside, 1000)
    with outside.db.write() as session:
        ensure_lottery_key(outside, session, first.project_id)
    made = []
    for chunk in (1000, 7, 1):
        target = tmp_path / f"{chunk}.sqlite3"
        with sqlite3.connect(Path(outside.db.url.removeprefix("sqlite:///"))) as source:
            with sqlite3.connect(target) as copy:
                source.backup(copy)
            copy.close()
        source.close()
        settings = outside.settings.model_copy(update={"chunk_items": chunk})
        own = replace(first.outside, db=Database(f"sqlite:///{target}"), settings=settings)
        made.append(replace(first, outside=own))
    yield made
    for world in made:
        world.outside.db.close()


@pytest.mark.database("sqlite")  # whose file can be copied
def test_the_same_items_get_the_same_decisions_whatever_the_chunks(worlds):
    found = []
    for world in worlds:
        world.decide()
        found.append(
            [
                (d.item_id, d.outcome, d.purpose, d.rule, d.reason, d.overlap, d.priority, d.show_suggestion)
                for d in world.rows(DecisionRow)
            ]
        )
    assert found[0] == found[1] == found[2]
    assert len({row[2] for row in found[0]}) == 3, "the shares should have drawn some of each purpose"


def test_every_decision_has_its_reason_and_the_draw_stays_sealed(outside):
    world = _decided(outside, 1000)
    world.decide()
    decisions = world.rows(DecisionRow)
    assert len(decisions) == 60
    assert all(d.reason and d.public_reason for d in decisions)
    drawn = [d for d in decisions if d.purpose in {"audit", "blind"}]
    assert drawn
    assert all(("audit" in d.reason) or ("blind" in d.reason) for d in drawn)
    moves = {m.item_id: m for m in world.rows(ItemMoveRow, ItemMoveRow.actor == "decide")}
    ordinary = {d.public_reason for d in decisions if d.purpose == "ordinary"}
    for decision in drawn:
        told = f"{decision.public_reason} {moves[decision.item_id].reason} {moves[decision.item_id].because}"
        assert "audit" not in told
        assert "blind" not in told
        assert moves[decision.item_id].reason == decision.public_reason
    # What is told of an audited item is what is told of its neighbours that were not drawn.
    audits = {d.public_reason for d in drawn if d.purpose == "audit"}
    assert audits <= ordinary
    states = {item.id: item.state for item in world.items()}
    assert all(states[d.item_id] == "queued" for d in drawn)


def test_audits_and_blind_visits_show_no_suggestion(outside):
    world = _decided(outside, 1000)
    world.decide()
    for decision in world.rows(DecisionRow):
        if decision.purpose in {"audit", "blind"}:
            assert not decision.show_suggestion


def test_rules_choose_pool_overlap_and_priority(outside):
    world = _decided(outside, 1000)
    world.decide()
    hard = [d for d in world.rows(DecisionRow) if d.rule == "hard" and d.purpose == "ordinary"]
    assert hard
    assert {(d.pool_id, d.overlap, d.priority) for d in hard} == {(world.pool_id, 2, 80)}


def test_the_shares_are_near_their_rates_over_20000_items():
    from routing.policy import decide, parse_policy
    from workbench.decisions.service import columns_of

    n = 20_000
    found = [
        Undecided(i, f"item-{i}", 1, "predicted", "en", "", "", 1, "Positive", conf, 0.5, 0.2, {})
        for i, conf in enumerate(np.where(np.arange(n) % 2 == 0, 0.9, 0.6).tolist())
    ]
    policy = parse_policy(POLICY, labels=LABELS)
    decided = decide(policy, columns_of(found, LABELS), key=bytes(range(32)))
    rows = decision_rows(decided, found, project_id=1, policy_id=1, pools={}, now=None)  # type: ignore[arg-type]
    accepted = [r for r in rows if r["outcome"] == "accept"]
    people = [r for r in rows if r["outcome"] == "people"]
    assert (len(accepted), len(people)) == (n // 2, n // 2)
    audited = sum(r["purpose"] == "audit" for r in accepted) / len(accepted)
    blind = sum(r["purpose"] == "blind" for r in people) / len(people)
    # Five standard errors of a share of 10,000 draws.
    assert audited == pytest.approx(0.1, abs=5 * (0.1 * 0.9 / len(accepted)) ** 0.5)
    assert blind == pytest.approx(0.2, abs=5 * (0.2 * 0.8 / len(people)) ** 0.5)


def test_an_item_without_a_prediction_goes_to_people_whatever_the_rules(outside):
    world = build(outside, model=False, policy={"rules": [{"name": "all", "when": "true", "accept": True}]})
    assert world.decide(without_model=True) == {"items": 4, "accepted": 0, "people": 4}
    assert set(world.states()) == {"queued"}
    assert {d.model_version_id for d in world.rows(DecisionRow)} == {None}


def test_with_a_model_to_come_unpredicted_items_wait(outside):
    world = build(outside)
    assert world.decide(without_model=False)["items"] == 0
    assert set(world.states()) == {"imported"}


def test_the_newest_version_speaks(outside):
    world = build(outside, items=1, policy=POLICY, predictor=StubPredictor(lambda text: (0.95, 0.03, 0.02)))
    world.predict()
    with outside.db.write() as session:
        newer = add_model(session, world.project_id, version=2, stage="registered")
        row = session.scalars(select(PredictionRow)).one()
        values = {c.name: getattr(row, c.name) for c in PredictionRow.__table__.columns}
        values |= {"model_version_id": newer.id, "label": "Negative", "confidence": 0.4}
        session.execute(insert(PredictionRow), [values])
    world.decide()
    decision = world.rows(DecisionRow)[0]
    assert (decision.model_version_id, decision.outcome, decision.rule) == (newer.id, "people", "hard")


def test_without_a_policy_it_says_what_to_do(outside):
    world = build(outside)
    world.predict()
    world.change(RoutingPolicyRow, 1, state="replaced")
    with pytest.raises(WrongState, match="activate one on its Routing page"):
        world.decide()
    assert set(world.states()) == {"predicted"}


def test_policies_are_versions_that_can_be_rolled_back(outside):
    world = build(outside)
    second = world.policy(POLICY)
    assert world.policy(POLICY) == second, "the same document again is the same version"
    reordered = dict(reversed(list(POLICY.items())))
    assert world.policy(reordered) == second, "so is the same document in another order"
    draft = world.policy(POLICY | {"audit_rate": 0.3}, activate=False)
    assert [(p.version, p.state) for p in world.rows(RoutingPolicyRow)] == [
        (1, "replaced"),
        (2, "active"),
        (3, "draft"),
    ]
    with outside.db.write() as session:
        activate_policy(session, world.project_id, 1, by="lead", now=outside.now())
    with outside.db.read() as session:
        active = active_policy(session, world.project_id)
        assert active is not None
        assert (active.id, active.activated_by) == (1, "lead")
    documents = [p.document for p in world.rows(RoutingPolicyRow)]
    assert documents[0] != documents[1] != documents[2]
    assert draft == 3


def test_decisions_already_made_stay_when_the_policy_changes(outside):
    world = build(outside, predictor=StubPredictor(lambda text: (0.95, 0.03, 0.02)))
    world.predict()
    world.decide()
    before = [(d.item_id, d.policy_id, d.outcome) for d in world.rows(DecisionRow)]
    world.policy(POLICY)
    world.decide()
    assert [(d.item_id, d.policy_id, d.outcome) for d in world.rows(DecisionRow)] == before


def test_the_lottery_key_is_made_once_encrypted_and_committed_to(outside):
    import hashlib

    world = build(outside)
    with outside.db.write() as session:
        key = ensure_lottery_key(outside, session, world.project_id)
    with outside.db.write() as session:
        assert ensure_lottery_key(outside, session, world.project_id) == key
    row = world.rows(LotteryKeyRow)[0]
    assert key not in row.key
    assert row.sha256 == hashlib.sha256(key).hexdigest()


def test_metadata_language_and_label_reach_the_rules(outside):
    from workbench.items.tables import ItemPartRow

    world = build(
        outside,
        policy={
            "rules": [
                {"name": "meta", "when": "meta.source == 'shop'", "priority": 90},
                {"name": "rest", "when": "language == 'en' and label == 'Positive'", "priority": 10},
            ]
        },
    )
    first = world.items()[0].id
    with outside.db.write() as session:
        part = ItemPartRow(
            item_id=first, position=1, kind="metadata", name="", text="", data={"source": "shop"}
        )
        session.add(part)
    world.predict()
    world.decide()
    assert [d.rule for d in world.rows(DecisionRow)] == ["meta", "rest", "rest", "rest"]
    assert len(world.rows(ItemRow)) == 4
