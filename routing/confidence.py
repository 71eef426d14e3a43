"""Scores of a model into one confidence per item."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from routing.errors import RoutingError

_SUM_TOLERANCE = 0.01  # half-precision models miss 1 by a few thousandths


@dataclass(frozen=True, slots=True)
class Confidence:
    """How sure a model is of each item; every array has shape (n_items,).

    Attributes:
        predicted: Index of the most probable label; the lowest index on a tie; -1 without prediction.
        confidence: Probability of that label, in [0, 1]; NaN without prediction.
        margin: Its lead over the second label, in [0, 1]; the confidence itself if there is one label.
        entropy: Uncertainty over all labels in nats, 0 to ln(n_labels).
        normalised_entropy: The same divided by ln(n_labels), 0 to 1; 0 if there is one label.
    """

    predicted: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float32]
    margin: npt.NDArray[np.float32]
    entropy: npt.NDArray[np.float32]
    normalised_entropy: npt.NDArray[np.float32]


def measure(probabilities: npt.ArrayLike) -> Confidence:
    """Predicted label, confidence, margin and entropy of every item.

    A row with any NaN has no prediction: its label is -1 and its figures are NaN.

    Args:
        probabilities: Class probabilities, shape (n_items, n_labels), rows summing to 1 (within 0.01).

    Raises:
        RoutingError: The shape is not (n_items, n_labels >= 1), or a row is no distribution.

    >>> sure = measure([[0.7, 0.2, 0.1], [float("nan")] * 3])
    >>> sure.predicted.tolist(), sure.margin.round(2).tolist()
    ([0, -1], [0.5, nan])
    """
    scores = np.asarray(probabilities, dtype=np.float32)
    if scores.ndim != 2 or scores.shape[1] == 0:  # noqa: PLR2004 - a matrix has two axes
        raise RoutingError(f"probabilities have shape {scores.shape}; give (n_items, n_labels)")
    known: npt.NDArray[np.bool_] = np.asarray(~np.isnan(scores).any(axis=1))
    filled = np.where(known[:, None], scores, np.float32(1 / scores.shape[1]))
    _check_rows(filled)
    n_items, n_labels = filled.shape
    predicted = filled.argmax(axis=1)  # numpy returns the first of equal maxima
    confidence = filled[np.arange(n_items), predicted]
    if n_labels == 1:
        margin = confidence.copy()
    else:
        margin = confidence - np.partition(filled, -2, axis=1)[:, -2]
    logs = np.log(filled, where=filled > 0, out=np.zeros_like(filled))
    entropy = np.maximum(-(filled * logs).sum(axis=1), 0)
    normalised = entropy / np.float32(np.log(n_labels)) if n_labels > 1 else np.zeros_like(entropy)
    nothing = np.float32(np.nan)
    return Confidence(
        predicted=np.where(known, predicted, -1).astype(np.int64),
        confidence=np.where(known, confidence, nothing),
        margin=np.where(known, margin, nothing),
        entropy=np.where(known, entropy, nothing),
        normalised_entropy=np.where(known, np.minimum(normalised, 1), nothing),
    )


def _check_rows(scores: npt.NDArray[np.float32]) -> None:
    outside = (scores < 0).any(axis=1) | (scores > 1 + _SUM_TOLERANCE).any(axis=1)
    wrong = np.flatnonzero(outside | (np.abs(scores.sum(axis=1) - 1) > _SUM_TOLERANCE))
    if wrong.size:
        raise RoutingError(
            f"row {wrong[0]} of the probabilities is no distribution (sum {scores[wrong[0]].sum():.3f}); "
            "apply a softmax before measuring confidence"
        )
