from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.label_studio.errors import LabelConfigInvalid
from integrations.label_studio.label_config import LabelOption, choices_config, parse
from integrations.label_studio.safe_config import is_same, rewritten

CHOICES = '<Choices name="c" toName="t" choice="single"><Choice value="yes"/><Choice value="no"/></Choices>'
TEXT = '<Text name="t" value="$text"/>'
PLAIN = f"<View>{TEXT}{CHOICES}</View>"
HOSTILE = [
    ("HyperText", f'<View><HyperText name="t" value="$text"/>{CHOICES}</View>', "HTML"),
    ("hypertext in other letters", f'<View><hyperTEXT name="t" value="$text"/>{CHOICES}</View>', "HTML"),
    ("image beacon", f'<View><Image name="i" value="$u"/>{TEXT}{CHOICES}</View>', "load an address"),
    (
        "image of a fixed address",
        f'<View><Image name="i" value="http://evil.test/x.png"/>{TEXT}{CHOICES}</View>',
        "load",
    ),
    ("script", f"<View><script>alert(1)</script>{TEXT}{CHOICES}</View>", "runs a script"),
    ("HTML element", f'<View><img src="x" onerror="alert(1)"/>{TEXT}{CHOICES}</View>', "<img>"),
    ("iframe", f'<View><iframe src="http://evil.test"/>{TEXT}{CHOICES}</View>', "<iframe>"),
    (
        "React code",
        f"<View><ReactCode name='r' toName='t'>alert(1)</ReactCode>{TEXT}{CHOICES}</View>",
        "ReactCode",
    ),
    ("Repeater", f'<View><Repeater on="$x">{TEXT}</Repeater>{CHOICES}</View>', "Repeater"),
    (
        "TimeSeries",
        f'<View><TimeSeries name="s" value="http://evil.test"/>{TEXT}{CHOICES}</View>',
        "TimeSeries",
    ),
    (
        "namespaced tag",
        f'<View xmlns:x="http://x"><x:Text name="t" value="$text"/>{CHOICES}</View>',
        "not allowed",
    ),
    ("text by address", f'<View><Text name="t" value="$text" valueType="url"/>{CHOICES}</View>', "valueType"),
    (
        "text by address in other letters",
        f'<View><Text name="t" value="$text" VALUETYPE="url"/>{CHOICES}</View>',
        "valueType",
    ),
    (
        "choice of HTML",
        PLAIN.replace('value="yes"', 'value="yes" html="&lt;img src=x onerror=alert(1)&gt;"'),
        "html",
    ),
    ("handler", PLAIN.replace('value="yes"', 'value="yes" onclick="alert(1)"'), "onclick"),
    ("link", f'<View><Header value="x" href="javascript:alert(1)"/>{TEXT}{CHOICES}</View>', "href"),
    ("id of our page", f'<View idAttr="root">{TEXT}{CHOICES}</View>', "idAttr"),
    ("style that loads", f'<View style="background:url(http://evil.test/x)">{TEXT}{CHOICES}</View>', "style"),
    ("style that loads, escaped", f'<View style="background:u\\72l(x)">{TEXT}{CHOICES}</View>', "style"),
    (
        "style that loads otherwise",
        f"<View style=\"background:image-set('x' 1x)\">{TEXT}{CHOICES}</View>",
        "image-set",
    ),
    ("style with a comment", f"<View><Style>a {{b:ur/**/l(x)}}</Style>{TEXT}{CHOICES}</View>", "style"),
    ("style import", f"<View><Style>@import 'http://evil.test';</Style>{TEXT}{CHOICES}</View>", "style"),
    ("style font", f"<View><Style>@font-face {{src:local(x)}}</Style>{TEXT}{CHOICES}</View>", "style"),
    ("style over the page", f'<View style="position:fixed; top:0">{TEXT}{CHOICES}</View>', "style"),
    (
        "style that ends itself",
        f"<View><Style>&lt;/style&gt;&lt;script&gt;</Style>{TEXT}{CHOICES}</View>",
        "style",
    ),
    ("style with an attribute reader", f"<View><Style>a {{b:attr(x)}}</Style>{TEXT}{CHOICES}</View>", "attr"),
    ("text between tags", f"<View>hello {TEXT}{CHOICES}</View>", "text inside"),
    ("odd class", f'<View className="a&quot; onload=&quot;x">{TEXT}{CHOICES}</View>', "odd characters"),
    (
        "external entity",
        f'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><View>&a;{TEXT}{CHOICES}</View>',
        "DTD",
    ),
    ("entity bomb", f'<!DOCTYPE x [<!ENTITY a "aa">]><View>&a;{TEXT}{CHOICES}</View>', "DTD"),
    ("DTD without entities", f"<!DOCTYPE View><View>{TEXT}{CHOICES}</View>", "DTD"),
    ("too deep", "<View>" * 65 + TEXT + CHOICES + "</View>" * 65, "nested deeper"),
    ("too large", f'<View><Header value="{"x" * 300_000}"/>{TEXT}{CHOICES}</View>', "larger than 256 KB"),
]


@pytest.mark.parametrize(("xml", "why"), [one[1:] for one in HOSTILE], ids=[one[0] for one in HOSTILE])
def test_what_could_harm_annotators_is_refused_by_name(xml, why):
    with pytest.raises(LabelConfigInvalid, match="the") as caught:
        rewritten(xml)
    assert why.lower() in str(caught.value).lower()


def test_what_is_left_is_written_in_one_way():
    spelled = (
        f"<?xml version='1.0'?><!-- hi --><VIEW><?x y?><text VALUE='$text' name='t'></text>\n{CHOICES}</VIEW>"
    )
    assert rewritten(spelled) == (
        '<View>\n  <Text value="$text" name="t"/>\n  <Choices name="c" toName="t" choice="single">\n'
        '    <Choice value="yes"/>\n    <Choice value="no"/>\n  </Choices>\n</View>\n'
    )
    assert is_same(PLAIN, PLAIN.replace("><", ">\n  <"))
    assert not is_same(PLAIN, PLAIN.replace("yes", "maybe"))
    assert not is_same(PLAIN, "<View")


def test_labels_that_look_like_markup_stay_text():
    label = "<img src=x onerror=alert(1)>\" ' & ]]>"
    xml = choices_config([LabelOption(label), LabelOption("b")], question=label)
    assert parse(rewritten(xml)).controls[0].labels == (label, "b")


@pytest.mark.parametrize(
    "path",
    sorted((Path(__file__).parents[4] / "configs" / "label_configs").glob("*.xml")),
    ids=lambda it: it.stem,
)
def test_our_own_configs_are_allowed_and_stay_what_they_are(path):
    xml = path.read_text()
    assert parse(rewritten(xml)).controls == parse(xml).controls
    assert rewritten(rewritten(xml)) == rewritten(xml)


@given(
    st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"), max_size=60)
)
def test_any_question_survives_or_is_refused(question):
    xml = choices_config([LabelOption("a"), LabelOption("b")], question=question)
    again = rewritten(xml)
    assert rewritten(again) == again
    assert parse(again).data_fields == parse(xml).data_fields


@given(st.text(max_size=300))
def test_anything_else_ends_with_our_error(text):
    with pytest.raises(LabelConfigInvalid):
        rewritten(text)
