"""Text classifiers: a head on the frozen encoder, and a fine-tuned model from a Hugging Face folder."""

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models import default_encoder
from models.encoder import PROBE_TEXTS, Encoder, forbid_downloads
from models.errors import ModelError, ModelUnavailable, WeightsRefused
from models.fast_linear import speed_up
from models.hf_directory import HfFolder, read_hf_folder
from models.interface import TEXT_CLASSIFICATION, ModelCard, RuntimeOptions, Scores
from models.label_mapping import label_columns
from models.linear_head import LinearHead
from models.runtime import cap_threads, run
from models.tokens import Tokens

# transformers keeps settings in globals while it builds a model.
_loading = threading.Lock()


class EncoderHeadPredictor:
    """A linear head on the embeddings of a frozen encoder."""

    def __init__(
        self,
        encoder: Encoder,
        head: LinearHead,
        *,
        labels: Sequence[str] = (),
        label_map: Mapping[str, str] | None = None,
    ) -> None:
        if encoder.identity != head.encoder:
            wanted, given = head.encoder, encoder.identity
            raise WeightsRefused(
                f"the head was trained on {wanted.name} at {wanted.max_tokens} tokens, the encoder is "
                f"{given.name} at {given.max_tokens} tokens or has other bytes; load the version that was "
                "registered, or train the head again"
            )
        self._encoder = encoder
        self._head = head
        self._labels = tuple(labels) or head.labels
        self._columns = label_columns(head.labels, self._labels, label_map or {}, where="the head")

    @property
    def labels(self) -> tuple[str, ...]:
        """Project labels, in the order of the columns."""
        return self._labels

    def predict(self, texts: Sequence[str]) -> Scores:
        """Label probabilities of each text, in the order given."""
        started = time.process_time()
        probabilities = self.score(self._encoder.embed(texts))
        return Scores(probabilities, seconds=time.process_time() - started)

    def score(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """Label probabilities, shape (n_items, n_labels), of embeddings made before by the same encoder."""
        return carry_over(self._head.probabilities(embeddings), self._columns)

    def card(self) -> ModelCard:
        """What the head was trained on, and how it did on examples it had not seen."""
        own = self._head.weights.size + self._head.bias.size
        identity = self._encoder.identity
        return ModelCard(
            name=f"linear head on {identity.name}", task=TEXT_CLASSIFICATION, labels=self._labels,
            licence=default_encoder.LICENCE, parameters=self._encoder.parameters + own, encoder=identity.name,
            max_tokens=identity.max_tokens, trained_on=self._head.trained_on,
            evaluation=self._head.evaluation, size_bytes=self._encoder.size_bytes + 4 * own,
        )  # fmt: skip


class HuggingFacePredictor:
    """A fine-tuned sequence classifier from a local folder; safetensors alone, never its own Python code."""

    def __init__(
        self,
        directory: Path,
        *,
        labels: Sequence[str] = (),
        label_map: Mapping[str, str] | None = None,
        max_tokens: int = 128,
        options: RuntimeOptions | None = None,
    ) -> None:
        folder = read_hf_folder(directory)
        self._labels = tuple(labels) or folder.labels
        self._columns = label_columns(
            folder.labels, self._labels, label_map or {}, where=f"model {directory.name}"
        )
        if folder.longest is not None and max_tokens > folder.longest:
            raise ModelError(
                f"max_tokens is {max_tokens}; model {directory.name} reads at most {folder.longest}"
            )
        self._folder = folder
        self._options = options or RuntimeOptions()
        self._max_tokens = max_tokens
        with _loading:
            self._model, self._tokens = _load_folder(folder, max_tokens)
        cap_threads(self._options.threads)
        self.fast = self._options.fast_linear and speed_up(self._model, self._probe)

    @property
    def labels(self) -> tuple[str, ...]:
        """Project labels, in the order of the columns."""
        return self._labels

    def predict(self, texts: Sequence[str]) -> Scores:
        """Label probabilities of each text, in the order given."""
        started = time.process_time()
        own = run(
            self._tokens.ids(texts), self._forward, width=len(self._folder.labels),
            pad_id=self._tokens.pad_id, options=self._options,
        )  # fmt: skip
        return Scores(carry_over(own, self._columns), seconds=time.process_time() - started)

    def card(self) -> ModelCard:
        """What the folder says of itself."""
        folder = self._folder
        return ModelCard(
            name=folder.directory.name, task=TEXT_CLASSIFICATION, labels=self._labels, licence=folder.licence,
            parameters=folder.parameters, encoder=None, max_tokens=self._max_tokens,
            trained_on=", ".join(folder.datasets) or "unknown", evaluation=None, size_bytes=folder.size_bytes,
        )  # fmt: skip

    def _forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self._model(input_ids=ids, attention_mask=mask).logits
        return torch.softmax(logits.float(), dim=-1)

    def _probe(self) -> torch.Tensor:
        ids = self._tokens.ids(PROBE_TEXTS)
        rows = [self._forward(torch.tensor([row]), torch.ones(1, len(row), dtype=torch.int64)) for row in ids]
        return torch.cat(rows)


def carry_over(own: NDArray[np.float32], columns: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities of the model's labels as probabilities of the project's; NaN rows stay NaN."""
    with np.errstate(invalid="ignore"):
        probabilities: NDArray[np.float32] = own @ columns
    return probabilities


def _load_folder(folder: HfFolder, max_tokens: int) -> tuple[torch.nn.Module, Tokens]:
    forbid_downloads()
    try:
        from transformers import AutoModelForSequenceClassification, AutoTokenizer  # noqa: PLC0415
        from transformers.utils import logging as transformers_logging  # noqa: PLC0415
    except ImportError as error:
        raise ModelUnavailable(f"{error.name} is not installed; run: pip install transformers") from error
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call,unused-ignore]
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        model, report = AutoModelForSequenceClassification.from_pretrained(
            folder.directory, use_safetensors=True, output_loading_info=True, dtype=torch.float32, **local
        )
        tokenizer = AutoTokenizer.from_pretrained(folder.directory, **local)
    except Exception as error:  # whatever a hostile folder provokes in there, it's the folder that is refused
        raise WeightsRefused(f"transformers cannot load {folder.directory}: {error}") from error
    # A layer without weights would be filled at random and answer with confidence.
    lacking = sorted(str(key) for key in [*report["missing_keys"], *report.get("mismatched_keys", [])])
    if lacking:
        raise WeightsRefused(f"{folder.directory} lacks weights for {', '.join(lacking[:5])}; copy it again")
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ModelUnavailable(
            f"the tokenizer in {folder.directory} has no fast form; save its tokenizer.json"
        )
    pad_id = getattr(model.config, "pad_token_id", None)
    if pad_id is None:
        pad_id = tokenizer.pad_token_id
    return model.eval(), Tokens(backend, max_tokens=max_tokens, pad_id=0 if pad_id is None else int(pad_id))
