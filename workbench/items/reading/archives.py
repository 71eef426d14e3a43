"""Members of a ZIP or TAR somebody sent, unpacked under counted sizes and names of ours."""

from __future__ import annotations

import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from workbench.errors import InvalidInput

MAX_MEMBERS = 5000
MAX_BYTES = 2_000_000_000
MAX_RATIO = 150
_RATIO_FROM_BYTES = 20_000_000
_NAME_CHARACTERS = 300
_BLOCK = 1 << 20
_NESTED = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar")
_DAMAGES = (
    zipfile.BadZipFile,
    tarfile.TarError,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
    RuntimeError,
)


@dataclass(frozen=True)
class Member:
    """One file in an archive: its name, its stated size, and its content when asked for."""

    name: str
    size: int
    open: Callable[[], IO[bytes]]


@contextmanager
def archive_members(path: Path) -> Iterator[dict[str, Member]]:
    """The files of a ZIP or TAR by name; nothing is unpacked yet.

    Raises:
        InvalidInput: It is damaged, too large or packed too tightly, or holds what no folder of data
            needs: links, devices, passwords, other archives, names that lead elsewhere or stand twice.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as packed:
                yield _checked(_zip_members(packed), path)
        else:
            with tarfile.open(path, "r:") as tape:
                yield _checked(_tar_members(tape), path)
    except _DAMAGES as problem:
        raise InvalidInput(
            f"the archive is damaged ({type(problem).__name__}); pack the folder again as .zip or .tar"
        ) from None


def unpack(member: Member, target: Path, *, limit: int = MAX_BYTES) -> int:
    """Bytes written to the target, counted while they come: a member may be longer than it says.

    Raises:
        InvalidInput: More came than the limit.
    """
    written = 0
    with member.open() as source, target.open("wb") as file:
        while block := source.read(_BLOCK):
            written += len(block)
            if written > limit or written > member.size:
                raise InvalidInput(
                    f"{_shown(member.name)} unfolds to more than it states; pack the folder again"
                )
            file.write(block)
    return written


def _zip_members(packed: zipfile.ZipFile) -> Iterator[Member]:
    for info in _bounded(packed.infolist()):
        mode = info.external_attr >> 16
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise InvalidInput(
                f"the archive holds a link or device, {_shown(info.filename)}; pack plain files"
            )
        if info.flag_bits & 1:
            raise InvalidInput("the archive is protected by a password; pack it without one")
        # The reader cuts names at a NUL; what stood there is the name that counts.
        if info.orig_filename != info.filename and "\x00" in info.orig_filename:
            raise InvalidInput("the archive holds a name with a NUL character; pack the folder again")
        if not info.is_dir():
            yield Member(info.filename, info.file_size, lambda info=info: packed.open(info))  # type: ignore[misc]


def _tar_members(tape: tarfile.TarFile) -> Iterator[Member]:
    for n, info in enumerate(tape, start=1):
        if n > MAX_MEMBERS:
            raise _too_many(f"more than {MAX_MEMBERS:,}")
        if info.issparse() or not (info.isreg() or info.isdir()):
            raise InvalidInput(f"the archive holds a link or device, {_shown(info.name)}; pack plain files")
        if info.isreg():
            yield Member(info.name, info.size, lambda info=info: _opened(tape, info))  # type: ignore[misc]


def _opened(tape: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    file = tape.extractfile(info)
    if file is None:
        raise tarfile.ReadError(info.name)
    return file


def _bounded(infos: list[zipfile.ZipInfo]) -> list[zipfile.ZipInfo]:
    if len(infos) > MAX_MEMBERS:
        raise _too_many(f"{len(infos):,}")
    return infos


def _too_many(n: str) -> InvalidInput:
    return InvalidInput(f"the archive has {n} members (limit {MAX_MEMBERS:,}); save the data in fewer files")


def _checked(members: Iterator[Member], path: Path) -> dict[str, Member]:
    found: dict[str, Member] = {}
    total = 0
    for member in members:
        name = _safe_name(member.name)
        if name in found:
            raise InvalidInput(f"the archive holds {_shown(name)} twice; pack the folder again")
        if name.lower().endswith(_NESTED):
            raise InvalidInput(f"the archive holds another archive, {_shown(name)}; unpack that one first")
        found[name] = member
        total += member.size
    packed = max(1, path.stat().st_size)
    if total > MAX_BYTES:
        raise InvalidInput(
            f"the archive unfolds to {total // 1_000_000:,} MB (limit {MAX_BYTES // 1_000_000:,}); split it"
        )
    if total > _RATIO_FROM_BYTES and total / packed > MAX_RATIO:
        raise InvalidInput(
            f"the archive unfolds to {total // packed:,} times its size (limit {MAX_RATIO}), which no "
            "ordinary data do; pack it without compression"
        )
    return found


def _safe_name(name: str) -> str:
    """The name as a plain relative path.

    Raises:
        InvalidInput: It leads out of the folder, or is no name.
    """
    path = PurePosixPath(name.removeprefix("./"))
    bad = not name.isprintable() or "\\" in name or ":" in name or len(name) > _NAME_CHARACTERS
    if bad or path.is_absolute() or ".." in path.parts or not path.parts:
        raise InvalidInput(
            f"the archive holds a name that leads elsewhere, {_shown(name)}; pack the folder again"
        )
    return str(path)


def _shown(name: str) -> str:
    return '"' + "".join(c if c.isprintable() else "?" for c in name[:80]) + '"'
