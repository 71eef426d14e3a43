"""Consensus by counting votes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from routing.errors import RoutingError

_SLACK = 1e-9  # two thirds of the votes must meet a threshold of 2/3 whatever the rounding


@dataclass(frozen=True, slots=True)
class Consensus:
    """What the votes on each item come to.

    Attributes:
        label: Label with the most votes, shape (n_items,); -1 without votes, on a tie, below the threshold.
        share: Share of the weight on the leading label, shape (n_items,); NaN without votes.
        n: Number of votes, shape (n_items,).
        tie: Whether two labels or more lead together, shape (n_items,).
        counts: Weight on each label, shape (n_items, n_labels).
    """

    label: npt.NDArray[np.int64]
    share: npt.NDArray[np.float64]
    n: npt.NDArray[np.int64]
    tie: npt.NDArray[np.bool_]
    counts: npt.NDArray[np.float64]


def majority(
    item_index: npt.ArrayLike,
    label_index: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    *,
    n_items: int,
    n_labels: int,
    threshold: float = 0.5,
) -> Consensus:
    """The label most people chose for each item, if enough of them did.

    Args:
        item_index: Item of each vote, 0 to n_items - 1, shape (n_votes,).
        label_index: Label of each vote, 0 to n_labels - 1, shape (n_votes,).
        weights: Weight of each vote, at least 0, shape (n_votes,); 1 each if left out.
        n_items: Number of items.
        n_labels: Number of labels.
        threshold: Share of the weight that the leading label needs, 0 to 1; exactly so much suffices.

    Raises:
        RoutingError: Votes differ in length, or an index, a weight or the threshold is out of range.

    >>> votes = majority([0, 0, 0, 1, 1], [2, 2, 0, 1, 0], n_items=3, n_labels=3)
    >>> votes.label.tolist(), votes.tie.tolist(), votes.share.round(2).tolist()
    ([2, -1, -1], [False, True, False], [0.67, 0.5, nan])
    """
    items, labels = (np.asarray(one, dtype=np.int64).reshape(-1) for one in (item_index, label_index))
    weight = np.ones(items.size) if weights is None else np.asarray(weights, dtype=np.float64).reshape(-1)
    if not 0 <= threshold <= 1:
        raise RoutingError(f"a threshold is a share from 0 to 1, not {threshold}")
    _check(items, labels, weight, n_items, n_labels)
    cells = np.bincount(items * n_labels + labels, weights=weight, minlength=n_items * n_labels)
    counts = cells.reshape(n_items, n_labels).astype(np.float64)
    n = np.bincount(items, minlength=n_items)
    total = counts.sum(axis=1)
    voted = (n > 0) & (total > 0)
    best = counts.max(axis=1, initial=0.0)
    leaders = (counts >= best[:, None] * (1 - _SLACK)).sum(axis=1)
    share = np.divide(best, total, out=np.full(n_items, np.nan), where=voted)
    tie = voted & (leaders > 1)
    settled = voted & ~tie & (np.nan_to_num(share) >= threshold - _SLACK)
    label = np.where(settled, counts.argmax(axis=1) if n_labels else -1, -1)
    return Consensus(label=label.astype(np.int64), share=share, n=n, tie=tie, counts=counts)


def _check(
    items: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    weight: npt.NDArray[np.float64],
    n_items: int,
    n_labels: int,
) -> None:
    if not items.size == labels.size == weight.size:
        raise RoutingError(
            f"{items.size} items, {labels.size} labels and {weight.size} weights; give one each a vote"
        )
    for name, index, limit in (("item", items, n_items), ("label", labels, n_labels)):
        if index.size and (index.min() < 0 or index.max() >= limit):
            raise RoutingError(f"a vote has {name} {index.min()}..{index.max()}; known are 0 to {limit - 1}")
    if weight.size and not (np.isfinite(weight).all() and weight.min() >= 0):
        raise RoutingError("weights of votes are finite and at least 0")
