"""From a registered model version to a predictor, and from a folder to the draft of a version.

`inspect` reads names, sizes and hashes alone, so a process without torch may call it; `load` imports torch
for the kinds that need it, when called.
"""

from pathlib import Path

import numpy as np

from models import keyword
from models.errors import ModelError, ModelUnavailable
from models.hf_directory import CONFIG, read_hf_folder
from models.interface import (
    TEXT_CLASSIFICATION,
    Inspection,
    Kind,
    ModelSpec,
    Predictor,
    RuntimeOptions,
    Scores,
)
from models.linear_head import FACTS_NAME, load_head
from models.weights import hash_folder, safe_files, verify_folder

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


def inspect(directory: Path | str) -> Inspection:
    """The draft of a model version for a folder: its kind, its own labels, hashes, licence and size.

    Raises:
        ModelUnavailable: the folder or one of its files is missing, or it holds no model known here.
        WeightsRefused: anything in it is unsafe or broken.
    """
    folder = Path(directory).absolute()
    files = safe_files(folder)
    if FACTS_NAME in files:
        return _inspect_head(folder)
    if keyword.FILE_NAME in files:
        return _inspect_keyword(folder)
    if CONFIG in files:
        return _inspect_hf(folder)
    raise ModelUnavailable(
        f"no model in {folder}: expected {FACTS_NAME} (a head), {CONFIG} (a Hugging Face folder) "
        f"or {keyword.FILE_NAME}"
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


def _inspect_head(folder: Path) -> Inspection:
    head = load_head(folder)
    spec = ModelSpec(
        kind=Kind.ENCODER_HEAD,
        uri=str(folder),
        labels=head.labels,
        sha256=hash_folder(folder),
        max_tokens=head.encoder.max_tokens,
    )
    parameters = head.weights.size + head.bias.size
    return Inspection(
        spec=spec, licence="unknown", parameters=parameters, size_bytes=4 * parameters,
        trained_on=head.trained_on, evaluation=head.evaluation,
    )  # fmt: skip


def _inspect_keyword(folder: Path) -> Inspection:
    predictor = keyword.load_keyword(folder)
    card = predictor.card()
    spec = ModelSpec(kind=Kind.KEYWORD, uri=str(folder), labels=predictor.labels, sha256=hash_folder(folder))
    return Inspection(
        spec=spec, licence=card.licence, parameters=card.parameters, size_bytes=card.size_bytes,
        trained_on=card.trained_on, evaluation=None,
    )  # fmt: skip


def _inspect_hf(folder: Path) -> Inspection:
    found = read_hf_folder(folder)
    default = ModelSpec.max_tokens
    spec = ModelSpec(
        kind=Kind.HF_DIRECTORY,
        uri=str(folder),
        labels=found.labels,
        sha256=hash_folder(folder),
        max_tokens=default if found.longest is None else min(default, found.longest),
    )
    return Inspection(
        spec=spec, licence=found.licence, parameters=found.parameters, size_bytes=found.size_bytes,
        trained_on=", ".join(found.datasets) or "unknown", evaluation=None,
    )  # fmt: skip
