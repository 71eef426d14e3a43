"""What applying a document would do, before it is done, and a digest that ties the two together."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from integrations.label_studio.errors import LabelConfigInvalid
from workbench.errors import Conflict, InvalidInput, NotFound
from workbench.outside import Outside
from workbench.projects.domain import Change, changes_between
from workbench.projects.reading import read_document
from workbench.projects.service import specification_of
from workbench.projects.specification import ProjectSpecification
from workbench.projects.store import project_with_key
from workbench.projects.tables import ProjectRow
from workbench.setup import store
from workbench.setup.consequences import Consequence, Facts, consequences
from workbench.setup.service import digest_of, set_up_project


@dataclass(frozen=True)
class Plan:
    """What applying a document would do.

    Attributes:
        key: The project's id.
        creates: There is no such project yet.
        changes: Field by field; empty where everything is as the document says.
        consequences: What they mean for what is there.
        refused: Why it cannot be applied; empty where it can.
        notes: What its owner should know.
        digest: Names this document on this state of the project; `apply` takes it.
    """

    key: str
    creates: bool
    changes: tuple[Change, ...]
    consequences: tuple[Consequence, ...]
    refused: str
    notes: tuple[str, ...]
    digest: str

    @property
    def unchanged(self) -> bool:
        """Nothing would be done."""
        return not self.creates and not self.changes

    def value(self) -> dict[str, Any]:
        """The plan as JSON values."""
        return {
            "project": self.key,
            "creates": self.creates,
            "changed": not self.unchanged,
            "changes": [{"path": one.path, "before": one.before, "after": one.after} for one in self.changes],
            "consequences": [{"sentence": one.sentence, "final": one.is_final} for one in self.consequences],
            "refused": self.refused,
            "notes": list(self.notes),
            "digest": self.digest,
        }

    def lines(self) -> list[tuple[str, str]]:
        """The plan as people read it: a mark (`+`, `-`, `~`, `!` or none) and a line each."""
        if self.unchanged:
            return [("", f"project `{self.key}` is as the document says; nothing would change")]
        head = "would be created" if self.creates else "would change"
        lines = [("", f"project `{self.key}` {head}:")]
        lines += [(_mark(change), change.sentence()) for change in self.changes]
        lines += [("!" if one.is_final else "", _told(one)) for one in self.consequences]
        lines += [("", f"note: {note}") for note in self.notes]
        if self.refused:
            return [*lines, ("!", f"cannot be applied: {self.refused}")]
        return [*lines, ("", f"apply exactly this with --plan {self.digest}")]


def of_project(document: Mapping[str, Any], key: str) -> ProjectSpecification:
    """The document, if it is of the project of that key.

    Raises:
        SpecificationInvalid: It cannot be used.
        InvalidInput: It is of another project.
    """
    specification = read_document(document)
    if specification.id != key:
        raise InvalidInput(f"id: the document is of project `{specification.id}`, this one is `{key}`")
    return specification


def plan_project(outside: Outside, specification: ProjectSpecification) -> Plan:
    """What applying this document would do; nothing is written.

    Raises:
        NotFound: It names a Label Studio server that is not connected.
    """
    with outside.db.read() as session:
        project = project_with_key(session, specification.id)
        before = {} if project is None else specification_of(project).document()
        changes = changes_between(before, specification.document())
        facts = _facts(session, project)
        digest = digest_of(project, specification)
    refused, notes = "", tuple[str, ...]()
    if project is None or changes:
        try:
            # The refusals are those of the very code that would do it.
            notes = set_up_project(outside, specification, "plan", dry_run=True).notes
        except (Conflict, NotFound, LabelConfigInvalid) as problem:
            refused = str(problem)
    return Plan(
        key=specification.id,
        creates=project is None,
        changes=tuple(changes),
        consequences=() if project is None else tuple(consequences(changes, facts)),
        refused=refused,
        notes=notes,
        digest=digest,
    )


def plan_rows(plan: Plan) -> list[dict[str, str]]:
    """The changes as rows of a table."""
    words = {"+": ("added", "good"), "-": ("removed", "bad"), "~": ("changed", "warn")}
    return [
        {
            "mark": words[_mark(one)][0],
            "tone": words[_mark(one)][1],
            "path": one.path,
            "before": _cell(one.before),
            "after": _cell(one.after),
        }
        for one in plan.changes
    ]


def _cell(value: Any) -> str:
    if value is None:
        return "–"  # noqa: RUF001 - as pages show nothing
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _facts(session: Session, project: ProjectRow | None) -> Facts:
    if project is None:
        return Facts(items=False, answers=0, lanes=0)
    return Facts(
        items=store.has_items(session, project.id),
        answers=store.annotations_of(session, project.id),
        lanes=store.lanes_of(session, project.id),
    )


def _mark(change: Change) -> str:
    if change.before is None:
        return "+"
    return "-" if change.after is None else "~"


def _told(one: Consequence) -> str:
    return f"{one.sentence}; this cannot be taken back" if one.is_final else one.sentence
