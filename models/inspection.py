"""From a folder to the draft of a model version.

It reads names, sizes and hashes alone, so that a process without torch may call it.
"""

from pathlib import Path

from models import keyword
from models.errors import ModelUnavailable
from models.hf_directory import CONFIG, read_hf_folder
from models.interface import Inspection, Kind, ModelSpec
from models.linear_head import FACTS_NAME, load_head
from models.weights import hash_folder, safe_files


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
