import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from models.softmax_regression import (
    best_temperature,
    calibration_error,
    fit,
    log_loss,
    spread_logits,
    stratified_folds,
    with_unseen,
)


def test_fit_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(120, 6))
    classes = (features[:, 0] + rng.normal(size=120) > 0).astype(np.int64) + (features[:, 1] > 1)
    theta = fit(features, classes, 3, l2=0.5)
    reference = LogisticRegression(C=2.0, tol=1e-8, max_iter=1000).fit(features, classes)
    logits = spread_logits(features, theta)
    ours = with_unseen(logits, np.ones(3, dtype=bool), 0.0, 1.0)
    np.testing.assert_allclose(ours, reference.predict_proba(features), atol=1e-4)


def test_temperature_undoes_a_known_scale() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(20_000, 4)) * 1.5
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    classes = (rng.random((20_000, 1)) > shares.cumsum(axis=1)).sum(axis=1)
    assert best_temperature(logits * 2.0, classes) == pytest.approx(2.0, abs=0.1)


def test_calibration_error_of_known_rows() -> None:
    shares = np.array([[0.8, 0.2]] * 10)
    assert calibration_error(shares, np.array([0] * 8 + [1] * 2)) == pytest.approx(0, abs=1e-12)
    assert calibration_error(shares, np.array([0] * 3 + [1] * 7)) == pytest.approx(0.5)
    assert log_loss(np.array([[1.0, 0.0]]), np.array([1])) == pytest.approx(-np.log(1e-12))


@given(st.lists(st.integers(0, 4), min_size=4, max_size=60), st.integers(2, 6), st.integers(0, 2**32 - 1))
def test_folds_spread_each_class_and_the_whole(classes: list[int], n_folds: int, seed: int) -> None:
    array = np.array(classes)
    folds = stratified_folds(array, n_folds, np.random.default_rng(seed))
    whole = np.bincount(folds, minlength=n_folds)
    assert whole.max() - whole.min() <= 1
    for label in set(classes):
        counts = np.bincount(folds[array == label], minlength=n_folds)
        assert counts.max() - counts.min() <= 1
