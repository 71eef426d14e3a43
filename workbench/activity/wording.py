"""Events as people read them: a sentence for each verb, and what changed field by field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

SENTENCES = {
    "project.created": "made the project",
    "project.changed": "changed the project's settings",
    "project.state_changed": "changed the project's state",
    "policy.proposed": "saved a routing policy as a draft",
    "policy.activated": "put a routing policy in force",
    "policy.rolled_back": "put an earlier routing policy in force again",
    "model.registered": "registered a model version",
    "model.promoted": "made a model version live",
    "training.started": "started a training",
    "file.uploaded": "uploaded a file",
    "import.started": "started an import",
    "items.imported": "imported items",
    "items.moved": "moved items on",
    "item.revealed": "opened the withheld content of an item",
    "export.made": "asked for an export",
    "export.downloaded": "took an export away",
    "job.cancelled": "cancelled a job",
    "job.resumed": "let a job go on",
    "person.invited": "invited a person",
    "invitation.accepted": "accepted an invitation",
    "pool.created": "made a pool",
    "pool.member_added": "let a person work in a pool",
    "pool.member_removed": "took a person out of a pool",
    "price.set": "set a price",
    "server.connected": "connected a Label Studio server",
    "server.changed": "changed a Label Studio server",
    "server.webhook_secret_rotated": "changed a server's webhook secret",
    "server.dead_letters_put_aside": "put undeliverable messages aside",
    "server.checked": "asked a Label Studio server how it is",
    "server.members_adopted": "looked for new accounts on a Label Studio server",
    "user.created": "made a user",
    "user.role_changed": "changed a user's role",
    "user.role_granted": "gave a user a role",
    "user.activated": "let a user in again",
    "user.deactivated": "ended a user's access",
    "user.password_changed": "changed their password",
    "user.password_reset": "set a new password by a link",
    "user.reset_link_made": "made a link to set a new password",
    "user.signed_in": "signed in",
    "user.signed_out": "signed out",
    "user.sign_in_braked": "was slowed down after wrong passwords",
    "user.sessions_ended": "signed out a user's browsers",
    "user.second_factor_enrolled": "set up a second factor",
    "user.second_factor_removed": "removed a second factor",
    "user.second_factor_braked": "was slowed down after wrong codes",
    "user.recovery_codes_made": "made recovery codes",
    "user.recovery_code_used": "used a recovery code",
    "user.identity_linked": "linked a sign-in with another provider",
    "user.identity_unlinked": "unlinked a sign-in with another provider",
    "session.revoked": "signed out one of their browsers",
    "token.created": "made an API token",
    "token.revoked": "withdrew an API token",
    "supplier.created": "made a supplier",
    "supplier.activated": "let a supplier work again",
    "supplier.deactivated": "stopped a supplier's work",
    "supplier.domains_set": "set a supplier's mail domains",
    "supplier.lead_added": "made somebody the lead of a supplier",
    "supplier.lead_removed": "ended somebody's lead of a supplier",
    "supplier.pool_added": "gave a supplier a pool",
    "supplier.project_named": "named a project for a supplier",
    "supplier.server_set": "gave a supplier a server of its own",
    "person.activated": "let a person work again",
    "person.deactivated": "ended a person's work",
    "person.erased": "erased a person's data",
    "item.erased": "erased an item's content",
    "project.erased": "erased a project's contents",
    "incident.acknowledged": "took note of an incident",
    "invariants.checked": "checked the invariants",
    "backup.made": "made a back-up",
    "installation.restored": "restored the installation from a back-up",
}
_THINGS = {"api_token": "token", "label_studio_server": "server", "moves": "chunk of moves"}


def sentence_of(verb: str) -> str:
    """What a verb means: "put a routing policy in force"; verbs without a sentence are said as they are."""
    return SENTENCES.get(verb) or verb.replace(".", " ").replace("_", " ")


def thing_of(about: str) -> str:
    """The thing of an event in words: "policy 12"."""
    kind, _, name = about.partition(":")
    words = _THINGS.get(kind, kind.replace("_", " "))
    if kind == "moves":
        return ""
    return f"{words} {name}".strip()


@dataclass(frozen=True)
class Changed:
    """One field that differs; None where it was or is not there."""

    path: str
    before: str | None
    after: str | None


def changes(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> list[Changed]:
    """What differs between two states, field by field, in the order of the later one.

    >>> changes({"a": 1, "b": {"c": [1]}}, {"a": 1, "b": {"c": [1, 2]}})
    [Changed(path='b.c', before='1', after='1, 2')]
    """
    old, new = dict(_fields(before or {}, "")), dict(_fields(after or {}, ""))
    found = []
    for path in [*new, *(path for path in old if path not in new)]:
        if old.get(path) != new.get(path) or (path in old) != (path in new):
            found.append(Changed(path, _shown(old, path), _shown(new, path)))
    return found


def _shown(state: Mapping[str, str], path: str) -> str | None:
    return state.get(path)


def _fields(value: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    for key, one in value.items():
        where = f"{path}.{key}" if path else key
        if isinstance(one, Mapping) and one:
            yield from _fields(one, where)
        elif isinstance(one, list) and any(isinstance(part, Mapping) for part in one):
            yield from _fields({str(i): part for i, part in enumerate(one, 1)}, where)
        else:
            yield where, _plain(one)


def _plain(value: Any) -> str:
    if value is None or value in ({}, []):
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_plain(one) for one in value)
    return str(value)
