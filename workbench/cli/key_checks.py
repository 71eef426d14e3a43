"""The doctor's look at the keys of stored secrets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from workbench.cli.check import Check

if TYPE_CHECKING:
    from workbench.outside import Outside
    from workbench.settings import Settings


def key_file(settings: Settings) -> Iterator[Check]:
    """The keys that encrypt tokens, readable by their owner alone."""
    from workbench.db.vault import key_path

    name = "secret key"
    if settings.secret_key is not None:
        yield Check.good(name, "from the environment")
        return
    path = key_path(settings)
    if not path.exists():
        yield Check.doubtful(
            name, "not made yet", "workbench init makes it; keep a copy outside the data folder"
        )
    elif path.stat().st_mode & 0o077:
        yield Check.failed(name, f"others can read {path}", f"run: chmod 600 {path}")
    else:
        yield Check.good(name, f"{path}, for its owner alone")


def stored_secrets(outside: Outside) -> Iterator[Check]:
    """Every stored secret can be read, and is encrypted with the newest key."""
    from workbench.keys import standing

    name = "stored secrets"
    found = standing(outside)
    if found.unreadable:
        yield Check.failed(
            name,
            f"some cannot be read, their key is not here: {', '.join(found.unreadable)}",
            "put the original key back on a line of its own in secret.key, or enter the secrets again",
        )
    elif found.old:
        yield Check.doubtful(
            name,
            f"{found.old} of {found.old + found.current} are encrypted with an older key",
            "run: workbench key rotate",
        )
    else:
        kept = f"; {len(found.key_ids) - 1} older keys are kept for back-ups" if found.key_ids[1:] else ""
        yield Check.good(name, f"{found.current} encrypted with the newest key{kept}")
