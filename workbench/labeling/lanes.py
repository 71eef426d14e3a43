"""Lanes: chosen, and made in Label Studio."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from integrations.label_studio.interface import LabelStudio, LaneSpec
from workbench.errors import WrongState
from workbench.labeling import store
from workbench.labeling.domain import LaneState, VisitState, lane_description, lane_key, lane_title
from workbench.labeling.tables import LaneRow
from workbench.outside import Outside
from workbench.people.belonging import check_place, server_for, works_on
from workbench.people.store import find_pool, find_server, members_of
from workbench.people.tables import ServerRow
from workbench.projects.store import project_by_id
from workbench.projects.tables import ProjectRow


def client_of(outside: Outside, server: ServerRow) -> LabelStudio:
    """A client for a server, its token decrypted."""
    return outside.label_studio(server.url, outside.vault.unlock(server.token).decode())


def project_of(outside: Outside, lane_id: int) -> int:
    """The project of a lane: what is written about the lane is written alone in it."""
    with outside.db.read() as session:
        return store.find_lane(session, lane_id).project_id


def ensure_lane(
    outside: Outside, session: Session, project: ProjectRow, pool_id: int, stage: str, overlap: int
) -> LaneRow:
    """The lane's row, made where it is missing; Label Studio hears of it later."""
    pool = find_pool(session, pool_id)
    server_id = server_for(session, project, pool)
    if server_id is None:
        raise WrongState(
            f"project `{project.key}` has no Label Studio server; connect one on its Settings page"
        )
    lane = store.lane_for(session, project.id, server_id, pool_id, stage, overlap)
    if lane is None:
        works_on(session, pool.supplier_id, project, outside.now())
        server = find_server(session, server_id)
        place = (project.key, server.public_id or server.url, pool.public_id or pool.key, stage, overlap)
        lane = LaneRow(
            public_id=lane_key(*place),
            project_id=project.id,
            server_id=server_id,
            pool_id=pool_id,
            supplier_id=pool.supplier_id,
            stage=stage,
            overlap=overlap,
            title=lane_title(project.title, pool.name, stage, overlap),
            description="",
            state=LaneState.WANTED,
            problem="",
            created_at=outside.now(),
        )
        session.add(lane)
        session.flush()
    return lane


def leave_wrong_place(outside: Outside, session: Session, project: ProjectRow, lane: LaneRow) -> bool:
    """Whether the lane's people work on another server by now; what waits moves to their lane there."""
    if server_for(session, project, find_pool(session, lane.pool_id)) in {lane.server_id, None}:
        return False
    waiting = store.visits_in(session, lane.id, VisitState.QUEUED)
    if waiting:
        target = ensure_lane(outside, session, project, lane.pool_id, lane.stage, lane.overlap)
        store.set_visits(session, [visit.id for visit in waiting], lane_id=target.id)
    return True


def spec_of(session: Session, lane: LaneRow, project: ProjectRow) -> LaneSpec:
    """What the lane's Label Studio project should be."""
    return LaneSpec(
        key=lane.public_id,
        title=lane.title,
        label_config=project.label_config,
        overlap=lane.overlap,
        instruction=project.instruction,
        description=lane_description([person.name for person in members_of(session, lane.pool_id)]),
    )


def set_up_lane(outside: Outside, lane_id: int) -> dict[str, Any]:
    """The lane's Label Studio project, made where it is missing, its card saying whose it is."""
    with outside.db.read() as session:
        lane = store.find_lane(session, lane_id)
        project = project_by_id(session, lane.project_id)
        server = find_server(session, lane.server_id)
        check_place(server, lane.supplier_id)
        spec = spec_of(session, lane, project)
    client = client_of(outside, server)
    ls_project_id = lane.ls_project_id
    if ls_project_id is None:
        ls_project_id = client.create_lane(spec)
    elif lane.description != spec.description:
        client.update_lane(ls_project_id, description=spec.description)
    with outside.db.write(project=lane.project_id) as session:
        row = store.find_lane(session, lane_id)
        if row.ls_project_id is None:
            row.config_digest = row.ls_webhook_id = row.checked_at = None
        row.ls_project_id, row.description = ls_project_id, spec.description
        row.state, row.problem = LaneState.READY, ""
    return {"ls_project_id": ls_project_id}
