"""A project with a model, a policy, people and a Label Studio in memory, and the line's jobs run by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from models.interface import Scores
from tests.factories import LABELS, NOW, make_items, make_person, make_pool, make_project, make_server
from tests.integration.line.label_studio_double import LabelStudioDouble
from workbench.decisions import jobs as deciding
from workbench.decisions.service import new_policy
from workbench.items.domain import ItemState
from workbench.items.tables import ItemRow
from workbench.labeling import jobs as syncing
from workbench.labeling.tables import AnnotationRow, LaneRow, VisitRow
from workbench.labels import jobs as resolving
from workbench.labels.tables import LabelRow
from workbench.model_versions.service import to_document
from workbench.model_versions.tables import ModelVersionRow
from workbench.outside import Outside
from workbench.prelabeling import jobs as predicting

ALL_TO_PEOPLE = {"rules": [{"name": "everything", "when": "true"}]}


class Run:
    """A job run by hand, each step twice where asked: what a crash after a step's effect looks like."""

    def __init__(self, outside: Outside, *, between: Callable[[], None] | None = None) -> None:
        self.outside, self.job_id = outside, "job-1"
        self.progressed: list[int] = []
        self._between = between

    def step(self, function: Callable[..., Any], *arguments: Any) -> Any:
        if self._between:
            self._between()
        return function(self.outside, *arguments)

    def progress(self, done: int, total: int | None = None, message: str = "") -> None:
        self.progressed.append(done)


class StubPredictor:
    """Gives texts the probabilities it is told: by default sure of the first label."""

    labels = LABELS

    def __init__(self, of: Callable[[str], Sequence[float]] = lambda text: (0.9, 0.07, 0.03)) -> None:
        self._of = of
        self.asked: list[str] = []

    def predict(self, texts: Sequence[str]) -> Scores:
        self.asked.extend(texts)
        return Scores(np.array([self._of(text) for text in texts], dtype=np.float32), seconds=1.0)


@dataclass
class World:
    outside: Outside
    server: LabelStudioDouble
    predictor: StubPredictor
    project_id: int
    pool_id: int
    person_ids: list[int]

    def predict(self) -> Any:
        return predicting.run(Run(self.outside), {"project_id": self.project_id})

    def decide(self, *, without_model: bool = False) -> Any:
        return deciding.run(
            Run(self.outside), {"project_id": self.project_id, "without_model": without_model}
        )

    def sync(self) -> Any:
        return syncing.run(Run(self.outside), {"project_id": self.project_id})

    def resolve(self) -> Any:
        return resolving.run(Run(self.outside), {"project_id": self.project_id})

    def policy(self, document: dict[str, Any], **more: Any) -> int:
        with self.outside.db.write() as session:
            row = new_policy(
                session,
                self.project_id,
                document,
                labels=LABELS,
                pools=["english"],
                by="t",
                now=self.outside.now(),
                **more,
            )
            return row.id

    def rows(self, table: Any, *where: Any) -> list[Any]:
        with self.outside.db.read() as session:
            return list(session.scalars(select(table).where(*where).order_by(*table.__table__.primary_key)))

    def items(self) -> list[ItemRow]:
        return self.rows(ItemRow)

    def states(self) -> list[str]:
        return [item.state for item in self.items()]

    def visits(self) -> list[VisitRow]:
        return self.rows(VisitRow)

    def annotations(self) -> list[AnnotationRow]:
        return self.rows(AnnotationRow)

    def labels(self) -> list[LabelRow]:
        return self.rows(LabelRow)

    def lane(self) -> LaneRow:
        return self.rows(LaneRow)[0]

    def change(self, table: Any, key: int, **values: Any) -> None:
        with self.outside.db.write() as session:
            row = session.get(table, key)
            for name, value in values.items():
                setattr(row, name, value)

    def say(self, labels: Iterable[tuple[int, int, str | None]]) -> None:
        """Answers: (which task, who, label)."""
        tasks = list(self.server.tasks.values())
        for which, user, label in labels:
            self.server.answer(tasks[which], user, label)


def add_model(session: Session, project_id: int, version: int = 1, stage: str = "live") -> ModelVersionRow:
    from models.interface import Kind, ModelSpec

    spec = ModelSpec(kind=Kind.KEYWORD, uri="/nowhere", labels=LABELS)
    row = ModelVersionRow(
        project_id=project_id,
        name="stub",
        version=version,
        kind="keyword",
        specification=to_document(spec),
        card={},
        stage=stage,
        price_per_hour=Decimal("0.10"),
        created_at=NOW,
        created_by="t",
    )
    session.add(row)
    session.flush()
    return row


def build(
    outside: Outside,
    *,
    items: int = 4,
    people: int = 3,
    policy: dict[str, Any] | None = None,
    model: bool = True,
    predictor: StubPredictor | None = None,
    **project: Any,
) -> World:
    server = LabelStudioDouble(outside.now)
    predictor = predictor or StubPredictor()
    outside = replace(outside, label_studio=lambda url, token: server, load_model=lambda spec: predictor)
    with outside.db.write() as session:
        row = make_server(session, token=outside.vault.lock(b"token"))
        pool = make_pool(session)
        given = {"server_id": row.id, "pool_id": pool.id} | project
        made = make_project(session, **given)
        persons = [make_person(session, row, pool, n + 1) for n in range(people)]
        make_items(session, made, items, ItemState.IMPORTED)
        if model:
            add_model(session, made.id)
        world = World(outside, server, predictor, made.id, pool.id, [person.id for person in persons])
    world.policy(policy or ALL_TO_PEOPLE)
    return world
