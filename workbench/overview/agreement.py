"""Agreement of people with each other and with the model, from the tallies."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from routing.agreement import Estimate, cohen_kappa, from_patterns
from workbench.overview.domain import (
    Agreement,
    Coefficient,
    Confusion,
    LabelAgreement,
    ModelAgreement,
    PairAgreement,
    Share,
)
from workbench.overview.store import ModelCount

_SEED = 20_260_101


@lru_cache(maxsize=256)
def agreement_of(patterns: tuple[tuple[str, int], ...], n_labels: int) -> Agreement:
    """Alpha and AC1 with intervals; the same tally gives the same interval, and is computed once.

    Args:
        patterns: Answers per label such as "0,2,1", and the items that show them.
        n_labels: Labels of the project; a pattern from before a label was added is filled with zeros.
    """
    rows, items = [], []
    for pattern, count in patterns:
        row = [int(one) for one in pattern.split(",")] if pattern else []
        rows.append((row + [0] * n_labels)[: max(n_labels, len(row))])
        items.append(count)
    width = max((len(row) for row in rows), default=0)
    if not width:
        return Agreement(0, None, None)
    table = [row + [0] * (width - len(row)) for row in rows]
    found = from_patterns(table, items, rng=np.random.default_rng(_SEED))
    return Agreement(found.alpha.n_items, _coefficient(found.alpha), _coefficient(found.ac1))


def _coefficient(one: Estimate) -> Coefficient | None:
    if not one.enough:
        return None
    low, high = (None if math.isnan(end) else end for end in (one.low, one.high))
    return Coefficient(one.value, low, high)


def pairs_of(
    counts: Sequence[tuple[int, int, str, str, int]], labels: Sequence[str], names: Mapping[int, str]
) -> tuple[PairAgreement, ...]:
    """How far each two persons agree, most common items first."""
    position = {label: index for index, label in enumerate(labels)}
    tables: dict[tuple[int, int], npt.NDArray[np.int64]] = defaultdict(
        lambda: np.zeros((len(labels), len(labels)), dtype=np.int64)
    )
    for person_a, person_b, label_a, label_b, items in counts:
        if label_a in position and label_b in position:
            tables[person_a, person_b][position[label_a], position[label_b]] += items
    pairs = []
    for (person_a, person_b), table in tables.items():
        kappa = cohen_kappa(table)
        pairs.append(
            PairAgreement(
                person_a=names.get(person_a, f"person {person_a}"),
                person_b=names.get(person_b, f"person {person_b}"),
                same=Share(int(np.trace(table)), int(table.sum())),
                kappa=None if math.isnan(kappa) else kappa,
            )
        )
    return tuple(sorted(pairs, key=lambda pair: (-pair.same.of, pair.person_a, pair.person_b)))


def models_of(counts: Sequence[ModelCount]) -> tuple[ModelAgreement, ...]:
    """How often answers equal each model version's prediction."""
    sums: dict[tuple[int, str], dict[bool, list[int]]] = {}
    for one in counts:
        entry = sums.setdefault((one.model_version_id, one.name), {True: [0, 0], False: [0, 0]})
        entry[one.blind][0] += one.answers * (one.predicted == one.given)
        entry[one.blind][1] += one.answers
    return tuple(
        ModelAgreement(version_id, name, blind=Share(*entry[True]), shown=Share(*entry[False]))
        for (version_id, name), entry in sums.items()
    )


def by_label(
    counts: Sequence[ModelCount], version_id: int, labels: Sequence[str]
) -> tuple[LabelAgreement, ...]:
    """Each label of a version against people's blind answers; empty without such answers."""
    mine = [one for one in counts if one.model_version_id == version_id and one.blind]
    if not mine:
        return ()
    found = []
    for label in labels:
        same = sum(one.answers for one in mine if one.predicted == label == one.given)
        said = sum(one.answers for one in mine if one.predicted == label)
        given = sum(one.answers for one in mine if one.given == label)
        found.append(LabelAgreement(label, Share(same, said), Share(same, given)))
    return tuple(found)


def confusion_of(counts: Sequence[ModelCount], labels: Sequence[str]) -> Confusion:
    """People's answers against predictions over all versions: blind ones, or all where none is blind."""
    blind = any(one.blind for one in counts)
    position = {label: index for index, label in enumerate(labels)}
    table = [[0] * len(labels) for _ in labels]
    for one in counts:
        if (one.blind or not blind) and one.predicted in position and one.given in position:
            table[position[one.predicted]][position[one.given]] += one.answers
    return Confusion(tuple(labels), tuple(tuple(row) for row in table), blind)
