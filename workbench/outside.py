"""The outside world as one process sees it: clock, chance, database, secrets, Label Studio, models.

Everything that a test wants to hold still or break is reached through an `Outside` that is handed down
from the start; nothing below asks the system clock or the network by itself.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from integrations.label_studio.interface import LabelStudio
from models.interface import ModelSpec, Predictor
from workbench.db.database import Database
from workbench.db.vault import Vault
from workbench.settings import Settings


def system_now() -> datetime:
    """This moment in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Outside:
    """What a use case may reach beyond its arguments.

    Attributes:
        settings: Read once at start.
        db: The application's database.
        vault: Encrypts what must not lie in clear (tokens, lottery keys).
        now: The clock, aware UTC.
        random_bytes: Unpredictable bytes, for ids and keys.
        label_studio: Address and token to a client.
        load_model: A model version's specification to a predictor; slow, cached by its caller.
    """

    settings: Settings
    db: Database
    vault: Vault
    now: Callable[[], datetime]
    random_bytes: Callable[[int], bytes]
    label_studio: Callable[[str, str], LabelStudio]
    load_model: Callable[[ModelSpec], Predictor]

    def new_id(self) -> str:
        """A fresh opaque id of 24 characters."""
        return self.random_bytes(12).hex()


def no_models_here(spec: ModelSpec) -> Predictor:
    """The web process never loads a model."""
    raise RuntimeError(f"a model ({spec.kind}) can only be loaded in a worker process")


def outside_of(
    settings: Settings,
    *,
    label_studio: Callable[[str, str], LabelStudio],
    load_model: Callable[[ModelSpec], Predictor] = no_models_here,
    now: Callable[[], datetime] = system_now,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> Outside:
    """The outside of one process, opened."""
    return Outside(
        settings=settings,
        db=Database(settings.database_url, connections=settings.database_connections),
        vault=Vault.open(settings),
        now=now,
        random_bytes=random_bytes,
        label_studio=label_studio,
        load_model=load_model,
    )
