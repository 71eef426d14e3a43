"""What a Hugging Face folder says of itself, and whether it may be loaded; imports no torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.errors import ModelUnavailable, WeightsRefused
from models.weights import TensorInfo, read_json, read_safetensors_header, resolve_inside, safe_files

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
SETTINGS_FILES = (CONFIG, "tokenizer_config.json", "processor_config.json", "preprocessor_config.json")
TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model")
HEADS = ("classifier.weight", "classifier.out_proj.weight", "score.weight", "logits_proj.weight")
# These families number positions from pad_token_id + 1, so two fewer tokens fit than positions exist.
OFFSET_POSITIONS = frozenset({"roberta", "xlm-roberta", "camembert", "mpnet", "xlm-roberta-xl", "longformer"})


@dataclass(frozen=True)
class HfFolder:
    """A checked folder of a sequence classifier.

    Attributes:
        directory: The folder.
        labels: The model's own labels, by the number of its outputs.
        longest: Most tokens the model reads; None where it sets no limit.
        parameters: Count of weights.
        size_bytes: Bytes of weights.
        licence: From the model card, else "unknown".
        datasets: Named by the model card as training data.
    """

    directory: Path
    labels: tuple[str, ...]
    longest: int | None
    parameters: int
    size_bytes: int
    licence: str
    datasets: tuple[str, ...]


def read_hf_folder(directory: Path) -> HfFolder:
    """A sequence classifier's folder, judged without loading it.

    Raises:
        ModelUnavailable: config, weights or tokenizer are missing.
        WeightsRefused: anything that could run code or reach out, broken weights, or no single-label
            classifier.
    """
    files = safe_files(directory)
    config = read_json(resolve_inside(directory, CONFIG))
    _refuse_remote_code(directory, files)
    labels = _labels(config, directory)
    weights = _weight_files(directory, files)
    tensors: dict[str, TensorInfo] = {}
    for path in weights:
        tensors.update(read_safetensors_header(path))
    for name in HEADS:
        if name in tensors and tensors[name].shape[0] != len(labels):
            raise WeightsRefused(
                f"{CONFIG} in {directory} names {len(labels)} labels and the weights have "
                f"{tensors[name].shape[0]} outputs; set id2label to the labels it was trained with"
            )
    if not any(name in files for name in TOKENIZER_FILES):
        raise ModelUnavailable(
            f"no tokenizer in {directory}; save the model's tokenizer.json beside the weights"
        )
    card = _front_matter(directory)
    return HfFolder(
        directory=directory,
        labels=labels,
        longest=_longest(config),
        parameters=sum(tensor.parameters for tensor in tensors.values()),
        size_bytes=sum(path.stat().st_size for path in weights),
        licence=card.get("license", ["unknown"])[0],
        datasets=tuple(card.get("datasets", [])),
    )


def _refuse_remote_code(directory: Path, files: dict[str, Path]) -> None:
    for name in SETTINGS_FILES:
        settings = read_json(files[name]) if name in files else {}
        for key in ("auto_map", "custom_pipelines"):
            if key in settings:
                raise WeightsRefused(
                    f"{name} in {directory} asks for its own Python code ({key}), which is never run; "
                    "use a model of an architecture that transformers itself carries"
                )
        for key in ("attn_implementation", "_attn_implementation", "_attn_implementation_internal"):
            if "/" in str(settings.get(key, "")):
                raise WeightsRefused(
                    f"{name} in {directory} asks for a kernel from the network ({key}); remove it"
                )
        if "quantization_config" in settings:
            raise WeightsRefused(
                f"{name} in {directory} describes quantised weights; save the model unquantised"
            )
    if "adapter_config.json" in files:
        raise WeightsRefused(
            f"{directory} holds an adapter for another model; merge it and save the whole model"
        )


def _labels(config: dict[str, Any], directory: Path) -> tuple[str, ...]:
    architectures = config.get("architectures") or ["none named"]
    if not str(architectures[0]).endswith("ForSequenceClassification"):
        raise WeightsRefused(
            f"{directory} holds {architectures[0]}, not a sequence classifier; "
            "give a fine-tuned classifier, or train a head on an encoder"
        )
    if config.get("problem_type") not in (None, "single_label_classification"):
        raise WeightsRefused(
            f"{directory} is a model for {config['problem_type']}; only one label per text is supported"
        )
    names = config.get("id2label") or {str(number): f"LABEL_{number}" for number in range(2)}
    if not isinstance(names, dict) or sorted(names) != sorted(str(number) for number in range(len(names))):
        raise WeightsRefused(f"id2label in {CONFIG} of {directory} must number the labels 0, 1, 2, …")
    labels = tuple(str(names[str(number)]) for number in range(len(names)))
    if len(labels) < 2 or len(set(labels)) != len(labels):  # noqa: PLR2004
        raise WeightsRefused(f"id2label in {CONFIG} of {directory} needs at least two different labels")
    return labels


def _weight_files(directory: Path, files: dict[str, Path]) -> list[Path]:
    if INDEX in files:
        places = read_json(files[INDEX]).get("weight_map")
        if not isinstance(places, dict) or not places:
            raise WeightsRefused(f"{INDEX} in {directory} has no weight_map; copy the model folder again")
        return [_safetensors(directory, name) for name in sorted({str(name) for name in places.values()})]
    if "model.safetensors" not in files:
        raise ModelUnavailable(
            f"no model.safetensors in {directory}; save the model as safetensors with save_pretrained"
        )
    return [files["model.safetensors"]]


def _safetensors(directory: Path, name: str) -> Path:
    if not name.endswith(".safetensors"):
        raise WeightsRefused(f"{INDEX} in {directory} points at {name!r}, which is not safetensors")
    return resolve_inside(directory, name)


def _longest(config: dict[str, Any]) -> int | None:
    positions = config.get("max_position_embeddings")
    if not isinstance(positions, int) or positions < 1:
        return None
    return positions - 2 if config.get("model_type") in OFFSET_POSITIONS else positions


def _front_matter(directory: Path) -> dict[str, list[str]]:
    """Keys of the model card's head, each with its values; enough of YAML for licence and data sets."""
    path = directory / "README.md"
    found: dict[str, list[str]] = {}
    if not path.is_file():
        return found
    with path.open(encoding="utf-8", errors="replace") as stream:
        lines = stream.read(20_000).splitlines()
    if not lines or lines[0].strip() != "---":
        return found
    key = ""
    for line in lines[1:]:
        if line.strip() == "---":
            break
        if line.lstrip().startswith("- ") and key:
            found[key].append(line.lstrip()[2:].strip().strip("\"'"))
        elif ":" in line and not line.startswith((" ", "\t")):
            key, _, value = line.partition(":")
            found[key] = [value.strip().strip("\"'")] if value.strip() else []
    return {key: values for key, values in found.items() if values}
