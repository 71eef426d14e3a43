import random
from datetime import UTC, datetime, timedelta

import pytest

from integrations.label_studio.convert import to_result
from integrations.label_studio.errors import LabelStudioRejected
from tests.contracts.label_studio.conftest import annotate, next_task, task

pytestmark = pytest.mark.label_studio


def test_pushed_tasks_are_found_by_visit(label_studio, lane, config):
    tasks = [task(n, result=to_result(config, ["positive"], 0.7)) for n in range(5)]
    made = label_studio.push(lane, tasks)
    assert sorted(made) == [one.visit_key for one in tasks]
    assert label_studio.task_ids(lane) == set(made.values())
    assert label_studio.find_tasks(lane, ["visit-1", "visit-4", "visit-9"]) == {
        "visit-1": [made["visit-1"]],
        "visit-4": [made["visit-4"]],
    }
    assert label_studio.find_tasks(lane, []) == {}
    assert label_studio.push(lane, []) == {}


def test_duplicates_are_visible(label_studio, lane):
    first, second = (label_studio.push(lane, [task(1)])["visit-1"] for _ in range(2))
    assert label_studio.find_tasks(lane, ["visit-1"]) == {"visit-1": [first, second]}


def test_more_than_one_chunk_is_pushed_found_listed_and_read(label_studio, lane):
    made = label_studio.push(lane, [task(n) for n in range(1_203)])
    assert len(set(made.values())) == 1_203
    assert label_studio.task_ids(lane) == set(made.values())
    assert label_studio.find_tasks(lane, made) == {key: [one] for key, one in made.items()}
    stamps = label_studio.changed_tasks(lane, None)
    assert {stamp.task_id for stamp in stamps} == set(made.values())
    assert [s.updated_at for s in stamps] == sorted(s.updated_at for s in stamps)
    answers = label_studio.read_tasks(lane, made.values())
    assert {answer.visit_key: answer.task_id for answer in answers} == made


def test_lower_scores_are_served_first_whatever_model_predicted_and_when(
    label_studio, lane, config, ann, ben
):
    order = list(range(12))
    random.Random(3).shuffle(order)
    result = to_result(config, ["positive"], 0.6)
    label_studio.push(
        lane, [task(n, n, result=result if n % 2 else [], model_version="model-1") for n in order]
    )
    served = []
    for turn in range(6):
        shown = next_task((ann, ben)[turn % 2], lane)
        served.append(shown["data"]["wb_visit"])
        annotate((ann, ben)[turn % 2], shown["id"])
    later = [task(100 + n, -2.0 + n, result=result, model_version="model-2") for n in range(2)]
    label_studio.push(lane, later)
    shown_results = []
    for turn in range(8):
        shown = next_task((ann, ben)[turn % 2], lane)
        served.append(shown["data"]["wb_visit"])
        shown_results.append(shown["predictions"][0]["result"])
        annotate((ann, ben)[turn % 2], shown["id"])
    expected = [*range(6), 100, 101, *range(6, 12)]
    assert served == [f"visit-{n}" for n in expected]
    assert [bool(result) for result in shown_results] == [True, True, False, True, False, True, False, True]
    assert shown_results[0][0]["score"] == 0.6
    assert next_task(ann, lane) is None


def test_an_empty_prediction_shows_nothing_and_keeps_its_place(label_studio, lane, ann):
    label_studio.push(lane, [task(1, 2.0), task(2, 1.0)])
    shown = next_task(ann, lane)
    assert shown["data"]["wb_visit"] == "visit-2"
    assert shown["predictions"][0]["result"] == []


def test_overlap_asks_two_people_and_no_more(label_studio, make_lane, ann, ben):
    lane = make_lane(overlap=2)
    made = label_studio.push(lane, [task(1)])
    annotate(ann, next_task(ann, lane)["id"])
    assert next_task(ann, lane) is None
    assert [one.is_labeled for one in label_studio.read_tasks(lane, made.values())] == [False]
    annotate(ben, next_task(ben, lane)["id"], "negative")
    [done] = label_studio.read_tasks(lane, made.values())
    assert done.is_labeled
    assert len(done.annotations) == 2


def test_a_closed_task_is_hidden_and_a_reopened_one_served_to_somebody_else(label_studio, lane, ann, ben):
    made = label_studio.push(lane, [task(1), task(2)])
    label_studio.close_task(made["visit-1"])
    assert next_task(ann, lane)["id"] == made["visit-2"]
    annotate(ann, made["visit-2"])
    assert next_task(ben, lane) is None
    label_studio.reopen_task(made["visit-2"], 2)
    assert next_task(ann, lane) is None
    assert next_task(ben, lane)["id"] == made["visit-2"]


def test_changes_are_seen_after_the_cursor_alone(label_studio, lane, ann):
    made = label_studio.push(lane, [task(n) for n in range(4)])
    stamps = label_studio.changed_tasks(lane, None)
    assert len(stamps) == 4
    cursor = stamps[-1].updated_at
    assert label_studio.changed_tasks(lane, cursor) == []
    annotate(ann, made["visit-2"])
    [changed] = label_studio.changed_tasks(lane, cursor)
    assert changed.task_id == made["visit-2"]
    assert cursor < changed.updated_at <= datetime.now(UTC) + timedelta(seconds=5)


def test_paging_by_moment_misses_none_and_doubles_none(label_studio, lane, monkeypatch):
    made = label_studio.push(lane, [task(n) for n in range(23)])
    monkeypatch.setattr("integrations.label_studio.listing.PAGE", 5)
    stamps = label_studio.changed_tasks(lane, None)
    assert sorted(stamp.task_id for stamp in stamps) == sorted(made.values())
    assert label_studio.task_ids(lane) == set(made.values())


def test_paging_where_many_tasks_share_one_moment(label_studio, lane, ann, monkeypatch):
    made = label_studio.push(lane, [task(n) for n in range(13)])
    for one in made.values():
        annotate(ann, one)
    # The data manager's bulk actions stamp every task with the same moment.
    body = {"selectedItems": {"all": True, "excluded": []}}
    params = {"id": "delete_tasks_annotations", "project": lane}
    assert ann.post("/api/dm/actions", params=params, json=body).status_code == 200
    monkeypatch.setattr("integrations.label_studio.listing.PAGE", 5)
    stamps = label_studio.changed_tasks(lane, None)
    assert len({stamp.updated_at for stamp in stamps}) < 13
    assert sorted(stamp.task_id for stamp in stamps) == sorted(made.values())


def test_deleted_tasks_are_left_out_and_deleting_them_again_does_no_harm(label_studio, lane):
    made = label_studio.push(lane, [task(n) for n in range(4)])
    gone = [made["visit-0"], made["visit-3"]]
    label_studio.delete_tasks(lane, gone)
    label_studio.delete_tasks(lane, gone)
    label_studio.delete_tasks(lane, [])
    kept = {made["visit-1"], made["visit-2"]}
    assert label_studio.task_ids(lane) == kept
    assert {one.task_id for one in label_studio.read_tasks(lane, made.values())} == kept
    label_studio.delete_tasks(lane, kept)
    assert label_studio.task_ids(lane) == set()
    assert label_studio.changed_tasks(lane, None) == []


def test_deleting_touches_only_the_given_lane(label_studio, make_lane):
    mine, other = make_lane(), make_lane()
    label_studio.push(mine, [task(1)])
    theirs = label_studio.push(other, [task(1)])
    label_studio.delete_tasks(mine, theirs.values())
    assert label_studio.task_ids(other) == set(theirs.values())


def test_nothing_is_sent_when_one_task_is_wrong(label_studio, lane):
    for wrong in (task(2, float("nan")), task(1)):
        with pytest.raises(LabelStudioRejected):
            label_studio.push(lane, [task(1), wrong])
    assert label_studio.task_ids(lane) == set()


def test_a_missing_field_is_refused_as_a_whole(label_studio, lane):
    odd = task(1)
    odd = type(odd)(odd.visit_key, odd.item_key, {"other": "x"}, 1.0)
    with pytest.raises(LabelStudioRejected) as caught:
        label_studio.push(lane, [task(2), odd])
    assert caught.value.status == 400
    assert label_studio.task_ids(lane) == set()


def test_text_of_every_kind_comes_back_as_it_was(label_studio, lane, ann):
    texts = ["naïve 日本語 🙂 \u202eabc", 'quote " \\ back', "<b>&amp;</b> $x {{y}}", "line\nbreak\ttab"]
    tasks = [task(n) for n in range(len(texts))]
    tasks = [
        type(one)(one.visit_key, one.item_key, {"text": text}, 1.0)
        for one, text in zip(tasks, texts, strict=True)
    ]
    made = label_studio.push(lane, tasks)
    for one, text in zip(tasks, texts, strict=True):
        assert ann.get(f"/api/tasks/{made[one.visit_key]}/").json()["data"]["text"] == text


def test_visit_keys_of_any_form_are_found(label_studio, lane):
    keys = ["a,b", 'say "hi"', "ключ", "x" * 300, "100%", "a&b=c"]
    tasks = [type(task(0))(key, "item", {"text": "t"}, 1.0) for key in keys]
    made = label_studio.push(lane, tasks)
    assert label_studio.find_tasks(lane, keys) == {key: [made[key]] for key in keys}
