from datetime import UTC, datetime

import pytest

from integrations.label_studio import parse
from integrations.label_studio.errors import LabelStudioConfused

TIME = "2026-11-22T10:43:36.073098Z"
ANNOTATION = {
    "id": 5,
    "result": [{"type": "choices"}],
    "completed_by": 2,
    "was_cancelled": False,
    "ground_truth": True,
    "created_at": TIME,
    "updated_at": TIME,
    "lead_time": 12.5,
    "updated_by": {"id": 3, "email": "x@example.com"},
}


def task(**more):
    return {
        "id": 1,
        "updated_at": TIME,
        "is_labeled": True,
        "data": {"wb_visit": "v"},
        "annotations": [],
    } | more


def test_a_task_is_read_whole():
    found = parse.task_answers(task(annotations=[ANNOTATION | {"id": 9}, ANNOTATION]))
    assert (found.task_id, found.visit_key, found.is_labeled) == (1, "v", True)
    assert found.updated_at == datetime(2026, 11, 22, 10, 43, 36, 73098, tzinfo=UTC)
    assert [one.annotation_id for one in found.annotations] == [5, 9]
    first = found.annotations[0]
    assert (first.completed_by, first.updated_by, first.lead_time_s, first.ground_truth) == (2, 3, 12.5, True)


def test_what_people_may_have_written_never_breaks_the_reading():
    odd = ANNOTATION | {
        "result": "text",
        "lead_time": "long",
        "completed_by": None,
        "updated_by": None,
        "unique_id": 4,
    }
    [found] = parse.task_answers(task(data=[], annotations=[odd])).annotations
    assert (found.result, found.lead_time_s, found.completed_by, found.updated_by, found.unique_id) == (
        [],
        None,
        0,
        None,
        None,
    )
    mixed = ANNOTATION | {"result": [1, {"a": 1}, None]}
    assert parse.task_answers(task(annotations=[mixed])).annotations[0].result == [{"a": 1}]


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        task(id="1"),
        task(id=True),
        task(updated_at="yesterday"),
        task(updated_at="2026-11-22T10:43:36"),
        task(annotations={}),
        task(annotations=[ANNOTATION | {"id": None}]),
        task(annotations=[ANNOTATION | {"completed_by": "x"}]),
    ],
)
def test_other_forms_are_confusing(value):
    with pytest.raises(LabelStudioConfused, match="unexpected form"):
        parse.task_answers(value)


def test_a_task_of_somebody_else_has_no_visit():
    assert parse.task_stamp(task(data={"wb_visit": 3})).visit_key is None
    assert parse.task_stamp({"id": 1, "updated_at": TIME}).visit_key is None
