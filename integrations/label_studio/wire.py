"""What is said to Label Studio: lane descriptions, filters, import bodies, and their sizes."""

import html
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from integrations.label_studio import parse
from integrations.label_studio.errors import LabelStudioConfused, LabelStudioRejected
from integrations.label_studio.interface import MODEL_VERSION, LaneSpec, NewTask

TITLE_LENGTH = (3, 50)
LANE_LINE = "workbench lane "
_LANE_KEY = re.compile(r"[A-Za-z0-9._:-]{1,100}")
T = TypeVar("T")


def checked_key(key: str) -> str:
    """The lane's key, if a description can carry it."""
    if not _LANE_KEY.fullmatch(key):
        raise LabelStudioRejected(
            "a lane's key may hold letters, digits and . _ : - alone, at most 100 of them"
        )
    return key


def checked_title(title: str) -> str:
    """The title, in the length Label Studio takes."""
    shortest, longest = TITLE_LENGTH
    title = " ".join(title.split())[:longest].rstrip()
    if len(title) < shortest:
        raise LabelStudioRejected(f"the lane's title is too short; give {shortest} to {longest} characters")
    return title


def described(description: str, key: str) -> str:
    """A description that ends with the line by which we find the lane again."""
    return f"{description.strip()}\n{LANE_LINE}{checked_key(key)}".lstrip()


def shown_instruction(text: str) -> str:
    """The text as the HTML that Label Studio takes an instruction for: nothing in it is markup."""
    return html.escape(text, quote=False).replace("\n", "<br>")


def lane_body(spec: LaneSpec) -> dict[str, Any]:
    """The project of a lane: served by queue score, pre-labels shown, skipped tasks offered to others."""
    return {
        "title": checked_title(spec.title),
        "description": described(spec.description, spec.key),
        "label_config": spec.label_config,
        "expert_instruction": shown_instruction(spec.instruction),
        "show_instruction": bool(spec.instruction.strip()),
        "maximum_annotations": spec.overlap,
        "overlap_cohort_percentage": 100,
        "sampling": "Uncertainty sampling",
        "model_version": MODEL_VERSION,
        "show_collab_predictions": True,
        "show_skip_button": True,
        "skip_queue": "REQUEUE_FOR_OTHERS",
        "enable_empty_annotation": False,
        "show_annotation_history": False,
    }


def lane_line(description: str) -> str:
    """The description's last line, if it is the one with our key."""
    last = description.strip().rpartition("\n")[2].strip()
    return last if last.startswith(LANE_LINE) else ""


def column_filter(column: str, operator: str, kind: str, value: Any) -> dict[str, Any]:
    """One condition of a task list."""
    return {"filter": f"filter:{column}", "operator": operator, "type": kind, "value": value}


def ids_filter(task_ids: Sequence[int]) -> dict[str, Any]:
    """The condition that a task is one of these."""
    return column_filter("tasks:id", "in_list", "Number", list(task_ids))


def as_filter_time(moment: datetime) -> str:
    """A moment as Label Studio's filters take it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def encoded_task(task: NewTask) -> bytes:
    """The task with its prediction, as JSON for an import."""
    reserved = [name for name in task.data if name.startswith("wb_")]
    if reserved:
        raise LabelStudioRejected(
            "a task's data has fields that begin with wb_; these names are ours, rename them"
        )
    if not math.isfinite(task.queue_score):
        raise LabelStudioRejected(
            "a task's queue score is not a finite number; give a number, lower is served first"
        )
    data = task.data | {"wb_item_id": task.item_key, "wb_visit": task.visit_key}
    prediction = {"model_version": MODEL_VERSION, "score": task.queue_score, "result": task.result}
    try:
        return json.dumps(
            {"data": data, "predictions": [prediction]}, allow_nan=False, separators=(",", ":")
        ).encode()
    except (TypeError, ValueError):
        raise LabelStudioRejected(
            "a task's data holds a value that JSON cannot carry; send text and finite numbers"
        ) from None


def imported_ids(answer: Any, sent: int) -> list[int]:
    """The new tasks' ids in the order sent, if every count agrees."""
    report = parse.as_object(answer, "the import's report")
    ids = [
        parse.as_int(one, "a task's id")
        for one in parse.as_list(report.get("task_ids"), "the new tasks' ids")
    ]
    counts = (report.get("task_count"), report.get("prediction_count"), len(set(ids)))
    if counts != (sent, sent, sent):
        raise LabelStudioConfused(
            f"sent {sent} tasks with as many predictions, Label Studio reports {counts[0]} tasks and "
            f"{counts[1]} predictions; look at what the lane has before sending again"
        )
    return ids


def chunks(values: Sequence[T], size: Callable[[T], int], most: int, most_size: int) -> Iterator[list[T]]:
    """Runs of at most `most` values whose sizes add up to at most `most_size`, never an empty one."""
    chunk: list[T] = []
    total = 0
    for value in values:
        weight = size(value)
        if chunk and (len(chunk) >= most or total + weight > most_size):
            yield chunk
            chunk, total = [], 0
        chunk.append(value)
        total += weight
    if chunk:
        yield chunk
