"""Why an item has its label, as one SQL statement: from the label back to the file that it came in.

label ← how it was resolved ← answers (who, when, blind, counted, pay) ← decision (rule, policy version)
← prediction (model version, confidence) ← guideline ← import
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    Boolean,
    Float,
    Integer,
    Select,
    String,
    and_,
    case,
    cast,
    func,
    literal,
    null,
    or_,
    select,
    union_all,
)
from sqlalchemy.orm import Session

from workbench.db.types import Money, Utc
from workbench.decisions.tables import DecisionRow, RoutingPolicyRow
from workbench.errors import NotFound
from workbench.items.tables import ImportRow, ItemRow
from workbench.labeling.tables import AnnotationRow, VisitRow
from workbench.labels.tables import LabelRow
from workbench.model_versions.tables import ModelVersionRow
from workbench.overview.store import WAITING
from workbench.people.tables import PersonRow
from workbench.prelabeling.tables import PredictionRow
from workbench.projects.tables import GuidelineVersionRow
from workbench.tallies.tables import LedgerRow

SEALED = "told when people have answered"
_COLUMNS = (
    "kind",
    "at",
    "who",
    "label",
    "how",
    "version",
    "confidence",
    "blind",
    "counted",
    "pay",
    "currency",
)


@dataclass(frozen=True)
class Step:
    """One link of the explanation; what does not apply to its kind is None.

    Attributes:
        kind: `label`, `answer`, `decision`, `prediction`, `guideline` or `import`.
        who: The person, the model version, or who imported.
        how: Method, rule or reason.
        version: Of the routing policy, the guideline, or the label's revision.
        blind: The person did not see the prediction; None while the item is with people.
        counted: The answer counts.
        pay: What the answer cost; None for who may not see costs.
    """

    kind: str
    at: datetime | None
    who: str | None
    label: str | None
    how: str | None
    version: str | None
    confidence: float | None
    blind: bool | None
    counted: bool | None
    pay: Decimal | None
    currency: str | None

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "kind": self.kind,
            "at": self.at.isoformat() if self.at else None,
            "who": self.who,
            "label": self.label,
            "how": self.how,
            "version": self.version,
            "confidence": self.confidence,
            "blind": self.blind,
            "counted": self.counted,
            "pay": None if self.pay is None else format(self.pay, "f"),
            "currency": self.currency,
        }

    def sentence(self) -> str:
        """The step as a line of text."""
        at = f"{self.at:%Y-%m-%d %H:%M} " if self.at else ""
        label = f" “{self.label}”" if self.label else ""
        return f"{at}{self.kind}{label}{self._detail()}"

    def _detail(self) -> str:
        parts = [f"by {self.who}"] if self.who else []
        if self.confidence is not None:
            parts.append(f"confidence {self.confidence:.3f}")
        if self.version:
            parts.append(f"version {self.version}")
        if self.counted is not None:
            parts.append("counted" if self.counted else "not counted")
        if self.blind is not None:
            parts.append("blind" if self.blind else "saw the prediction")
        if self.pay is not None:
            parts.append(f"paid {self.pay.normalize():f} {self.currency}")
        if self.how and self.how.strip():
            parts.append(self.how.strip())
        return f": {', '.join(parts)}" if parts else ""


def why_label(session: Session, project_id: int, item: str, *, with_pay: bool = True) -> list[Step]:
    """Every step that led to the item's label, the label first; what is sealed stays sealed.

    Args:
        session: A session.
        project_id: The project.
        item: The item's public id, or its id in the owner's data.
        with_pay: Tell what answers cost.

    Raises:
        NotFound: The project has no such item.
    """
    rows = session.execute(why_statement(project_id, item)).all()
    if not rows:
        raise NotFound(f"this project has no item {item[:40]}")
    names = [field.name for field in fields(Step)]
    steps = [Step(**{name: getattr(row, name) for name in names}) for row in rows]
    return steps if with_pay else [replace(step, pay=None, currency=None) for step in steps]


def statement_text(session: Session, project_id: int, item: str) -> str:
    """The statement as text for this database, with its values filled in."""
    compiled = why_statement(project_id, item).compile(
        session.get_bind(), compile_kwargs={"literal_binds": True}
    )
    return str(compiled)


def why_statement(project_id: int, item: str) -> Select[Any]:
    """The one statement."""
    it = (
        select(ItemRow.id, ItemRow.round, ItemRow.state, ItemRow.import_id)
        .where(ItemRow.project_id == project_id, or_(ItemRow.public_id == item, ItemRow.external_id == item))
        .order_by(case((ItemRow.public_id == item, 0), else_=1))
        .limit(1)
        .cte("it")
    )
    waits = it.c.state.in_(sorted(map(str, WAITING)))
    label = (
        select(LabelRow)
        .join(it, and_(LabelRow.item_id == it.c.id, LabelRow.superseded_at.is_(None)))
        .cte("final")
    )
    parts = [
        _label(label),
        _answers(it, waits),
        _decision(it, waits),
        _prediction(it, label),
        _guideline(it, label),
        _import(it),
    ]
    steps = union_all(*parts).subquery("steps")
    return select(steps).order_by(steps.c.place, steps.c.at)


def _step(place: int, kind: str, **given: Any) -> Sequence[Any]:
    """The columns of one part of the union, in the order of all."""
    empty: dict[str, Any] = {
        "at": cast(null(), Utc()),
        "who": cast(null(), String()),
        "label": cast(null(), String()),
        "how": cast(null(), String()),
        "version": cast(null(), String()),
        "confidence": cast(null(), Float()),
        "blind": cast(null(), Boolean()),
        "counted": cast(null(), Boolean()),
        "pay": cast(null(), Money()),
        "currency": cast(null(), String()),
    }
    first: dict[str, Any] = {"place": literal(place, Integer()), "kind": literal(kind, String())}
    columns = first | empty | given
    return [column.label(name) for name, column in columns.items()]


def _joined(*parts: Any) -> Any:
    """Texts one after the other, in a form that every SQLite knows."""
    whole: Any = literal("")
    for part in parts:
        whole = whole + (literal(part) if isinstance(part, str) else func.coalesce(part, ""))
    return whole


def _label(label: Any) -> Select[Any]:
    how = _joined(label.c.method, case((label.c.reason != "", ": "), else_=""), label.c.reason)
    return select(
        *_step(
            1,
            "label",
            at=label.c.resolved_at,
            who=label.c.source,
            label=label.c.label,
            how=how,
            version=cast(label.c.revision, String()),
            confidence=label.c.confidence,
        )
    )


def _answers(it: Any, waits: Any) -> Select[Any]:
    pay = (
        select(func.sum(LedgerRow.amount, type_=Money()))
        .where(LedgerRow.source_kind == "annotation", LedgerRow.source_id == cast(AnnotationRow.id, String()))
        .scalar_subquery()
    )
    currency = (
        select(func.max(LedgerRow.currency))
        .where(LedgerRow.source_kind == "annotation", LedgerRow.source_id == cast(AnnotationRow.id, String()))
        .scalar_subquery()
    )
    counted = and_(AnnotationRow.status == "counted", AnnotationRow.deleted_at.is_(None))
    # While it is with people, that an answer was blind would tell that the item was drawn.
    purpose = case((waits, literal("")), else_=VisitRow.purpose)
    return (
        select(
            *_step(
                2,
                "answer",
                at=AnnotationRow.created_at,
                who=func.coalesce(PersonRow.name, "unknown person"),
                label=AnnotationRow.label,
                how=_joined(
                    purpose, case((AnnotationRow.reason != "", ": "), else_=""), AnnotationRow.reason
                ),
                blind=case((waits, null()), else_=AnnotationRow.blind),
                counted=counted,
                pay=pay,
                currency=currency,
            )
        )
        .join(it, AnnotationRow.item_id == it.c.id)
        .join(VisitRow, VisitRow.id == AnnotationRow.visit_id)
        .outerjoin(PersonRow, PersonRow.id == AnnotationRow.person_id)
    )


def _decision(it: Any, waits: Any) -> Select[Any]:
    sealed = and_(waits, DecisionRow.round == it.c.round)
    return (
        select(
            *_step(
                3,
                "decision",
                at=DecisionRow.decided_at,
                label=case((sealed, null()), else_=DecisionRow.outcome),
                how=case(
                    (sealed, literal(SEALED)),
                    else_=func.coalesce(
                        func.nullif(DecisionRow.public_reason, ""), _joined("rule ", DecisionRow.rule)
                    ),
                ),
                version=cast(RoutingPolicyRow.version, String()),
            )
        )
        .join(it, DecisionRow.item_id == it.c.id)
        .join(RoutingPolicyRow, RoutingPolicyRow.id == DecisionRow.policy_id)
    )


def _prediction(it: Any, label: Any) -> Select[Any]:
    calibrated = ModelVersionRow.specification["calibration"].as_string()
    return (
        select(
            *_step(
                4,
                "prediction",
                at=PredictionRow.created_at,
                who=_joined(ModelVersionRow.name, "@", cast(ModelVersionRow.version, String())),
                label=func.nullif(PredictionRow.label, ""),
                # Text that is not there makes the whole nothing: most models have no calibrator.
                how=func.coalesce(
                    func.nullif(PredictionRow.failure, ""), literal("calibrated by ") + calibrated
                ),
                confidence=PredictionRow.confidence,
            )
        )
        .join(it, PredictionRow.item_id == it.c.id)
        .join(ModelVersionRow, ModelVersionRow.id == PredictionRow.model_version_id)
        .outerjoin(label, label.c.item_id == it.c.id)
        # The version that the label rests on; all of them while there is none.
        .where(
            or_(
                label.c.model_version_id.is_(None),
                label.c.model_version_id == PredictionRow.model_version_id,
            )
        )
    )


def _guideline(it: Any, label: Any) -> Select[Any]:
    shown = (
        select(VisitRow.guideline_version_id)
        .where(VisitRow.item_id == it.c.id)
        .union(select(label.c.guideline_version_id))
    )
    return select(
        *_step(
            5,
            "guideline",
            at=GuidelineVersionRow.effective_at,
            version=GuidelineVersionRow.version,
            how=func.nullif(GuidelineVersionRow.uri, ""),
        )
    ).where(GuidelineVersionRow.id.in_(shown))


def _import(it: Any) -> Select[Any]:
    return select(
        *_step(6, "import", at=ImportRow.created_at, who=ImportRow.created_by, how=ImportRow.file_name)
    ).join(it, it.c.import_id == ImportRow.id)
