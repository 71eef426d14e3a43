import pytest

from integrations.label_studio.convert import Answer, read_result, to_answers, unknown_labels
from tests.contracts.label_studio.conftest import annotate, answer_body, next_task, task, user_id

pytestmark = pytest.mark.label_studio


@pytest.fixture
def task_id(label_studio, lane):
    return label_studio.push(lane, [task(1)])["visit-1"]


def read(label_studio, lane, task_id):
    [found] = label_studio.read_tasks(lane, [task_id])
    return found


def test_a_task_without_answers_is_read_too(label_studio, lane, task_id):
    found = read(label_studio, lane, task_id)
    assert (found.visit_key, found.is_labeled, found.annotations) == ("visit-1", False, ())


def test_an_answer_comes_back_whole(label_studio, lane, task_id, ann, config):
    made = annotate(ann, task_id, "negative")
    found = read(label_studio, lane, task_id)
    [one] = found.annotations
    assert (one.annotation_id, one.task_id) == (made, task_id)
    assert one.completed_by == one.updated_by == user_id(ann)
    assert not one.was_cancelled
    assert not one.ground_truth
    assert one.lead_time_s == 2.5
    assert one.created_at.utcoffset() is not None
    assert to_answers(config, one.result) == (Answer("label", "choice", "negative"),)
    assert found.is_labeled


def test_an_edit_moves_the_moment_and_names_the_writer(label_studio, lane, task_id, ann, ben):
    made = annotate(ann, task_id)
    before = read(label_studio, lane, task_id)
    assert ben.patch(f"/api/annotations/{made}/", json=answer_body("neutral")).status_code == 200
    [stamp] = label_studio.changed_tasks(lane, before.updated_at)
    after = read(label_studio, lane, stamp.task_id)
    [old], [new] = before.annotations, after.annotations
    assert new.annotation_id == old.annotation_id
    assert new.updated_at > old.updated_at
    assert (new.completed_by, new.updated_by) == (user_id(ann), user_id(ben))


def test_a_skip_is_kept_and_the_task_is_offered_to_others(label_studio, lane, task_id, ann, ben):
    assert next_task(ann, lane)["id"] == task_id
    body = {"result": [], "was_cancelled": True, "lead_time": 1.0}
    assert ann.post(f"/api/tasks/{task_id}/annotations/", json=body).status_code == 201
    found = read(label_studio, lane, task_id)
    assert [(one.was_cancelled, one.result) for one in found.annotations] == [(True, [])]
    assert not found.is_labeled
    assert next_task(ann, lane) is None
    assert next_task(ben, lane)["id"] == task_id


def test_a_deletion_moves_the_moment_and_the_annotation_is_gone(label_studio, lane, task_id, ann):
    made = annotate(ann, task_id)
    before = read(label_studio, lane, task_id)
    assert ann.delete(f"/api/annotations/{made}/").status_code == 204
    [stamp] = label_studio.changed_tasks(lane, before.updated_at)
    after = read(label_studio, lane, stamp.task_id)
    assert after.annotations == ()
    assert not after.is_labeled


def test_doubled_answers_are_all_there(label_studio, lane, task_id, ann, ben):
    made = [annotate(ann, task_id), annotate(ann, task_id, "negative"), annotate(ben, task_id)]
    found = read(label_studio, lane, task_id)
    assert [one.annotation_id for one in found.annotations] == made
    assert [one.completed_by for one in found.annotations] == [user_id(ann), user_id(ann), user_id(ben)]


def test_an_unknown_label_is_taken_by_the_server_and_found_by_us(label_studio, lane, task_id, ann, config):
    annotate(ann, task_id, "no such label")
    [one] = read(label_studio, lane, task_id).annotations
    assert unknown_labels(config, to_answers(config, one.result)) == ("no such label",)


def test_a_forged_author_shows_beside_the_real_writer(label_studio, lane, task_id, ann, ben):
    annotate(ann, task_id, completed_by=user_id(ben))
    [one] = read(label_studio, lane, task_id).annotations
    assert (one.completed_by, one.updated_by) == (user_id(ben), user_id(ann))


def test_a_lead_time_is_whatever_the_client_says(label_studio, lane, task_id, ann):
    annotate(ann, task_id, lead_time=-5.0)
    [one] = read(label_studio, lane, task_id).annotations
    assert one.lead_time_s == -5.0


@pytest.mark.parametrize(
    "result",
    [
        [],
        [{"from_name": "label", "to_name": "item", "type": "choices", "value": {}}],
        [{"from_name": "gone", "to_name": "item", "type": "choices", "value": {"choices": ["positive"]}}],
        [{"from_name": "label", "to_name": "item", "type": "choices", "value": {"choices": [1, None]}}],
    ],
)
def test_odd_results_the_server_takes_are_read_without_an_error(label_studio, lane, ann, config, result):
    task_id = label_studio.push(lane, [task(1)])["visit-1"]
    made = ann.post(f"/api/tasks/{task_id}/annotations/", json={"result": result})
    assert made.status_code == 201
    [one] = read(label_studio, lane, task_id).annotations
    found = read_result(config, one.result)
    assert found.answers == ()
    assert len(found.problems) == len(result)
