"""All tables of the installation, found by the one name that every feature uses."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from sqlalchemy import MetaData

from workbench.db.types import Base


def all_tables() -> MetaData:
    """The metadata with every feature's `tables` module loaded (by name: the floor imports no feature)."""
    root = Path(__file__).parent.parent
    for feature in pkgutil.iter_modules([str(root)]):
        if feature.ispkg and (root / feature.name / "tables.py").exists():
            importlib.import_module(f"workbench.{feature.name}.tables")
    return Base.metadata
