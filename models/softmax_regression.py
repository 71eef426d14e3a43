"""The numbers behind a linear head: fit, folds, temperature, calibration error; NumPy and SciPy only."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax, softmax

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TEMPERATURES = (0.25, 4.0)


def fit(features: Floats, classes: Ints, n_classes: int, *, l2: float, start: Floats | None = None) -> Floats:
    """Weights and bias, shape (n_classes, n_features + 1), bias last.

    Minimises the mean log loss + l2 / (2 n) * |weights|^2 by L-BFGS; the bias is free. `l2` is the inverse of
    scikit-learn's C. Every class needs an example.
    """
    n, width = features.shape
    wanted = np.eye(n_classes)[classes]

    def loss(flat: Floats) -> tuple[float, Floats]:
        theta = flat.reshape(n_classes, width + 1)
        log_p = log_softmax(features @ theta[:, :-1].T + theta[:, -1], axis=1)
        gap = (np.exp(log_p) - wanted) / n
        gradient = np.empty_like(theta)
        gradient[:, :-1] = gap.T @ features + (l2 / n) * theta[:, :-1]
        gradient[:, -1] = gap.sum(axis=0)
        penalty = 0.5 * l2 / n * float(np.square(theta[:, :-1]).sum())
        return float(-(wanted * log_p).sum() / n) + penalty, gradient.ravel()

    first = np.zeros((n_classes, width + 1)) if start is None else start
    result = minimize(
        loss,
        first.ravel(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 500, "ftol": 1e-10, "gtol": 1e-6},
    )
    theta: Floats = np.asarray(result.x, dtype=np.float64).reshape(n_classes, width + 1)
    return theta


def spread_logits(features: Floats, theta: Floats) -> Floats:
    """Logits, shape (n_items, n_classes), of weights made by `fit`."""
    logits: Floats = features @ theta[:, :-1].T + theta[:, -1]
    return logits


def with_unseen(logits: Floats, seen: NDArray[np.bool_], unseen_share: float, temperature: float) -> Floats:
    """Probabilities over all labels, shape (n_items, n_labels), from logits over the labels seen in training.

    Labels without a single example share `unseen_share` equally, whatever the text: nothing is known of
    them, and a probability of 0 would be a claim. Rows that aren't finite become NaN.
    """
    probabilities = np.zeros((len(logits), len(seen)))
    with np.errstate(invalid="ignore", over="ignore"):
        shares = softmax(logits / temperature, axis=1)
    n_unseen = int((~seen).sum())
    probabilities[:, seen] = shares * (1 - unseen_share) if n_unseen else shares
    if n_unseen:
        probabilities[:, ~seen] = unseen_share / n_unseen
    probabilities[~np.isfinite(probabilities).all(axis=1)] = np.nan
    return probabilities


def unseen_share_of(n_examples: int, seen: NDArray[np.bool_]) -> float:
    """Probability left for labels without examples: half an imagined example each (Jeffreys).

    >>> round(unseen_share_of(98, np.array([True, True, True, False])), 3)
    0.005
    """
    unseen = 0.5 * float((~seen).sum())
    return unseen / (n_examples + 0.5 * len(seen))


def stratified_folds(classes: Ints, n_folds: int, rng: np.random.Generator) -> Ints:
    """A fold number for each example; the examples of a class are spread as evenly as can be."""
    folds = np.empty(len(classes), dtype=np.int64)
    offset = 0
    for label in np.unique(classes):
        members = rng.permutation(np.flatnonzero(classes == label))
        folds[members] = (np.arange(len(members)) + offset) % n_folds
        offset += len(members)
    return folds


def log_loss(probabilities: Floats, classes: Ints) -> float:
    """Mean of -log of the probability given to the true class; 0 counts as 1e-12."""
    given = probabilities[np.arange(len(classes)), classes]
    return float(-np.log(np.maximum(given, 1e-12)).mean())


def calibration_error(probabilities: Floats, classes: Ints, n_bins: int = 15) -> float:
    """Expected calibration error of the top label, in [0, 1], over bins of equal width.

    Source:
        Guo et al. (2017), "On Calibration of Modern Neural Networks", ICML.
    """
    top = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == classes
    bins = np.minimum((top * n_bins).astype(np.int64), n_bins - 1)
    gaps = np.bincount(bins, weights=right - top, minlength=n_bins)
    return float(np.abs(gaps).sum() / len(classes))


def best_temperature(logits: Floats, classes: Ints) -> float:
    """The temperature with the least log loss on these logits, within `TEMPERATURES`."""

    def loss(log_temperature: float) -> float:
        log_p = log_softmax(logits / np.exp(log_temperature), axis=1)
        return float(-log_p[np.arange(len(classes)), classes].mean())

    bounds = (float(np.log(TEMPERATURES[0])), float(np.log(TEMPERATURES[1])))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x))


def cross_fitted_gain(logits: Floats, classes: Ints, folds: Ints) -> tuple[float, float]:
    """Mean fall in log loss by a temperature fitted on the other folds, and its standard error."""
    gains = np.zeros(len(classes))
    for fold in np.unique(folds):
        inside = folds == fold
        temperature = best_temperature(logits[~inside], classes[~inside])
        rows = np.arange(int(inside.sum()))
        before = log_softmax(logits[inside], axis=1)[rows, classes[inside]]
        after = log_softmax(logits[inside] / temperature, axis=1)[rows, classes[inside]]
        gains[inside] = after - before
    return float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(len(gains)))


def encode(labels: Sequence[str], label_names: Sequence[str]) -> Ints:
    """Position of each label in `label_names`."""
    position = {name: number for number, name in enumerate(label_names)}
    return np.array([position[label] for label in labels], dtype=np.int64)
