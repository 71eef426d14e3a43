import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.label_studio.errors import LabelStudioConfused, LabelStudioRejected
from integrations.label_studio.interface import NewTask
from integrations.label_studio.wire import (
    as_filter_time,
    checked_key,
    chunks,
    described,
    encoded_task,
    imported_ids,
    lane_line,
    shown_instruction,
)


@given(st.lists(st.integers(0, 9)), st.integers(1, 5), st.integers(1, 20))
def test_chunks_keep_everything_in_order_within_the_limits(values, most, most_size):
    found = list(chunks(values, lambda value: value, most, most_size))
    assert [value for chunk in found for value in chunk] == values
    assert all(0 < len(chunk) <= most for chunk in found)
    assert all(len(chunk) == 1 or sum(chunk) <= most_size for chunk in found)


@given(st.text(max_size=60))
def test_a_description_ends_with_its_key_whatever_it_says(text):
    assert lane_line(described(text, "p1:pool2")) == "workbench lane p1:pool2"


@pytest.mark.parametrize("key", ["", "a b", "a\nb", "ключ", "x" * 101])
def test_keys_that_a_line_cannot_hold_are_refused(key):
    with pytest.raises(LabelStudioRejected):
        checked_key(key)


def test_a_description_without_a_key_has_none():
    assert lane_line("workbench lane x\nsomething a person added") == ""


def test_a_task_carries_our_keys_and_one_model_version():
    sent = json.loads(
        encoded_task(NewTask("v1", "i1", {"text": "naïve \ud83d"}, -1.5, "model-7", [{"a": 1}]))
    )
    assert sent == {
        "data": {"text": "naïve \ud83d", "wb_item_id": "i1", "wb_visit": "v1"},
        "predictions": [{"model_version": "workbench", "score": -1.5, "result": [{"a": 1}]}],
    }


@pytest.mark.parametrize(
    "task",
    [
        NewTask("v", "i", {"wb_visit": "x"}, 1.0),
        NewTask("v", "i", {}, float("inf")),
        NewTask("v", "i", {"a": float("nan")}, 1.0),
        NewTask("v", "i", {"a": datetime(2026, 1, 1, tzinfo=UTC)}, 1.0),
    ],
)
def test_tasks_that_cannot_be_sent_are_refused(task):
    with pytest.raises(LabelStudioRejected):
        encoded_task(task)


@pytest.mark.parametrize(
    "answer",
    [
        {"task_count": 2, "prediction_count": 2, "task_ids": [1]},
        {"task_count": 2, "prediction_count": 2, "task_ids": [1, 1]},
        {"task_count": 2, "prediction_count": 1, "task_ids": [1, 2]},
        {"task_count": 3, "prediction_count": 2, "task_ids": [1, 2]},
        {"task_count": 2, "prediction_count": 2, "task_ids": [1, "2"]},
        {"task_count": 2, "prediction_count": 2},
        [],
        None,
    ],
)
def test_counts_that_disagree_are_confusing(answer):
    with pytest.raises(LabelStudioConfused):
        imported_ids(answer, 2)


def test_times_are_sent_in_utc():
    moment = datetime(2026, 7, 1, 1, 2, 3, 4, tzinfo=timezone(timedelta(hours=2)))
    assert as_filter_time(moment) == "2026-06-30T23:02:03.000004Z"


def test_an_instruction_is_text_never_markup():
    assert shown_instruction("a < b & c\n<img src=x onerror=alert(1)>") == (
        "a &lt; b &amp; c<br>&lt;img src=x onerror=alert(1)&gt;"
    )
