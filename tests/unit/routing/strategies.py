"""Conditions and items as Hypothesis draws them."""

from hypothesis import strategies as st

from routing.expressions import Always, And, Columns, Compare, Missing, Not, Op, Or, RandomShare

LABELS = ("spam", "ham", "self-harm")
ORDER = [Op.LESS, Op.AT_MOST, Op.MORE, Op.AT_LEAST, Op.EQUAL, Op.NOT_EQUAL]
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
numbers = st.integers(-9, 9) | st.floats(-5, 5) | st.floats(allow_nan=False, allow_infinity=False)
meta_fields = st.sampled_from(["meta.a", "meta.b", "meta.class", "meta.two words"]) | names.map(
    "meta.{}".format
)
ordered_scalars = numbers | names
scalars = ordered_scalars | st.booleans()


def _lists(values):
    return st.lists(values, min_size=1, max_size=4).map(tuple)


scores = st.sampled_from(["confidence", "margin", "entropy"])
fractions = st.floats(0, 1) | st.sampled_from([0, 1, 0.5, 0.9])
texts = st.sampled_from(["label", "language", "region", "sensitivity"])
words = st.sampled_from([*LABELS, "de", "en"]) | names
membership = st.sampled_from([Op.IN, Op.NOT_IN])
equality = st.sampled_from([Op.EQUAL, Op.NOT_EQUAL])
compares = st.one_of(
    st.builds(Compare, scores, st.sampled_from(ORDER), fractions),
    st.builds(Compare, scores, membership, _lists(fractions)),
    st.builds(Compare, texts, equality, words),
    st.builds(Compare, texts, membership, _lists(words)),
    st.builds(Compare, meta_fields, st.sampled_from(ORDER), ordered_scalars),
    st.builds(Compare, meta_fields, equality, st.booleans()),
    st.builds(Compare, meta_fields, membership, _lists(scalars)),
)
atoms = (
    compares
    | st.builds(Always, st.booleans())
    | st.just(Missing())
    | st.builds(RandomShare, fractions, names)
)
conditions = st.recursive(
    atoms,
    lambda parts: st.one_of(
        st.builds(Not, parts),
        st.builds(And, st.lists(parts, min_size=2, max_size=3).map(tuple)),
        st.builds(Or, st.lists(parts, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=8,
)


@st.composite
def items(draw, min_size=0, max_size=12):
    n = draw(st.integers(min_size, max_size))

    def column(values):
        return draw(st.lists(values, min_size=n, max_size=n))

    maybe = st.none()
    return Columns.of(
        keys=column(st.integers(0, 2**64 - 1)),
        labels=LABELS,
        predicted=column(st.integers(-1, 2)),
        confidence=column(maybe | st.floats(0, 1) | st.just(0.9)),
        margin=column(maybe | st.floats(0, 1)),
        entropy=column(maybe | st.floats(0, 1)),
        language=column(maybe | st.sampled_from(["de", "en"])) if draw(st.booleans()) else None,
        meta={"a": column(maybe | scalars | st.lists(st.integers(), max_size=2)), "b": column(scalars)},
    )
