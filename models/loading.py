"""From a registered model version to a predictor; torch is only imported for the kinds that need it."""

from pathlib import Path

import numpy as np

from models import keyword
from models.errors import ModelError
from models.interface import (
    TEXT_CLASSIFICATION,
    Kind,
    ModelSpec,
    Predictor,
    RuntimeOptions,
    Scores,
)
from models.linear_head import load_head
from models.weights import verify_folder

SMOKE_TEXTS = ("A plain sentence.", "", "Ünïcode 😀 مرحبا " + "and a long tail " * 200)


def load(spec: ModelSpec, *, options: RuntimeOptions | None = None) -> Predictor:
    """The predictor of a model version, after comparing every file with its registered hash.

    Raises:
        WeightsRefused: a file is unsafe, broken or not the one registered.
        LabelsDontMatch: the model's labels are not the version's.
        ModelUnavailable: a package or file is missing.
    """
    if spec.task != TEXT_CLASSIFICATION:
        raise ModelError(f"task {spec.task!r} is not supported; use {TEXT_CLASSIFICATION!r}")
    if not spec.labels:
        raise ModelError(f"the model version at {spec.uri} names no labels; set them to the project's")
    directory = Path(spec.uri)
    verify_folder(directory, spec.sha256)
    chosen = options or RuntimeOptions()
    match spec.kind:
        case Kind.KEYWORD:
            return keyword.load_keyword(directory, spec.labels, spec.label_map)
        case Kind.ENCODER_HEAD:
            return _load_encoder_head(spec, chosen)
        case Kind.HF_DIRECTORY:
            from models.text_classification import HuggingFacePredictor  # noqa: PLC0415 - imports torch

            return HuggingFacePredictor(
                directory,
                labels=spec.labels,
                label_map=spec.label_map,
                max_tokens=spec.max_tokens,
                options=chosen,
            )


def smoke(predictor: Predictor) -> Scores:
    """Scores of three texts (plain, empty, long with other scripts), after checking them.

    Raises:
        ModelError: the model gives no proper probabilities.
    """
    scores = predictor.predict(SMOKE_TEXTS)
    shape = (len(SMOKE_TEXTS), len(predictor.labels))
    if scores.probabilities.shape != shape:
        raise ModelError(f"the model answers with shape {scores.probabilities.shape} where {shape} is due")
    sums = scores.probabilities.sum(axis=1)
    if not np.isfinite(scores.probabilities).all() or np.abs(sums - 1).max() > 1e-4:  # noqa: PLR2004
        raise ModelError(
            "the model gives no proper probabilities on a plain, an empty or a long text; check its files"
        )
    return scores


def _load_encoder_head(spec: ModelSpec, options: RuntimeOptions) -> Predictor:
    from models.encoder import load_default_encoder  # noqa: PLC0415 - imports torch
    from models.text_classification import EncoderHeadPredictor  # noqa: PLC0415 - imports torch

    head = load_head(Path(spec.uri))
    encoder = load_default_encoder(spec.max_tokens, options)
    return EncoderHeadPredictor(encoder, head, labels=spec.labels, label_map=spec.label_map)
