"""From labels to the annotator's screen and back."""

from __future__ import annotations

from dataclasses import dataclass

from defusedxml.ElementTree import fromstring

from integrations.label_studio.errors import LabelConfigInvalid
from integrations.label_studio.label_config import HOTKEYS, LabelOption, choices_config, parse
from integrations.label_studio.safe_config import rewritten
from workbench.projects.specification import Label, ProjectSpecification

SUPPORTED = (
    'this release works with one Choices control with choice="single" on a Text, such as '
    '<View><Text name="text" value="$text"/><Choices name="label" toName="text" choice="single">'
    '<Choice value="yes"/><Choice value="no"/></Choices></View>'
)


@dataclass(frozen=True)
class Screen:
    """A label config that this release can work with.

    Attributes:
        xml: What Label Studio shows, written anew from allowed tags alone.
        control: Name of the one control.
        text_field: Field of the item that it shows.
        labels: What may be chosen, in the form that results carry.
        hotkeys: Key by label, where the config names one.
    """

    xml: str
    control: str
    text_field: str
    labels: tuple[str, ...]
    hotkeys: dict[str, str]


def read_screen(xml: str) -> Screen:
    """What a Label Studio config asks, if this release supports it.

    Raises:
        LabelConfigInvalid: It is not safe or well formed, or asks something else; says what is supported.
    """
    parse(xml)
    xml = rewritten(xml)
    config = parse(xml)
    control = config.choices()
    if control is None or len(config.controls) != 1:
        kinds = ", ".join(f"{one.name} ({one.type})" for one in config.controls)
        raise LabelConfigInvalid(f"the label config asks for {kinds}; {SUPPORTED}")
    if control.choice != "single":
        raise LabelConfigInvalid(f"control {control.name!r} allows several choices; {SUPPORTED}")
    root = fromstring(xml.strip(), forbid_dtd=True)
    texts = {element.get("name"): element.get("value", "") for element in root.iter("Text")}
    shown = texts.get(control.to_name[0], "") if len(control.to_name) == 1 else ""
    if not shown.startswith("$"):
        raise LabelConfigInvalid(f"control {control.name!r} is not about one Text of the item; {SUPPORTED}")
    if len(control.labels) < 2:  # noqa: PLR2004
        raise LabelConfigInvalid(
            f"control {control.name!r} offers fewer than two choices; add a second Choice"
        )
    field = shown.removeprefix("$")
    others = [name for name in config.data_fields if name != field]
    if others:
        raise LabelConfigInvalid(
            f"the label config also shows ${others[0]}; items of this release have one text"
        )
    hotkeys = {
        element.get("alias") or element.get("value") or "": element.get("hotkey") or ""
        for element in root.iter("Choice")
    }
    return Screen(xml, control.name, field, control.labels, hotkeys)


def screen_of(specification: ProjectSpecification) -> Screen:
    """The screen of a project: its own label config, or one made from its labels.

    Raises:
        LabelConfigInvalid: It cannot be used, or its choices are not the document's labels.
    """
    if specification.label_config:
        screen = read_screen(specification.label_config)
        listed = [label.value for label in specification.labels]
        if listed and set(listed) != set(screen.labels):
            apart = sorted(set(listed) ^ set(screen.labels))
            raise LabelConfigInvalid(
                f"`labels` and the choices of the label config differ in {', '.join(apart)}; "
                "make them the same"
            )
        return screen
    question = specification.question or "Which label fits?"
    # Label Studio would look a word behind a dollar sign up in the item.
    question = question.replace("$", "\N{FULLWIDTH DOLLAR SIGN}")
    options = [
        LabelOption(one.value, title_of(one, specification.language), one.hotkey)
        for one in specification.labels
    ]
    xml = choices_config(options, question=question, field=specification.text_field)
    config = parse(xml).choices()
    assert config is not None
    return Screen(
        xml, config.name, specification.text_field, tuple(one.value for one in specification.labels), {}
    )


def labels_of(specification: ProjectSpecification) -> list[Label]:
    """The project's labels in the order of the screen, each with a key."""
    if specification.labels:
        free = [key for key in HOTKEYS if key not in {label.hotkey for label in specification.labels}]
        given = iter(free)
        return [
            label if label.hotkey else label.model_copy(update={"hotkey": next(given, "")})
            for label in specification.labels
        ]
    screen = screen_of(specification)
    return [Label(value=value, hotkey=screen.hotkeys.get(value, "")) for value in screen.labels]


def title_of(label: Label, language: str = "") -> str:
    """What people read for a label: in their language, else all its titles together, else its value."""
    if language and language in label.title:
        return label.title[language]
    titles = list(dict.fromkeys(title for title in label.title.values() if title.strip()))
    return " / ".join(titles) or label.value
