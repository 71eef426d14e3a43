"""Label configs: read safely, written for a pleasant annotator's screen, checked against items."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import quoteattr

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring
from label_studio_sdk._extensions.label_studio_tools.core.label_config import parse_config

from integrations.label_studio.errors import LabelConfigInvalid

MAX_BYTES = 256 * 1024
MAX_DEPTH = 64
MAX_ELEMENTS = 10_000
HOTKEYS = "1234567890qwertyuiopasdfghjklzxcvbnm"
_LABEL_TAGS = {"Label", "Choice"}
_FIELD = re.compile(r"\$([A-Za-z_]\w*)")
_NAME = re.compile(r"[A-Za-z_]\w{0,99}")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ufffe\uffff]")  # XML has no form for the last two
_SCREEN = "max-width:46rem; margin:0 auto; padding:1.25rem 1rem"
_READABLE = (
    ".wb-item {font-size:1.2rem; line-height:1.65; padding:1rem 1.25rem; margin:.75rem 0 1.25rem;"
    " border:1px solid rgba(128,128,128,.35); border-radius:.6rem}"
    " .wb-item [class*=richtext] {font-size:inherit; line-height:inherit}"
    " .wb-answer [class*=choice__item], .wb-answer .lsf-choice {margin:0 .6rem .6rem 0}"
    " .wb-answer label {font-size:1.1rem; padding:.5rem .9rem; border:1px solid rgba(128,128,128,.35);"
    " border-radius:.5rem; cursor:pointer}"
    " .wb-answer label:hover, .wb-answer label:focus-within {border-color:rgb(96,125,220)}"
)


@dataclass(frozen=True)
class Control:
    """One thing an annotator fills in.

    Attributes:
        name: Its name, as results carry it.
        type: The kind of its results, e.g. `choices`, `labels`, `rating`, `textarea`.
        to_name: The objects it is about.
        labels: What may be chosen, in the form that results carry; empty where anything may be entered.
        choice: `single` or `multiple` for choices, else None.
        required: An annotation without it cannot be submitted on the screen.
    """

    name: str
    type: str
    to_name: tuple[str, ...]
    labels: tuple[str, ...] = ()
    choice: str | None = None
    required: bool = False


@dataclass(frozen=True)
class LabelConfig:
    """A label config that has been read.

    Attributes:
        xml: As it was given.
        controls: In the order of the screen.
        data_fields: The names of the item's fields that the screen shows.
    """

    xml: str
    controls: tuple[Control, ...]
    data_fields: tuple[str, ...]

    def control(self, name: str) -> Control | None:
        """The control of that name."""
        return next((one for one in self.controls if one.name == name), None)

    def choices(self) -> Control | None:
        """The first control whose answer is a choice among labels."""
        return next((one for one in self.controls if one.type == "choices"), None)


@dataclass(frozen=True)
class LabelOption:
    """A label to choose from.

    Attributes:
        value: What the result carries.
        title: What the annotator reads; by default the value.
        hotkey: One key; by default the next free of 1 to 9, 0 and the letters.
        hint: Shown when the pointer rests on it.
    """

    value: str
    title: str = ""
    hotkey: str = ""
    hint: str = ""


def parse(xml: str) -> LabelConfig:
    """The controls and fields of a label config.

    Raises:
        LabelConfigInvalid: Too large, too deep, not well formed, with a DTD, or without a usable control.
    """
    root = safe_tree(xml)
    names = [element.get("name", "") for element in root.iter() if element.get("name")]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise LabelConfigInvalid(
            f"the label config uses the name {doubled[0]!r} twice; give each tag its own name"
        )
    try:
        parsed: dict[str, Any] = parse_config(xml.strip())  # type: ignore[no-untyped-call]
    except Exception as error:  # noqa: BLE001 - the parser fails in many ways on odd configs
        raise LabelConfigInvalid(
            f"the label config cannot be read ({type(error).__name__}); "
            "check the name and toName of each control"
        ) from None
    elements = {element.get("name"): element for element in root.iter() if element.get("name")}
    controls = tuple(_control(name, found, elements.get(name)) for name, found in parsed.items())
    if not controls:
        raise LabelConfigInvalid(
            "the label config asks the annotator nothing; "
            "add a control such as Choices with a name and a toName"
        )
    for control in controls:
        missing = [target for target in control.to_name if target not in elements]
        if missing:
            raise LabelConfigInvalid(
                f"control {control.name!r} is about {missing[0]!r}, which is not in the label config; "
                "correct its toName"
            )
    return LabelConfig(xml=xml, controls=controls, data_fields=_fields(root))


def choices_config(
    labels: Sequence[LabelOption], *, question: str, field: str = "text", multiple: bool = False
) -> str:
    """The XML of a screen that shows a text and asks for a label, with a key for each.

    Colours are left to Label Studio, so that it reads well in light and dark.

    Raises:
        LabelConfigInvalid: Fewer than two labels, doubled ones or keys, or a name Label Studio would misread.
    """
    if not _NAME.fullmatch(field):
        raise LabelConfigInvalid(
            f"field {field[:50]!r} cannot be shown; use letters, digits and _ in its name"
        )
    _check_options(labels)
    taken = {option.hotkey for option in labels}
    free = (key for key in HOTKEYS if key not in taken)
    choices = "\n".join(_choice(option, option.hotkey or next(free, "")) for option in labels)
    kind = "multiple" if multiple else "single"
    return (
        f"<View style={quoteattr(_SCREEN)}>\n"
        f"  <Style>{_READABLE}</Style>\n"
        f'  <Header value={_attribute(question)} size="4"/>\n'
        f'  <View className="wb-item"><Text name="item" value="${field}"/></View>\n'
        f'  <View className="wb-answer"><Choices name="label" toName="item" choice="{kind}" required="true" '
        'requiredMessage="Choose a label first." showInLine="true">\n'
        f"{choices}\n"
        "  </Choices></View>\n"
        "</View>\n"
    )


def check_fields(config: LabelConfig, fields: Iterable[str]) -> None:
    """Nothing, if items with these fields can be shown.

    Raises:
        LabelConfigInvalid: The screen shows a field that items do not have.
    """
    present = set(fields)
    missing = [name for name in config.data_fields if name not in present]
    if missing:
        have = ", ".join(sorted(present)[:10]) or "none"
        raise LabelConfigInvalid(
            f"the label config shows ${missing[0]}, which the items do not have (they have: {have}); "
            "correct the name in the label config"
        )


def safe_tree(xml: str) -> Element:
    """The XML's elements, read without DTDs, entities or anything from elsewhere.

    Raises:
        LabelConfigInvalid: Too large, too deep, or not well formed.
    """
    if len(xml.encode()) > MAX_BYTES:
        raise LabelConfigInvalid(f"the label config is larger than {MAX_BYTES // 1024} KB; shorten it")
    try:
        root: Element = fromstring(xml.strip(), forbid_dtd=True, forbid_entities=True, forbid_external=True)
    except DefusedXmlException:
        raise LabelConfigInvalid("the label config has a DTD or entities; remove the DOCTYPE") from None
    except (ParseError, ValueError) as error:
        line = getattr(error, "position", (0, 0))[0]
        where = f" (line {line})" if line else ""
        raise LabelConfigInvalid(
            f"the label config is not well-formed XML{where}; close every tag and quote"
        ) from None
    _check_size(root)
    return root


def _check_size(root: Element) -> None:
    level = [root]
    depth = count = 0
    while level:
        depth, count = depth + 1, count + len(level)
        if depth > MAX_DEPTH or count > MAX_ELEMENTS:
            raise LabelConfigInvalid(
                f"the label config is nested deeper than {MAX_DEPTH} or has more than {MAX_ELEMENTS} tags; "
                "simplify it"
            )
        level = [child for element in level for child in element]


def _control(name: str, found: dict[str, Any], element: Element | None) -> Control:
    attributes = {} if element is None else element.attrib
    kind = str(found["type"]).lower()
    choice = None
    if kind == "choices":
        choice = "multiple" if attributes.get("choice") == "multiple" else "single"
    return Control(
        name=name,
        type=kind,
        to_name=tuple(target.strip() for target in found["to_name"]),
        labels=tuple(str(label) for label in found["labels"]),
        choice=choice,
        required=attributes.get("required") == "true",
    )


def _fields(root: Element) -> tuple[str, ...]:
    shown: dict[str, None] = {}
    for element in root.iter():
        if element.tag in _LABEL_TAGS:
            continue
        for attribute in ("value", "valueList"):
            for name in _FIELD.findall(element.get(attribute, "")):
                shown.setdefault(name)
    return tuple(shown)


def _check_options(labels: Sequence[LabelOption]) -> None:
    fewest = 2
    if len(labels) < fewest:
        raise LabelConfigInvalid("give at least two labels to choose from")
    for what, given in (
        ("label", [option.value for option in labels]),
        ("title", [option.title or option.value for option in labels]),
        ("key", [option.hotkey for option in labels if option.hotkey]),
    ):
        doubled = sorted({one for one in given if given.count(one) > 1})
        if doubled:
            raise LabelConfigInvalid(f"{what} {doubled[0][:50]!r} is there twice; make each different")
    for option in labels:
        for text in (option.value, option.title or option.value):
            if not text.strip() or text != text.strip() or text.startswith("$") or _UNPRINTABLE.search(text):
                raise LabelConfigInvalid(
                    f"label {text[:50]!r} cannot be shown; it must not be empty, begin with $ or a space, "
                    "end with a space, or hold line breaks"
                )


def _choice(option: LabelOption, hotkey: str) -> str:
    title = option.title or option.value
    parts = [f"    <Choice value={_attribute(title)}"]
    if title != option.value:
        parts.append(f"alias={_attribute(option.value)}")
    if hotkey:
        parts.append(f"hotkey={_attribute(hotkey)}")
    if option.hint:
        parts.append(f"hint={_attribute(option.hint)}")
    return " ".join(parts) + "/>"


def _attribute(text: str) -> str:
    return quoteattr(_UNPRINTABLE.sub(" ", text))
