"""Label configs that people give, written anew from what is known to be harmless.

Label Studio shows a config to every annotator, signed in with their own account. What could run a script or
call another machine there (HTML, addresses, styles that load something) is refused by name; everything else
is rewritten from the list below, so that nothing depends on how two XML readers differ.
"""

import re
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape, quoteattr

from integrations.label_studio.errors import LabelConfigInvalid
from integrations.label_studio.label_config import safe_tree

_WHEN = ("visibleWhen", "whenTagName", "whenLabelValue", "whenChoiceValue")
_CONTROL = ("name", "toName", "required", "requiredMessage", *_WHEN)
# Tags by the attributes they may carry. Label Studio reads both without regard to case.
ALLOWED: dict[str, tuple[str, ...]] = {
    "View": ("display", "style", "className", *_WHEN),
    "Style": (),
    "Header": ("value", "size", "underline", "style", "className"),
    "Text": ("name", "value", "valueType", "saveTextResult", "selectionEnabled", "showLabels", "granularity"),
    "Choices": (*_CONTROL, "choice", "showInLine", "layout", "allowNested"),
    "Choice": ("value", "alias", "hotkey", "hint", "selected"),
    "Labels": (*_CONTROL, "choice", "showInline", "maxUsages"),
    "Label": ("value", "alias", "hotkey", "hint", "background", "selected", "maxUsages"),
    "Rating": (*_CONTROL, "maxRating", "defaultValue", "size", "hotkey"),
    "TextArea": (*_CONTROL, "value", "placeholder", "rows", "maxSubmissions", "editable", "showSubmitButton"),
    "Number": (*_CONTROL, "min", "max", "step", "defaultValue"),
}
_TAGS = {tag.lower(): tag for tag in ALLOWED}
_SHORT = re.compile(r"[\w .:#%,()-]{0,200}")
_FREE = {"value", "alias", "hint", "placeholder", "requiredmessage", "hotkey", "style"}
_FUNCTIONS = {"rgb", "rgba", "hsl", "hsla", "calc", "min", "max", "clamp", "repeat", "minmax"}
_CALL = re.compile(r"([\w-]*)\s*\(")
_BAD_STYLE = re.compile(
    r"[\\@<`]|/\*|://|\b(url|expression|behaviou?r|binding|javascript|import)\b|\b(position|content|z-index)\s*:",
    re.IGNORECASE,
)
_LONGEST_STYLE = 20_000
_ADVICE = {
    "hypertext": "it shows HTML, which can run scripts in annotators' browsers; use Text",
    "image": "it makes annotators' browsers load an address; this release shows text",
    "audio": "it makes annotators' browsers load an address; this release shows text",
    "video": "it makes annotators' browsers load an address; this release shows text",
    "script": "it runs a script in annotators' browsers; take it out",
}


def rewritten(xml: str) -> str:
    """The label config from allowed tags and attributes alone, the same whatever way it was written.

    Raises:
        LabelConfigInvalid: It holds something that is not allowed; names it and says what to use.
    """
    return "\n".join(_lines(safe_tree(xml), 0)) + "\n"


def is_same(one: str, other: str) -> bool:
    """Whether two label configs show the same screen, apart from how they are written."""
    if one == other:
        return True
    try:
        return rewritten(one) == rewritten(other)
    except LabelConfigInvalid:
        return False


def _lines(element: Element, depth: int) -> list[str]:
    tag = _TAGS.get(str(element.tag).lower())
    if tag is None:
        given = str(element.tag)[:40]
        advice = _ADVICE.get(given.lower(), f"use {', '.join(ALLOWED)}")
        raise LabelConfigInvalid(f"the label config uses <{given}>, which is not allowed: {advice}")
    attributes = "".join(f" {name}={quoteattr(value)}" for name, value in _attributes(tag, element))
    pad = "  " * depth
    if tag == "Style":
        return [f"{pad}<Style>{escape(_style(''.join(element.itertext())))}</Style>"]
    if (element.text or "").strip() or any((child.tail or "").strip() for child in element):
        raise LabelConfigInvalid(
            f"the label config has text inside <{tag}>; put it into the value of a <Header> instead"
        )
    inner = [line for child in element for line in _lines(child, depth + 1)]
    if not inner:
        return [f"{pad}<{tag}{attributes}/>"]
    return [f"{pad}<{tag}{attributes}>", *inner, f"{pad}</{tag}>"]


def _attributes(tag: str, element: Element) -> list[tuple[str, str]]:
    allowed = {name.lower(): name for name in ALLOWED[tag]}
    found: dict[str, str] = {}
    for given, value in element.attrib.items():
        name = allowed.get(given.lower())
        if name is None:
            raise LabelConfigInvalid(
                f"the label config uses {given[:40]} on <{tag}>, which is not allowed; take it out"
            )
        if name in found:
            raise LabelConfigInvalid(f"the label config gives {name} on <{tag}> twice; keep one")
        found[name] = _checked(tag, name, value)
    return list(found.items())


def _checked(tag: str, name: str, value: str) -> str:
    if name == "valueType" and value != "text":
        raise LabelConfigInvalid(
            f'the label config has valueType="{value[:20]}", which makes annotators\' browsers load an '
            'address; use valueType="text"'
        )
    if name == "style":
        return _style(value)
    if name.lower() not in _FREE and not _SHORT.fullmatch(value.replace("$", "", 1)):
        raise LabelConfigInvalid(
            f"the value of {name} on <{tag}> has odd characters; use letters, digits and spaces"
        )
    return value


def _style(text: str) -> str:
    bad = _BAD_STYLE.search(text)
    odd = next(
        (one for one in _CALL.findall(text) if one.lower() not in _FUNCTIONS | {"", "not", "is"}), None
    )
    if len(text) > _LONGEST_STYLE or bad or odd:
        what = bad[0] if bad else f"{odd}()" if odd else "so much of it"
        raise LabelConfigInvalid(
            f"the label config's style has {what[:30]!r}, which could load something or cover the page; "
            "use colours, sizes and margins only"
        )
    return " ".join(text.split())
