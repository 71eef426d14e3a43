"""A classifier on frozen embeddings: logistic regression trained in seconds, stored without pickle.

`train_head` gives the same bytes for the same embeddings, labels and seed on one machine.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped,unused-ignore]

from models import default_encoder
from models.errors import LabelsDontMatch, ModelError, NotEnoughLabels, WeightsRefused
from models.interface import EncoderIdentity
from models.softmax_regression import (
    Floats,
    Ints,
    best_temperature,
    calibration_error,
    cross_fitted_gain,
    encode,
    fit,
    log_loss,
    spread_logits,
    stratified_folds,
    unseen_share_of,
    with_unseen,
)
from models.weights import read_json, read_safetensors_header, resolve_inside

TENSORS_NAME = "head.safetensors"
FACTS_NAME = "head.json"
FORMAT = 1
L2_GRID = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003)
MIN_CLASSES = 2
MIN_PER_CLASS = 2
MIN_PER_CLASS_FOR_TEMPERATURE = 5


@dataclass(frozen=True)
class TrainingFacts:
    """What a head was trained on and how well it did on examples it had not seen (k-fold).

    Attributes:
        n: Examples.
        counts: Label -> examples; labels without any are 0.
        seed: Seed of the folds.
        folds: Number of folds.
        l2: Penalty chosen from the grid by out-of-fold log loss.
        accuracy: Out of fold, in [0, 1].
        majority_share: Share of the commonest label: the accuracy of always saying it.
        log_loss: Out of fold, natural logarithm, temperature applied.
        calibration_error: Out of fold, top label, 15 bins, temperature applied.
        temperature_reason: Why the temperature is what it is.
        created_by: Library -> version.
    """

    n: int
    counts: dict[str, int]
    seed: int
    folds: int
    l2: float
    accuracy: float
    majority_share: float
    log_loss: float
    calibration_error: float
    temperature_reason: str
    created_by: dict[str, str]


@dataclass(frozen=True)
class LinearHead:
    """Weights from embeddings to label probabilities.

    Attributes:
        labels: Columns of the probabilities.
        weights: Shape (n_labels, dimensions), float32; zeros for labels without examples.
        bias: Shape (n_labels,), float32.
        seen: Shape (n_labels,): labels with at least one example.
        unseen_share: Probability that labels without examples share.
        temperature: Logits are divided by this.
        encoder: Whose embeddings these weights read.
        facts: What it was trained on.
        out_of_fold: Shape (n, n_labels), float32, probabilities of the training examples by heads that had
            not seen them, in the order given; not stored, so None after loading.
    """

    labels: tuple[str, ...]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    seen: NDArray[np.bool_]
    unseen_share: float
    temperature: float
    encoder: EncoderIdentity
    facts: TrainingFacts
    out_of_fold: NDArray[np.float32] | None = field(default=None, compare=False)

    def probabilities(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """Label probabilities, shape (n_items, n_labels); NaN rows where an embedding isn't finite."""
        with np.errstate(invalid="ignore"):
            logits = embeddings @ self.weights[self.seen].T + self.bias[self.seen]
        shares = with_unseen(logits.astype(np.float64), self.seen, self.unseen_share, self.temperature)
        return shares.astype(np.float32)

    @property
    def trained_on(self) -> str:
        """One sentence about the training data."""
        counts = ", ".join(f"{label} {count}" for label, count in self.facts.counts.items())
        return f"{self.facts.n} labels by people ({counts})"

    @property
    def evaluation(self) -> dict[str, Any]:
        """Figures measured on examples that the measured head had not seen."""
        facts = self.facts
        return {
            "method": f"{facts.folds}-fold cross-validation", "n": facts.n, "accuracy": facts.accuracy,
            "majority_share": facts.majority_share, "log_loss": facts.log_loss,
            "calibration_error": facts.calibration_error,
        }  # fmt: skip

    def save(self, directory: Path) -> dict[str, Path]:
        """Write `head.safetensors` and `head.json` into the folder; file name -> path."""
        directory.mkdir(parents=True, exist_ok=True)
        content = {
            "format": FORMAT, "labels": list(self.labels), "temperature": self.temperature,
            "seen": [bool(seen) for seen in self.seen], "unseen_share": self.unseen_share,
            "encoder": asdict(self.encoder), "training": asdict(self.facts),
        }  # fmt: skip
        text = json.dumps(content, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
        files = {
            TENSORS_NAME: save_tensors({"weights": self.weights, "bias": self.bias}),
            FACTS_NAME: text.encode(),
        }
        for name, content_bytes in files.items():
            # Renamed into place, so that a killed process leaves no half file under the real name.
            partial = directory / f"{name}.partial"
            partial.write_bytes(content_bytes)
            partial.replace(directory / name)
        return {name: directory / name for name in files}


def load_head(directory: Path) -> LinearHead:
    """The head stored in a folder.

    Raises:
        ModelUnavailable: a file is missing.
        WeightsRefused: a file is broken, or the two don't belong together.
    """
    tensors_path = resolve_inside(directory, TENSORS_NAME)
    read_safetensors_header(tensors_path)
    tensors = load_tensors(tensors_path.read_bytes())
    content = read_json(resolve_inside(directory, FACTS_NAME))
    try:
        head = _assemble(tensors, content)
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsRefused(f"{FACTS_NAME} in {directory} is not a head's description: {error}") from error
    shape = (len(head.labels), head.encoder.dimensions)
    whole = head.weights.shape == shape and head.bias.shape == head.seen.shape == shape[:1]
    finite = (
        np.isfinite(head.weights).all() and np.isfinite(head.bias).all() and 0 < head.temperature < np.inf
    )
    if not whole or not finite or not head.seen.any() or not 0 <= head.unseen_share < 1:
        raise WeightsRefused(f"{TENSORS_NAME} and {FACTS_NAME} in {directory} don't belong together")
    return head


def _assemble(tensors: dict[str, NDArray[Any]], content: dict[str, Any]) -> LinearHead:
    if content["format"] != FORMAT:
        raise ValueError(f"format {content['format']} is not {FORMAT}")
    return LinearHead(
        labels=tuple(str(label) for label in content["labels"]),
        weights=tensors["weights"].astype(np.float32),
        bias=tensors["bias"].astype(np.float32),
        seen=np.array(content["seen"], dtype=np.bool_),
        unseen_share=float(content["unseen_share"]),
        temperature=float(content["temperature"]),
        encoder=EncoderIdentity(**content["encoder"]),
        facts=TrainingFacts(**content["training"]),
    )


def train_head(
    embeddings: NDArray[np.float32],
    labels: Sequence[str],
    label_names: Sequence[str],
    *,
    encoder: EncoderIdentity | None = None,
    l2_grid: Sequence[float] = L2_GRID,
    n_folds: int = 5,
    seed: int = 0,
    threads: int = 1,
) -> LinearHead:
    """A head trained on people's labels, with penalty and temperature chosen out of fold.

    Args:
        embeddings: Shape (n, dimensions), finite.
        labels: One project label per embedding.
        label_names: All labels of the project, in the order of the columns; some may lack examples.
        encoder: Whose embeddings these are; None for the default encoder.
        l2_grid: Penalties to try, the inverse of scikit-learn's C.
        n_folds: Folds; fewer where there are fewer examples.
        seed: Seed of the folds.
        threads: BLAS threads; more than the free cores makes this a hundred times slower.

    Raises:
        NotEnoughLabels: fewer than 2 labels have at least 2 examples.
        LabelsDontMatch: an example carries a label that is not in `label_names`.
        ModelError: labels and embeddings differ in number, or an embedding isn't finite.
    """
    _check_examples(embeddings, labels, label_names)
    features = np.asarray(embeddings, dtype=np.float64)
    classes = encode(labels, label_names)
    folds = stratified_folds(classes, min(n_folds, len(labels)), np.random.default_rng(seed))
    grid = sorted(set(l2_grid), reverse=True)
    with threadpool_limits(limits=threads, user_api="blas"):
        held_out = _out_of_fold(features, classes, len(label_names), folds, grid)
        l2 = min(grid, key=lambda value: _held_out_loss(held_out[value], classes))
        seen = np.bincount(classes, minlength=len(label_names)) > 0
        theta = fit(features, _compact(classes, seen), int(seen.sum()), l2=l2)
        temperature, reason = _gated_temperature(held_out[l2], classes, folds, seen)
    shares = held_out[l2].probabilities(temperature)
    weights = np.zeros((len(label_names), features.shape[1]), dtype=np.float32)
    bias = np.zeros(len(label_names), dtype=np.float32)
    weights[seen], bias[seen] = theta[:, :-1], theta[:, -1]
    counts = Counter(labels)
    facts = TrainingFacts(
        n=len(labels),
        counts={name: counts[name] for name in label_names},
        seed=seed,
        folds=int(folds.max()) + 1,
        l2=l2,
        accuracy=float((shares.argmax(axis=1) == classes).mean()),
        majority_share=max(counts.values()) / len(labels),
        log_loss=log_loss(shares, classes),
        calibration_error=calibration_error(shares, classes),
        temperature_reason=reason,
        created_by={name: version(name) for name in ("numpy", "scipy", "safetensors")},
    )
    return LinearHead(
        labels=tuple(label_names), weights=weights, bias=bias, seen=seen,
        unseen_share=unseen_share_of(len(labels), seen), temperature=temperature,
        encoder=encoder or default_encoder.identity(), facts=facts, out_of_fold=shares.astype(np.float32),
    )  # fmt: skip


@dataclass(frozen=True)
class _HeldOut:
    """Logits of examples by the model that had not seen them, -inf for labels unseen in that fold."""

    logits: Floats
    seen_by_row: NDArray[np.bool_]
    n_trained: Ints

    def probabilities(self, temperature: float = 1.0) -> Floats:
        shares = np.empty_like(self.logits)
        patterns, groups = np.unique(self.seen_by_row, axis=0, return_inverse=True)
        for number, seen in enumerate(patterns):
            rows = groups.reshape(-1) == number
            share = unseen_share_of(int(self.n_trained[rows].min()), seen)
            shares[rows] = with_unseen(self.logits[rows][:, seen], seen, share, temperature)
        return shares


def _out_of_fold(
    features: Floats, classes: Ints, n_labels: int, folds: Ints, grid: Sequence[float]
) -> dict[float, _HeldOut]:
    shape = (len(classes), n_labels)
    logits = {l2: np.full(shape, -np.inf) for l2 in grid}
    seen_by_row = np.zeros(shape, dtype=np.bool_)
    n_trained = np.zeros(len(classes), dtype=np.int64)
    for fold in np.unique(folds):
        inside = folds == fold
        seen = np.bincount(classes[~inside], minlength=n_labels) > 0
        seen_by_row[inside], n_trained[inside] = seen, int((~inside).sum())
        theta: Floats | None = None
        for l2 in grid:  # from stiff to loose, each starting where the last one ended
            theta = fit(
                features[~inside], _compact(classes[~inside], seen), int(seen.sum()), l2=l2, start=theta
            )
            logits[l2][np.ix_(inside, seen)] = spread_logits(features[inside], theta)
    return {l2: _HeldOut(logits[l2], seen_by_row, n_trained) for l2 in grid}


def _held_out_loss(held_out: _HeldOut, classes: Ints) -> float:
    return log_loss(held_out.probabilities(), classes)


def _compact(classes: Ints, seen: NDArray[np.bool_]) -> Ints:
    numbers: Ints = np.cumsum(seen, dtype=np.int64) - 1
    return numbers[classes]


def _gated_temperature(
    held_out: _HeldOut, classes: Ints, folds: Ints, seen: NDArray[np.bool_]
) -> tuple[float, str]:
    # With classes missing from folds a temperature learns from those accidents, and calibration
    # gets ten times worse; so it has to earn its place.
    fewest = int(np.bincount(classes, minlength=len(seen))[seen].min())
    if fewest < MIN_PER_CLASS_FOR_TEMPERATURE:
        return 1.0, f"1: a label has {fewest} examples, fewer than {MIN_PER_CLASS_FOR_TEMPERATURE}"
    logits = held_out.logits[:, seen]
    compact = _compact(classes, seen)
    gain, error = cross_fitted_gain(logits, compact, folds)
    if gain <= error:
        return 1.0, f"1: held-out log loss gains {gain:.4f}, standard error {error:.4f}"
    temperature = best_temperature(logits, compact)
    return temperature, f"fitted: held-out log loss gains {gain:.4f}, standard error {error:.4f}"


def _check_examples(
    embeddings: NDArray[np.float32], labels: Sequence[str], label_names: Sequence[str]
) -> None:
    if embeddings.ndim != 2 or len(embeddings) != len(labels):  # noqa: PLR2004
        raise NotEnoughLabels(
            f"{len(labels)} labels came with embeddings of shape {embeddings.shape}; give one each"
        )
    if not np.isfinite(embeddings).all():
        raise ModelError("some embeddings are not finite; leave out the items that the encoder failed on")
    counts = Counter(labels)
    if len(set(label_names)) != len(label_names):
        raise ModelError(f"a label name stands twice in {list(label_names)}; keep one of each")
    if set(counts) - set(label_names):
        raise LabelsDontMatch(tuple(counts), tuple(label_names), where="the training examples")
    enough = [name for name, count in counts.items() if count >= MIN_PER_CLASS]
    if len(enough) < MIN_CLASSES:
        have = ", ".join(f"{name!r}: {counts[name]}" for name in label_names)
        raise NotEnoughLabels(
            f"training needs at least {MIN_CLASSES} labels with at least {MIN_PER_CLASS} examples each; "
            f"there are {have}"
        )
