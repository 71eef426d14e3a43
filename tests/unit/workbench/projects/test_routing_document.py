"""From a project document to the routing policy it means."""

from __future__ import annotations

from typing import Any

from routing.policy import parse_policy
from workbench.projects.pools import pools_of, prices_of, suppliers_of
from workbench.projects.reading import read_document
from workbench.projects.routing_document import policy_document, readable_condition


def document(**values: Any) -> dict[str, Any]:
    return {"id": "x", "title": "X", "labels": [{"value": "a"}, {"value": "b"}, {"value": "c"}], **values}


def policy(**routing: Any) -> dict[str, Any]:
    made = policy_document(read_document(document(routing=routing)))
    parse_policy(made, labels=["a", "b", "c"], pools=["x-team"])
    return made


def test_without_routing_everything_goes_to_the_own_pool() -> None:
    assert policy()["rules"] == [
        {"name": "people", "when": "true", "pool": "x-team", "overlap": 1, "show_suggestion": True}
    ]


def test_thresholds_come_first_and_each_label_is_in_at_most_one() -> None:
    rules = policy(accept_at=0.9, thresholds={"a": 0.99}, never_accept=["b"], audit_rate=0.1)["rules"]
    assert [rule["when"] for rule in rules] == [
        "label == 'a' and confidence >= 0.99",
        "confidence >= 0.9 and label not in ['a', 'b']",
        "true",
    ]
    assert [rule.get("accept", False) for rule in rules] == [True, True, False]


def test_routes_keep_their_order_and_take_the_defaults() -> None:
    rules = policy(
        overlap=2, show_suggestion=False, routes=[{"when": "margin < 0.1", "priority": 90}, {"when": True}]
    )
    assert rules["rules"] == [
        {"name": "route 1: people", "when": "margin < 0.1", "pool": "x-team", "overlap": 2, "show_suggestion": False, "priority": 90},
        {"name": "route 2: people", "when": "true", "pool": "x-team", "overlap": 2, "show_suggestion": False},
    ]  # fmt: skip


def test_lang_is_short_for_language_only_as_a_name() -> None:
    assert (
        readable_condition("lang == 'lang' and meta.lang == 'x'") == "language == 'lang' and meta.lang == 'x'"
    )
    assert readable_condition({"field": "lang", "op": "==", "value": "lang"}) == {
        "field": "language", "op": "==", "value": "lang",
    }  # fmt: skip


def test_each_skill_of_a_supplier_is_a_pool_and_shared_skills_are_told_apart() -> None:
    rate = {"skill": "english", "price": 0.1}
    suppliers = [
        {"id": "one", "rates": [rate, {"skill": "german", "unit": "hour", "price": 9}]},
        {"id": "two", "rates": [rate]},
    ]
    specification = read_document(document(suppliers=suppliers))
    assert [pool.key for pool in pools_of(specification)] == ["one-english", "german", "two-english"]
    assert [(price.pool, price.unit) for price in prices_of(specification)] == [
        ("one-english", "item"), ("german", "hour"), ("two-english", "item"),
    ]  # fmt: skip
    assert [supplier.key for supplier in suppliers_of(specification)] == ["one", "two"]
