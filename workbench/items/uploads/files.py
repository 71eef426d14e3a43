"""Where uploaded files lie: under names of our own, each beside a note of what it is."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from workbench.errors import InvalidInput, NotFound, TooLarge
from workbench.items.reading.detect import ColumnMapping, Preview, preview
from workbench.items.reading.rows import Row
from workbench.items.reading.saved import SPLITS, STATE
from workbench.outside import Outside

_BLOCK = 1 << 20
_ID = re.compile(r"[0-9a-f]{24}")


@dataclass(frozen=True)
class Upload:
    """A file somebody gave to a project, not yet imported.

    Attributes:
        id: Opaque, 24 characters.
        project_id: Whose it is.
        file_name: As the user calls it: shown, never used as a path.
        bytes: Its size.
    """

    id: str
    project_id: int
    file_name: str
    bytes: int


def save_upload(outside: Outside, project_id: int, file_name: str, stream: IO[bytes]) -> Path:
    """Path of the file, stored; its folder's name is the upload's id.

    Raises:
        TooLarge: Over `max_upload_mb`; nothing is kept.
        InvalidInput: It is empty.
    """
    upload_id = outside.new_id()
    folder = _folder(outside, upload_id)
    folder.mkdir(parents=True)
    try:
        size = _copy(stream, folder / "source", outside.settings.max_upload_mb)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    note = Upload(upload_id, project_id, shown_name(file_name), size)
    (folder / "upload.json").write_text(json.dumps(asdict(note)), encoding="utf-8")
    return folder / "source"


@contextmanager
def opened_source(path: Path) -> Iterator[IO[bytes]]:
    """A file as bytes, or the files of a folder as an archive of them: links and sub-archives are left out.

    Raises:
        InvalidInput: The folder is none that `save_to_disk` wrote.
    """
    if not path.is_dir():
        with path.open("rb") as stream:
            yield stream
        return
    if not any((path / name).is_file() for name in (STATE, SPLITS)):
        raise InvalidInput(
            f"the folder {path.name} is no saved dataset: there is neither {STATE} nor {SPLITS} in it"
        )
    with tempfile.TemporaryFile() as packed:
        with tarfile.open(fileobj=packed, mode="w") as tape:
            for file in sorted(path.rglob("*")):
                if file.is_file() and not file.is_symlink() and file.suffix in {".json", ".arrow"}:
                    tape.add(file, str(file.relative_to(path)), recursive=False)
        packed.seek(0)
        yield packed


def find_upload(outside: Outside, project_id: int, upload_id: str) -> tuple[Upload, Path]:
    """The upload and its path.

    Raises:
        NotFound: There is none of that id in the project.
    """
    note = _folder(outside, upload_id) / "upload.json"
    if _ID.fullmatch(upload_id) and note.exists():
        upload = Upload(**json.loads(note.read_text(encoding="utf-8")))
        if upload.project_id == project_id:
            return upload, note.parent / "source"
    raise NotFound("that upload is not there any more; upload the file again")


def kept_preview(path: Path, file_name: str, split: str = "") -> Preview:
    """The upload's preview, made once a split: a large workbook takes seconds to open.

    Raises:
        InvalidInput: The file cannot be read.
    """
    mark = hashlib.sha256(split.encode()).hexdigest()[:16] if split else ""
    kept = path.with_name(f"preview{mark}.json")
    if not kept.exists():
        part = kept.with_suffix(".part")
        part.write_text(json.dumps(asdict(preview(path, file_name, split=split))), encoding="ascii")
        part.replace(kept)
    known = json.loads(kept.read_text(encoding="ascii"))
    rows = [Row(**row) for row in known.pop("rows")]
    return Preview(rows=rows, mapping=ColumnMapping(**known.pop("mapping")), **known)


def upload_id_of(path: Path) -> str:
    """The upload's id, from the path that `save_upload` gave."""
    return path.parent.name


def shown_name(file_name: str) -> str:
    """A file name fit to be shown: without folders and control characters, at most 200 characters.

    >>> shown_name("../../etc/items.csv")
    'items.csv'
    """
    last = re.split(r"[\\/]", file_name)[-1]
    plain = "".join(character for character in last if character.isprintable()).strip()
    return plain[-200:] or "items"


def _folder(outside: Outside, upload_id: str) -> Path:
    return outside.settings.data_dir.resolve() / "uploads" / upload_id


def _copy(stream: IO[bytes], path: Path, limit_mb: int) -> int:
    size = 0
    with path.open("xb") as file:
        while block := stream.read(_BLOCK):
            size += len(block)
            if size > limit_mb * 1_000_000:
                raise TooLarge(
                    f"the file is over {limit_mb} MB; split it, or raise WORKBENCH_MAX_UPLOAD_MB and restart"
                )
            file.write(block)
    if not size:
        raise InvalidInput("the file is empty; choose one with a header line and at least one row")
    return size
