"""My work, the one door of an annotator; and the page of one server."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from workbench.auth.access import Caller, require
from workbench.auth.domain import Permission
from workbench.inbox.service import rotate_secret, set_dead_letters_aside
from workbench.labeling.keeping import lanes_want_new_secret
from workbench.labeling.restoring import resolve_restore
from workbench.labeling.service import next_lane_for
from workbench.labeling.views import server_view
from workbench.people.store import person_of_user
from workbench.web.current import Out, RowId
from workbench.web.render import page, redirect

router = APIRouter()

LOOK_AGAIN_S = 5


@router.get("/work")
def work(request: Request, outside: Out, caller: Caller = require(Permission.WORK)) -> Response:
    """Take the annotator to the lane with work for them; where there is none, look again by itself."""
    with outside.db.read() as session:
        person = person_of_user(session, caller.user_id)
        door = next_lane_for(session, person.id) if person else None
    answer = page(request, "labeling/work.html", person=person, door=door, look_again_s=LOOK_AGAIN_S)
    # A header, not a redirect: the sign-in form may lead here, and forms may not lead to another site.
    answer.headers["Refresh"] = f"1; url={door.address}" if door else str(LOOK_AGAIN_S)
    return answer


@router.get("/servers/{server_id}")
def server(
    request: Request,
    outside: Out,
    server_id: RowId,
    caller: Caller = require(Permission.SERVERS_READ),  # noqa: ARG001 - the check is what is wanted
) -> Response:
    """One server: what it tells us, its lanes, the lives of its database."""
    with outside.db.read() as session:
        view = server_view(outside, session, server_id)
    return page(request, "labeling/server.html", view=view)


@router.post("/servers/{server_id}/webhook-secret")
def new_secret(
    request: Request, outside: Out, server_id: RowId, caller: Caller = require(Permission.SERVERS_EDIT)
) -> Response:
    """A new secret for the server's webhooks; the one before holds while the lanes change over."""
    with outside.db.write() as session:
        rotate_secret(outside, session, server_id, by=caller.email)
        lanes = lanes_want_new_secret(session, server_id)
    words = f"New secret made; {lanes} lanes get it within a minute, the one before holds till then."
    return redirect(request, f"/servers/{server_id}", notice=words)


@router.post("/servers/{server_id}/dead-letters")
def dead_letters(
    request: Request, outside: Out, server_id: RowId, caller: Caller = require(Permission.SERVERS_EDIT)
) -> Response:
    """Put aside what could not be read."""
    with outside.db.write() as session:
        count = set_dead_letters_aside(outside, session, server_id, by=caller.email)
    return redirect(request, f"/servers/{server_id}", notice=f"{count} letters put aside.")


@router.post("/servers/{server_id}/epochs")
def new_epoch(
    request: Request, outside: Out, server_id: RowId, caller: Caller = require(Permission.SERVERS_EDIT)
) -> Response:
    """Go on with a server that was restored."""
    sums = resolve_restore(outside, server_id, by=caller.email)
    words = f"A new epoch has begun: {sums['adopted']} tasks adopted, {sums['sent_again']} sent again."
    return redirect(request, f"/servers/{server_id}", notice=words)
