from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.factories import NOW
from workbench.items.domain import Stage
from workbench.labeling.domain import (
    Heard,
    judge,
    lane_description,
    lane_title,
    missing_answers,
    queue_score,
    too_often_skipped,
)


def heard(n: int, user: int = 0, *labels: str, **odd) -> Heard:
    at = NOW + timedelta(seconds=n)
    given = {
        "ls_annotation_id": n,
        "completed_by": user or n,
        "updated_by": user or n,
        "skipped": False,
        "labels": labels or ("A",),
        "unknown": (),
        "problems": (),
        "lead_time_s": 3.0,
        "created_at": at,
        "updated_at": at,
        "result": (),
    } | odd
    return Heard(**given)


def statuses(*answers: Heard, overlap: int = 1) -> list[str]:
    return [one.status.value for one in judge(answers, overlap)]


def test_the_first_people_count_and_later_ones_are_above_the_overlap():
    judged = judge([heard(3), heard(1), heard(2)], overlap=2)
    assert [(one.heard.completed_by, one.status.value) for one in judged] == [
        (1, "counted"),
        (2, "counted"),
        (3, "above_overlap"),
    ]
    assert judged[2].reason == "answer 3 where 2 were wanted"


def test_at_the_same_moment_the_lower_id_was_first():
    twins = [heard(9, 9, created_at=NOW), heard(8, 8, created_at=NOW)]
    assert [one.heard.ls_annotation_id for one in judge(twins, 1)] == [8, 9]


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        (heard(2, 1), "not_counted", "a second answer by the same person"),
        (heard(2, 2, updated_by=7), "not_counted", "written by account 7 in the name of account 2"),
        (heard(2, 2, "Z", unknown=("Z",)), "not_counted", "label 'Z' is not one of the project's"),
        (heard(2, 2, labels=()), "not_counted", "no label was chosen"),
        (
            heard(2, 2, labels=(), problems=("the result is not a list",)),
            "not_counted",
            "the result is not a list",
        ),
        (heard(2, 2, "A", "B"), "not_counted", "2 labels were chosen where one is wanted"),
        (heard(2, 2, skipped=True, labels=()), "skipped", "skipped"),
        (heard(2, 2, completed_by=0, updated_by=None), "not_counted", "the account that wrote it is gone"),
        (heard(2, 2, updated_by=None), "counted", ""),
    ],
)
def test_what_cannot_be_used_is_kept_with_its_reason(answer, status, reason):
    found = judge([heard(1), answer], overlap=2)[1]
    assert (found.status.value, found.reason[: len(reason)]) == (status, reason)
    assert bool(reason) == bool(found.reason)


def test_a_forged_answer_takes_nobodys_place():
    assert statuses(heard(1, 5, updated_by=7), heard(2, 5)) == ["not_counted", "counted"]


def test_who_skips_and_answers_after_all_is_heard():
    assert statuses(heard(1, 5, skipped=True, labels=()), heard(2, 5)) == ["skipped", "counted"]


def test_a_deleted_first_answer_lets_the_next_one_count():
    assert statuses(heard(1), heard(2)) == ["counted", "above_overlap"]
    assert statuses(heard(2)) == ["counted"]


@given(
    st.lists(st.tuples(st.integers(1, 4), st.booleans(), st.integers(0, 2)), max_size=12),
    st.integers(1, 4),
    st.randoms(),
)
def test_judging_does_not_hang_on_the_order_of_reading(answers, overlap, random):
    given_ = [
        heard(n, user, *(["A"] * n_labels or ["A"]), skipped=skipped)
        for n, (user, skipped, n_labels) in enumerate(answers, start=1)
    ]
    shuffled = list(given_)
    random.shuffle(shuffled)
    judged = judge(given_, overlap)
    assert judge(shuffled, overlap) == judged
    counted = [one for one in judged if one.status == "counted"]
    assert len(counted) <= overlap
    assert len({one.heard.completed_by for one in counted}) == len(counted)
    assert missing_answers(judged, overlap) == overlap - len(counted)


@pytest.mark.parametrize(
    ("skips", "pool", "sent_on"), [(0, 0, False), (1, 1, True), (2, 5, False), (3, 5, True), (1, 2, False)]
)
def test_three_people_who_skip_or_the_whole_pool_send_it_on(skips, pool, sent_on):
    judged = judge([heard(n, n, skipped=True, labels=()) for n in range(1, skips + 1)], 1)
    assert too_often_skipped(judged, pool) is sent_on


def test_one_person_who_skips_thrice_is_one():
    assert not too_often_skipped(judge([heard(n, 1, skipped=True, labels=()) for n in (1, 2, 3)], 1), 5)


@given(st.text(max_size=80), st.text(max_size=80), st.sampled_from(list(Stage)), st.integers(1, 50))
def test_a_title_fits_the_card(project, pool, stage, overlap):
    assert 3 <= len(lane_title(project, pool, stage, overlap)) <= 50


def test_a_title_says_what_is_done():
    assert lane_title("Sentiment", "English", "label", 1) == "Sentiment · English"
    assert lane_title("Sentiment", "English", "adjudicate", 1).endswith(" · decide")
    assert lane_title("S" * 60, "P" * 60, "label", 3).endswith(" · 3 opinions")


def test_the_card_says_whose_it_is():
    assert lane_description(["Ada", "Ben"]).startswith("For: Ada, Ben\n")
    assert lane_description([]).startswith("For: nobody yet\n")


@given(st.integers(0, 100), st.integers(0, 100), st.integers(1, 10**8), st.integers(1, 10**8))
def test_higher_priority_then_first_come(priority, other, visit, later):
    one, two = queue_score(priority, visit), queue_score(other, later)
    assert (one < two) == ((-priority, visit) < (-other, later))
