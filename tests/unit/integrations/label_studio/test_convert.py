import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.label_studio.convert import Answer, read_result, to_answers, to_result, unknown_labels
from integrations.label_studio.errors import LabelConfigInvalid
from integrations.label_studio.label_config import LabelOption, choices_config, parse

SINGLE = parse(choices_config([LabelOption("pos"), LabelOption("neg")], question="?"))
MULTIPLE = parse(
    choices_config([LabelOption("a"), LabelOption("b"), LabelOption("c")], question="?", multiple=True)
)
SPANS = parse(
    '<View><Labels name="ner" toName="t"><Label value="PER"/></Labels><Text name="t" value="$t"/>'
    '<Rating name="stars" toName="t"/><TextArea name="why" toName="t"/></View>'
)


def region(value, kind="choices", name="label", **more):
    return {"id": "r", "from_name": name, "to_name": "item", "type": kind, "value": value} | more


def test_a_prelabel_carries_label_and_confidence():
    assert to_result(SINGLE, ["pos"], 0.75) == [
        {
            "id": "wb-label",
            "from_name": "label",
            "to_name": "item",
            "type": "choices",
            "value": {"choices": ["pos"]},
            "score": 0.75,
        }
    ]
    assert "score" not in to_result(SINGLE, ["pos"])[0]
    assert "score" not in to_result(SINGLE, ["pos"], float("nan"))[0]
    assert to_result(SINGLE, []) == []


@pytest.mark.parametrize(
    ("config", "labels", "control"),
    [
        (SINGLE, ["other"], None),
        (SINGLE, ["pos", "neg"], None),
        (SPANS, ["PER"], None),
        (SINGLE, ["pos"], "none"),
    ],
)
def test_labels_a_control_cannot_take_are_refused(config, labels, control):
    with pytest.raises(LabelConfigInvalid):
        to_result(config, labels, 0.5, control=control)


@given(st.lists(st.sampled_from(["a", "b", "c"]), unique=True))
def test_labels_come_back(labels):
    result = json.loads(json.dumps(to_result(MULTIPLE, labels, 0.5)))
    assert to_answers(MULTIPLE, result) == tuple(Answer("label", "choice", label) for label in labels)
    assert read_result(MULTIPLE, result).problems == ()


def test_other_controls_keep_their_value_whole():
    result = [
        region({"start": 0, "end": 3, "text": "Ada", "labels": ["PER"]}, "labels", "ner"),
        region({"rating": 4}, "rating", "stars"),
        region({"text": ["weil"]}, "textarea", "why"),
        {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right"},
    ]
    found = read_result(SPANS, result)
    assert found.problems == ()
    assert [(a.control, a.kind) for a in found.answers] == [
        ("ner", "labels"),
        ("stars", "rating"),
        ("why", "textarea"),
        ("", "relation"),
    ]
    assert found.answers[0].value == '{"end":3,"labels":["PER"],"start":0,"text":"Ada"}'
    assert found.answers[2].value == '{"text":["weil"]}'


def test_unknown_labels_are_found_in_choices_and_spans():
    assert unknown_labels(SINGLE, to_answers(SINGLE, [region({"choices": ["pos"]})])) == ()
    assert unknown_labels(SINGLE, to_answers(SINGLE, [region({"choices": ["who"]})])) == ("who",)
    answers = to_answers(SPANS, [region({"labels": ["ORG", "PER"]}, "labels", "ner")])
    assert unknown_labels(SPANS, answers) == ("ORG",)
    assert unknown_labels(SPANS, to_answers(SPANS, [region({"text": ["x"]}, "textarea", "why")])) == ()
    assert unknown_labels(SINGLE, [Answer("gone", "choice", "x")]) == ()


@pytest.mark.parametrize(
    ("result", "problem"),
    [
        ("text", "not a list"),
        (None, "not a list"),
        ({}, "not a list"),
        ([7], "not an object"),
        ([region({"choices": []})], "no label"),
        ([region({})], "no label"),
        ([region(None)], "no value"),
        ([region({"choices": ["pos"]}, None)], "no type"),
        ([region({"choices": ["pos"]}, name="gone")], "no control"),
        ([region({"choices": ["pos"]}, name=["x"])], "no control"),
        ([region({"choices": [3]})], "not text"),
        ([region({"choices": ["pos", "neg"]})], "takes one label"),
        ([region({"rating": float("nan")}, "rating", "label")], "not proper JSON"),
    ],
)
def test_odd_results_give_a_reason(result, problem):
    [found] = read_result(SINGLE, result).problems
    assert problem in found


def test_a_doubled_choice_counts_once_and_nothing_is_nothing():
    assert to_answers(SINGLE, [region({"choices": ["pos", "pos"]}), region({"choices": "pos"})]) == (
        Answer("label", "choice", "pos"),
    )
    assert read_result(SINGLE, []) == read_result(SINGLE, ())


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "value", "from_name", "choices", "labels", "id"]) | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON, st.sampled_from(["choices", "labels", "rating", "relation", 3]))
def test_nothing_a_server_may_send_raises(value, kind):
    for config in (SINGLE, MULTIPLE, SPANS):
        for result in (value, [value], [region(value, kind)], [region(value, kind, "ner")]):
            found = read_result(config, result)
            assert all(isinstance(answer.value, str) for answer in found.answers)
            unknown_labels(config, found.answers)
