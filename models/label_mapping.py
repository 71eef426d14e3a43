"""From a model's own labels to the columns of a project."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from models.errors import LabelsDontMatch


def label_columns(
    model_labels: Sequence[str], project_labels: Sequence[str], label_map: Mapping[str, str], *, where: str
) -> NDArray[np.float32]:
    """Matrix of 0 and 1, shape (n_model_labels, n_project_labels), that carries probabilities over.

    Several labels of the model may become one of the project; their probabilities add up.

    Raises:
        LabelsDontMatch: a label of either side has no counterpart.

    >>> label_columns(["joy", "anger"], ["bad", "good"], {"joy": "good", "anger": "bad"}, where="m").tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    mapped = [label_map.get(label, label) for label in model_labels]
    if set(mapped) != set(project_labels) or len(set(project_labels)) != len(project_labels):
        raise LabelsDontMatch(tuple(dict.fromkeys(mapped)), project_labels, where=where)
    columns = np.zeros((len(model_labels), len(project_labels)), dtype=np.float32)
    for row, label in enumerate(mapped):
        columns[row, list(project_labels).index(label)] = 1
    return columns
