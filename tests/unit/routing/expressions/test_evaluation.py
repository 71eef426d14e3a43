import math

import numpy as np
import pytest
from hypothesis import given

from routing.errors import RoutingError
from routing.expressions import (
    Always,
    And,
    Columns,
    Compare,
    Missing,
    Not,
    Op,
    Or,
    RandomShare,
    evaluate,
    explain,
    explain_not,
    parse,
)
from routing.sampling import drawn, item_hash
from tests.unit.routing.strategies import LABELS, conditions, items

KEY = bytes(range(16))


def one(**facts):
    meta = {name: [value] for name, value in facts.pop("meta", {}).items()}
    return Columns.of(keys=[1], labels=LABELS, meta=meta, **{name: [value] for name, value in facts.items()})


def holds(text, **facts):
    return bool(evaluate(parse(text), one(**facts), key=KEY)[0])


def reference(condition, columns, i):  # noqa: PLR0911
    """Kleene logic item by item: True, False, or None for unknown."""
    match condition:
        case Always(value):
            return value
        case Missing():
            return bool(columns.predicted[i] < 0 or math.isnan(columns.confidence[i]))
        case RandomShare(share, salt):
            return bool(drawn(item_hash(columns.keys[i : i + 1], KEY, f"random_share:{salt}"), share)[0])
        case Not(part):
            inner = reference(part, columns, i)
            return None if inner is None else not inner
        case And(parts) | Or(parts):
            answers = [reference(part, columns, i) for part in parts]
            decisive = isinstance(condition, Or)
            if decisive in answers:
                return decisive
            return None if None in answers else not decisive
        case Compare(field, op, value):
            return reference_compare(columns, i, field, op, value)


def reference_compare(columns, i, field, op, value):  # noqa: PLR0911
    if field == "label":
        own = columns.labels[columns.predicted[i]] if columns.predicted[i] >= 0 else None
    else:
        name = field.removeprefix("meta.")
        column = columns.meta.get(name) if field.startswith("meta.") else getattr(columns, field)
        own = None if column is None else column[i]
    if isinstance(own, np.float32):
        own = float(own)
        value = (
            tuple(float(np.float32(v)) for v in value)
            if isinstance(value, tuple)
            else float(np.float32(value))
        )
    if own is None or isinstance(own, list) or (isinstance(own, float) and math.isnan(own)):
        return None

    def kind(x):
        return "number" if type(x) in (int, float) else type(x)

    def equal(x):
        return kind(own) == kind(x) and own == x

    match op:
        case Op.IN:
            return any(equal(x) for x in value)
        case Op.NOT_IN:
            return not any(equal(x) for x in value)
        case Op.EQUAL:
            return equal(value)
        case Op.NOT_EQUAL:
            return not equal(value)
    if kind(own) != kind(value) or isinstance(own, bool):
        return False
    return {Op.LESS: own < value, Op.AT_MOST: own <= value, Op.MORE: own > value, Op.AT_LEAST: own >= value}[
        op
    ]


@given(conditions, items())
def test_columns_agree_with_the_item_by_item_reference(condition, columns):
    expected = [reference(condition, columns, i) is True for i in range(columns.n_items)]
    assert evaluate(condition, columns, key=KEY).tolist() == expected


@given(conditions, items(min_size=1, max_size=3))
def test_every_outcome_can_be_explained(condition, columns):
    for i, answer in enumerate(evaluate(condition, columns, key=KEY)):
        item = columns.take(np.array([i]))
        clause = explain(condition, item, key=KEY) if answer else explain_not(condition, item, key=KEY)
        assert clause


def test_a_32_bit_confidence_equals_the_threshold_it_was_rounded_to():
    stored = np.array([0.9], dtype=np.float32).astype(np.float64)
    assert holds("confidence >= 0.9", predicted=0, confidence=stored[0])
    assert holds("confidence == 0.9 and confidence in [0.9]", predicted=0, confidence=np.float32(0.9))


@pytest.mark.parametrize(
    "text",
    [
        "confidence >= 0.9",
        "not confidence < 0.9",
        "confidence != 0.5",
        "not (confidence < 0.9 or margin < 0.1)",
        "label == 'spam'",
        "label != 'spam'",
        "label not in ['spam']",
        "not label in ['spam']",
        "meta.absent == 1",
        "not meta.absent == 1",
        "meta.there != 'x'",
        "language != 'de'",
        "region == 'eu'",
    ],
)
def test_what_is_missing_meets_no_comparison_nor_its_negation(text):
    assert not holds(text, meta={"there": None}, language=None)
    assert holds(f"missing and ({text} or true)", meta={"there": None})


def test_kinds_never_mix_and_never_raise():
    facts = {"meta": {"n": 5, "t": "5", "b": True, "list": [1], "map": {"a": 1}, "nan": math.nan}}
    for name in facts["meta"]:
        for text in (f"meta.{name} > 3", f"meta.{name} > '3'", f"meta.{name} in [1, '1', true]"):
            holds(text, **facts)
    assert holds("meta.n > 3 and meta.t > '3' and meta.b == true", **facts)
    assert not holds("meta.n > '3' or meta.t > 3 or meta.b == 1 or meta.n == '5' or meta.b > 0", **facts)
    assert holds("meta.n != '5' and meta.t not in [5]", **facts)
    assert not holds("meta.list == 1 or meta.list != 1 or meta.map in [1] or meta.nan != 1", **facts)


def test_numeric_metadata_columns_take_the_fast_way_with_the_same_result():
    values = [3, 7, 2**53 + 1]
    fast = Columns.of(keys=[1, 2, 3], labels=LABELS, meta={"x": np.array(values)})
    slow = Columns.of(keys=[1, 2, 3], labels=LABELS, meta={"x": values})
    for text in (
        "meta.x >= 7",
        "meta.x in [3, 7]",
        "meta.x not in [3]",
        "meta.x == '3'",
        "meta.x == 9007199254740993",
    ):
        assert evaluate(parse(text), fast).tolist() == evaluate(parse(text), slow).tolist()
    floats = Columns.of(keys=[1, 2], labels=LABELS, meta={"x": np.array([1.5, math.nan])})
    assert evaluate(parse("meta.x not in [3]"), floats).tolist() == [True, False]
    assert evaluate(parse("not meta.x > 2"), floats).tolist() == [True, False]


def test_random_share_needs_a_key_and_repeats_itself():
    columns = Columns.of(keys=np.arange(1000), labels=LABELS)
    with pytest.raises(RoutingError, match="key"):
        evaluate(parse("random_share(0.1)"), columns)
    first = evaluate(parse("random_share(0.1)"), columns, key=KEY)
    assert first.tolist() == evaluate(parse("random_share(0.1)"), columns, key=KEY).tolist()
    assert first.tolist() != evaluate(parse("random_share(0.1, 's')"), columns, key=KEY).tolist()
    assert evaluate(parse("random_share(1)"), columns, key=KEY).all()
    assert not evaluate(parse("random_share(0)"), columns, key=KEY).any()


def test_columns_of_unlike_length_or_unknown_labels_are_refused():
    with pytest.raises(RoutingError, match="margin"):
        Columns.of(keys=[1, 2], labels=LABELS, margin=[0.1])
    with pytest.raises(RoutingError, match=r"meta\.x"):
        Columns.of(keys=[1, 2], labels=LABELS, meta={"x": [1]})
    with pytest.raises(RoutingError, match="3 labels"):
        Columns.of(keys=[1], labels=LABELS, predicted=[3])


@pytest.mark.parametrize(
    ("text", "facts", "clause"),
    [
        ("confidence >= 0.9", {"confidence": 0.931, "predicted": 0}, "confidence 0.93 ≥ 0.90"),
        ("confidence < 0.9", {"confidence": 0.8999, "predicted": 0}, "confidence 0.8999 < 0.9000"),
        ("confidence <= 0.125", {"confidence": 0.1, "predicted": 0}, "confidence 0.100 ≤ 0.125"),
        ("not confidence < 0.9", {"confidence": 0.95}, "confidence 0.95 ≥ 0.90"),
        ("label == 'spam' or missing", {"predicted": 0, "confidence": 0.5}, "label 'spam' is 'spam'"),
        ("meta.n != 'x' and missing", {"meta": {"n": 5}}, "meta.n 5 is not 'x' and no prediction"),
        ("random_share(1)", {}, "in a random 1 share"),
        ("confidence in [0.5]", {"confidence": 0.5}, "confidence 0.5 in [0.5]"),
        ("true", {}, "every item"),
    ],
)
def test_clauses_of_what_holds(text, facts, clause):
    assert holds(text, **facts)
    assert explain(parse(text), one(**facts), key=KEY) == clause


@pytest.mark.parametrize(
    ("text", "facts", "clause"),
    [
        (
            "confidence >= 0.9 and label != 'ham'",
            {"confidence": 0.4, "predicted": 0},
            "confidence 0.40 < 0.90",
        ),
        ("confidence >= 0.9", {}, "no confidence"),
        ("meta.a > 3 or meta.b == 'x'", {"meta": {"a": "t"}}, "meta.a 't' is no number and no b"),
        ("not missing", {}, "no prediction"),
        ("missing", {"predicted": 1, "confidence": 1.0}, "there is a prediction"),
        ("not confidence < 0.9", {}, "no confidence"),
        ("random_share(0)", {}, "not in a random 0 share"),
    ],
)
def test_clauses_of_what_does_not_hold(text, facts, clause):
    assert not holds(text, **facts)
    assert explain_not(parse(text), one(**facts), key=KEY) == clause
