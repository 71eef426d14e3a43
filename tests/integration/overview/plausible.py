"""A project half way through, with rows as the line of work leaves them, for tests and for looking at pages."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from tests.factories import (
    NOW,
    make_import,
    make_person,
    make_pool,
    make_project,
    make_rate_card,
    make_server,
)
from workbench.decisions.service import new_policy
from workbench.decisions.tables import DecisionRow
from workbench.items.domain import ItemState
from workbench.items.store import count_states
from workbench.items.tables import ItemMoveRow, ItemPartRow, ItemRow, ReferenceLabelRow
from workbench.jobs.store import report, start_job
from workbench.labeling.tables import AnnotationRow, LaneRow, VisitRow
from workbench.labels.tables import LabelRow
from workbench.model_versions.tables import ModelVersionRow
from workbench.outside import Outside
from workbench.prelabeling.tables import PredictionRow
from workbench.projects.tables import ProjectRow
from workbench.tallies.domain import Change, Fact, ItemAnswers, Rate, Status
from workbench.tallies.service import count_resolved, machine_cost, record_annotations

LABELS = ("Positive", "Neutral", "Negative")
TEXTS = (
    "The battery lasts two days, and the screen is lovely.",
    "Arrived on Tuesday in a brown box.",
    "Broke after a week; nobody answers my mails. Never again.",
    "It's fine, I guess. Does what it says, no more than that, and the manual is long.",
    "Best phone I have had so far :-) my sister bought one too, and she is hard to please about such things",
    "<script>alert('x')</script> & \"quotes\" — still only text",
    "电池可以用两天，屏幕也很好。",  # noqa: RUF001
)
NAMES = ("Ada Novak", "Ben Okafor", "Chen Yu", "Dana Rossi", "Emil Aydin", "Fay Lindqvist")


@dataclass
class Plausible:
    """What was made, and figures counted while making it, apart from the code under test."""

    project: ProjectRow
    expected: dict[str, Any] = field(default_factory=dict)
    items: list[ItemRow] = field(default_factory=list)


def plausible_project(
    outside: Outside, *, n_items: int = 240, seed: int = 3, minutes: float = 90, key: str = "reviews"
) -> Plausible:
    """A project whose first items trained a model and whose others it predicted."""
    with outside.db.write() as session:
        return _Maker(outside, session, Random(seed), n_items, minutes, key).make()


class _Maker:
    def __init__(
        self, outside: Outside, session: Session, rng: Random, n_items: int, minutes: float, key: str
    ) -> None:
        self.outside, self.session, self.rng, self.n_items = outside, session, rng, n_items
        self.start = NOW - timedelta(minutes=minutes)
        self.step = timedelta(minutes=minutes) / n_items
        self.server = make_server(session)
        self.pool = make_pool(session, "english-" + key)
        self.project = make_project(
            session, key, title="Product reviews", server_id=self.server.id, time_zone="Europe/Berlin",
            note="Replayed: recorded ratings are dealt to six accounts that answer in a real Label Studio at "
            "machine speed, so hourly figures say how fast the replay was, not how fast people are.",
        )  # fmt: skip
        self.card = make_rate_card(session, self.pool)
        self.people = [
            make_person(session, self.server, self.pool, i + 1, name=name) for i, name in enumerate(NAMES)
        ]
        self.source = make_import(session, self.project)
        self.answers = 0
        self.count = dict.fromkeys(
            ["items", "predicted", "accepted", "sent_to_people", "audited", "annotations_received", "above_overlap", "resolved", "wrong", "referenced", "untouched", "same", "compared"], 0,
        )  # fmt: skip
        self.cost = Decimal(0)

    def make(self) -> Plausible:
        session, project = self.session, self.project
        document = {
            "rules": [
                {"name": "sure enough", "when": "confidence >= 0.8", "accept": True},
                {"name": "close calls", "when": "margin < 0.1", "overlap": 2, "show_suggestion": False},
                {"name": "everything else", "when": "true", "pool": self.pool.key, "overlap": 1},
            ],
            "audit_rate": 0.05, "blind_rate": 0.2, "blind_overlap": 2,
        }  # fmt: skip
        self.policy = new_policy(
            session, project.id, document, labels=LABELS, pools=[self.pool.key], by="pm@example.org", now=NOW
        )
        self.version = ModelVersionRow(
            project_id=project.id, name="reviews-head", version=1, kind="encoder-head",
            specification={"labels": list(LABELS), "label_map": {}, "uri": "/models/head", "sha256": {"a": "0" * 64}},
            card={"licence": "Apache-2.0", "parameters": 22_700_000, "size_bytes": 90_900_000, "task": "text-classification",
                  "trained_on": "300 items labeled by people in this project", "evaluation": {"accuracy": 0.71, "items": 100}},
            stage="live", price_per_hour=Decimal("0.10"), created_at=NOW, created_by="ml@example.org", live_since=NOW,
        )  # fmt: skip
        self.lane = LaneRow(
            public_id=secrets.token_hex(12), project_id=project.id, server_id=self.server.id, pool_id=self.pool.id,
            stage="label", overlap=2, title="reviews · english · label · 2", ls_project_id=1, state="ready", description="",
            problem="", created_at=NOW,
        )  # fmt: skip
        session.add_all([self.version, self.lane])
        session.flush()
        items = [self._item(i) for i in range(self.n_items)]
        self._jobs()
        session.flush()
        expected = {**self.count, "cost_total": self.cost, "annotators": len(self.people)}
        return Plausible(project, expected, items)

    def _item(self, i: int) -> ItemRow:
        rng, session = self.rng, self.session
        at = self.start + self.step * i
        truth = rng.choices(LABELS, [5, 3, 2])[0]
        trained = i < self.n_items // 8
        confidence = min(0.995, max(0.36, rng.betavariate(5, 2)))
        predicted = truth if rng.random() < 0.35 + 0.6 * confidence else rng.choice(LABELS)
        waiting = i > self.n_items * 0.92
        item = ItemRow(
            public_id=secrets.token_hex(12), project_id=self.project.id, import_id=self.source.id,
            external_id=f"review-{i:05d}", content_hash=secrets.token_bytes(32), state="imported", language="en",
            region="", sensitivity="high" if i % 97 == 5 else "", round=1, created_at=self.start, state_at=at,
        )  # fmt: skip
        session.add(item)
        session.flush()
        session.add(
            ItemPartRow(
                item_id=item.id, position=0, kind="text", name="text", text=TEXTS[i % len(TEXTS)], data={}
            )
        )
        session.add(ReferenceLabelRow(item_id=item.id, label=truth, source="mean rating"))
        self.count["items"] += 1
        moves = []
        if not trained:
            self._predict(item, predicted, confidence, at)
            moves.append(
                ("imported", "predicted", "predict", f"{predicted} with confidence {confidence:.2f}")
            )
        accept = not trained and confidence >= 0.8
        audit = accept and rng.random() < 0.05
        blind = not accept and rng.random() < 0.3
        decision = self._decide(item, accept, audit, blind, confidence, trained, at)
        state = ItemState.RESOLVED
        if accept and not audit:
            moves.append(("predicted", "accepted", "decide", decision.public_reason))
            moves.append(("accepted", "resolved", "resolve", "the machine's label stands"))
            self._resolve(item, decision, predicted, "machine", 0, at, truth, trained)
            self.count["untouched"] += 1
        else:
            moves.append((moves[-1][1] if moves else "imported", "queued", "decide", decision.public_reason))
            visit = self._visit(
                item, decision, "audit" if audit else "blind" if blind else "ordinary", waiting, at
            )
            if waiting:
                state = ItemState.IN_LABELING
                moves.append(("queued", "in_labeling", "push", "one task in the lane"))
            else:
                label = self._annotate(item, visit, truth, "" if trained else predicted, at)
                moves += [
                    ("queued", "in_labeling", "push", "one task in the lane"),
                    ("in_labeling", "annotated", "sync", "answers received"),
                    ("annotated", "resolved", "resolve", "majority"),
                ]
                self._resolve(item, decision, label, "people", visit.overlap, at, truth, trained)
        item.state = state
        count_states(session, {(self.project.id, state): 1})
        session.execute(
            insert(ItemMoveRow),
            [
                {"project_id": self.project.id, "item_id": item.id, "from_state": one, "to_state": other,
                 "at": at, "actor": actor, "reason": reason, "because": {}}
                for one, other, actor, reason in moves
            ],
        )  # fmt: skip
        return item

    def _predict(self, item: ItemRow, predicted: str, confidence: float, at: datetime) -> None:
        rest = (1 - confidence) / 2
        distribution = [confidence if label == predicted else rest for label in LABELS]
        cost = Decimal("0.000002")
        self.session.add(
            PredictionRow(
                item_id=item.id,
                model_version_id=self.version.id,
                label=predicted,
                confidence=confidence,
                margin=confidence - rest,
                entropy=0.5,
                distribution=distribution,
                failure="",
                cost=cost,
                created_at=at,
            )
        )
        machine_cost(
            self.session, self.project.id, {item.id: cost}, source_id=str(self.version.id), currency="USD", now=at,
            note="reviews-head@1",
        )  # fmt: skip
        self.count["predicted"] += 1
        self.cost += cost

    def _decide(self, item: ItemRow, accept: bool, audit: bool, blind: bool, confidence: float, trained: bool,
                at: datetime) -> DecisionRow:  # fmt: skip
        public = (
            f"rule 'sure enough': confidence {confidence:.2f} ≥ 0.80"
            if accept
            else f"rule 'everything else': not 'sure enough', {'no prediction' if trained else f'confidence {confidence:.2f} < 0.80'}"
        )
        row = DecisionRow(
            project_id=self.project.id, item_id=item.id, round=1, policy_id=self.policy.id,
            model_version_id=None if trained else self.version.id, outcome="accept" if accept else "people",
            purpose="audit" if audit else "blind" if blind else "ordinary",
            rule="sure enough" if accept else "everything else", reason=public + ("; drawn for audit (5%)" if audit else ""),
            public_reason=public, stage="label", pool_id=self.pool.id, overlap=2 if blind else 1,
            show_suggestion=not (audit or blind or trained), priority=50, decided_at=at,
        )  # fmt: skip
        self.session.add(row)
        self.session.flush()
        return row

    def _visit(
        self, item: ItemRow, decision: DecisionRow, purpose: str, waiting: bool, at: datetime
    ) -> VisitRow:
        row = VisitRow(
            public_id=secrets.token_hex(12), project_id=self.project.id, item_id=item.id, lane_id=self.lane.id,
            decision_id=decision.id, model_version_id=decision.model_version_id, purpose=purpose, round=1, attempt=1,
            show_suggestion=decision.show_suggestion, priority=50, overlap=decision.overlap,
            state="in_lane" if waiting else "answered", epoch=1, ls_task_id=item.id, created_at=at,
        )  # fmt: skip
        self.session.add(row)
        self.session.flush()
        self.count["sent_to_people"] += 1
        self.count["audited"] += purpose == "audit"
        return row

    def _annotate(self, item: ItemRow, visit: VisitRow, truth: str, predicted: str, at: datetime) -> str:
        rng = self.rng
        wanted = visit.overlap
        givers = rng.sample(self.people, wanted + (rng.random() < 0.06))
        blind = not visit.show_suggestion
        changes, labels = [], []
        for n, person in enumerate(givers):
            self.answers += 1
            skipped = n == 0 and wanted == 1 and rng.random() < 0.02 and len(givers) > 1
            label = "" if skipped else truth if rng.random() < 0.84 else rng.choice(LABELS)
            status = Status.SKIPPED if skipped else Status.COUNTED if n < wanted else Status.ABOVE_OVERLAP
            lead = round(rng.lognormvariate(2.2, 0.5), 2)
            row = AnnotationRow(
                project_id=self.project.id, item_id=item.id, visit_id=visit.id, server_id=self.server.id, epoch=1,
                ls_annotation_id=self.answers, ls_user_id=n + 1, person_id=person.id, status=status.value,
                reason="answer 2 where 1 were wanted" if status is Status.ABOVE_OVERLAP else "", label=label,
                blind=blind, predicted=predicted, model_version_id=visit.model_version_id, lead_time_s=lead,
                result=[], revision=1, created_at=at + timedelta(seconds=10 * n), ls_updated_at=at, received_at=at,
            )  # fmt: skip
            self.session.add(row)
            self.session.flush()
            changes.append(Change(None, Fact(row.id, item.id, person.id, status, label, blind, predicted,
                                             visit.model_version_id, lead, row.created_at)))  # fmt: skip
            if not skipped:
                labels.append((person.id, label))
                self.count["annotations_received"] += 1
                self.count["above_overlap"] += status is Status.ABOVE_OVERLAP
                self.cost += self.card.price
                if blind and predicted:
                    self.count["compared"] += 1
                    self.count["same"] += label == predicted
        record_annotations(
            self.session, self.project.id, changes, [ItemAnswers((), tuple(labels) if blind else ())], labels=LABELS,
            rates=[Rate(self.card.id, "item", self.card.price, "USD")], lead_time_cap_s=300, now=at,
        )  # fmt: skip
        return labels[0][1] if labels else truth

    def _resolve(self, item: ItemRow, decision: DecisionRow, label: str, source: str, answers: int, at: datetime,
                 truth: str, trained: bool) -> None:  # fmt: skip
        self.session.add(
            LabelRow(
                project_id=self.project.id,
                item_id=item.id,
                revision=1,
                label=label,
                source=source,
                method="model" if source == "machine" else "majority",
                annotations=answers,
                share=1.0,
                reason="",
                decision_id=decision.id,
                policy_id=self.policy.id,
                model_version_id=self.version.id if source == "machine" else None,
                cost=Decimal("0.08"),
                resolved_at=at + timedelta(seconds=20),
            )
        )
        machine = int(source == "machine")
        count_resolved(self.session, self.project.id, machine=machine, people=1 - machine, at=at)
        self.count["resolved"] += 1
        self.count["accepted"] += machine
        if not trained:
            self.count["referenced"] += 1
            self.count["wrong"] += label != truth

    def _jobs(self) -> None:
        for kind, state, done, total, problem in (
            ("prelabel", "running", 1400, 2000, ""),
            ("push", "failed", 300, 400, "Label Studio did not answer within 60 s."),
            ("import", "done", 2000, 2000, ""),
        ):
            job_id = start_job(
                self.session, kind, {}, job_id=f"{self.project.key}-{kind}", project_id=self.project.id,
                by="pm@example.org", now=NOW - timedelta(minutes=2), total=total,
            )  # fmt: skip
            report(
                self.session, job_id, state=state, done=done, problem=problem, started_at=NOW - timedelta(seconds=50),
                finished_at=None if state == "running" else NOW - timedelta(seconds=20),
            )  # fmt: skip
