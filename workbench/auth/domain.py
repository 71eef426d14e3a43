"""Permissions, roles and what a role may do before anybody changes it."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from enum import StrEnum

from workbench.errors import InvalidInput

EVERYWHERE = 0
"""The project id of a role that holds in every project."""


class Permission(StrEnum):
    """One thing that somebody may do; the words stand in the table of roles."""

    ACCOUNT = "account"
    WORK = "work"
    PROJECTS_READ = "projects.read"
    PROJECTS_CREATE = "projects.create"
    PROJECTS_EDIT = "projects.edit"
    ITEMS_READ = "items.read"
    ITEMS_IMPORT = "items.import"
    ITEMS_EDIT = "items.edit"
    PEOPLE_READ = "people.read"
    PEOPLE_EDIT = "people.edit"
    COSTS_READ = "costs.read"
    RATES_READ = "rates.read"
    RATES_EDIT = "rates.edit"
    MODELS_READ = "models.read"
    MODELS_EDIT = "models.edit"
    ROUTING_READ = "routing.read"
    ROUTING_PROPOSE = "routing.propose"
    ROUTING_ACTIVATE = "routing.activate"
    EXPORTS_READ = "exports.read"
    EXPORTS_CREATE = "exports.create"
    JOBS_READ = "jobs.read"
    JOBS_EDIT = "jobs.edit"
    SERVERS_READ = "servers.read"
    SERVERS_EDIT = "servers.edit"
    USERS_EDIT = "users.edit"
    SUPPLIERS_READ = "suppliers.read"
    SUPPLIERS_EDIT = "suppliers.edit"
    OWN_SUPPLIER_READ = "own_supplier.read"
    OWN_SUPPLIER_INVITE = "own_supplier.invite"
    OWN_SUPPLIER_COSTS = "own_supplier.costs"
    OWN_SUPPLIER_EXPORT = "own_supplier.export"
    ACTIVITY_READ = "activity.read"
    OPERATIONS_READ = "operations.read"


class Role(StrEnum):
    """What somebody is, everywhere or in one project."""

    ADMIN = "admin"
    PM = "pm"
    ML_ENGINEER = "ml_engineer"
    QA_LEAD = "qa_lead"
    VIEWER = "viewer"
    ANNOTATOR = "annotator"
    SUPPLIER_LEAD = "supplier_lead"


P = Permission
_SEE = {
    P.ACCOUNT,
    P.PROJECTS_READ,
    P.ITEMS_READ,
    P.PEOPLE_READ,
    P.COSTS_READ,
    P.MODELS_READ,
    P.ROUTING_READ,
    P.EXPORTS_READ,
    P.JOBS_READ,
}
DEFAULT_ROLES: dict[Role, frozenset[Permission]] = {
    Role.ADMIN: frozenset(Permission),
    Role.PM: frozenset(Permission) - {P.USERS_EDIT},
    Role.ML_ENGINEER: frozenset(
        _SEE
        | {P.WORK, P.ITEMS_IMPORT, P.MODELS_EDIT, P.ROUTING_PROPOSE, P.EXPORTS_CREATE, P.JOBS_EDIT}
        | {P.SERVERS_READ, P.OPERATIONS_READ}
    ),
    Role.QA_LEAD: frozenset(
        _SEE
        | {P.WORK, P.ITEMS_EDIT, P.ROUTING_PROPOSE, P.ROUTING_ACTIVATE, P.EXPORTS_CREATE, P.SERVERS_READ}
        | {P.OPERATIONS_READ}
    ),
    Role.VIEWER: frozenset(_SEE),
    Role.ANNOTATOR: frozenset({P.ACCOUNT, P.WORK}),
    Role.SUPPLIER_LEAD: frozenset(
        {P.ACCOUNT, P.OWN_SUPPLIER_READ, P.OWN_SUPPLIER_INVITE, P.OWN_SUPPLIER_COSTS, P.OWN_SUPPLIER_EXPORT}
    ),
}
WITHOUT_PROJECT = frozenset({P.ACCOUNT, P.WORK, P.PROJECTS_READ})
"""What a role in one project also grants on pages about no project: their lists show its own rows only."""

PRIVILEGED = frozenset({Role.ADMIN, Role.PM})
"""Roles that wait for a second factor where one is required."""

ROLE_TITLES = {
    Role.ADMIN: "Admin",
    Role.PM: "Project manager",
    Role.ML_ENGINEER: "ML engineer",
    Role.QA_LEAD: "QA lead",
    Role.VIEWER: "Viewer",
    Role.ANNOTATOR: "Annotator",
    Role.SUPPLIER_LEAD: "Supplier lead",
}
ASSIGNABLE = {role: title for role, title in ROLE_TITLES.items() if role is not Role.SUPPLIER_LEAD}
"""Roles to choose from; a lead is named on the page of the supplier."""


@dataclass(frozen=True)
class Identity:
    """Who a request comes from, before it is known what it is about.

    Attributes:
        user_id: The user's row.
        roles: Project id (0: everywhere) to the roles held there.
        session_secret: The opaque id in the cookie; empty for a token.
        scopes: What a token is limited to; None for a session or an unlimited token.
        supplier_id: The supplier whose lead they are.
        strong: Proved with a second factor, or by a provider that asks for one.
    """

    user_id: int
    name: str
    email: str
    roles: dict[int, frozenset[str]] = field(default_factory=dict)
    session_secret: str = field(default="", repr=False)
    scopes: frozenset[str] | None = None
    strong: bool = False
    supplier_id: int | None = None


def digest(secret: str) -> bytes:
    """What is stored of a random secret; fast on purpose, the secret has 256 bits of chance."""
    return hashlib.sha256(secret.encode()).digest()


def csrf_token(session_secret: str, nonce: str) -> str:
    """A token that only pages of this session can hold; the nonce makes each one look different."""
    made = hmac.new(session_secret.encode(), f"csrf:{nonce}".encode(), hashlib.sha256).hexdigest()
    return f"{nonce}.{made}"


def csrf_token_fits(session_secret: str, token: str) -> bool:
    """Whether a token was made for this session."""
    nonce, _, _ = token.partition(".")
    wanted = csrf_token(session_secret, nonce).encode(errors="replace")
    return bool(nonce) and hmac.compare_digest(wanted, token.encode(errors="replace"))


_BROWSERS = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
)


def browser_name(agent: str) -> str:
    """Browser and system as people call them: "Firefox on Windows"."""
    browser = next((name for mark, name in _BROWSERS if mark in agent), agent.partition("/")[0] or "unknown")
    system = next((name for mark, name in _SYSTEMS if mark in agent), "Linux" if "Linux" in agent else "")
    return f"{browser} on {system}" if system else browser


_EMAIL = re.compile(r"[^@\s<>\"',;]{1,64}@[^@\s<>\"',;]{1,190}")
LEAST_PASSWORD = 10


def checked_email(given: str) -> str:
    """The address in lower case, without spaces around it.

    Raises:
        InvalidInput: It is not an e-mail address.
    """
    email = given.strip().lower()
    if not _EMAIL.fullmatch(email):
        raise InvalidInput("this is not an e-mail address; give one such as name@example.org")
    return email


def checked_password(given: str) -> str:
    """The password, if it is long enough.

    Raises:
        InvalidInput: It is too short or far too long.
    """
    if not LEAST_PASSWORD <= len(given) <= 200:  # noqa: PLR2004 - hashing endless input is work for an attacker
        raise InvalidInput(f"choose a password of {LEAST_PASSWORD} to 200 characters")
    return given


def checked_role(given: str) -> Role:
    """The role of that name.

    Raises:
        InvalidInput: There is none.
    """
    try:
        return Role(given)
    except ValueError:
        raise InvalidInput(f"there is no role {given!r}; choose one of {', '.join(Role)}") from None
