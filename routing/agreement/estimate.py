"""A figure with its interval and what it rests on."""

from __future__ import annotations

import math
from dataclasses import dataclass

FEWEST_ITEMS = 30
"""Below this many items pages say "not enough" instead of a figure."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure, its 95% interval (or as asked), and the evidence behind it.

    Attributes:
        value: The figure; NaN where it is undefined.
        low: Lower end of the interval; NaN where there is none.
        high: Upper end.
        n_items: Items it rests on: those with at least two answers.
        n_annotations: Answers on those items.
        method: How the interval was made; empty without one.
        reason: Why the value or the interval is undefined; empty otherwise.
    """

    value: float
    low: float
    high: float
    n_items: int
    n_annotations: int
    method: str
    reason: str = ""

    @property
    def enough(self) -> bool:
        """Whether the figure exists and rests on at least 30 items."""
        return self.n_items >= FEWEST_ITEMS and not math.isnan(self.value)
