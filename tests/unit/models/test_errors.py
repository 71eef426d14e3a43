from models.errors import LabelsDontMatch, nearest_names


def test_message_lists_both_sides_and_the_nearest_names() -> None:
    error = LabelsDontMatch(["POSITIVE", "negativ", "LABEL_2"], ["positive", "negative"], where="model moods")
    text = str(error)
    assert "model moods" in text
    for name in ("'POSITIVE'", "'negativ'", "'LABEL_2'", "'positive'", "'negative'"):
        assert name in text
    assert "'negativ' -> 'negative'" in text
    assert error.nearest == {"POSITIVE": "positive", "negativ": "negative"}
    assert "label map" in text


def test_long_lists_are_cut() -> None:
    text = str(LabelsDontMatch([f"m{k}" for k in range(200)], ["x"], where="model many"))
    assert "and 180 more" in text
    assert len(text) < 1000


def test_equal_names_have_no_nearest() -> None:
    assert nearest_names(["a", "b"], ["a", "b"]) == {}
