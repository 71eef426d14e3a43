"""From labels to files, in steps that can each run twice: pieces, then one file with its manifest.

A piece is written under the id it begins after, so a step that runs again replaces its own piece. The
finished folder appears at once, by one rename.
"""

from __future__ import annotations

import importlib.metadata
import json
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from workbench.deliveries.corrections import corrections, record_delivered, undelivered
from workbench.deliveries.domain import DeliveryState, Format, columns_of, digest, joined_text, left_out
from workbench.deliveries.store import (
    Answer,
    answers_of,
    count_final,
    final_labels,
    find_delivery,
    parts_of,
    project_of,
    screen_of,
)
from workbench.deliveries.tables import DeliveryRow
from workbench.deliveries.verifying import CORRECTIONS, sha256_of
from workbench.deliveries.writing.context import Screen
from workbench.deliveries.writing.label_studio import join_tasks, write_tasks
from workbench.deliveries.writing.parquet import join_parquet, write_parquet
from workbench.deliveries.writing.saved import join_dataset, write_rows
from workbench.deliveries.writing.text import join_csv, join_jsonl, write_csv, write_jsonl
from workbench.items.domain import ItemState
from workbench.items.spreadsheets import FORMULA_NOTE
from workbench.items.store import counts_by_state, move_items
from workbench.outside import Outside
from workbench.tallies.store import item_costs

WRITE: dict[Format, Callable[[Path, Sequence[Mapping[str, Any]], Screen], None]] = {
    Format.JSONL: write_jsonl,
    Format.CSV: write_csv,
    Format.PARQUET: write_parquet,
    Format.DATASETS: write_rows,
    Format.LABEL_STUDIO: write_tasks,
}
JOIN: dict[Format, Callable[[Sequence[Path], Path, Screen], None]] = {
    Format.JSONL: join_jsonl,
    Format.CSV: join_csv,
    Format.PARQUET: join_parquet,
    Format.DATASETS: join_dataset,
    Format.LABEL_STUDIO: join_tasks,
}


def begin(outside: Outside, delivery_id: int) -> dict[str, int]:
    """How many rows to expect."""
    with outside.db.write(project=_project_of(outside, delivery_id)) as session:
        delivery = find_delivery(session, delivery_id)
        if delivery.state != DeliveryState.DONE:
            delivery.state = DeliveryState.RUNNING
        return {"rows": count_final(session, delivery.project_id, delivery.created_at)}


def write_piece(outside: Outside, delivery_id: int, after: int) -> dict[str, Any]:
    """The piece that begins after this item id.

    Returns:
        `after` for the next piece, `rows` of this one (0: there are no more), and rows by `sources`.
    """
    with outside.db.read() as session:
        delivery = find_delivery(session, delivery_id)
        rows, last = _rows(session, delivery, after, outside.settings.chunk_items)
        screen = screen_of(session, delivery)
    if rows:
        path = _piece(outside, delivery, after)
        path.parent.mkdir(parents=True, exist_ok=True)
        WRITE[Format(delivery.format)](path, rows, screen)
    return {"after": last, "rows": len(rows), "sources": dict(Counter(row["source"] for row in rows))}


def finish(outside: Outside, delivery_id: int, pieces: list[int], sources: dict[str, int]) -> dict[str, Any]:
    """The export's rows, SHA-256 and folder; its files and manifest stand where they can be downloaded."""
    with outside.db.read() as session:
        delivery = find_delivery(session, delivery_id)
        final = export_folder(outside, delivery.public_id)
        manifest = None if final.exists() else _describe(session, delivery, sources)
        screen = screen_of(session, delivery)
        changed = list(corrections(session, delivery)) if manifest is not None else []
    if manifest is not None:
        parts = [_piece(outside, delivery, after) for after in pieces]
        _publish(_work_folder(outside, delivery) / "finished", delivery, parts, screen, manifest, changed)
        (_work_folder(outside, delivery) / "finished").rename(final)
    document = json.loads((final / "manifest.json").read_text(encoding="utf-8"))
    labels = document["files"][0]
    with outside.db.write(project=delivery.project_id) as session:
        row = find_delivery(session, delivery_id)
        row.state = DeliveryState.DONE
        row.path = str(final / labels["name"])
        row.rows = document["rows"]
        row.sha256 = labels["sha256"]
        row.manifest = document
    shutil.rmtree(_work_folder(outside, delivery), ignore_errors=True)
    return {"rows": document["rows"], "sha256": labels["sha256"], "folder": str(final)}


def mark_delivered(outside: Outside, delivery_id: int) -> dict[str, int]:
    """How many items of the export moved to `delivered` in this step; 0 when all have."""
    with outside.db.write(project=_project_of(outside, delivery_id)) as session:
        delivery = find_delivery(session, delivery_id)
        labels = undelivered(session, delivery.project_id, delivery.created_at, outside.settings.chunk_items)
        ids = list(labels)
        record_delivered(session, delivery, labels, at=outside.now())
        move_items(
            session,
            ids,
            ItemState.DELIVERED,
            at=outside.now(),
            actor=delivery.created_by,
            reason=f"delivered in export {delivery.public_id}",
            because={item_id: {"delivery_id": delivery.id} for item_id in ids},
        )
    return {"items": len(ids)}


def export_folder(outside: Outside, public_id: str) -> Path:
    """Where the files of a finished export lie."""
    return outside.settings.data_dir.resolve() / "exports" / public_id


def _project_of(outside: Outside, delivery_id: int) -> int:
    with outside.db.read() as session:
        return find_delivery(session, delivery_id).project_id


def _work_folder(outside: Outside, delivery: DeliveryRow) -> Path:
    return export_folder(outside, f".{delivery.public_id}.unfinished")


def _piece(outside: Outside, delivery: DeliveryRow, after: int) -> Path:
    return _work_folder(outside, delivery) / f"{after:020d}.{delivery.format}"


def _rows(
    session: Session, delivery: DeliveryRow, after: int, limit: int
) -> tuple[list[dict[str, Any]], int]:
    currency = project_of(session, delivery).currency
    found = final_labels(session, delivery.project_id, delivery.created_at, after=after, limit=limit)
    texts, metadata = parts_of(session, [one.id for one in found])
    by_people = [one.id for one in found if one.source == "people"]
    answers = answers_of(session, by_people, delivery.created_at)
    # From the ledger, not as of the label: answers and corrections may be booked after an item is resolved.
    costs = item_costs(session, [one.id for one in found])
    rows = [
        _row(one, texts.get(one.id, []), metadata.get(one.id, {}), answers.get(one.id, []))
        | {"cost": format(costs[one.id], "f"), "currency": currency}
        for one in found
    ]
    return rows, found[-1].id if found else after


def _row(one: Any, texts: list[str], metadata: dict[str, Any], answers: list[Answer]) -> dict[str, Any]:
    return {
        "external_id": one.external_id,
        "item_id": one.public_id,
        "text": joined_text(texts),
        "label": one.label,
        "source": one.source,
        "method": one.method,
        "annotations": one.annotations,
        "share": one.share,
        "confidence": one.confidence,
        "model_name": one.model_name,
        "model_version": one.model_version,
        "policy_version": one.policy_version,
        "guideline_version": one.guideline_version,
        "rule": one.rule if one.source == "machine" else None,
        "reason": one.reason,
        "resolved_at": one.resolved_at,
        "cost": "",
        "currency": "",
        "language": one.language,
        "region": one.region,
        "metadata": metadata,
        "answers": [dict(vars(answer)) for answer in answers],
    }


def _describe(session: Session, delivery: DeliveryRow, sources: dict[str, int]) -> dict[str, Any]:
    """The manifest but for its files."""
    project = project_of(session, delivery)
    form, rows = Format(delivery.format), sum(sources.values())
    states = {str(state): items for state, items in counts_by_state(session, project.id).items()}
    return {
        "export": delivery.public_id,
        "project": {
            "key": project.key,
            "title": project.title,
            "specification_version": project.specification_version,
            "specification_sha256": digest(project.specification),
        },
        "created_at": delivery.created_at.isoformat(),
        "created_by": delivery.created_by,
        "labels_as_of": delivery.created_at.isoformat(),
        "workbench_version": _version(),
        "format": delivery.format,
        "rows": rows,
        "rows_by_source": sources,
        "items_by_state": states,
        "columns": [{"name": column.name, "meaning": column.meaning} for column in columns_of(form)],
        "notes": _notes(form),
        "label_config": project.label_config,
        "left_out": left_out(form, states, rows),
    }


def _notes(form: Format) -> list[str]:
    if form is Format.CSV:
        return [f"In CSV {FORMULA_NOTE}.", "CSV is UTF-8 with a byte order mark."]
    if form is Format.DATASETS:
        return [
            'Unpack the ZIP; `datasets.load_from_disk("labels")` opens the folder.',
            "`label` is a ClassLabel; `metadata` is JSON text.",
        ]
    if form is Format.LABEL_STUDIO:
        return [
            "Import into a project with the `label_config` of this manifest.",
            "Each task has the final label as its one annotation; a machine's label is a prediction too.",
            "Where the label comes from stands under `meta`.",
        ]
    return []


def _publish(
    folder: Path,
    delivery: DeliveryRow,
    pieces: Sequence[Path],
    screen: Screen,
    manifest: dict[str, Any],
    changed: Sequence[Mapping[str, Any]],
) -> None:
    """Write the finished folder: labels, corrections of what was delivered before, manifest and sums."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    form = Format(delivery.format)
    labels = folder / f"labels.{form.ending}"
    JOIN[form](pieces, labels, screen)
    manifest["files"] = [_entry(labels, manifest["rows"])]
    if changed:
        corrected = folder / CORRECTIONS
        write_jsonl(corrected, changed, screen)
        manifest["files"].append(_entry(corrected, len(changed)))
    described = folder / "manifest.json"
    described.write_text(json.dumps(manifest, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    sums = "".join(f"{sha256_of(path)}  {path.name}\n" for path in sorted(folder.iterdir()))
    (folder / "SHA256SUMS").write_text(sums, encoding="utf-8")


def _entry(path: Path, rows: int) -> dict[str, Any]:
    return {"name": path.name, "rows": rows, "bytes": path.stat().st_size, "sha256": sha256_of(path)}


def _version() -> str:
    try:
        return importlib.metadata.version("annotation-workbench")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
