"""What a folder saved by the `datasets` library is known by; needs no Arrow."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import PurePosixPath

STATE, SPLITS = "state.json", "dataset_dict.json"


def looks_like_dataset(names: Collection[str]) -> bool:
    """Whether members of an archive are those of a saved dataset."""
    return any(PurePosixPath(name).name in {STATE, SPLITS} for name in names)
