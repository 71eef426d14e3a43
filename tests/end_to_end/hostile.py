"""A seeded database in which every text that people can set is an attack on whoever reads it."""

from __future__ import annotations

import io
from typing import Any

from sqlalchemy import String, Text, UniqueConstraint, inspect, select, update
from sqlalchemy.orm import Session

from tests.factories import NOW
from tests.integration.overview.plausible import plausible_project
from tests.integration.tenants import worlds
from workbench.activity.store import record
from workbench.db.tables import all_tables
from workbench.db.types import Base, Json
from workbench.deliveries.tables import DeliveryRow
from workbench.incidents.store import report_incident
from workbench.items.uploads.files import save_upload
from workbench.outside import Outside
from workbench.projects.reading import read_document
from workbench.projects.tables import ProjectRow

LONG = (
    '"\'><img src=x onerror="attack()"><svg onload=attack()><script>attack()</script></script></textarea></title>'
    "{{ 7 * 7 * 191 }}${attack()}<a href=\"javascript:attack()\">x</a><iframe srcdoc='<script>parent.attack()</script>'>"
    "<link rel=stylesheet href=http://attacker.invalid/a.css><img src=http://attacker.invalid/b.png>\u2028\u202e"
)
SHORT = '"><img src=x onerror=attack()>'
TINY = "<b>'\"&"
EVALUATED = str(7 * 7 * 191)

NAMES = {
    # What the code compares, joins or parses: setting it to a text would not be an attack but a broken row.
    "public_id", "key", "state", "status", "kind", "unit", "role", "permission", "scope", "stage", "purpose", "format",
    "currency", "time_zone", "modality", "control", "text_field", "label_config", "without_model", "engine_id", "job_id",
    "id", "path", "rejects_path", "password_hash", "url", "sha256", "prefix", "severity", "about", "verb", "source_kind",
    "source_id", "pattern", "from_state", "to_state", "issuer", "subject", "chunk", "type", "action", "digest",
    "content_hash", "outcome", "key_id", "code_hash", "epoch", "owner", "invariant",
}  # fmt: skip
LABELS = {
    ("project_labels", "value"), ("predictions", "label"), ("annotations", "label"), ("annotations", "predicted"),
    ("labels", "label"), ("answers", "value"), ("reference_labels", "label"), ("tally_pairs", "label_a"),
    ("tally_pairs", "label_b"), ("tally_models", "predicted"), ("tally_models", "given"), ("annotation_revisions", "label"),
}  # fmt: skip
JSON_NAMES = {"card", "because", "before", "after", "outcome", "title", "data", "left"}


def seed(outside: Outside) -> list[str]:
    """A project half way through with all that people can add to it; pages that nothing links to come back."""
    worlds.build(outside)
    made = plausible_project(outside, n_items=40)
    with outside.db.write() as session:
        project = session.merge(made.project)
        for one in session.scalars(select(ProjectRow)):
            one.specification = _document(one.key)
        session.add(
            DeliveryRow(
                public_id="0" * 24, project_id=project.id, job_id="reviews-import", format="csv", state="done",
                path="", rows=3, sha256="0" * 64, manifest={"files": [{"bytes": 1}]}, created_at=NOW,
                created_by=LONG[:200],
            )
        )  # fmt: skip
        record(
            session, at=NOW, actor=f"pm@{SHORT}", verb="change", about=f"project:{project.key}",
            project_id=project.id, before={"title": SHORT}, after={"title": LONG},
        )  # fmt: skip
        report_incident(
            session, "answer_lost", "job:reviews-push", LONG, now=NOW, project_id=project.id, remedy=LONG
        )
    rows = f"id,{TINY}\n1,{LONG.replace(',', ' ').replace(chr(34), chr(39))}\n".encode()
    path = save_upload(outside, made.project.id, f"{SHORT}.csv", io.BytesIO(rows))
    return [f"/projects/{made.project.key}/import/files/{path.parent.name}"]


def _document(key: str) -> dict[str, Any]:
    """What settings are read from: valid, or the page would be about the mistake in it."""
    made = {
        "id": key,
        "title": f"Reviews {SHORT}",
        "instruction": LONG,
        "note": LONG,
        "labels": [
            {"value": f"{one}{SHORT}", "title": f"{one} {SHORT}"}
            for one in ("Positive", "Neutral", "Negative")
        ],
    }
    return read_document(made).model_dump(mode="json", by_alias=True)


def poison(session: Session, keep_user: int) -> list[str]:
    """Put the attack into every text; returns the columns reached, as `table.column`."""
    reached = []
    for mapper in sorted(Base.registry.mappers, key=lambda it: it.local_table.name):  # type: ignore[union-attr]
        table = mapper.local_table
        for column in table.columns:  # type: ignore[union-attr]
            name = f"{table.name}.{column.name}"  # type: ignore[union-attr]
            if _poison_column(session, mapper.class_, table, column, keep_user):
                reached.append(name)
    session.flush()
    return reached


def _poison_column(session: Session, entity: Any, table: Any, column: Any, keep_user: int) -> bool:
    keys = list(inspect(entity).primary_key)
    place = (table.name, column.name)
    unique = _unique(table, column)
    if isinstance(column.type, type(Json)) or "JSON" in str(column.type):
        return column.name in JSON_NAMES and _poison_json(session, table, column, keys)
    if not isinstance(column.type, String | Text):
        return False
    if (
        place not in LABELS
        and not (unique and column.name in {"email", "name"})
        and (column.name in NAMES or column.primary_key or column.foreign_keys)
    ):
        return False
    room = getattr(column.type, "length", None) or 10_000
    for row in session.execute(select(*keys, column)).all():
        *key, old = row
        if old is None or (table.name == "users" and key == [keep_user] and column.name == "email"):
            continue
        new = _attack(room, str(old), place, unique=unique)
        where = [one == value for one, value in zip(keys, key, strict=True)]
        session.execute(update(table).where(*where).values({column.name: new}))
    return True


def _unique(table: Any, column: Any) -> bool:
    """Whether rows must differ in it."""
    groups = [it.columns for it in table.constraints if isinstance(it, UniqueConstraint)]
    groups += [it.columns for it in table.indexes if it.unique]
    return bool(column.unique) or any(column.name in group for group in groups)


def _attack(room: int, old: str, place: tuple[str, str], *, unique: bool) -> str:
    """The longest attack that fits; labels stay different from each other, and the same everywhere."""
    if place in LABELS:
        return f"{old[:40]}{SHORT}" if old else old
    if "@" in old and place[1] == "email":
        return f"<svg/onload=attack()>{old}"
    if unique:
        return f"{SHORT if room > 2 * len(SHORT) else TINY}{old}"[:room]
    if place == ("item_parts", "name"):
        return old
    return next(one for one in (LONG, SHORT, TINY) if len(one) <= room)


def _poison_json(session: Session, table: Any, column: Any, keys: list[Any]) -> bool:
    for row in session.execute(select(*keys, column)).all():
        *key, old = row
        where = [one == value for one, value in zip(keys, key, strict=True)]
        session.execute(update(table).where(*where).values({column.name: _poisoned(old)}))
    return True


def _poisoned(value: Any) -> Any:
    if isinstance(value, str):
        return LONG
    if isinstance(value, dict):
        return {name: _poisoned(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_poisoned(one) for one in value]
    return value


def text_columns() -> set[str]:
    """Every text column there is, as `table.column`."""
    return {
        f"{table.name}.{column.name}"
        for table in all_tables().tables.values()
        for column in table.columns
        if isinstance(column.type, String | Text)
    }
