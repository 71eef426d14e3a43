"""My work: the one door of an annotator."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from workbench.auth.access import Caller, require
from workbench.auth.domain import Permission
from workbench.labeling.service import next_lane_for
from workbench.people.store import person_of_user
from workbench.web.current import Out
from workbench.web.render import page

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
