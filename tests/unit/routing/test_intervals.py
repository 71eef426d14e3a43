import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from routing.errors import NotEnoughEvidence, RoutingError
from routing.intervals import clopper_pearson, wilson

counts = st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts, st.sampled_from([0.05, 0.01, 0.2]))
def test_both_match_statsmodels(count, alpha):
    for ours, method in ((wilson, "wilson"), (clopper_pearson, "beta")):
        low, high = proportion_confint(*count, alpha=alpha, method=method)
        assert ours(*count, alpha=alpha) == pytest.approx((low, high), abs=1e-9)


@given(counts)
def test_ends_are_ordered_and_exact_at_the_borders(count):
    successes, n = count
    for interval in (wilson(successes, n), clopper_pearson(successes, n)):
        assert 0 <= interval.low <= successes / n <= interval.high <= 1
        assert (interval.low == 0) == (successes == 0)
        assert (interval.high == 1) == (successes == n)


def test_what_has_no_interval():
    with pytest.raises(NotEnoughEvidence):
        wilson(0, 0)
    with pytest.raises(RoutingError):
        clopper_pearson(3, 2)
    with pytest.raises(RoutingError):
        wilson(1, 2, alpha=0)
