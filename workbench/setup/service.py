"""Setting a project up as its document says, in one transaction, and changing it the same way."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from workbench.activity.store import record
from workbench.decisions.service import new_policy
from workbench.decisions.store import active_policy
from workbench.errors import InvalidInput, NotFound, Stale
from workbench.model_versions.store import versions_of
from workbench.outside import Outside
from workbench.people.store import pool_ids, pools_in_reach
from workbench.people.tables import PoolRow
from workbench.projects.domain import Change, ProjectState, plan_digest
from workbench.projects.kept import kept_parts
from workbench.projects.label_config import labels_of
from workbench.projects.pools import pools_of, prices_of, suppliers_of
from workbench.projects.reading import read_document
from workbench.projects.routing_document import policy_document
from workbench.projects.service import change_project, create_project, set_state, specification_of
from workbench.projects.specification import ProjectSpecification
from workbench.projects.store import find_project, project_with_key
from workbench.projects.tables import ProjectRow
from workbench.setup import store
from workbench.setup.prices import write_prices


@dataclass(frozen=True)
class ProjectSetUp:
    """What setting up did.

    Attributes:
        key: The project's id.
        created: It is new.
        changes: What changed, field by field; empty for a new project and where nothing did.
        kept: Parts of the document that are kept and not acted on yet.
        notes: What its owner should know now.
        is_draft: Nothing was written (a dry run).
    """

    key: str
    created: bool
    changes: tuple[Change, ...] = ()
    kept: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())
    is_draft: bool = False

    @property
    def unchanged(self) -> bool:
        """Everything stood as the document says already."""
        return not self.created and not self.changes

    def value(self) -> dict[str, Any]:
        """The outcome as JSON values."""
        return {
            "project": self.key,
            "created": self.created,
            "changed": bool(self.changes),
            "dry_run": self.is_draft,
            "changes": [{"path": one.path, "before": one.before, "after": one.after} for one in self.changes],
            "kept": list(self.kept),
            "notes": list(self.notes),
        }

    def sentences(self) -> list[str]:
        """The outcome as people read it."""
        if self.created:
            done = "would be created" if self.is_draft else "created"
            lines = [f"project `{self.key}` {done}"]
        elif self.unchanged:
            lines = [f"project `{self.key}` is as the document says; nothing changed"]
        else:
            done = "would change" if self.is_draft else "changed"
            lines = [f"project `{self.key}` {done}:", *(f"  {change.sentence()}" for change in self.changes)]
        if self.kept:
            lines.append(f"kept, not yet acted on: {', '.join(self.kept)}")
        return [*lines, *(f"note: {note}" for note in self.notes)]


def set_up_project(
    outside: Outside,
    specification: ProjectSpecification,
    by: str,
    *,
    must_be_new: bool = False,
    dry_run: bool = False,
    plan: str = "",
) -> ProjectSetUp:
    """A project made or changed to what its document says, with pools, prices and routing.

    The same document twice changes nothing.

    Args:
        outside: Database and clock.
        specification: The document.
        by: Who asks, as an e-mail address.
        must_be_new: Refuse to change a project that is there.
        dry_run: Only tell what would be done.
        plan: Digest of the plan that somebody agreed to; "": whatever the document says now.

    Raises:
        Stale: The project or the document is another than when the plan was made.
        AlreadyExists: It must be new and is not.
        Conflict: A label in use would go, or a screen would change that people work on.
        NotFound: It names a Label Studio server that is not connected.
    """
    now = outside.now()
    with outside.db.write() as session:
        if plan and plan != digest_of(project_with_key(session, specification.id), specification):
            raise Stale(
                f"project `{specification.id}` or its document changed since the plan was made; look at a "
                "new plan: workbench project plan FILE"
            )
        done = _set_up(session, specification, by=by, now=now, must_be_new=must_be_new, is_draft=dry_run)
        if dry_run:
            session.rollback()
    return done


def change_settings(outside: Outside, key: str, values: Mapping[str, Any], by: str) -> ProjectSetUp:
    """A project with some fields of its document replaced, given by path such as `budget.currency`.

    Raises:
        NotFound: There is no such project.
        SpecificationInvalid: A value cannot be used.
    """
    with outside.db.read() as session:
        document = specification_of(find_project(session, key)).document()
    for path, value in values.items():
        *parts, last = path.split(".")
        part = document
        for name in parts:
            part = part.setdefault(name, {})
        part[last] = value
    return set_up_project(outside, read_document(document), by)


def set_project_state(outside: Outside, key: str, state: ProjectState, by: str = "machine") -> str:
    """Pause, resume or close a project; returns its state.

    Raises:
        NotFound: There is no such project.
        WrongState: It is closed.
    """
    with outside.db.write() as session:
        before = find_project(session, key).state
        project = set_state(session, key, state)
        if project.state != before:
            record(
                session,
                at=outside.now(),
                actor=by,
                verb="project.state_changed",
                about=f"project:{key}",
                project_id=project.id,
                before={"state": before},
                after={"state": project.state},
            )
        return project.state


def check_reach(
    outside: Outside, specification: ProjectSpecification, projects: Collection[int] | None
) -> None:
    """Nothing, if somebody may use every pool that a document names.

    Who has a role in some projects alone (`projects`; None: in all) names new pools and the project's own:
    with those of others they would get at others' items.

    Raises:
        NotFound: The document names another.
    """
    if projects is None:
        return
    with outside.db.read() as session:
        project = find_project(session, specification.id)
        here = {pool.key for pool in pools_in_reach(session, project.id)}
        foreign = {pool.key for pool in pools_of(specification)} & set(pool_ids(session)) - here
    if foreign:
        raise NotFound(f"the pool `{min(foreign)}` is not yours to use; take another id, or ask an admin")


def digest_of(project: ProjectRow | None, specification: ProjectSpecification) -> str:
    """The digest that a plan of this document on this state of the project has."""
    if project is None:
        return plan_digest(0, None, specification.document())
    return plan_digest(project.specification_version, project.specification, specification.document())


def apply_document(
    outside: Outside, key: str, document: Mapping[str, Any], by: str, *, plan: str = ""
) -> ProjectSetUp:
    """The document applied to the project of that key.

    Raises:
        Stale: It is not what the plan of this digest was made for.
        NotFound: There is no such project.
        InvalidInput: The document is of another project.
    """
    specification = read_document(document)
    if specification.id != key:
        raise InvalidInput(f"id: the document is of project `{specification.id}`, the address says `{key}`")
    with outside.db.read() as session:
        find_project(session, key)
    return set_up_project(outside, specification, by, plan=plan)


def _set_up(
    session: Session, one: ProjectSpecification, *, by: str, now: datetime, must_be_new: bool, is_draft: bool
) -> ProjectSetUp:
    server_id = store.find_server_named(session, one.server).id if one.server else None
    project = project_with_key(session, one.id)
    changes: list[Change] = []
    before: ProjectSpecification | None = None
    if project is None or must_be_new:
        project = create_project(session, one, by=by, now=now, server_id=server_id)
    else:
        before = specification_of(project)
        changes = change_project(
            session,
            project,
            one,
            now=now,
            in_use=store.labels_in_use(session, project.id),
            screen_kept_because=_why_screen_is_kept(session, project.id),
            server_id=server_id,
            has_items=store.has_items(session, project.id),
        )
    if before is None or changes:
        record(
            session,
            at=now,
            actor=by,
            verb="project.created" if before is None else "project.changed",
            about=f"project:{one.id}",
            project_id=project.id,
            before={change.path: change.before for change in changes} or None,
            after={change.path: change.after for change in changes} or {"title": one.title},
        )
        _write_people(session, project, one, before, now)
        _write_policy(session, project, one, before, by=by, now=now)
    return ProjectSetUp(
        key=one.id,
        created=before is None,
        changes=tuple(changes),
        kept=tuple(kept_parts(one)),
        notes=tuple(_notes(session, project, one)),
        is_draft=is_draft,
    )


def _why_screen_is_kept(session: Session, project_id: int) -> str:
    if store.annotations_of(session, project_id):
        return "people have answered with them"
    if store.lanes_of(session, project_id):
        return "they stand in Label Studio already"
    return ""


def _write_people(
    session: Session,
    project: ProjectRow,
    one: ProjectSpecification,
    before: ProjectSpecification | None,
    now: datetime,
) -> None:
    suppliers = {wanted.key: store.ensure_supplier(session, wanted) for wanted in suppliers_of(one)}
    pools: dict[str, PoolRow] = {}
    for wanted in pools_of(one):
        pools[wanted.key] = store.ensure_pool(session, wanted, suppliers[wanted.supplier])
    project.pool_id = pools[pools_of(one)[0].key].id
    project.adjudication_pool_id = pools[one.qa.adjudicator].id if one.qa.adjudicator else None
    prices = prices_of(one)
    old = None if before is None else prices_of(before)
    if old == prices and before is not None and before.budget.currency == one.budget.currency:
        return
    for key, pool in pools.items():
        write_prices(session, project, pool, [price for price in prices if price.pool == key], now=now)


def _write_policy(
    session: Session,
    project: ProjectRow,
    one: ProjectSpecification,
    before: ProjectSpecification | None,
    *,
    by: str,
    now: datetime,
) -> None:
    document = policy_document(one)
    if before is not None and policy_document(before) == document:
        return
    new_policy(
        session,
        project.id,
        document,
        labels=[label.value for label in labels_of(one)],
        pools=[pool.key for pool in pools_of(one)],
        by=by,
        now=now,
        note="from the project's document",
        activate=True,
    )


def _notes(session: Session, project: ProjectRow, one: ProjectSpecification) -> list[str]:
    notes = []
    if one.routing.model:
        name, _, version = one.routing.model.partition("@")
        known = [row for row in versions_of(session, project.id) if row.name == name]
        if not any(not version or str(row.version) == version for row in known):
            waits = "go to people" if one.without_model == "people" else "wait"
            notes.append(
                f"model {one.routing.model} is not registered yet; items {waits} until a model is live: "
                f"workbench model register FOLDER --project {one.id} --name {name}"
            )
    if one.routing.policy is not None:
        notes.append("the promise under routing.policy is kept, not yet evaluated")
    policy = active_policy(session, project.id)
    if policy is not None and not any(rule.get("accept") for rule in policy.document["rules"]):
        notes.append(
            "no rule accepts items: everything goes to people; set routing.accept_at to accept sure ones"
        )
    if not prices_of(one):
        notes.append(
            "no price is given, so labels by people cost nothing here; add `price` to a pool or `rates`"
        )
    if not one.server:
        notes.append("no Label Studio server is chosen; items for people wait until `server` names one")
    return notes
