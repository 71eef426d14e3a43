"""What needs somebody's attention in a project, each with what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from workbench.decisions.store import active_policy
from workbench.incidents.store import open_incidents
from workbench.items.tables import ImportRow
from workbench.jobs.definition import JobState
from workbench.labeling.domain import LaneState, VisitState
from workbench.labeling.tables import LaneRow, VisitRow
from workbench.model_versions.store import live_version
from workbench.overview.domain import ENOUGH_ITEMS
from workbench.overview.figures import Figures
from workbench.overview.job_pages.views import JobView
from workbench.people.tables import ServerRow

_STUCK_S = 3 * 86_400


@dataclass(frozen=True)
class Attention:
    """One thing to do: what is wrong, what to do, and where."""

    tone: str
    title: str
    words: str
    link: str = ""
    address: str = ""


class ProjectOf(Protocol):
    """What is asked of a project."""

    id: int
    key: str
    server_id: int | None
    without_model: str


def attention(session: Session, project: ProjectOf, figures: Figures, jobs: list[JobView]) -> list[Attention]:
    """Everything that keeps the project from going on, most pressing first."""
    base = f"/projects/{project.key}"
    found = [
        *_incidents(session, project.id),
        *_server(session, project, figures),
        *_jobs(jobs, base),
        *_lanes(session, project.id),
        *_visits(session, project.id, base),
        *_setup(session, project, figures, base),
        *_imports(session, project.id, base),
        *_figures(figures, base),
    ]
    return sorted(found, key=lambda one: ("bad", "warn", "").index(one.tone))


def _incidents(session: Session, project_id: int) -> Iterator[Attention]:
    for one in open_incidents(session, projects=[project_id]):
        since = f" Since {one.opened_at:%d %b %H:%M} UTC"
        seen = f", seen {one.count:,} times." if one.count > 1 else "."
        cares = f" {one.acknowledged_by} looks after it." if one.acknowledged_by else ""
        remedy = f" {one.remedy[0].upper()}{one.remedy[1:].rstrip('.')}." if one.remedy else ""
        yield Attention(
            "bad" if one.severity == "bad" else "warn" if one.severity == "warn" else "",
            one.kind.replace("_", " ").capitalize(),
            f"{one.sentence.rstrip('.')}.{remedy}{since}{seen}{cares}",
            "Open operations",
            "/operations",
        )


def _server(session: Session, project: ProjectOf, figures: Figures) -> Iterator[Attention]:
    if project.server_id is None:
        if figures.items:
            yield Attention(
                "bad",
                "No Label Studio is connected",
                "People cannot be sent items before the project has a server.",
                "Connect a server",
                "/servers",
            )
        return
    server = session.get(ServerRow, project.server_id)
    if server is not None and server.state not in {"ready", ""}:
        why = f" {server.problem}" if server.problem else ""
        yield Attention(
            "bad",
            f"Label Studio “{server.name}” is {server.state.replace('_', ' ')}",
            f"Answers wait there until it is back; it is tried again by itself.{why}",
            "Look at the server",
            "/servers",
        )


def _jobs(jobs: list[JobView], base: str) -> Iterator[Attention]:
    newest: set[str] = set()
    for job in jobs:
        if job.title in newest:
            continue
        newest.add(job.title)
        if job.state == JobState.FAILED:
            yield Attention(
                "bad",
                f"{job.title} failed",
                f"{job.problem or 'It gave no reason.'} Mend that, then resume it: what was done stays.",
                "Open jobs",
                f"{base}/jobs",
            )


def _lanes(session: Session, project_id: int) -> Iterator[Attention]:
    rows = session.execute(
        select(LaneRow.title, LaneRow.problem).where(
            LaneRow.project_id == project_id, LaneRow.state.in_([LaneState.BROKEN, LaneState.SUSPECT])
        )
    )
    for title, problem in rows:
        yield Attention(
            "bad", f"Lane “{title}” cannot be worked in", problem, "Look at the server", "/servers"
        )


def _visits(session: Session, project_id: int, base: str) -> Iterator[Attention]:
    refused = session.scalar(
        select(func.count()).where(VisitRow.project_id == project_id, VisitRow.state == VisitState.REFUSED)
    )
    if refused:
        yield Attention(
            "bad",
            f"Label Studio does not take {refused} of the items",
            "It refuses them one by one; look at their text, and import them again under another id.",
            "Look at the queue",
            f"{base}/items?state=queued",
        )


def _setup(session: Session, project: ProjectOf, figures: Figures, base: str) -> Iterator[Attention]:
    if not figures.items:
        return
    if active_policy(session, project.id) is None:
        yield Attention(
            "bad",
            "No routing policy is in force",
            "Without one no item is accepted or sent to people.",
            "Choose a policy",
            f"{base}/routing",
        )
    if live_version(session, project.id) is None:
        without = (
            "Items go straight to people until then."
            if project.without_model == "people"
            else "Items wait until then."
        )
        yield Attention(
            "warn",
            "No model is live",
            f"Register or train one and promote it. {without}",
            "Open models",
            f"{base}/models",
        )


def _imports(session: Session, project_id: int, base: str) -> Iterator[Attention]:
    rejected, conflicting = session.execute(
        select(
            func.coalesce(func.sum(ImportRow.rows_rejected), 0),
            func.coalesce(func.sum(ImportRow.rows_conflicting), 0),
        ).where(ImportRow.project_id == project_id)
    ).one()
    if rejected:
        yield Attention(
            "warn",
            f"{rejected:,} {'row was' if rejected == 1 else 'rows were'} rejected on import",
            "Each stands with its line and reason in the rejects file; mend and upload them again.",
            "Open imports",
            f"{base}/import",
        )
    if conflicting:
        yield Attention(
            "warn",
            f"{conflicting:,} {'row has' if conflicting == 1 else 'rows have'} a known id but other content",
            "The item was left as it was; give the new content an id of its own.",
            "Open imports",
            f"{base}/import",
        )


def _figures(figures: Figures, base: str) -> Iterator[Attention]:
    if figures.queue.oldest_s is not None and figures.queue.oldest_s > _STUCK_S:
        days = int(figures.queue.oldest_s // 86_400)
        yield Attention(
            "warn",
            f"The oldest open item has waited for {days} days",
            "Check that the pool has active people, or change where its rule sends it.",
            "Open people",
            f"{base}/people",
        )
    if figures.resolved_by_people and not figures.agreement.enough:
        missing = ENOUGH_ITEMS - figures.agreement.n_items
        yield Attention(
            "",
            "Not enough blind answers for agreement",
            f"{missing} more {'item needs' if missing == 1 else 'items need'} two answers given without "
            "sight of a prediction. Raise the blind share or the overlap in the routing policy.",
            "Open routing",
            f"{base}/routing",
        )
    for currency, amount in figures.other_currencies.items():
        yield Attention(
            "warn",
            f"{amount:,.2f} {currency} are not in the total",
            f"The project counts in {figures.currency}; mend the rate card's currency.",
            "Open people",
            f"{base}/people",
        )
