"""What every model takes and returns; importing this never imports torch."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

TEXT_CLASSIFICATION = "text-classification"


class Kind(StrEnum):
    """How a model's folder is read."""

    ENCODER_HEAD = "encoder-head"
    HF_DIRECTORY = "hf-directory"
    KEYWORD = "keyword"


@dataclass(frozen=True)
class ModelSpec:
    """Everything needed to load one immutable model version again.

    Attributes:
        kind: How the folder is read.
        uri: The model's folder, as an absolute path.
        task: What the model does; only `text-classification` so far.
        labels: The project's labels, in the order of the columns of `Scores.probabilities`.
        label_map: The model's own label -> project label; a label that is absent maps to itself.
        sha256: File name relative to `uri` -> SHA-256 as hex, for all files that matter.
        max_tokens: Longer texts are cut to this many tokens, the closing [SEP] kept.
    """

    kind: Kind
    uri: str
    task: str = TEXT_CLASSIFICATION
    labels: tuple[str, ...] = ()
    label_map: dict[str, str] = field(default_factory=dict)
    sha256: dict[str, str] = field(default_factory=dict)
    max_tokens: int = 128


@dataclass(frozen=True)
class RuntimeOptions:
    """How much of the machine a model may use; the answers don't depend on it (beyond 1e-5).

    Attributes:
        threads: Threads for matrix products; None takes as many as there are CPUs for this process.
        token_budget: Padded tokens in one batch: items times the longest of them.
        fast_linear: Use oneDNN for linear layers where a self-test finds the same numbers.
    """

    threads: int | None = None
    token_budget: int = 4096
    fast_linear: bool = True


@dataclass(frozen=True)
class EncoderIdentity:
    """Which frozen encoder made the embeddings that a head was trained on.

    Attributes:
        name: Package or folder name.
        sha256: File name -> SHA-256 of weights, tokenizer and config.
        dimensions: Length of an embedding.
        max_tokens: Texts were cut to this many tokens.
    """

    name: str
    sha256: dict[str, str]
    dimensions: int
    max_tokens: int


@dataclass(frozen=True)
class Scores:
    """One row of label probabilities per text.

    Attributes:
        probabilities: Shape (n_items, n_labels), float32; rows sum to 1. A row of NaN means that the
            model failed on that text alone.
        seconds: CPU time of this process, over all its threads, in seconds (not wall time).
    """

    probabilities: NDArray[np.float32]
    seconds: float


@dataclass(frozen=True)
class ModelCard:
    """What a reader should know before trusting a model.

    Attributes:
        name: Short name of the model.
        task: What it does.
        labels: Project labels it can give.
        licence: SPDX name where known, else "unknown".
        parameters: Count of weights, encoder included.
        encoder: Name of the frozen encoder; None where the model is whole in itself.
        max_tokens: Longest text read, in tokens.
        trained_on: One sentence about the training data.
        evaluation: Measured figures with their sample size; None where nothing was measured.
        size_bytes: Bytes of weights read at load.
    """

    name: str
    task: str
    labels: tuple[str, ...]
    licence: str
    parameters: int
    encoder: str | None
    max_tokens: int
    trained_on: str
    evaluation: dict[str, Any] | None
    size_bytes: int


@dataclass(frozen=True)
class Inspection:
    """What a folder holds, read without loading it: the draft of a model version.

    Attributes:
        spec: Draft whose labels are the model's own; set `labels` and `label_map` before registering.
        licence: SPDX name from the folder's model card, else "unknown".
        parameters: Count of weights in the folder (without the encoder, for a head).
        size_bytes: Bytes of weights in the folder.
        trained_on: One sentence about the training data, "unknown" where the folder says nothing.
        evaluation: Measured figures stored with the model; None where there are none.
    """

    spec: ModelSpec
    licence: str
    parameters: int
    size_bytes: int
    trained_on: str
    evaluation: dict[str, Any] | None


@runtime_checkable
class Predictor(Protocol):
    """Gives every text a probability for each label."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Project labels, in the order of the columns."""
        ...

    def predict(self, texts: Sequence[str]) -> Scores:
        """Label probabilities of each text, in the order given; no text at all gives shape (0, n_labels)."""
        ...

    def card(self) -> ModelCard:
        """What a reader should know before trusting this model."""
        ...
