import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.label_studio.errors import LabelConfigInvalid
from integrations.label_studio.label_config import (
    MAX_BYTES,
    Control,
    LabelOption,
    check_fields,
    choices_config,
    parse,
)

SENTIMENT = [LabelOption("positive", "Positive"), LabelOption("negative"), LabelOption("neutral", hotkey="x")]


def test_a_generated_config_is_read_back():
    config = parse(choices_config(SENTIMENT, question='How "good" is <it> & why?', field="review"))
    assert config.controls == (
        Control("label", "choices", ("item",), ("positive", "negative", "neutral"), "single", required=True),
    )
    assert config.data_fields == ("review",)
    assert config.choices() == config.control("label")
    assert config.control("none") is None


def test_keys_are_given_in_order_without_taking_a_given_one():
    xml = choices_config([LabelOption("a", hotkey="2"), LabelOption("b"), LabelOption("c")], question="?")
    assert [
        xml.index(f'value="{label}" hotkey="{key}"') > 0
        for label, key in (("a", "2"), ("b", "1"), ("c", "3"))
    ]


def test_several_labels_may_be_allowed():
    assert parse(choices_config(SENTIMENT, question="?", multiple=True)).controls[0].choice == "multiple"


@given(
    st.lists(
        st.text(
            st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"),
            min_size=1,
            max_size=30,
        ).filter(lambda s: s == s.strip() and not s.startswith("$")),
        min_size=2,
        max_size=40,
        unique=True,
    ),
    st.text(st.characters(exclude_categories=("Cs",)), max_size=50),
)
def test_any_printable_labels_survive_the_xml(labels, question):
    xml = choices_config([LabelOption(label) for label in labels], question=question)
    assert parse(xml).controls[0].labels == tuple(labels)


@pytest.mark.parametrize(
    "labels",
    [
        [],
        [LabelOption("one")],
        [LabelOption("a"), LabelOption("a")],
        [LabelOption("a", "T"), LabelOption("b", "T")],
        [LabelOption("a", hotkey="1"), LabelOption("b", hotkey="1")],
        [LabelOption("a"), LabelOption("$b")],
        [LabelOption("a"), LabelOption("")],
        [LabelOption("a"), LabelOption(" b")],
        [LabelOption("a"), LabelOption("b\nc")],
    ],
)
def test_labels_that_would_be_misread_are_refused(labels):
    with pytest.raises(LabelConfigInvalid):
        choices_config(labels, question="?")


def test_a_field_that_cannot_be_named_is_refused():
    with pytest.raises(LabelConfigInvalid, match="field"):
        choices_config(SENTIMENT, question="?", field="a b")


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><View>&b;</View>'
FILE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><View>&a;</View>'


@pytest.mark.parametrize(
    ("xml", "why"),
    [
        ("", "not well-formed"),
        ("<View>", "line 1"),
        ("<View><Text name='a' value='$a'></View>", "not well-formed"),
        (BOMB, "DTD"),
        (FILE, "DTD"),
        ("<View/>", "asks the annotator nothing"),
        ("<View>" * 200 + "</View>" * 200, "nested deeper"),
        ("<View>" + "<A/>" * 20_000 + "</View>", "tags"),
        ("<View>" + " " * MAX_BYTES + "</View>", "larger than"),
        ('<View><Text name="a" value="$a"/><Choices name="a" toName="a"/></View>', "twice"),
        (
            '<View><Choices name="a" toName="b"><Choice value="x"/></Choices></View>',
            "cannot be read|not in the label",
        ),
        ('<?xml version="1.0" encoding="utf-16"?><View/>', "."),
    ],
)
def test_unusable_configs_are_refused_with_a_reason(xml, why):
    with pytest.raises(LabelConfigInvalid, match=why):
        parse(xml)


def test_other_controls_and_fields_are_read():
    xml = """<View><Header value="About $topic: $$"/><Image name="img" value="$image.url"/>
      <RectangleLabels name="box" toName="img"><Label value="car"/><Label value="b us" alias="bus"/></RectangleLabels>
      <Rating name="stars" toName="img"/><TextArea name="why" toName="img" required="true"/>
      <Choices name="dyn" toName="img" value="$options"/></View>"""
    config = parse(xml)
    assert [(c.name, c.type, c.labels) for c in config.controls] == [
        ("box", "rectanglelabels", ("car", "bus")),
        ("stars", "rating", ()),
        ("why", "textarea", ()),
        ("dyn", "choices", ()),
    ]
    assert config.data_fields == ("topic", "image", "options")


def test_missing_fields_are_named():
    config = parse(choices_config(SENTIMENT, question="?", field="review"))
    check_fields(config, ["review", "id"])
    with pytest.raises(LabelConfigInvalid, match=r"\$review.*have: id, text"):
        check_fields(config, ["text", "id"])
    with pytest.raises(LabelConfigInvalid, match="none"):
        check_fields(config, [])


@given(st.text(max_size=200))
def test_reading_anything_ends_with_our_error(text):
    with pytest.raises(LabelConfigInvalid):
        parse(text)


def test_no_module_is_needed_from_elsewhere():
    # The configs that ship with the product are read by the same parser.
    folder = Path(__file__).parents[4] / "configs" / "label_configs"
    for path in sorted(folder.glob("*.xml")) if folder.is_dir() else []:
        assert parse(path.read_text()).controls, json.dumps(str(path))
