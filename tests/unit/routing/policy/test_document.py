import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.errors import PolicyInvalid
from routing.expressions import labels_named, parse
from routing.policy import Accept, RoutingPolicy, Rule, Stage, ToPeople, parse_policy, to_document
from tests.unit.routing.strategies import LABELS, conditions

EXAMPLE = {
    "rules": [
        {"name": "sure", "when": "confidence >= 0.9 and label not in ['self-harm']", "accept": True},
        {
            "name": "rest",
            "when": "true",
            "pool": "english",
            "overlap": 2,
            "show_suggestion": True,
            "priority": 50,
        },
    ],
    "audit_rate": 0.05,
    "blind_rate": 0.05,
}


def test_the_example():
    policy = parse_policy(EXAMPLE, labels=LABELS, pools=["english"])
    assert [rule.target for rule in policy.rules] == [Accept(), ToPeople("english", Stage.LABEL, 2, True, 50)]
    assert (policy.audit_rate, policy.blind_rate, policy.pools, policy.notes) == (
        0.05,
        0.05,
        ("english",),
        (),
    )
    assert policy.rules[0].when == parse("confidence >= 0.9 and label not in ['self-harm']")


@pytest.mark.parametrize("when", [True, {"always": True}, "true"])
def test_every_way_to_write_everything_closes_the_policy(when):
    policy = parse_policy({"rules": [{"name": "all", "when": when}]}, labels=LABELS)
    assert len(policy.rules) == 1
    assert policy.rules[0].is_catch_all


def test_an_open_policy_is_closed_and_says_so():
    for entry in (
        {"name": "everything else", "when": "missing"},
        {"name": "all", "when": "true", "accept": True},
    ):
        policy = parse_policy({"rules": [entry]}, labels=LABELS)
        assert policy.rules[-1].implicit
        assert policy.rules[-1].target == ToPeople()
        assert policy.rules[-1].name != entry["name"]
        assert "was added" in policy.notes[0]


def test_rules_that_never_apply_are_noted():
    rules = [{"name": "all", "when": "true"}, {"name": "late", "when": "missing"}]
    assert "the 1 after it never apply" in parse_policy({"rules": rules}, labels=LABELS).notes[0]


def test_the_promise_is_kept_unread():
    promise = {"epsilon": 0.05, "scope": {"labels": ["spam"]}}
    policy = parse_policy({**EXAMPLE, "promise": promise}, labels=LABELS)
    assert policy.promise == promise
    assert to_document(policy)["promise"] == promise


targets = st.just(Accept()) | st.builds(
    ToPeople,
    st.none() | st.sampled_from(["english", "german"]),
    st.sampled_from(Stage),
    st.integers(1, 50),
    st.booleans(),
    st.integers(0, 100),
)


@given(
    st.lists(st.tuples(conditions, targets), min_size=1, max_size=4),
    st.floats(0, 1),
    st.none() | st.integers(1, 5),
)
def test_policies_round_trip_through_json(rules, rate, overlap):
    named = tuple(Rule(f"r{i}", when, target) for i, (when, target) in enumerate(rules))
    labels = {label for when, _ in rules for label in labels_named(when)} | set(LABELS)
    written = to_document(RoutingPolicy(named, rate, rate, overlap, overlap, {"epsilon": 0.1}))
    policy = parse_policy(json.loads(json.dumps(written)), labels=sorted(labels))
    assert policy.rules[: len(named)] == named
    assert (policy.audit_rate, policy.blind_overlap) == (rate, overlap)
    assert to_document(policy) == written
    assert parse_policy(to_document(policy), labels=sorted(labels)) == policy


def rule(**entry):
    return {"rules": [{"name": "a", "when": "true", **entry}]}


@pytest.mark.parametrize(
    ("document", "path", "hint"),
    [
        ([], "policy", None),
        ({}, "rules", None),
        ({"rules": []}, "rules", None),
        ({"rules": ["x"]}, "rules[0]", None),
        ({"ruls": []}, "ruls", "rules"),
        ({**EXAMPLE, "audit_rte": 1}, "audit_rte", "audit_rate"),
        ({**EXAMPLE, "audit_rate": 5}, "audit_rate", None),
        ({**EXAMPLE, "audit_rate": "5%"}, "audit_rate", None),
        ({**EXAMPLE, "audit_rate": True}, "audit_rate", None),
        ({**EXAMPLE, "audit_rate": float("nan")}, "audit_rate", None),
        ({**EXAMPLE, "blind_overlap": 0}, "blind_overlap", None),
        ({**EXAMPLE, "promise": 3}, "promise", None),
        (rule(name=""), "rules[0].name", None),
        ({"rules": [{"name": "a"}]}, "rules[0].when", None),
        (rule(when=None), "rules[0].when", None),
        (rule(when="label == 'spma'"), "rules[0].when", "spam"),
        (rule(when="confidance > 1"), "rules[0].when", "confidence"),
        (rule(when={"field": "label", "op": "in", "value": ["hamm"]}), "rules[0].when", "ham"),
        (rule(overlp=2), "rules[0].overlp", "overlap"),
        (rule(overlap=True), "rules[0].overlap", None),
        (rule(overlap=1.5), "rules[0].overlap", None),
        (rule(priority=101), "rules[0].priority", None),
        (rule(show_suggestion="no"), "rules[0].show_suggestion", None),
        (rule(stage="lable"), "rules[0].stage", "label"),
        (rule(pool="englisch"), "rules[0].pool", "english"),
        (rule(pool=3), "rules[0].pool", None),
        (rule(accept=1), "rules[0].accept", None),
        (rule(accept=True, pool="english"), "rules[0].pool", None),
        ({"rules": [*rule()["rules"], *rule()["rules"]]}, "rules[1].name", None),
    ],
)
def test_refusals_name_the_path_and_the_word_meant(document, path, hint):
    with pytest.raises(PolicyInvalid) as caught:
        parse_policy(document, labels=LABELS, pools=["english"])
    assert (caught.value.path, caught.value.did_you_mean) == (path, hint)
