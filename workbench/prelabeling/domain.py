"""What is stored of a model's answers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from routing.confidence import measure

SECONDS_PER_HOUR = 3600
FAILED = "the model gave no answer for this text"


def share_cost(seconds: float, price_per_hour: Decimal, n_items: int) -> list[Decimal]:
    """The cost of a chunk spread over its items, to the millionth, adding up exactly.

    >>> [str(cost) for cost in share_cost(3600, Decimal("1"), 3)]
    ['0.333334', '0.333333', '0.333333']
    """
    micro = int(
        (Decimal(repr(float(seconds))) * price_per_hour / SECONDS_PER_HOUR * 1_000_000).to_integral_value()
    )
    each, rest = divmod(micro, n_items)
    return [Decimal(each + (i < rest)) / 1_000_000 for i in range(n_items)]


def prediction_rows(
    item_ids: Sequence[int],
    model_version_id: int,
    labels: Sequence[str],
    probabilities: npt.NDArray[np.float32],
    costs: Sequence[Decimal],
    now: datetime,
) -> list[dict[str, Any]]:
    """One row per item; where the model failed the label is empty and the reason is given.

    Args:
        item_ids: Items, in the order of the rows of `probabilities`.
        model_version_id: Who predicted.
        labels: Names of the columns.
        probabilities: Shape (n_items, n_labels); a NaN row is a failure.
        costs: Cost of each prediction.
        now: When.
    """
    signals = measure(probabilities)
    rows = []
    for i, item_id in enumerate(item_ids):
        failed = int(signals.predicted[i]) < 0
        rows.append(
            {
                "item_id": item_id,
                "model_version_id": model_version_id,
                "label": "" if failed else labels[int(signals.predicted[i])],
                "confidence": None if failed else float(signals.confidence[i]),
                "margin": None if failed else float(signals.margin[i]),
                "entropy": None if failed else float(signals.entropy[i]),
                "distribution": [] if failed else [round(float(p), 6) for p in probabilities[i]],
                "failure": FAILED if failed else "",
                "cost": costs[i],
                "created_at": now,
            }
        )
    return rows
