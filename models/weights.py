"""Is a model folder safe, whole and the one that was registered? Judged from bytes; imports no torch.

Only safetensors weights are read. Formats that can run code when opened (pickles, Python files, shared
libraries) are refused wherever they lie in the folder, even unused: the next tool to open it may not be
as careful.
"""

import hashlib
import json
import math
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from models.errors import ModelUnavailable, WeightsRefused

MAX_FILES = 500
MAX_HEADER_BYTES = 100_000_000
MAX_CONFIG_BYTES = 10_000_000
REFUSED_SUFFIXES = frozenset({
    ".bin", ".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".joblib", ".dill", ".npy", ".npz", ".h5", ".keras",
    ".msgpack", ".pb", ".py", ".pyc", ".pyd", ".so", ".dll", ".dylib", ".exe", ".sh",
})  # fmt: skip
# Files that explain a model but don't change what it answers.
IGNORED_SUFFIXES = frozenset({".md", ".gitattributes", ".gitignore"})
IGNORED_STEMS = frozenset({"license", "licence", "notice", "copying", ".gitattributes", ".gitignore"})
DTYPE_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64,
}  # fmt: skip


@dataclass(frozen=True)
class TensorInfo:
    """Type, shape and place of one tensor inside a safetensors file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def parameters(self) -> int:
        """Count of numbers in the tensor."""
        return math.prod(self.shape)


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, as hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hash_bytes(content: bytes) -> str:
    """SHA-256 of bytes in memory, as hex."""
    return hashlib.sha256(content).hexdigest()


def resolve_inside(directory: Path, name: str) -> Path:
    """The file `name` of a model folder.

    Raises:
        WeightsRefused: the name is absolute, climbs out, or leads out through a link.
        ModelUnavailable: there is no such file.
    """
    pure = PurePosixPath(name)
    if not name or pure.is_absolute() or ".." in pure.parts or "\\" in name or "\0" in name:
        raise WeightsRefused(f"file name {name!r} leads out of the model folder; use plain names inside it")
    path = directory / name
    if not path.resolve().is_relative_to(directory.resolve()):
        raise WeightsRefused(f"{name} is a link that leaves {directory}; copy the real file there")
    if not path.is_file():
        raise ModelUnavailable(f"{name} is missing from {directory}; copy the whole model folder again")
    return path


def safe_files(directory: Path) -> dict[str, Path]:
    """Files of a model folder by their name relative to it, after refusing anything that could run code.

    Raises:
        ModelUnavailable: there is no such folder.
        WeightsRefused: pickles, Python files, links that leave the folder, or too many files.
    """
    if not directory.is_dir():
        raise ModelUnavailable(f"model folder {directory} does not exist; check the path")
    found: dict[str, Path] = {}
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory).as_posix()
        if path.is_symlink() and not path.resolve().is_relative_to(directory.resolve()):
            raise WeightsRefused(f"{name} is a link that leaves {directory}; copy the real file there")
        if not path.exists():
            raise WeightsRefused(f"{name} in {directory} is a link to nothing; copy the real file there")
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            continue
        if not stat.S_ISREG(mode):
            raise WeightsRefused(f"{name} in {directory} is not an ordinary file; remove it")
        found[name] = path
        if len(found) > MAX_FILES:
            raise WeightsRefused(
                f"{directory} holds more than {MAX_FILES} files; give the model's own folder"
            )
        _refuse_code(path, name)
    return found


def _refuse_code(path: Path, name: str) -> None:
    if path.suffix.lower() in REFUSED_SUFFIXES:
        raise WeightsRefused(
            f"{name} is refused: files of type {path.suffix.lower()} can run code when opened; "
            "convert the weights to safetensors and remove it"
        )
    try:
        with path.open("rb") as stream:
            start = stream.read(4)
    except OSError as error:
        raise ModelUnavailable(f"{name} cannot be read: {error.strerror}; check its permissions") from error
    # A pickle from protocol 2 on opens with 0x80 and its number; torch.save writes a zip.
    if (len(start) > 1 and start[0] == 0x80 and 2 <= start[1] <= 5) and path.suffix != ".safetensors":  # noqa: PLR2004
        raise WeightsRefused(f"{name} is a pickle under another name; remove it")
    if start[:4] in (b"PK\x03\x04", b"\x7fELF"):
        raise WeightsRefused(f"{name} is an archive or a program under another name; remove it")


def matters(name: str) -> bool:
    """Whether a file can change what the model answers, so that its hash is registered.

    >>> matters("config.json"), matters("README.md")
    (True, False)
    """
    path = PurePosixPath(name)
    return path.suffix.lower() not in IGNORED_SUFFIXES and path.stem.lower() not in IGNORED_STEMS


def hash_folder(directory: Path) -> dict[str, str]:
    """SHA-256 of every file that matters, by its name relative to the folder."""
    return {name: hash_file(path) for name, path in safe_files(directory).items() if matters(name)}


def verify_folder(directory: Path, expected: Mapping[str, str]) -> None:
    """Return when the folder holds exactly the files that were registered.

    Raises:
        WeightsRefused: a file changed, or one was added that could change the answers.
        ModelUnavailable: a registered file is missing.
    """
    if not expected:
        raise WeightsRefused(
            f"no hashes are registered for {directory}; inspect and register the model again"
        )
    for name in expected:
        resolve_inside(directory, name)
    found = hash_folder(directory)
    for name, digest in found.items():
        if name not in expected:
            raise WeightsRefused(f"{name} was added to {directory} after registration; remove it")
        if digest != expected[name]:
            raise WeightsRefused(
                f"{name} in {directory} has SHA-256 {digest[:12]}…, registered was {expected[name][:12]}…; "
                "restore the file, or register the folder as a new model version"
            )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a model folder.

    Raises:
        WeightsRefused: too large, not JSON, or not an object.
    """
    if path.stat().st_size > MAX_CONFIG_BYTES:
        raise WeightsRefused(
            f"{path.name} is larger than {MAX_CONFIG_BYTES:,} bytes; it is not a model's config"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise WeightsRefused(f"{path.name} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise WeightsRefused(f"{path.name} holds no JSON object; copy the model folder again")
    return content


def read_safetensors_header(path: Path) -> dict[str, TensorInfo]:
    """Tensors of a safetensors file, read from its header alone.

    Raises:
        WeightsRefused: the file is truncated, has bytes too many, or is no safetensors file at all.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):  # noqa: PLR2004
            raise WeightsRefused(f"{path.name} is not a safetensors file, or it is cut short; copy it again")
        raw = stream.read(length)
    try:
        entries = json.loads(raw)
        tensors = {
            str(name): _tensor_info(entry) for name, entry in entries.items() if name != "__metadata__"
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsRefused(f"{path.name} has a broken safetensors header; copy it again") from error
    _check_layout(path.name, tensors, size - 8 - length)
    return tensors


def _tensor_info(entry: dict[str, Any]) -> TensorInfo:
    start, end = entry["data_offsets"]
    shape = tuple(int(side) for side in entry["shape"])
    info = TensorInfo(dtype=str(entry["dtype"]), shape=shape, start=int(start), end=int(end))
    bits = DTYPE_BITS[info.dtype]
    if min(shape, default=0) < 0 or (info.end - info.start) * 8 != info.parameters * bits:
        raise ValueError("shape and bytes differ")
    return info


def _check_layout(name: str, tensors: Mapping[str, TensorInfo], data_bytes: int) -> None:
    position = 0
    for info in sorted(tensors.values(), key=lambda tensor: (tensor.start, tensor.end)):
        if info.start != position:
            raise WeightsRefused(f"{name} has holes or overlaps between its tensors; copy it again")
        position = info.end
    if position != data_bytes:
        raise WeightsRefused(
            f"{name} should hold {position:,} bytes of weights and holds {data_bytes:,}; copy it again"
        )
