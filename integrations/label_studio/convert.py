"""Labels to Label Studio's result form and back."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from integrations.label_studio.errors import LabelConfigInvalid
from integrations.label_studio.interface import JSON
from integrations.label_studio.label_config import Control, LabelConfig

CHOICE = "choice"
RELATION = "relation"


@dataclass(frozen=True)
class Answer:
    """One thing an annotation says.

    Attributes:
        control: The control's name; empty for a relation between regions.
        kind: `choice` for a chosen label, else the result's own type, e.g. `rating` or `labels`.
        value: The chosen label, or the whole value as JSON with sorted keys.
    """

    control: str
    kind: str
    value: str


@dataclass(frozen=True)
class ReadResult:
    """What an annotation says, and why parts of it could not be used."""

    answers: tuple[Answer, ...]
    problems: tuple[str, ...]


def to_result(
    config: LabelConfig, labels: Sequence[str], confidence: float | None = None, *, control: str | None = None
) -> list[dict[str, JSON]]:
    """A pre-label of a choices control in Label Studio's form; empty for no labels.

    Args:
        config: The lane's label config.
        labels: One label, or several where the control takes several.
        confidence: The model's real confidence in [0, 1], kept beside the choice.
        control: Its name; by default the first choices control.

    Raises:
        LabelConfigInvalid: The control is not there, or cannot take these labels.
    """
    chosen = config.control(control) if control is not None else config.choices()
    if chosen is None or chosen.type != "choices":
        raise LabelConfigInvalid("the label config has no Choices control for the model's labels; add one")
    if not labels:
        return []
    unknown = [label for label in labels if label not in chosen.labels]
    if unknown:
        raise LabelConfigInvalid(
            f"label {unknown[0][:50]!r} is not in control {chosen.name!r} "
            f"({', '.join(chosen.labels[:10])}); add it to the label config or map it to one of these"
        )
    if len(labels) > 1 and chosen.choice != "multiple":
        raise LabelConfigInvalid(
            f"control {chosen.name!r} takes one label and was given {len(labels)}; give one"
        )
    region: dict[str, JSON] = {
        "id": f"wb-{chosen.name}",
        "from_name": chosen.name,
        "to_name": chosen.to_name[0],
        "type": "choices",
        "value": {"choices": list(labels)},
    }
    if confidence is not None and math.isfinite(confidence):
        region["score"] = confidence
    return [region]


def to_answers(config: LabelConfig, result: Iterable[Any]) -> tuple[Answer, ...]:
    """What an annotation says; parts that make no sense are left out (`read_result` tells why)."""
    return read_result(config, result).answers


def read_result(config: LabelConfig, result: Any) -> ReadResult:
    """What an annotation says and what about it is odd; takes anything a server may send.

    Labels that are not in the label config are answers all the same: see `unknown_labels`.
    """
    if not isinstance(result, Iterable) or isinstance(result, str | bytes | Mapping):
        return ReadResult((), ("the result is not a list",))
    answers: dict[Answer, None] = {}
    problems: list[str] = []
    for region in result:
        found, problem = _region(config, region)
        answers |= dict.fromkeys(found)
        if problem:
            problems.append(problem)
    return ReadResult(tuple(answers), tuple(problems))


def unknown_labels(config: LabelConfig, answers: Iterable[Answer]) -> tuple[str, ...]:
    """Chosen labels that their control does not offer, each once."""
    unknown: dict[str, None] = {}
    for answer in answers:
        control = config.control(answer.control)
        if control is None:
            continue
        for label in _labels(answer):
            if control.labels and label not in control.labels:
                unknown.setdefault(label)
    return tuple(unknown)


def _labels(answer: Answer) -> list[str]:
    """The labels an answer uses: the choice itself, or those inside a region such as a span or a box."""
    if answer.kind == CHOICE:
        return [answer.value]
    value = json.loads(answer.value)
    inside = value.get(answer.kind) if isinstance(value, Mapping) and answer.kind.endswith("labels") else None
    return [label for label in inside if isinstance(label, str)] if isinstance(inside, list) else []


def _region(config: LabelConfig, region: Any) -> tuple[list[Answer], str]:
    if not isinstance(region, Mapping):
        return [], "a region is not an object"
    kind = region.get("type")
    if kind == RELATION:
        ends = {name: region.get(name) for name in ("from_id", "to_id", "direction", "labels")}
        return _as_json("", RELATION, ends)
    name = region.get("from_name")
    control = config.control(name) if isinstance(name, str) else None
    if control is None:
        return [], "a region belongs to no control of the label config"
    value = region.get("value")
    if not isinstance(kind, str) or not kind or not isinstance(value, Mapping):
        return [], f"a region of {control.name!r} has no type or no value"
    if kind == "choices" == control.type:
        return _choices(control, value.get("choices"))
    return _as_json(control.name, kind, value)


def _choices(control: Control, chosen: Any) -> tuple[list[Answer], str]:
    if isinstance(chosen, str):
        chosen = [chosen]
    if not isinstance(chosen, list) or not chosen:
        return [], f"a region of {control.name!r} has no label"
    answers = [Answer(control.name, CHOICE, label) for label in chosen if isinstance(label, str) and label]
    if len(answers) < len(chosen):
        return answers, f"a region of {control.name!r} has a label that is not text"
    if len(set(answers)) > 1 and control.choice != "multiple":
        return answers, f"control {control.name!r} takes one label and has {len(set(answers))}"
    return answers, ""


def _as_json(control: str, kind: str, value: Any) -> tuple[list[Answer], str]:
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError):
        return [], f"a region of {control!r} has a value that is not proper JSON"
    return [Answer(control, kind, text)], ""
