"""A project's model versions with what they did and how people answered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from workbench.model_versions.service import list_versions
from workbench.overview.agreement import by_label, models_of
from workbench.overview.domain import LabelAgreement, Share
from workbench.overview.store import model_counts
from workbench.prelabeling.tables import PredictionRow

_HOUR_S = 3600


@dataclass(frozen=True)
class VersionFigures:
    """One model version.

    Attributes:
        per_second: Items predicted in one second of machine time; None without cost.
        cost_per_1000: Machine cost of 1,000 items; None before it predicted any.
    """

    id: int
    name: str
    kind: str
    stage: str
    labels: tuple[str, ...]
    label_map: dict[str, str]
    folder: str
    files: int
    card: dict[str, Any]
    created_at: datetime
    created_by: str
    live_since: datetime | None
    retired_at: datetime | None
    predicted: int
    failed: int
    blind: Share
    shown: Share
    by_label: tuple[LabelAgreement, ...]
    per_second: float | None
    cost_per_1000: Decimal | None

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "id": self.id,
            "version": self.name,
            "kind": self.kind,
            "stage": self.stage,
            "labels": list(self.labels),
            "label_map": self.label_map,
            "card": self.card,
            "created_at": self.created_at.isoformat(),
            "created_by": self.created_by,
            "live_since": self.live_since.isoformat() if self.live_since else None,
            "predicted": self.predicted,
            "failed": self.failed,
            "agreement_blind": self.blind.to_json(),
            "agreement_shown": self.shown.to_json(),
            "by_label": [one.to_json() for one in self.by_label],
            "items_per_second": self.per_second,
            "cost_per_1000": None if self.cost_per_1000 is None else float(self.cost_per_1000),
        }


def model_figures(session: Session, project_id: int) -> list[VersionFigures]:
    """All versions of a project, newest first."""
    versions = list_versions(session, project_id)
    counts = model_counts(session, project_id)
    agreement = {one.model_version_id: one for one in models_of(counts)}
    sums = {
        version_id: (predicted, failed, cost)
        for version_id, predicted, failed, cost in session.execute(
            select(
                PredictionRow.model_version_id,
                func.count(),
                func.count().filter(PredictionRow.label == ""),
                func.sum(PredictionRow.cost),
            )
            .where(PredictionRow.model_version_id.in_([row.id for row in versions]))
            .group_by(PredictionRow.model_version_id)
        )
    }
    found = []
    for row in versions:
        count, failed, cost = sums.get(row.id, (0, 0, Decimal(0)))
        agrees = agreement.get(row.id)
        hours = cost / row.price_per_hour if row.price_per_hour else Decimal(0)
        found.append(
            VersionFigures(
                id=row.id,
                name=f"{row.name}@{row.version}",
                kind=row.kind,
                stage=row.stage,
                labels=tuple(row.specification.get("labels", ())),
                label_map=dict(row.specification.get("label_map", {})),
                folder=str(row.specification.get("uri", "")),
                files=len(row.specification.get("sha256", {})),
                card=dict(row.card),
                created_at=row.created_at,
                created_by=row.created_by,
                live_since=row.live_since,
                retired_at=row.retired_at,
                predicted=count - failed,
                failed=failed,
                blind=agrees.blind if agrees else Share(0, 0),
                shown=agrees.shown if agrees else Share(0, 0),
                by_label=by_label(counts, row.id, row.specification.get("labels", ())),
                per_second=float(count / (hours * _HOUR_S)) if count and hours else None,
                cost_per_1000=cost / count * 1000 if count else None,
            )
        )
    return found
