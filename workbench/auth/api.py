"""Who a program is signed in as."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from workbench.auth.access import Caller, require
from workbench.auth.domain import Permission

router = APIRouter(prefix="/api/v1")


class Me(BaseModel):
    """The caller, with what they may do outside any project."""

    email: str
    name: str
    roles: list[str]
    permissions: list[str]


@router.get("/me")
def me(caller: Caller = require(Permission.ACCOUNT)) -> Me:
    """Who this token or session belongs to."""
    return Me(
        email=caller.email,
        name=caller.name,
        roles=sorted(caller.roles),
        permissions=sorted(caller.permissions),
    )
