import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.errors import PolicyInvalid
from routing.expressions import (
    Always,
    And,
    Compare,
    Missing,
    Not,
    Op,
    Or,
    RandomShare,
    from_document,
    labels_named,
    parse,
    to_document,
    to_text,
)
from tests.unit.routing.strategies import conditions


@given(conditions)
def test_text_round_trips(condition):
    assert parse(to_text(condition)) == condition


@given(conditions)
def test_documents_round_trip(condition):
    assert from_document(to_document(condition)) == condition


@given(st.text(max_size=60) | st.text("()[]'\"<=>notandmisglbe .,0159#\n\\", max_size=60))
def test_any_text_gives_a_condition_or_one_clear_refusal(text):
    try:
        parse(text)
    except PolicyInvalid as error:
        assert error.path == "when"  # noqa: PT017 - most texts are refused, some are not
        assert error.position is None or 1 <= error.position <= len(text) + 1  # noqa: PT017


def test_the_language():
    assert parse("true") == parse("True") == Always(value=True)
    assert parse("missing or not false") == Or((Missing(), Not(Always(value=False))))
    assert parse("random_share(0.1, 'x')") == RandomShare(0.1, "x")
    assert parse("0.5 <= confidence < 0.9") == And(
        (Compare("confidence", Op.AT_LEAST, 0.5), Compare("confidence", Op.LESS, 0.9))
    )
    assert parse('"spam" == label') == Compare("label", Op.EQUAL, "spam")
    assert parse("meta.source in ('a', 2, true)") == Compare("meta.source", Op.IN, ("a", 2, True))
    assert parse('meta["two words"] >= -3') == Compare("meta.two words", Op.AT_LEAST, -3)
    assert parse("\n  confidence > 0.5\n  and label != 'a'  ") == parse("confidence > 0.5 and label != 'a'")


@pytest.mark.parametrize(
    ("text", "position", "word", "hint"),
    [
        ("confidance > 0.9", 1, "not a known field", "confidence"),
        ("label == 'é' and mrgin > 0.9", 18, "not a known field", "margin"),
        ("  confidence > 90", 16, "0.9, not 90", None),
        ("confidence > 'high'", 14, "is a number", None),
        ("confidence > true", 14, "is a number", None),
        ("label == spam", 10, "in quotes", None),
        ("label == 3", 10, "in quotes", None),
        ("label < 'a'", 9, "does not apply", None),
        ("label in []", 10, "empty", None),
        ("label in 'spam'", 10, "needs a list", None),
        ("label == ['spam']", 10, "not a list", None),
        ("'a' in label", 1, "field on its left", None),
        ("confidence > margin", 14, "fixed value", None),
        ("1 < 2", 1, "one side must be a field", None),
        ("confidence", 1, "alone is no condition", None),
        ("meta.urgent", 1, "meta.urgent == true", None),
        ("missing == true", 1, "stands alone", None),
        ("meta == 1", 1, "name the metadata field", None),
        ("label.name == 'a'", 1, "only `meta`", None),
        ("meta.a.b == 1", 1, "only `meta`", None),
        ("confidence is 0.5", 1, "`is` is not used", None),
        ("confidence > 1e999", 14, "finite", None),
        ("meta.x > 1e999", 10, "finite", None),
        ("random_share(2)", 1, "from 0 to 1", None),
        ("random_share()", 1, "write `random_share(0.1)`", None),
        ("random_share(share=0.1)", 1, "write `random_share(0.1)`", None),
        ("random_share(0.1, 3)", 1, "salt", None),
        ("ramdom_share(0.1)", 1, "only function", "random_share"),
        ("confidence > 0.5 # sure", 18, "comments", None),
        ("label in ['a'", 10, "cannot be read", None),
        ("meta.x == f'{1}'", 11, "a value is", None),
        ("meta.x == (lambda: 1)", 12, "a value is", None),
        ("__import__('os').system('x')", 1, "only function", None),
        ("[x for x in meta.y]", 1, "not a condition", None),
        ("not " * 60 + "missing", 165, "nest at most", None),
        ("", None, "empty", None),
        ("missing or " * 2000 + "missing", None, "at most", None),
    ],
)
def test_refusals_say_where_and_what(text, position, word, hint):
    with pytest.raises(PolicyInvalid) as caught:
        parse(text, path="rules[0].when")
    assert caught.value.position == position
    assert word in caught.value.message
    assert caught.value.did_you_mean == hint
    assert str(caught.value).startswith("rules[0].when")


@pytest.mark.parametrize(
    ("document", "path", "hint"),
    [
        ({"ad": []}, "when", "and"),
        ({"and": []}, "when.and", None),
        ({"and": [{"missing": "yes"}]}, "when.and[0].missing", None),
        ({"not": {"field": "confidnce", "op": ">", "value": 1}}, "when.not.field", "confidence"),
        ({"field": "confidence", "op": "=>", "value": 1}, "when.op", ">="),
        ({"field": "confidence", "op": ">"}, "when.value", None),
        ({"field": "confidence", "op": ">", "value": 3}, "when.value", None),
        ({"field": "meta.", "op": "==", "value": 3}, "when.field", None),
        ({"field": "meta.a", "op": "==", "value": None}, "when.value", None),
        ({"field": "label", "op": "in", "value": [["a"]]}, "when.value", None),
        ({"random_share": "x"}, "when.random_share", None),
        ({"random_share": 0.1, "slat": ""}, "when.slat", "salt"),
        ("confidence > 1", "when", None),
    ],
)
def test_document_refusals_name_the_path(document, path, hint):
    with pytest.raises(PolicyInvalid) as caught:
        from_document(document)
    assert (caught.value.path, caught.value.did_you_mean) == (path, hint)


def test_short_document_forms():
    assert from_document(True) == Always(value=True)
    assert from_document({"missing": False}) == Not(Missing())
    assert from_document({"or": [{"missing": True}]}) == Missing()


def test_deep_documents_are_refused():
    document = {"missing": True}
    for _ in range(200):
        document = {"not": document}
    with pytest.raises(PolicyInvalid, match="nest"):
        from_document(document)


def test_labels_named():
    condition = parse("label == 'a' or not (label in ['b', 'c'] and meta.label == 'd')")
    assert labels_named(condition) == ("a", "b", "c")
