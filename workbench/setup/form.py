"""The form of a new project: what was typed, and the document it means."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from workbench.errors import InvalidInput
from workbench.projects.label_config import read_screen
from workbench.projects.problems import Problem
from workbench.projects.specification import KEY
from workbench.projects.starters import Starter

NEW_SERVER = "+"
_SPARE_ROWS = 2
_FIELDS = (
    "template",
    "title",
    "key",
    "question",
    "instruction",
    "language",
    "time_zone",
    "currency",
    "price",
    "unit",
    "overlap",
    "accept",
    "accept_at",
    "audit_percent",
    "label_config",
    "server",
    "server_name",
    "server_url",
    "people",
)
_PLACES: dict[tuple[str | int, ...], str] = {
    ("id",): "key",
    ("title",): "title",
    ("question",): "question",
    ("instruction",): "instruction",
    ("language",): "language",
    ("time_zone",): "time_zone",
    ("labels",): "labels",
    ("label_config",): "label_config",
    ("budget", "currency"): "currency",
    ("pools",): "price",
    ("routing", "accept_at"): "accept_at",
    ("routing", "audit_rate"): "audit_percent",
    ("routing", "overlap"): "overlap",
    ("server",): "server",
}


@dataclass(frozen=True)
class LabelRow:
    """One line of the labels' table."""

    value: str = ""
    hotkey: str = ""
    severity: str = ""
    sensitive: bool = False


@dataclass(frozen=True)
class Invited:
    """Somebody to be invited."""

    name: str
    email: str


@dataclass(frozen=True)
class NewProject:
    """What stands in the form, as text."""

    values: Mapping[str, str]
    labels: tuple[LabelRow, ...] = ()
    rows: int = 0
    server_token: str = field(default="", repr=False)

    @classmethod
    def of(cls, given: Mapping[str, str], lists: Mapping[str, Sequence[str]]) -> Self:
        """The form as it was sent; `lists` holds the columns of the labels' table."""
        columns = [list(lists.get(name, ())) for name in ("label_value", "label_hotkey", "label_severity")]
        sensitive = set(lists.get("label_sensitive", ()))
        rows = [
            LabelRow(value.strip(), _at(columns[1], i), _at(columns[2], i), str(i) in sensitive)
            for i, value in enumerate(columns[0])
        ]
        return cls(
            {name: given.get(name, "").strip() for name in _FIELDS},
            tuple(row for row in rows if row.value),
            len(rows),
            given.get("server_token", "").strip(),
        )

    @classmethod
    def from_starter(cls, one: Starter, *, time_zone: str = "UTC") -> Self:
        """The form as a template fills it."""
        values = dict.fromkeys(_FIELDS, "") | {
            "template": one.key,
            "question": one.question,
            "instruction": one.instruction,
            "time_zone": time_zone,
            "currency": "USD",
            "unit": "item",
            "overlap": "1",
            "accept": "machine",
            "accept_at": "90",
            "audit_percent": "5",
            "server_name": "label-studio",
        }
        labels = tuple(LabelRow(label.title, "", label.severity, label.sensitive) for label in one.labels)
        return cls(values, labels)

    def more_rows(self) -> Self:
        """The same with more empty lines for labels."""
        return type(self)(self.values, self.labels, max(self.rows, len(self.labels)) + 4, self.server_token)

    @property
    def label_rows(self) -> list[LabelRow]:
        """The labels with some empty lines below."""
        wanted = max(self.rows, len(self.labels) + _SPARE_ROWS)
        return [*self.labels, *[LabelRow()] * (wanted - len(self.labels))]

    @property
    def key(self) -> str:
        """The project's id: as typed, else from its title."""
        return self.values["key"] or key_from(self.values["title"])

    def document(self) -> dict[str, Any]:
        """The project document that the form means.

        Raises:
            FormInvalid: A number is not a number; names its field.
        """
        given = self.values
        document: dict[str, Any] = {
            "id": self.key,
            "title": given["title"],
            "question": given["question"],
            "instruction": given["instruction"],
            "language": given["language"],
            "time_zone": given["time_zone"] or None,
            "budget": self._budget(),
            "pools": [self._pool()],
            "routing": self._routing(),
        }
        if given["label_config"]:
            document["label_config"] = given["label_config"]
        else:
            document["labels"] = [
                {
                    "value": row.value,
                    "hotkey": row.hotkey,
                    "severity": row.severity,
                    "sensitive": row.sensitive,
                }
                for row in self.labels
            ]
        if given["server"]:
            document["server"] = given["server_name"] if given["server"] == NEW_SERVER else given["server"]
        return document

    def shown_labels(self) -> list[tuple[str, str]]:
        """(label, key) as annotators will see them.

        Raises:
            LabelConfigInvalid: The pasted config cannot be used.
        """
        if self.values["label_config"]:
            screen = read_screen(self.values["label_config"])
            return [(label, screen.hotkeys.get(label, "")) for label in screen.labels]
        free = (key for key in "1234567890" if key not in {row.hotkey for row in self.labels})
        return [(row.value, row.hotkey or next(free, "")) for row in self.labels]

    def invited(self) -> list[Invited]:
        """Who is to be invited, one a line: `Ada Lovelace ada@example.org`.

        Raises:
            FormInvalid: A line has no e-mail address.
        """
        return invited_in(self.values["people"])

    def _pool(self) -> dict[str, Any]:
        pool: dict[str, Any] = {
            "id": f"{self.key}-team"[:50].rstrip("-"),
            "name": f"{self.values['title']} team"[:200],
            "unit": self.values["unit"] or "item",
            "language": self.values["language"],
        }
        if self.values["price"]:
            pool["price"] = _number(self.values["price"], "price", "0.08")
        return pool

    def _budget(self) -> dict[str, Any]:
        """Savings are stated against people doing everything at the project's own price."""
        budget: dict[str, Any] = {"currency": self.values["currency"].upper() or "USD"}
        if self.values["price"] and self.values["unit"] != "hour":
            budget["all_human_baseline_per_label"] = _number(self.values["price"], "price", "0.08")
            budget["baseline_overlap"] = int(_number(self.values["overlap"] or "1", "overlap", "1"))
        return budget

    def _routing(self) -> dict[str, Any]:
        routing: dict[str, Any] = {"overlap": int(_number(self.values["overlap"] or "1", "overlap", "1"))}
        if self.values["accept"] == "machine":
            routing["accept_at"] = _number(self.values["accept_at"] or "90", "accept_at", "90") / 100
            routing["audit_rate"] = _number(self.values["audit_percent"] or "0", "audit_percent", "5") / 100
        return routing


class FormInvalid(InvalidInput):
    """Something in a form cannot be used; `field` names where it stands."""

    def __init__(self, name: str, message: str) -> None:
        self.field = name
        super().__init__(message)


def errors_by_field(problems: Sequence[Problem]) -> dict[str, str]:
    """Each field's problem; what belongs to none stands under the empty name."""
    found: dict[str, str] = {}
    for problem in problems:
        places = [problem.place[:n] for n in (2, 1)]
        name = next((_PLACES[place] for place in places if place in _PLACES), "")
        words = Problem((), problem.message, problem.did_you_mean).sentence()
        if not name:
            words = problem.sentence()
        found.setdefault(name, quoted(words[:1].upper() + words[1:]))
    return found


def quoted(sentence: str) -> str:
    """The sentence with words in quotes, where the command line shows them as code.

    >>> quoted("there is no pool `x`")
    'there is no pool "x"'
    """
    return re.sub(r"`([^`]*)`", r'"\1"', sentence)


def key_from(title: str) -> str:
    """An id made from a title; empty where it has no letters that an address can carry.

    >>> key_from("Comment safety (EN)")
    'comment-safety-en'
    """
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    key = re.sub(r"[^a-z0-9]+", "-", plain)[:40].strip("-")
    return key if re.fullmatch(KEY, key) else ""


def invited_in(text: str) -> list[Invited]:
    """Names and e-mail addresses, one person a line.

    Raises:
        FormInvalid: A line has no e-mail address.

    >>> invited_in("Ada Lovelace <ada@example.org>")
    [Invited(name='Ada Lovelace', email='ada@example.org')]
    """
    people: dict[str, Invited] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        found = re.search(r"[^\s<>,;\"']+@[^\s<>,;\"']+", line)
        if found is None:
            raise FormInvalid(
                "people", f"Line {number} has no e-mail address; write: Ada Lovelace ada@example.org"
            )
        email = found.group().lower()
        name = (line[: found.start()] + line[found.end() :]).strip(" \t<>,;\"'")
        people.setdefault(email, Invited(name or email.partition("@")[0], email))
    return list(people.values())


def threshold_words(percent: float) -> str:
    """What accepting at this confidence means, in plain words.

    >>> threshold_words(90)
    'Items on which the model is at least 90% sure are settled without people; all others go to people.'
    """
    return (
        f"Items on which the model is at least {percent:g}% sure are settled without people; "
        "all others go to people."
    )


def _at(column: Sequence[str], i: int) -> str:
    return column[i].strip() if i < len(column) else ""


def _number(text: str, name: str, example: str) -> float:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        raise FormInvalid(name, f"Write a number such as {example}") from None
