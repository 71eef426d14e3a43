import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.errors import RoutingError
from routing.expressions import Columns, parse
from routing.policy import (
    Accept,
    Outcome,
    Purpose,
    RoutingPolicy,
    Rule,
    Stage,
    decide,
    parse_policy,
    public_reason,
    public_reasons,
    reason,
    reasons,
)
from tests.unit.routing.strategies import LABELS, conditions, items

KEY = bytes(range(32))
RULES = [
    {"name": "sure", "when": "confidence >= 0.9 and label not in ['self-harm']", "accept": True},
    {"name": "german", "when": "language == 'de'", "pool": "german", "overlap": 3, "priority": 70},
    {"name": "expert", "when": "label == 'self-harm'", "pool": "expert", "stage": "review", "overlap": 1},
    {"name": "rest", "when": "true", "pool": "english", "overlap": 2},
]
FIELDS = ("outcome", "purpose", "rule", "overlap", "show_suggestion", "priority", "stage", "pool")


def policy_of(rules=RULES, **rest):
    return parse_policy({"rules": rules, **rest}, labels=LABELS)


def many(n=4000, seed=1):
    rng = np.random.default_rng(seed)
    confidence = rng.random(n).astype(np.float32)
    confidence[::50] = np.nan
    return Columns.of(
        keys=rng.integers(0, 2**63, n).astype(np.uint64),
        labels=LABELS,
        predicted=np.where(np.isnan(confidence), -1, rng.integers(0, 3, n)),
        confidence=confidence,
        language=rng.choice(["de", "en"], n).tolist(),
    )


@given(conditions, items(min_size=1), st.floats(0, 1), st.randoms())
def test_order_and_chunking_change_nothing(condition, columns, rate, random):
    policy = RoutingPolicy((Rule("first", condition, Accept()), *policy_of().rules), rate, rate)
    whole = decide(policy, columns, key=KEY)
    order = list(range(columns.n_items))
    random.shuffle(order)
    shuffled = decide(policy, columns.take(np.array(order)), key=KEY)
    for name in FIELDS:
        assert getattr(shuffled, name).tolist() == getattr(whole, name)[order].tolist()
    for i in range(columns.n_items):
        alone = decide(policy, columns.take(slice(i, i + 1)), key=KEY)
        assert all(getattr(alone, name)[0] == getattr(whole, name)[i] for name in FIELDS)
        assert reason(alone, 0) == reason(whole, i)


def test_large_sets_cross_chunks_without_a_seam():
    columns, policy = many(70_000), policy_of(audit_rate=0.1, blind_rate=0.1)
    whole = decide(policy, columns, key=KEY)
    head, tail = (decide(policy, columns.take(part), key=KEY) for part in (slice(0, 99), slice(99, None)))
    for name in FIELDS:
        assert np.array_equal(
            np.concatenate([getattr(head, name), getattr(tail, name)]), getattr(whole, name)
        )


def test_first_rule_decides_and_audits_go_where_no_rule_had_accepted_them():
    columns = many()
    found = decide(policy_of(audit_rate=1.0), columns, key=KEY)
    sure = (columns.confidence >= np.float32(0.9)) & (columns.predicted != 2)
    german = np.array([language == "de" for language in columns.language])
    assert np.array_equal(found.outcome == Outcome.AUDIT, sure)
    assert np.array_equal(found.rule == 0, sure)
    assert {found.pool_name(i) for i in np.flatnonzero(sure & german)} == {"german"}
    assert {found.pool_name(i) for i in np.flatnonzero(sure & ~german)} == {"english"}
    assert set(found.overlap[sure & german]) == {3}
    assert set(found.priority[sure & german]) == {70}
    assert not found.show_suggestion[sure].any()
    assert (found.purpose[sure] == Purpose.AUDIT).all()


def test_without_a_lottery_the_rules_stand():
    columns = many()
    found = decide(policy_of(), columns, key=KEY)
    assert set(found.purpose) == {Purpose.ORDINARY}
    accepted = found.outcome == Outcome.ACCEPT
    assert (found.overlap[accepted] == 0).all()
    assert (found.pool[accepted] == -1).all()
    assert not found.show_suggestion[accepted].any()
    assert found.show_suggestion[~accepted & columns.has_prediction].all()
    assert not found.show_suggestion[~columns.has_prediction].any()
    review = found.rule == 2
    assert review.any()
    assert {found.stage_of(i) for i in np.flatnonzero(review)} == {Stage.REVIEW}


def test_the_blind_lottery_hides_suggestions_in_labeling_alone():
    columns = many()
    found = decide(policy_of(blind_rate=1.0, blind_overlap=4), columns, key=KEY)
    labeling = (found.outcome == Outcome.PEOPLE) & (found.stage == 0)
    assert np.array_equal(found.purpose == Purpose.BLIND, labeling)
    assert (found.overlap[labeling] == 4).all()
    assert not found.show_suggestion[labeling].any()
    assert (found.overlap[found.rule == 2] == 1).all()


def test_lottery_shares_are_near_their_rates_and_overlaps_follow():
    found = decide(policy_of(audit_rate=0.2, blind_rate=0.1, audit_overlap=5), many(40_000), key=KEY)
    accepted = found.rule == 0
    assert (found.outcome[accepted] == Outcome.AUDIT).mean() == pytest.approx(0.2, abs=0.03)
    labeling = (found.outcome == Outcome.PEOPLE) & (found.stage == 0)
    assert (found.purpose[labeling] == Purpose.BLIND).mean() == pytest.approx(0.1, abs=0.01)
    assert set(found.overlap[found.outcome == Outcome.AUDIT]) == {5}


def test_nothing_without_a_prediction_is_ever_accepted():
    columns = Columns.of(keys=[1, 2, 3], labels=LABELS, predicted=[None, 0, 0], confidence=[0.99, None, 0.99])
    for when in ("true", "not confidence < 0.5", "missing or true", "random_share(1)"):
        found = decide(policy_of([{"name": "all", "when": when, "accept": True}]), columns, key=KEY)
        assert found.outcome.tolist()[:2] == [Outcome.PEOPLE, Outcome.PEOPLE]
    assert found.outcome[2] == Outcome.ACCEPT


def test_a_policy_left_open_by_hand_is_refused():
    policy = RoutingPolicy((Rule("none", parse("false"), Accept()),))
    with pytest.raises(RoutingError, match="undecided"):
        decide(policy, many(5), key=KEY)


def test_no_items():
    empty = Columns.of(keys=[], labels=LABELS)
    found = decide(policy_of(), empty, key=KEY)
    assert found.outcome.shape == (0,)
    assert reasons(found) == []


def test_reasons():
    columns = Columns.of(
        keys=[1, 2, 3],
        labels=LABELS,
        predicted=[0, 0, None],
        confidence=[0.931, 0.41, None],
        language=["en"] * 3,
    )
    found = decide(policy_of(audit_rate=1.0, blind_rate=1.0), columns, key=KEY)
    assert reasons(found) == [
        "rule 'sure': confidence 0.93 ≥ 0.90 and label 'spam' not in ['self-harm']; drawn for audit (100%)",
        "rule 'rest': not 'sure', confidence 0.41 < 0.90; drawn for the blind arm (100%)",
        "rule 'rest': not 'sure', no prediction; drawn for the blind arm (100%)",
    ]
    assert (
        public_reasons(found)[0]
        == "rule 'sure': confidence 0.93 ≥ 0.90 and label 'spam' not in ['self-harm']"
    )


def test_public_reasons_do_not_depend_on_the_lotteries():
    columns = many(300)
    sealed = decide(policy_of(audit_rate=0.5, blind_rate=0.5), columns, key=KEY)
    other = decide(policy_of(audit_rate=0.5, blind_rate=0.5), columns, key=bytes(32))
    plain = decide(policy_of(), columns, key=KEY)
    assert len(set(sealed.purpose)) == 3
    assert public_reasons(sealed) == public_reasons(other) == public_reasons(plain)
    for i in range(300):
        assert (reason(sealed, i) == public_reason(sealed, i)) == (sealed.purpose[i] == Purpose.ORDINARY)


def test_the_key_stays_out_of_what_is_printed():
    assert str(KEY) not in repr(decide(policy_of(), many(3), key=KEY))


def test_a_million_items_in_seconds():
    columns = many(1_000_000)
    columns.language[:] = "en"
    started = time.process_time()
    decide(policy_of(audit_rate=0.05, blind_rate=0.05), columns, key=KEY)
    assert time.process_time() - started < 4  # measured 0.2 s; loaded machines are slower
