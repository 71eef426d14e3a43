"""What is known of a set of items, column by column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from routing.errors import RoutingError

ObjectArray = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Columns:
    """The facts that rules may look at; every array has shape (n_items,). Build it with `Columns.of`.

    Attributes:
        keys: Lottery key of each item, unsigned 64-bit (`routing.sampling.item_keys`).
        labels: Label names; `predicted` counts into them.
        predicted: Index of the predicted label, -1 without a prediction.
        confidence: Probability of the predicted label; NaN when missing.
        margin: Lead over the second label; NaN when missing.
        entropy: Uncertainty in nats; NaN when missing.
        language: Text or None per item; so are `region` and `sensitivity`.
        meta: Metadata by field name: numeric arrays, or object arrays with None where an item lacks it.
    """

    keys: npt.NDArray[np.uint64]
    labels: tuple[str, ...]
    predicted: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float32]
    margin: npt.NDArray[np.float32]
    entropy: npt.NDArray[np.float32]
    language: ObjectArray | None = None
    region: ObjectArray | None = None
    sensitivity: ObjectArray | None = None
    meta: Mapping[str, ObjectArray] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        *,
        keys: npt.ArrayLike,
        labels: Sequence[str],
        predicted: Sequence[int | None] | npt.ArrayLike | None = None,
        confidence: Sequence[float | None] | npt.ArrayLike | None = None,
        margin: Sequence[float | None] | npt.ArrayLike | None = None,
        entropy: Sequence[float | None] | npt.ArrayLike | None = None,
        language: Sequence[str | None] | ObjectArray | None = None,
        region: Sequence[str | None] | ObjectArray | None = None,
        sensitivity: Sequence[str | None] | ObjectArray | None = None,
        meta: Mapping[str, Sequence[Any] | ObjectArray] | None = None,
    ) -> Columns:
        """Columns from lists or arrays; None stands for a missing value anywhere.

        Scores are kept as 32-bit numbers: a confidence that a model stored as 0.9 in 32 bits must still
        equal the 0.9 of a rule.

        Raises:
            RoutingError: Columns differ in length, or a label index is out of range.

        >>> items = Columns.of(keys=[1, 2], labels=["spam"], predicted=[0, None], confidence=[0.9, None])
        >>> items.has_prediction.tolist()
        [True, False]
        """
        item_keys = np.asarray(keys, dtype=np.uint64)
        n_items = item_keys.size
        columns = cls(
            keys=item_keys,
            labels=tuple(labels),
            predicted=_label_indexes(predicted, n_items),
            confidence=_scores(confidence, n_items),
            margin=_scores(margin, n_items),
            entropy=_scores(entropy, n_items),
            language=None if language is None else _texts(language),
            region=None if region is None else _texts(region),
            sensitivity=None if sensitivity is None else _texts(sensitivity),
            meta={name: _values(column) for name, column in (meta or {}).items()},
        )
        columns._check()
        return columns

    @property
    def n_items(self) -> int:
        """How many items the columns describe."""
        return int(self.keys.size)

    @property
    def has_prediction(self) -> npt.NDArray[np.bool_]:
        """Which items have both a predicted label and a confidence, shape (n_items,)."""
        known: npt.NDArray[np.bool_] = (self.predicted >= 0) & ~np.isnan(self.confidence)
        return known

    def take(self, which: slice | npt.NDArray[Any]) -> Columns:
        """The same columns for some of the items: a slice, a mask or row numbers."""
        return Columns(
            keys=self.keys[which],
            labels=self.labels,
            predicted=self.predicted[which],
            confidence=self.confidence[which],
            margin=self.margin[which],
            entropy=self.entropy[which],
            language=None if self.language is None else self.language[which],
            region=None if self.region is None else self.region[which],
            sensitivity=None if self.sensitivity is None else self.sensitivity[which],
            meta={name: column[which] for name, column in self.meta.items()},
        )

    def _check(self) -> None:
        columns: dict[str, ObjectArray | None] = {
            name: getattr(self, name)
            for name in ("predicted", "confidence", "margin", "entropy", "language", "region", "sensitivity")
        }
        columns.update({f"meta.{name}": column for name, column in self.meta.items()})
        for name, column in columns.items():
            if column is not None and column.shape != (self.n_items,):
                raise RoutingError(f"column `{name}` has shape {column.shape}; give ({self.n_items},)")
        if self.n_items and int(self.predicted.max()) >= len(self.labels):
            raise RoutingError(
                f"a predicted label has index {self.predicted.max()}, but there are {len(self.labels)} labels"
            )


def _label_indexes(column: Any, n_items: int) -> npt.NDArray[np.int64]:
    if column is None:
        return np.full(n_items, -1, dtype=np.int64)
    array = np.asarray(column)
    if array.dtype == object:
        array = np.array([-1 if one is None else one for one in array], dtype=np.int64)
    indexes = array.astype(np.int64)
    return np.where(indexes < 0, -1, indexes)


def _scores(column: Any, n_items: int) -> npt.NDArray[np.float32]:
    if column is None:
        return np.full(n_items, np.nan, dtype=np.float32)
    return np.asarray(column, dtype=np.float32)


def _texts(column: Sequence[Any] | ObjectArray) -> ObjectArray:
    array = np.empty(len(column), dtype=object)
    array[:] = column.tolist() if isinstance(column, np.ndarray) else list(column)
    return array


def _values(column: Sequence[Any] | ObjectArray) -> ObjectArray:
    if isinstance(column, np.ndarray) and column.dtype.kind in "iufb":
        return column
    array = np.empty(len(column), dtype=object)
    for row, value in enumerate(column):  # assigning a list at once would unpack items that are lists
        array[row] = value
    return array
