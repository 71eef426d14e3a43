"""From a file to items, in steps that can each run twice: unfold the file, add chunk by chunk, close.

The file is first unfolded into one JSON line a row, so that every format can be taken up again at a byte
offset after a crash. `rows_read` of the import says, in the transaction that adds a chunk, how far it came:
a chunk that was committed is never counted or added again.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from workbench.errors import InvalidInput, WorkbenchError, WrongState
from workbench.items.domain import Part, content_hash
from workbench.items.reading.detect import ColumnMapping, open_table
from workbench.items.reading.rows import Row
from workbench.items.spreadsheets import formula_safe
from workbench.items.tables import ImportRow
from workbench.items.uploads.retention import remove_old_uploads
from workbench.items.uploads.store import (
    NewItem,
    ProjectFacts,
    add_items,
    contents_by_external_id,
    find_import,
    lock_project,
    project_facts,
    same_content_elsewhere,
)
from workbench.jobs.definition import StepCancelled
from workbench.jobs.store import is_cancelled
from workbench.outside import Outside

TEXT_CHARACTERS = 100_000
_METADATA_CHARACTERS = 100_000
_ID_CHARACTERS = 200
_SHORT_CHARACTERS = 20
_SHOWN_CHARACTERS = 2000
_ROW_CHARACTERS = 8_000_000
_CHUNK_BYTES = 32_000_000
"""A chunk ends after so many bytes, however few rows they are."""
_LOOK_ROWS = 5000


@dataclass(frozen=True)
class Rejected:
    """A row that did not become an item, and why."""

    line: int
    reason: str
    row: str


def unfold(outside: Outside, import_id: int) -> dict[str, Any]:
    """How many rows the file has; each stands as one JSON line in the import's work folder.

    Returns:
        `rows`, `notes`, and `problem`: why the file cannot be read, or "".
    """
    with outside.db.write(project=_project_of(outside, import_id)) as session:
        source = find_import(session, import_id)
        source.state, source.problem, source.finished_at = "running", "", None
        path, file_name = Path(source.path), source.file_name
    target = _work_folder(outside, source) / "rows.jsonl"
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        if not path.exists():
            raise InvalidInput("the uploaded file is not there any more; upload it again")
        mapping = ColumnMapping.of(source.mapping)
        table = open_table(path, file_name, split=mapping.split, leave=mapping.left_out)
        rows = _until_cancelled(outside, source.job_id, table.rows)
        n = _write_rows(rows, target, outside.settings.max_unfolded_mb * 1_000_000)
        if not n:
            raise InvalidInput("the file has no rows below its header")
    except WorkbenchError as problem:
        with outside.db.write(project=_project_of(outside, import_id)) as session:
            source = find_import(session, import_id)
            source.state, source.problem, source.finished_at = "failed", str(problem), outside.now()
        return {"rows": 0, "notes": [], "problem": str(problem)}
    return {"rows": n, "notes": table.notes, "problem": ""}


def import_chunk(outside: Outside, import_id: int, done: int, offset: int) -> dict[str, int]:
    """How far the import is after the chunk that begins at this row and byte.

    Returns:
        `rows` read so far and the `offset` of the next row.
    """
    with outside.db.read() as session:
        source = find_import(session, import_id)
        facts = project_facts(session, source.project_id)
    folder = _work_folder(outside, source)
    rows, after = _read_chunk(folder / "rows.jsonl", offset, outside.settings.chunk_items)
    mapping = ColumnMapping.of(source.mapping)
    judged = [_judged(outside, row, mapping, facts) for row in rows]
    with outside.db.write(project=source.project_id) as session:
        lock_project(session, source.project_id)
        source = find_import(session, import_id)
        # Rows that an earlier run committed, in chunks of whatever size, are passed over and never lost.
        known = source.rows_read - done
        if 0 <= known < len(rows):
            rejected = _add(session, outside, source, judged[known:], rows[known:])
            _write_rejects(folder / "rejects" / f"{source.rows_read:010d}.csv", rejected)
            source.rows_read = done + len(rows)
    return {"rows": done + len(rows), "offset": after}


def finish_import(outside: Outside, import_id: int, rows: int, notes: list[str]) -> dict[str, Any]:
    """What became of the file's rows; the rejects stand in one file and the work files are gone.

    Raises:
        WrongState: Not every row was read; the import counts as failed, never as done.
    """
    _refuse_unread(outside, import_id, rows)
    with outside.db.write(project=_project_of(outside, import_id)) as session:
        source = find_import(session, import_id)
        folder, path = _work_folder(outside, source), Path(source.path)
        rejects = folder / "rejects.csv"
        _join(folder / "rejects", rejects)
        source.rejects_path = str(rejects) if rejects.exists() else ""
        source.state = "done"
        source.finished_at = source.finished_at or outside.now()
        result = {
            "read": source.rows_read,
            "added": source.rows_added,
            "known": source.rows_known,
            "conflicting": source.rows_conflicting,
            "rejected": source.rows_rejected,
            "same_content": same_content_elsewhere(session, source),
            "notes": notes,
        }
    shutil.rmtree(folder / "rejects", ignore_errors=True)
    (folder / "rows.jsonl").unlink(missing_ok=True)
    # The copy that a saved dataset was unpacked to; the upload itself stays for some days.
    shutil.rmtree(path.with_name("unpacked"), ignore_errors=True)
    remove_old_uploads(outside)
    return result


def _refuse_unread(outside: Outside, import_id: int, rows: int) -> None:
    with outside.db.write(project=_project_of(outside, import_id)) as session:
        source = find_import(session, import_id)
        if source.rows_read == rows:
            return
        problem = (
            f"{source.rows_read:,} of the file's {rows:,} rows were read, so the import is not complete; "
            "upload the file again: rows that are known already are passed over"
        )
        source.state, source.problem, source.finished_at = "failed", problem, outside.now()
    raise WrongState(problem)


def _project_of(outside: Outside, import_id: int) -> int:
    with outside.db.read() as session:
        return find_import(session, import_id).project_id


def _work_folder(outside: Outside, source: ImportRow) -> Path:
    return outside.settings.data_dir.resolve() / "imports" / source.job_id


def _until_cancelled(outside: Outside, job_id: str, rows: Iterator[Row]) -> Iterator[Row]:
    """The rows, as long as nobody cancels the job: unfolding a large file is one long step.

    Raises:
        StepCancelled: Somebody did; nothing is kept, and the step runs anew when the job is resumed.
    """
    for n, row in enumerate(rows):
        if n % _LOOK_ROWS == 0:
            with outside.db.read() as session:
                if is_cancelled(session, job_id):
                    raise StepCancelled
        yield row


def _write_rows(rows: Iterator[Row], target: Path, limit: int) -> int:
    part = target.with_suffix(".part")
    n = 0
    try:
        with part.open("w", encoding="ascii") as file:
            for n, line in enumerate(_lines(rows, limit), start=1):  # noqa: B007 - its last value counts
                file.write(line)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    part.replace(target)
    return n


def _lines(rows: Iterator[Row], limit: int) -> Iterator[str]:
    written = 0
    for row in rows:
        line = _line(row)
        written += len(line)
        if written > limit:
            raise InvalidInput(
                f"the file unfolds to more than {limit // 1_000_000:,} MB; split it, or raise "
                "WORKBENCH_MAX_UNFOLDED_MB and restart"
            )
        yield line


def _line(row: Row) -> str:
    line = json.dumps([row.line, row.values, row.problem, row.raw])
    if len(line) > _ROW_CHARACTERS:
        problem = f"is longer than {_ROW_CHARACTERS:,} characters"
        line = json.dumps([row.line, {}, problem, line[:_SHOWN_CHARACTERS]])
    return line + "\n"


def _read_chunk(path: Path, offset: int, n: int) -> tuple[list[Row], int]:
    rows: list[Row] = []
    with path.open("rb") as file:
        file.seek(offset)
        while len(rows) < n and file.tell() - offset < _CHUNK_BYTES and (line := file.readline()):
            rows.append(Row(*json.loads(line)))
        return rows, file.tell()


def _add(
    session: Session,
    outside: Outside,
    source: ImportRow,
    judged: Sequence[NewItem | str],
    rows: Sequence[Row],
) -> list[Rejected]:
    """Add what is new, count the rest, and give back the rows that were not taken."""
    ids = list({item.external_id for item in judged if isinstance(item, NewItem)})
    contents = contents_by_external_id(session, source.project_id, ids)
    new: list[NewItem] = []
    rejected: list[Rejected] = []
    for row, item in zip(rows, judged, strict=True):
        if isinstance(item, str):
            rejected.append(Rejected(row.line, item, _shown(row)))
            source.rows_rejected += 1
        elif item.external_id not in contents:
            contents[item.external_id] = item.content_hash
            new.append(item)
        elif contents[item.external_id] == item.content_hash:
            source.rows_known += 1
        else:
            source.rows_conflicting += 1
            reason = f'id "{item.external_id}" is known with other content; it was not overwritten'
            rejected.append(Rejected(row.line, reason, _shown(row)))
    add_items(session, source, new, at=outside.now())
    source.rows_added += len(new)
    return rejected


def _judged(outside: Outside, row: Row, mapping: ColumnMapping, facts: ProjectFacts) -> NewItem | str:
    """The item a row would become, or why it cannot."""
    if row.problem:
        return row.problem
    values = row.values
    problem = _unusable(values, mapping, facts)
    if problem:
        return problem
    special = {*mapping.named(), *mapping.left_out}
    metadata = {name: value for name, value in values.items() if name not in special}
    if len(json.dumps(metadata)) > _METADATA_CHARACTERS:
        return f"has more than {_METADATA_CHARACTERS:,} characters in its other columns"
    parts = [Part("text", facts.text_field, _text(values[mapping.text]))]
    if metadata:
        parts.append(Part("metadata", "metadata", "", metadata))
    content = content_hash(parts)
    return NewItem(
        public_id=outside.new_id(),
        external_id=_text(values.get(mapping.external_id, "")).strip() or content.hex()[:40],
        content_hash=content,
        language=_text(values.get(mapping.language, "")).strip() or facts.language,
        region=_text(values.get(mapping.region, "")).strip(),
        sensitivity=_text(values.get(mapping.sensitivity, "")).strip(),
        reference=_text(values.get(mapping.reference, "")).strip(),
        line=row.line,
        parts=[
            {"position": i, "kind": part.kind, "name": part.name, "text": part.text, "data": part.data or {}}
            for i, part in enumerate(parts)
        ],
    )


def _unusable(values: Mapping[str, Any], mapping: ColumnMapping, facts: ProjectFacts) -> str:
    nested = [column for column in mapping.named() if isinstance(values.get(column), dict | list)]
    if nested:
        return f'has a list or an object in "{nested[0]}", where a text is expected'
    if mapping.external_id and not _text(values.get(mapping.external_id, "")).strip():
        return f'has no id in "{mapping.external_id}"'
    reference = _text(values.get(mapping.reference, "")).strip()
    if reference and reference not in facts.labels:
        return f'has the reference label "{reference[:60]}", which is no label of the project'
    return _empty_or_long(values, mapping)


def _empty_or_long(values: Mapping[str, Any], mapping: ColumnMapping) -> str:
    text = _text(values.get(mapping.text, ""))
    if not text.strip():
        return f'has no text in "{mapping.text}"'
    if len(text) > TEXT_CHARACTERS:
        return f"has a text of {len(text):,} characters (limit {TEXT_CHARACTERS:,})"
    for column, limit in (
        (mapping.external_id, _ID_CHARACTERS),
        (mapping.language, _SHORT_CHARACTERS),
        (mapping.region, _SHORT_CHARACTERS),
        (mapping.sensitivity, _SHORT_CHARACTERS),
    ):
        if len(_text(values.get(column, "")).strip()) > limit:
            return f'has more than {limit} characters in "{column}"'
    return ""


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)


def _shown(row: Row) -> str:
    return row.raw or json.dumps(row.values, ensure_ascii=False)[:_SHOWN_CHARACTERS]


def _write_rejects(path: Path, rejected: Sequence[Rejected]) -> None:
    if not rejected:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        writer = csv.writer(file)
        for one in rejected:
            shown = one.row.replace("\x00", "\\0")
            writer.writerow([one.line, formula_safe(one.reason), formula_safe(shown)])


def _join(chunks: Path, target: Path) -> None:
    """One file of all chunks, under a header; the mark at its start lets Excel see UTF-8."""
    paths = sorted(chunks.glob("*.csv")) if chunks.exists() else []
    if not paths:
        return
    part = target.with_suffix(".part")
    with part.open("wb") as file:
        file.write(b"\xef\xbb\xbfline,reason,row\r\n")
        for path in paths:
            with path.open("rb") as chunk:
                shutil.copyfileobj(chunk, file)
    part.replace(target)
