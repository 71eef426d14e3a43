"""What a project can be, and what changes from one document to the next."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class ProjectState(StrEnum):
    """Whether work goes on."""

    ACTIVE = "active"
    PAUSED = "paused"
    CLOSED = "closed"


STATE_MOVES: dict[ProjectState, frozenset[ProjectState]] = {
    ProjectState.ACTIVE: frozenset({ProjectState.PAUSED, ProjectState.CLOSED}),
    ProjectState.PAUSED: frozenset({ProjectState.ACTIVE, ProjectState.CLOSED}),
    ProjectState.CLOSED: frozenset({ProjectState.ACTIVE}),
}


@dataclass(frozen=True)
class Change:
    """One field that an apply changes; None where there was or will be nothing."""

    path: str
    before: Any
    after: Any

    def sentence(self) -> str:
        """The change as one line.

        >>> Change("labels[spam].severity", None, "low").sentence()
        'labels[spam].severity: added "low"'
        """
        if self.before is None:
            return f"{self.path}: added {_shown(self.after)}"
        if self.after is None:
            return f"{self.path}: removed {_shown(self.before)}"
        return f"{self.path}: {_shown(self.before)} → {_shown(self.after)}"


def changes_between(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """What differs between two documents, field by field; list entries are matched by their name.

    >>> changes_between({"title": "A"}, {"title": "B"})
    [Change(path='title', before='A', after='B')]
    """
    return list(_differences("", dict(before), dict(after)))


def plan_digest(version: int, before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> str:
    """A name for this change of a project: another as soon as the project or the document is another.

    Args:
        version: Version of the project's document; 0 where there is no project yet.
        before: The document it was last applied from.
        after: The document it shall be applied from.
    """
    text = json.dumps([version, before, after], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _differences(path: str, before: Any, after: Any) -> Iterator[Change]:
    if before == after:
        return
    one, other = _named(before), _named(after)
    if one is None or other is None:
        yield Change(path, before, after)
        return
    by_name = isinstance(before, list) or isinstance(after, list)
    moved = by_name and [name for name in one if name in other] != [name for name in other if name in one]
    for name in dict.fromkeys([*one, *other]):
        place = f"{path}[{name}]" if by_name else f"{path}.{name}".removeprefix(".")
        yield from _differences(place, one.get(name), other.get(name))
    if moved:
        yield Change(f"{path} (order)", ", ".join(one), ", ".join(other))


def _named(value: Any) -> dict[str, Any] | None:
    """Entries by name, for what has named entries; None for plain values and lists without names."""
    if isinstance(value, dict):
        return value
    if isinstance(value, list):
        names = [_name(entry) for entry in value]
        if all(names) and len(set(names)) == len(names):
            return dict(zip([str(name) for name in names], value, strict=True))
    return None


def _name(entry: Any) -> str | None:
    if not isinstance(entry, dict):
        return None
    return next((str(entry[key]) for key in ("id", "value", "name") if entry.get(key)), None)


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"' if len(value) <= 80 else f'"{value[:77]}…"'  # noqa: PLR2004
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_shown(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_shown(one) for one in value) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)
