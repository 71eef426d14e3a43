import json
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.activity.domain import (
    FIRST,
    Anchor,
    ChainCheck,
    Link,
    Unrecordable,
    canonical,
    canonical_text,
    read_anchor,
)

TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=20)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def through_jsonb(value):
    """What PostgreSQL's JSONB makes of a value: numbers are decimals, keys are ordered by length."""

    def back(number: Decimal):
        if number == number.to_integral_value() and number.as_tuple().exponent >= 0:
            return int(number)
        return float(number)

    def walk(one):
        if isinstance(one, dict):
            return {key: walk(one[key]) for key in sorted(one, key=lambda k: (len(k), k))}
        if isinstance(one, list):
            return [walk(part) for part in one]
        return back(one) if isinstance(one, Decimal) else one

    return walk(json.loads(json.dumps(value), parse_float=Decimal))


@given(JSON)
def test_a_value_hashes_the_same_after_jsonb(value):
    stored = canonical(value)
    assert canonical_text(through_jsonb(stored)) == canonical_text(value)


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (1e20, 10**20),
        (-0.0, 0),
        (2.0, 2),
        (0.1, 0.1),
        (5e-324, 5e-324),
        (Decimal("0.080"), "0.080"),
        (datetime(2026, 3, 2, 10, tzinfo=timezone(timedelta(hours=1))), "2026-03-02T09:00:00+00:00"),
        ({"b": (1, 2), "ü": "\U0001f600"}, {"b": [1, 2], "ü": "\U0001f600"}),
    ],
)
def test_what_is_stored(value, stored):
    assert canonical(value) == stored
    assert type(canonical(value)) is type(stored)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (float("nan"), "nan cannot be recorded"),
        (float("inf"), "inf cannot be recorded"),
        (10**400, "308 digits"),
        ("a\0b", "zero byte"),
        ("\ud800", "surrogate"),
        ({1: "one"}, "key 1 is not text"),
        ({"a": {"b\0": 1}}, r"value\.a: a zero byte"),
        (object(), "a object cannot be recorded"),
        (b"bytes", "bytes cannot be recorded"),
        (datetime(2026, 1, 1), "without zone"),  # noqa: DTZ001
    ],
)
def test_what_would_not_survive_is_refused(value, why):
    with pytest.raises(Unrecordable, match=why):
        canonical(value)


def test_endless_nesting_is_refused():
    value: list = []
    value.append(value)
    with pytest.raises(Unrecordable, match="levels deep"):
        canonical(value)


def chain(n):
    found, before = [], FIRST
    for seq in range(1, n + 1):
        made = bytes([seq]) * 32
        found.append(Link(seq, before, made, made))
        before = made
    return found


def walk(links, anchors=()):
    check = ChainCheck(anchors)
    for link in links:
        if broken := check.take(link):
            return broken
    return check.end()


def test_a_whole_chain_holds():
    assert walk(chain(5)) is None
    assert walk([]) is None
    assert walk(chain(5), [Anchor(3, (bytes([3]) * 32).hex()), Anchor(5, (bytes([5]) * 32).hex())]) is None


def test_the_first_broken_event_is_named():
    whole = chain(6)
    altered = [*whole[:3], Link(4, whole[3].previous, whole[3].hash, b"x" * 32), *whole[4:]]
    assert (walk(altered).seq, walk(altered).kind) == (4, "altered")
    removed = whole[:2] + whole[4:]
    assert (walk(removed).seq, walk(removed).kind) == (3, "removed")
    assert "events 3 to 4 are missing before event 5" in walk(removed).sentence
    assert (walk(whole[1:]).seq, walk(whole[1:]).kind) == (1, "removed")
    swapped = [*whole[:2], Link(3, whole[3].previous, whole[3].hash, whole[3].hash), *whole[3:]]
    assert (walk(swapped).seq, walk(swapped).kind) == (3, "inserted")


def test_a_cut_tail_shows_against_an_anchor():
    anchor = Anchor(6, (bytes([6]) * 32).hex())
    assert walk(chain(6)[:4]) is None
    broken = walk(chain(6)[:4], [anchor])
    assert (broken.seq, broken.kind) == (5, "cut")
    assert "events 5 to 6" in broken.sentence


def test_a_record_written_anew_shows_against_an_anchor():
    broken = walk(chain(6), [Anchor(2, "ab" * 32)])
    assert (broken.seq, broken.kind) == (2, "rewritten")


def test_anchors_as_text():
    anchor = Anchor(12, "0f" * 32)
    assert read_anchor(str(anchor)) == anchor
    for wrong in ("", "12", "12:abc", "x:" + "0f" * 32, "12:" + "zz" * 32):
        with pytest.raises(ValueError):
            read_anchor(wrong)
