"""The lotteries are fair: uniform over items whatever their keys look like, independent between purposes."""

import numpy as np
import pytest
from scipy.stats import binom, chisquare, kstest

from routing.expressions import Columns
from routing.policy import Outcome, Purpose, decide, parse_policy
from routing.sampling import drawn, item_hash, item_keys

N = 200_000
KEY = bytes(range(40, 72))
KEYS = {
    "running numbers": np.arange(N, dtype=np.uint64),
    "numbers in the high half": np.arange(N, dtype=np.uint64) << np.uint64(40),
    "hashed ids": item_keys(f"item-{i}" for i in range(N)),
}


@pytest.mark.parametrize("kind", KEYS)
def test_hashes_are_uniform(kind):
    numbers = item_hash(KEYS[kind], KEY, "audit")
    assert kstest(numbers / 2**64, "uniform").pvalue > 1e-4
    for shift in (0, 24, 56):
        byte = ((numbers >> np.uint64(shift)) & np.uint64(255)).astype(np.int64)
        assert chisquare(np.bincount(byte, minlength=256)).pvalue > 1e-4


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.5])
def test_the_share_drawn_is_the_rate_for_every_key(rate):
    keys = KEYS["running numbers"][:20_000]
    drawn_items = [
        int(drawn(item_hash(keys, seed.to_bytes(16, "big"), "audit"), rate).sum()) for seed in range(300)
    ]
    chances = binom.cdf(drawn_items, keys.size, rate)
    assert kstest(chances, "uniform").pvalue > 1e-4


@pytest.mark.parametrize(
    "other", [(KEY, "blind"), (KEY, "random_share:"), (KEY, "audit "), (KEY[::-1], "audit")]
)
def test_lotteries_are_independent(other):
    first = item_hash(KEYS["running numbers"], KEY, "audit")
    second = item_hash(KEYS["running numbers"], *other)
    for rate in (0.05, 0.5):
        both = int((drawn(first, rate) & drawn(second, rate)).sum())
        assert 1e-4 < binom.cdf(both, N, rate * rate) < 1 - 1e-4
    assert abs(np.corrcoef(first / 2**64, second / 2**64)[0, 1]) < 4 / np.sqrt(N)


def test_neighbouring_items_are_drawn_independently():
    audited = drawn(item_hash(KEYS["running numbers"], KEY, "audit"), 0.1)
    both = int((audited[1:] & audited[:-1]).sum())
    assert 1e-4 < binom.cdf(both, N - 1, 0.01) < 1 - 1e-4


def test_decisions_draw_at_their_rates_whatever_the_confidence():
    rng = np.random.default_rng(5)
    columns = Columns.of(
        keys=KEYS["running numbers"],
        labels=["a", "b"],
        predicted=rng.integers(0, 2, N),
        confidence=rng.random(N),
    )
    document = {
        "rules": [
            {"name": "lucky", "when": "random_share(0.2)", "accept": True},
            {"name": "sure", "when": "confidence >= 0.6", "accept": True},
        ],
        "audit_rate": 0.05,
        "blind_rate": 0.1,
    }
    found = decide(parse_policy(document, labels=["a", "b"]), columns, key=KEY)
    people = found.outcome == Outcome.PEOPLE
    sets = [
        (found.rule == 0, found.outcome == Outcome.AUDIT, 0.05),
        ((found.rule == 1) & (columns.confidence < 0.8), found.outcome == Outcome.AUDIT, 0.05),
        ((found.rule == 1) & (columns.confidence >= 0.8), found.outcome == Outcome.AUDIT, 0.05),
        (people & (columns.confidence < 0.3), found.purpose == Purpose.BLIND, 0.1),
        (people & (columns.confidence >= 0.3), found.purpose == Purpose.BLIND, 0.1),
    ]
    for among, hit, rate in sets:
        assert 1e-4 < binom.cdf(int((among & hit).sum()), int(among.sum()), rate) < 1 - 1e-4
