"""A project with labels by machine and by people, and one item that has none."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session

from tests.factories import NOW, make_items, make_person, make_pool, make_project, make_server
from workbench.decisions.tables import DecisionRow, RoutingPolicyRow
from workbench.items.domain import ItemState
from workbench.items.tables import ItemPartRow
from workbench.labeling.tables import AnnotationRow, LaneRow, VisitRow
from workbench.labels.tables import LabelRow
from workbench.model_versions.tables import ModelVersionRow
from workbench.projects.tables import GuidelineVersionRow
from workbench.tallies.store import book

DANGEROUS = '=HYPERLINK("http://example.org";"click"), "quoted"\n你好 🎉'


@dataclass
class World:
    project_id: int
    machine: list[int]
    people: list[int]
    persons: list[str]


def ledger_line(project_id: int, item_id: int, amount: str, *, source: str = "first") -> dict[str, Any]:
    """An amount booked on an item."""
    return {
        "project_id": project_id, "item_id": item_id, "person_id": None, "source_kind": "test",
        "source_id": f"{source}-{item_id}", "rate_card_id": 0, "sequence": 0, "kind": "human_item",
        "quantity": Decimal(1), "unit": "item", "amount": Decimal(amount), "currency": "USD", "at": NOW, "note": "",
    }  # fmt: skip


def build(session: Session, *, machine: int = 5, people: int = 3) -> World:
    server = make_server(session)
    pool = make_pool(session)
    project = make_project(session, server_id=server.id, specification={"b": 1, "a": {"ü": 2}})
    persons = [make_person(session, server, pool, n) for n in (1, 2)]
    model = ModelVersionRow(
        project_id=project.id,
        name="encoder",
        version=3,
        kind="x",
        specification={},
        card={},
        stage="live",
        price_per_hour=Decimal(0),
        created_at=NOW,
        created_by="t",
    )
    policy = RoutingPolicyRow(
        project_id=project.id,
        version=2,
        document={},
        digest="d",
        state="active",
        note="",
        created_at=NOW,
        created_by="t",
        activated_by="t",
    )
    guideline = GuidelineVersionRow(
        project_id=project.id, version="v1.4", uri="", text="", effective_at=NOW, created_at=NOW
    )
    lane = LaneRow(
        public_id=secrets.token_hex(12),
        project_id=project.id,
        server_id=server.id,
        pool_id=pool.id,
        stage="label",
        overlap=2,
        title="t",
        description="",
        state="ready",
        problem="",
        created_at=NOW,
    )
    session.add_all([model, policy, guideline, lane])
    session.flush()
    by_machine = make_items(session, project, machine, ItemState.RESOLVED)
    by_people = make_items(session, project, people, ItemState.RESOLVED)
    make_items(session, project, 1, ItemState.QUEUED)
    for n, item in enumerate([*by_machine, *by_people]):
        is_people = item in by_people
        decision = DecisionRow(
            project_id=project.id,
            item_id=item.id,
            round=1,
            policy_id=policy.id,
            model_version_id=model.id,
            outcome="people" if is_people else "accept",
            purpose="audit" if is_people else "ordinary",
            rule="confident",
            reason="drawn for the audit",
            public_reason="rule confident",
            stage="label",
            overlap=2,
            show_suggestion=False,
            priority=50,
            decided_at=NOW,
        )
        session.add(decision)
        session.flush()
        session.add(
            LabelRow(
                project_id=project.id,
                item_id=item.id,
                revision=1,
                label=("Positive", "Negative")[n % 2],
                source="people" if is_people else "machine",
                method="majority" if is_people else "accepted",
                annotations=2 if is_people else 0,
                share=1.0,
                reason=f"reason {n}",
                decision_id=decision.id,
                policy_id=policy.id,
                model_version_id=model.id,
                guideline_version_id=guideline.id if is_people else None,
                confidence=None if is_people else 0.9 + n / 1000,
                cost=Decimal(7),
                resolved_at=NOW - timedelta(minutes=1),
            )
        )
        book(session, [ledger_line(project.id, item.id, "0.160001" if is_people else "0.000003")])
        visit = VisitRow(
            public_id=secrets.token_hex(12),
            project_id=project.id,
            item_id=item.id,
            lane_id=lane.id,
            purpose="audit",
            round=1,
            attempt=1,
            show_suggestion=False,
            priority=50,
            overlap=2,
            state="answered",
            epoch=1,
            ls_task_id=n,
            created_at=NOW,
        )
        session.add(visit)
        session.flush()
        for k, (person, status) in enumerate(zip(persons, ("counted", "above_overlap"), strict=True)):
            session.add(
                AnnotationRow(
                    project_id=project.id,
                    item_id=item.id,
                    visit_id=visit.id,
                    server_id=server.id,
                    epoch=1,
                    ls_annotation_id=10 * n + k,
                    ls_user_id=k,
                    person_id=person.id,
                    status=status,
                    reason="",
                    label="Positive",
                    blind=True,
                    predicted="",
                    lead_time_s=2.5 + k,
                    result=[],
                    revision=1,
                    created_at=NOW - timedelta(minutes=5 - k),
                    ls_updated_at=NOW,
                    received_at=NOW - timedelta(minutes=2),
                )
            )
    session.get_one(ItemPartRow, (by_machine[0].id, 0)).text = DANGEROUS
    session.add(
        ItemPartRow(
            item_id=by_machine[0].id,
            position=1,
            kind="metadata",
            name="metadata",
            text="",
            data={"n": 1, "π": [1]},
        )
    )
    session.flush()
    return World(
        project.id, [i.id for i in by_machine], [i.id for i in by_people], [p.public_id for p in persons]
    )
