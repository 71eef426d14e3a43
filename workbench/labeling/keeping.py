"""Keeping a lane as it should be on its server: its settings, and the webhook that tells us of changes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from integrations.label_studio.errors import AddressRefused
from integrations.label_studio.interface import Hook, LabelStudio
from workbench.inbox import store as inbox
from workbench.inbox.domain import ACTIONS, ReceiverState
from workbench.inbox.service import HOOKS, Address, address_of, reachable_from, receiver_for
from workbench.incidents.store import heal_incident, report_incident
from workbench.labeling import store
from workbench.labeling.lanes import client_of, spec_of
from workbench.labeling.sending import heal_refusals
from workbench.labeling.tables import LaneRow
from workbench.outside import Outside
from workbench.people.store import find_server
from workbench.people.tables import ServerRow
from workbench.projects.store import project_by_id

LANE_REPAIRED = "lane_repaired"
WEBHOOK_REFUSED = "webhook_refused"
ASK_AGAIN = timedelta(hours=1)
"""When a server that does not take our address is asked again."""


def keep_lane(outside: Outside, lane_id: int) -> dict[str, Any]:
    """Put back what members changed about a lane's project, and see that its webhook stands."""
    with outside.db.read() as session:
        lane = store.find_lane(session, lane_id)
        server = find_server(session, lane.server_id)
        spec = spec_of(session, lane, project_by_id(session, lane.project_id))
    if lane.ls_project_id is None:
        return {"mended": 0}
    client = client_of(outside, server)
    mended = client.mend_lane(lane.ls_project_id, spec, lane.config_digest)
    is_first = lane.checked_at is None and lane.config_digest is None
    told = _words(mended.fields) if mended.fields and not is_first else ""
    hook_id, repaired = _keep_hook(outside, client, server, lane)
    if repaired:
        told = f"{told}, {repaired}" if told else repaired
    now = outside.now()
    with outside.db.write(project=lane.project_id) as session:
        row = store.find_lane(session, lane_id)
        row.checked_at, row.ls_webhook_id = now, hook_id
        if not mended.refused:
            row.config_digest = mended.config_digest
        _tell(outside, session, row, told, mended.refused)
        heal_refusals(session, lane.project_id, now=now)
    return {"mended": len(mended.fields)}


def _words(fields: tuple[str, ...]) -> str:
    names = {
        "label_config": "the screen",
        "maximum_annotations": "the overlap",
        "sampling": "the queue's order",
    }
    return ", ".join(names.get(name, name.replace("_", " ")) for name in fields)


def _tell(outside: Outside, session: Session, lane: LaneRow, told: str, refused: tuple[str, ...]) -> None:
    now = outside.now()
    about = f"lane:{lane.id}"
    if refused:
        report_incident(
            session,
            LANE_REPAIRED,
            about,
            f"lane `{lane.title}`: somebody changed {_words(refused)} in Label Studio, and answers that were "
            "given on the changed one keep it from being put back",
            now=now,
            severity="bad",
            remedy="Delete those answers in Label Studio, or put the screen back by hand; the rest goes on.",
            project_id=lane.project_id,
            supplier_id=lane.supplier_id,
        )
        return
    if told:
        report_incident(
            session,
            LANE_REPAIRED,
            about,
            f"lane `{lane.title}`: somebody changed {told} in Label Studio",
            now=now,
            severity="info",
            project_id=lane.project_id,
            supplier_id=lane.supplier_id,
        )
    heal_incident(session, LANE_REPAIRED, about, "put back as it should be", now=now)


def _keep_hook(
    outside: Outside, client: LabelStudio, server: ServerRow, lane: LaneRow
) -> tuple[int | None, str]:
    """The lane's webhook, and what was wrong about it; none where the server does not take our address."""
    with outside.db.read() as session:
        row = inbox.receiver_of(session, server.id)
    if row is None:
        with outside.db.write() as session:
            row = receiver_for(outside, session, server.id)
    now = outside.now()
    is_refused = row.state == ReceiverState.POLLED
    if is_refused and row.tried_at is not None and now - row.tried_at < ASK_AGAIN:
        return None, ""
    why_not = reachable_from(outside, server.url)
    if why_not:
        _mark(outside, server, ReceiverState.POLLED, why_not)
        return None, ""
    address = address_of(outside, row)
    found = client.hooks(lane.ls_project_id or 0)
    right = [hook for hook in found if _is_right(hook, address)]
    others = [hook for hook in found if HOOKS in hook.url and hook not in right[:1]]
    try:
        if right:
            hook_id = right[0].hook_id
        else:
            hook_id = client.set_hook(
                lane.ls_project_id or 0,
                others.pop(0).hook_id if others else None,
                url=address.url,
                headers=address.headers,
                actions=ACTIONS,
            )
    except AddressRefused as problem:
        _mark(outside, server, ReceiverState.POLLED, str(problem))
        return None, ""
    for hook in others:
        client.delete_hook(hook.hook_id)
    if row.state != ReceiverState.READY:
        _mark(outside, server, ReceiverState.READY, "")
    was_rotated = row.rotated_at is not None and (lane.checked_at is None or lane.checked_at < row.rotated_at)
    is_repair = lane.ls_webhook_id is not None and not right and not was_rotated
    return hook_id, "the webhook that tells us of answers" if is_repair else ""


def _is_right(hook: Hook, address: Address) -> bool:
    return (
        (hook.url, hook.headers, hook.is_active, hook.for_all_actions)
        == (address.url, address.headers, True, False)
        and hook.actions == frozenset(ACTIONS)
    )  # fmt: skip


def _mark(outside: Outside, server: ServerRow, state: ReceiverState, reason: str) -> None:
    """Whether the server tells us of changes; said once, not with every lane."""
    now = outside.now()
    about = f"server:{server.id}"
    with outside.db.write() as session:
        row = inbox.find_receiver(session, server.id)
        is_news = row.state != state or row.reason != reason
        row.state, row.reason, row.tried_at = state, reason, now
        if state == ReceiverState.READY:
            heal_incident(session, WEBHOOK_REFUSED, about, "it takes our address now", now=now)
        elif is_news:
            report_incident(
                session,
                WEBHOOK_REFUSED,
                about,
                f"Label Studio `{server.name}` is polled only: {reason}",
                now=now,
                severity="info",
                remedy="Nothing is lost by this. With webhooks, answers show a few seconds earlier.",
            )


def lanes_want_new_secret(session: Session, server_id: int) -> int:
    """Let every lane of a server be looked at soon, so that its webhook gets the new secret; how many."""
    lanes = store.lanes_on(session, server_id)
    for lane in lanes:
        lane.checked_at = None
    return len(lanes)
