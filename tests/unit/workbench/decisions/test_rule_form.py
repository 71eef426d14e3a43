"""A policy document as a form and back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from routing.errors import PolicyInvalid
from routing.policy import parse_policy, to_document
from workbench.decisions.rule_form import (
    RuleLine,
    document_of,
    error_place,
    form_of,
    plain_words,
    threshold_of,
    with_threshold,
)
from workbench.errors import InvalidInput

DOCUMENT = {
    "rules": [
        {"name": "never", "when": "label == 'spam'", "overlap": 3, "show_suggestion": False, "priority": 90},
        {"name": "sure", "when": "confidence >= 0.9 and language == 'en'", "accept": True},
        {"name": "rest", "when": "true", "pool": "english", "stage": "label", "overlap": 1},
    ],
    "audit_rate": 0.05,
    "blind_rate": 0.1,
    "audit_overlap": 2,
    "promise": {"epsilon": 0.05},
}


def canonical(document: dict) -> dict:
    return to_document(parse_policy(document, labels=["spam", "ham"]))


def test_a_form_left_alone_means_the_same_document() -> None:
    form = form_of(DOCUMENT)
    assert canonical(document_of(form, form.threshold)) == canonical(DOCUMENT)


def test_a_new_threshold_changes_the_first_accepting_rule_alone() -> None:
    form = form_of(DOCUMENT)
    changed = document_of(replace(form, threshold="0.95"), form.threshold)
    assert changed["rules"][1]["when"] == "confidence >= 0.95 and language == 'en'"
    assert changed["rules"][0] == document_of(form, form.threshold)["rules"][0]
    assert threshold_of(changed) == 0.95


def test_a_policy_without_threshold_cannot_get_one() -> None:
    with pytest.raises(InvalidInput, match="no rule accepts"):
        with_threshold({"rules": [{"name": "all", "when": "true"}]}, 0.5)


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"audit_percent": "many"}, "audit_rate"),
        ({"blind_percent": "101"}, "blind_rate"),
        ({"threshold": "2"}, "threshold"),
        ({"audit_overlap": "two"}, "audit_overlap"),
        ({"rules": (RuleLine(),)}, "rules"),
        ({"rules": (RuleLine(name="a", overlap="x"),)}, "rules[0].overlap"),
    ],
)
def test_numbers_that_cannot_be_read_say_where(changes: dict, path: str) -> None:
    with pytest.raises(PolicyInvalid) as problem:
        document_of(replace(form_of(DOCUMENT), **changes), "0.9")
    assert problem.value.path == path


def test_an_error_is_placed_past_blank_lines() -> None:
    lines = [RuleLine(), RuleLine(name="a", when="confidance > 1")]
    problem = PolicyInvalid("rules[0].when", "`confidance` is not a known field", "confidence", 1)
    place, words = error_place(problem, lines)
    assert place == 1
    assert "character 1" in words
    assert "confidence" in words


def test_rules_in_words_say_who_does_what() -> None:
    policy = parse_policy(DOCUMENT, labels=["spam", "ham"])
    words = plain_words(policy, {"english": "English readers"})
    assert words[0][2] == "3 people of the project's own pool label it, without the prediction, priority 90"
    assert words[1][2] == "the model's label is accepted; 5% are drawn for audit"
    assert words[2][1:] == (
        "every item left",
        "1 person of English readers label it, with the prediction shown, priority 50",
    )
