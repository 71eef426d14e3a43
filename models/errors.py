"""What can go wrong with a model; these know no HTTP.

ModelError
├── WeightsRefused     the files are not safe, not whole or not those that were registered
├── LabelsDontMatch    the model's labels and the project's labels differ
├── ModelUnavailable   a package or folder is missing; the message says what to install or where to look
└── NotEnoughLabels    too few examples to train a head
"""

import difflib
from collections.abc import Sequence


class ModelError(Exception):
    """Root of everything this library raises on purpose."""


class WeightsRefused(ModelError):
    """The files are not safe, not whole, or not those that were registered."""


class ModelUnavailable(ModelError):
    """A package or a folder that the model needs is not here."""


class NotEnoughLabels(ModelError):
    """Too few labelled examples to train a head."""


class LabelsDontMatch(ModelError):
    """The model's labels and the project's labels differ.

    Attributes:
        model_labels: What the model gives, after the label map.
        project_labels: What the project expects.
        nearest: Model label without a place -> project label spelled most like it, where there is one.
    """

    def __init__(self, model_labels: Sequence[str], project_labels: Sequence[str], *, where: str) -> None:
        self.model_labels = tuple(model_labels)
        self.project_labels = tuple(project_labels)
        self.nearest = nearest_names(self.model_labels, self.project_labels)
        super().__init__(_message(self.model_labels, self.project_labels, self.nearest, where))


def nearest_names(model_labels: Sequence[str], project_labels: Sequence[str]) -> dict[str, str]:
    """For each model label that the project lacks, the project label spelled most like it.

    >>> nearest_names(["POSITIVE", "neg"], ["positive", "neg"])
    {'POSITIVE': 'positive'}
    """
    folded = {label.casefold(): label for label in project_labels}
    found: dict[str, str] = {}
    for label in model_labels:
        if label in project_labels:
            continue
        close = difflib.get_close_matches(label.casefold(), list(folded), n=1, cutoff=0.5)
        if close:
            found[label] = folded[close[0]]
    return found


def _message(model: Sequence[str], project: Sequence[str], nearest: dict[str, str], where: str) -> str:
    extra = [label for label in model if label not in project]
    missing = [label for label in project if label not in model]
    has = f"the model has {_listed(model)}; the project has {_listed(project)}."
    parts = [f"the labels of {where} don't match the project's: {has}"]
    if extra:
        parts.append(f"Only in the model: {_listed(extra)}.")
    if missing:
        parts.append(f"Only in the project: {_listed(missing)}.")
    if nearest:
        pairs = ", ".join(f"{ours!r} -> {theirs!r}" for ours, theirs in nearest.items())
        parts.append(f"Nearest: {pairs}.")
    parts.append("Give a label map (model label: project label), or choose another model.")
    return " ".join(parts)


def _listed(labels: Sequence[str], limit: int = 20) -> str:
    shown = ", ".join(repr(label) for label in labels[:limit])
    more = len(labels) - limit
    if more > 0:
        shown += f" and {more} more"
    return shown or "none"
