"""Where people land after signing in."""

from __future__ import annotations

from urllib.parse import urlsplit

from workbench.auth.access import Caller
from workbench.auth.domain import Permission


def landing_for(caller: Caller) -> str:
    """The first page of somebody: their projects or their supplier, or their work where that is all."""
    if caller.may(Permission.OWN_SUPPLIER_READ) and caller.identity and caller.identity.supplier_id:
        return "/supplier"
    return "/projects" if caller.may(Permission.PROJECTS_READ) else "/work"


def safe_path(given: str) -> str:
    """An address of our own to go on to, else nothing: never another site's."""
    try:
        elsewhere = urlsplit(given).netloc
    except ValueError:
        return ""  # `//[` and the like
    ours = given.startswith("/") and not given.startswith(("//", "/\\")) and not elsewhere
    return given if ours and not any(char < " " for char in given) else ""
