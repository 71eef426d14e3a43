"""The settings and the outside of a command."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from workbench.outside import Outside
    from workbench.settings import Settings


@dataclass(frozen=True)
class Options:
    """Options that stand before the command's name."""

    data_dir: Path | None = None


def settings_of(context: typer.Context, **given: object) -> Settings:
    """The settings of this command.

    Raises:
        InvalidInput: One of them cannot be used.
    """
    from workbench.settings import load_settings

    options = context.find_root().obj or Options()
    return load_settings(**{"data_dir": options.data_dir, **given})


@contextmanager
def opened(context: typer.Context) -> Iterator[Outside]:
    """The outside, with a database that is there and of this version.

    Raises:
        InvalidInput: There is no installation, or its database is of another version.
    """
    settings = settings_of(context)
    require_installation(settings)
    require_schema(settings)
    outside = outside_of_command(settings)
    try:
        yield outside
    finally:
        outside.db.close()


def outside_of_command(settings: Settings) -> Outside:
    """The outside of a command: real clock, chance and Label Studio; no models."""
    from workbench.adapters import label_studio_clients
    from workbench.outside import outside_of

    return outside_of(settings, label_studio=label_studio_clients(settings))


def require_schema(settings: Settings) -> None:
    """Nothing, if the database has this release's schema.

    Raises:
        InvalidInput: It is newer, or older; says what to do.
    """
    from workbench.db import migrate
    from workbench.errors import InvalidInput

    if migrate.check(settings) != migrate.head():
        raise InvalidInput(
            "the database has an older schema than this release; bring it up to date: workbench db upgrade"
        )


def require_installation(settings: Settings) -> None:
    """Nothing, if there is a database to work with.

    Raises:
        InvalidInput: There is none yet; names the command that makes it.
    """
    from workbench.db.urls import database_address
    from workbench.errors import InvalidInput

    url = database_address(settings.database_url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise InvalidInput(
            f"there is no workbench in {settings.data_dir.resolve()}; make one with `workbench init`, "
            "or name another folder: workbench --data-dir FOLDER …"
        )


def caller() -> str:
    """Who runs the command, as records name them."""
    try:
        return f"cli ({getpass.getuser()})"
    except (KeyError, OSError):
        return "cli"
