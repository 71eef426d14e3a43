"""What is wrong with a project document, said so that its writer finds the place."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from workbench.errors import InvalidInput
from workbench.projects.specification import ProjectSpecification

Place = tuple[str | int, ...]
_PLAIN = {
    "missing": "is missing",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must hold keys and values",
    "model_type": "must hold keys and values",
    "string_too_short": "must not be empty",
    "decimal_parsing": "must be a number",
    "decimal_type": "must be a number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "date_parsing": "must be a day such as 2026-11-02",
    "date_from_datetime_parsing": "must be a day such as 2026-11-02",
    "date_type": "must be a day such as 2026-11-02",
}
_PATTERNS = {
    "id": "uses lower-case letters, digits and single hyphens, such as `comment-safety`",
    "skill": "uses lower-case letters, digits and single hyphens, such as `en-safety`",
    "currency": "is a currency of three capital letters, such as USD",
    "model": "is a model's name, or name@version such as `toxic@3`",
    "start": 'is a time of day in quotes, such as "09:00"',
    "end": 'is a time of day in quotes, such as "17:30"',
    "text_field": "is a field's name: letters, digits and _",
    "after": "is a duration such as PT4H or P1D",
    "turnaround_p95": "is a duration such as PT4H or P1D",
}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        place: Keys and positions from the top of the document.
        message: What is wrong and what to write.
        did_you_mean: The nearest accepted word.
        line: Line of the file, from 1; None where there is no file.
    """

    place: Place
    message: str
    did_you_mean: str | None = None
    line: int | None = None

    @property
    def path(self) -> str:
        """The place as people write it: `routing.routes[2].to`."""
        text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.place)
        return text.removeprefix(".")

    def sentence(self, file_name: str = "") -> str:
        """The problem with its place, as one line."""
        line = f":{self.line}" if self.line else ""
        where = f"{file_name}{line}: " if file_name else ""
        hint = f"; did you mean `{self.did_you_mean}`?" if self.did_you_mean else ""
        path = f"{self.path}: " if self.path else ""
        return f"{where}{path}{self.message}{hint}"


class SpecificationInvalid(InvalidInput):
    """A project document that cannot be used; every problem is named with its place."""

    def __init__(self, problems: Iterable[Problem], file_name: str = "") -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problem.sentence(file_name) for problem in self.problems))


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word spelled most like this one, if one is near.

    >>> closest("gold_rte", ["gold_rate", "overlap"])
    'gold_rate'
    """
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return near[0] if near else None


def problems_of(error: ValidationError) -> list[Problem]:
    """What pydantic found, in plain words."""
    return [_problem(one) for one in error.errors(include_url=False)]


def _problem(error: Mapping[str, Any]) -> Problem:  # noqa: PLR0911 - one return a kind
    place: Place = tuple(error["loc"])
    kind, given = error["type"], error.get("input")
    if kind == "extra_forbidden":
        known = _keys_at(ProjectSpecification, place[:-1])
        near = closest(str(place[-1]), known)
        listed = "" if near else f"; known here are {', '.join(sorted(known))}"
        return Problem(place, f"is not a key of this part{listed}", near)
    if kind == "time_zone":
        return Problem(place, str(error["msg"]), _near_zone(str(given)))
    if kind == "string_type":
        if isinstance(given, bool | int | float):
            written = str(given).lower() if isinstance(given, bool) else str(given)
            return Problem(place, f'must be text; put it in quotes: "{written}"')
        return Problem(place, "must be text")
    if kind == "literal_error":
        return _choice(place, given, str(error["ctx"]["expected"]))
    if kind == "string_pattern_mismatch" and isinstance(place[-1], str):
        return Problem(place, f"{_PATTERNS.get(place[-1], 'is not of the expected form')}; `{given}` is not")
    return Problem(place, _PLAIN.get(kind) or _sentence(str(error["msg"])))


def _sentence(message: str) -> str:
    return (
        message.replace("Input should be", "must be")
        .replace("String should", "must")
        .replace("List should", "must")
    )


def _choice(place: Place, given: Any, expected: str) -> Problem:
    words = [word.strip().strip("'") for word in expected.replace(" or ", ", ").split(",")]
    words = [word for word in words if word]
    if place == ("modality",):
        return Problem(place, "only `text` projects work in this release")
    message = f"must be {'one of ' if len(words) > 1 else ''}{', '.join(words)}; `{given}` is not"
    return Problem(place, message, closest(str(given), words))


def _near_zone(given: str) -> str | None:
    import zoneinfo  # noqa: PLC0415 - reading all zones takes a moment, and only a mistake needs it

    zones = zoneinfo.available_timezones()
    by_city = {zone.rpartition("/")[2]: zone for zone in sorted(zones, reverse=True)}
    near = closest(given, zones)
    if near:
        return near
    city = closest(given.rpartition("/")[2].replace(" ", "_").title(), by_city)
    return by_city[city] if city else None


def _keys_at(model: type[BaseModel], place: Place) -> list[str]:
    """The keys that the part at this place knows."""
    annotation: Any = model
    for part in place:
        found = _model_in(annotation)
        if isinstance(part, str) and found is not None:
            by_key = {field.alias or name: field.annotation for name, field in found.model_fields.items()}
            annotation = by_key.get(part)
    found = _model_in(annotation)
    return [] if found is None else [field.alias or name for name, field in found.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) in {list, dict, typing.Union, types.UnionType, typing.Annotated}:
        for argument in typing.get_args(annotation):
            found = _model_in(argument)
            if found is not None:
                return found
    return None
