"""Rotation of the key that stored secrets are encrypted with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Column, LargeBinary, Table, func, or_, select, update
from sqlalchemy.orm import Session

from workbench.activity.store import record
from workbench.db.tables import all_tables
from workbench.db.vault import FIRST_RELEASE, PREFIX, Vault, key_path, new_key, read_keys, write_keys
from workbench.errors import InvalidInput, Unavailable, WrongState
from workbench.outside import Outside


@dataclass(frozen=True)
class Standing:
    """How the stored secrets stand.

    Attributes:
        current: Encrypted with the newest key.
        old: Encrypted with an older key that is here.
        unreadable: Places (`table.column`) of secrets whose key is not here.
        key_ids: The keys, newest first.
    """

    current: int
    old: int
    unreadable: tuple[str, ...]
    key_ids: tuple[str, ...]


@dataclass(frozen=True)
class Rotation:
    """What a rotation did.

    Attributes:
        key_id: The key that every secret is encrypted with now.
        encrypted: Secrets that were encrypted anew.
        resumed: Whether an earlier rotation was brought to its end.
    """

    key_id: str
    encrypted: int
    resumed: bool


@dataclass(frozen=True)
class _Stored:
    table: Table
    column: Column[Any]
    key: tuple[Any, ...]
    value: bytes

    @property
    def place(self) -> str:
        return f"{self.table.name}.{self.column.name}"


def standing(outside: Outside) -> Standing:
    """How the stored secrets stand."""
    vault = Vault.open(outside.settings)
    with outside.db.read() as session:
        found = list(_stored(session))
    unreadable = [one for one in found if not _can_read(vault, one.value)]
    lost = {id(one) for one in unreadable}
    current = sum(vault.is_current(one.value) for one in found if id(one) not in lost)
    return Standing(
        current=current,
        old=len(found) - len(unreadable) - current,
        unreadable=tuple(sorted({one.place for one in unreadable})),
        key_ids=vault.key_ids,
    )


def rotate(outside: Outside, *, by: str) -> Rotation:
    """Every stored secret under a new key; older keys stay in the file, for back-ups and running processes.

    The key is on disk before the first secret is encrypted with it, and all secrets change in one
    transaction: after a crash the next call goes on with the same key.

    Args:
        outside: The installation.
        by: Who asked, for the activity record.

    Raises:
        InvalidInput: The keys come from outside and hold no new one.
    """
    resumed = standing(outside).old > 0
    if not resumed:
        _add_key(outside)
    vault = Vault.open(outside.settings)
    newest = vault.key_ids[0]
    with outside.db.write() as session:
        encrypted = sum(_encrypt_anew(session, vault, one) for one in list(_stored(session)))
        record(
            session,
            at=outside.now(),
            actor=by,
            verb="key.rotated",
            about=f"key:{newest}",
            after={"secrets": encrypted, "resumed": resumed},
        )
    return Rotation(newest, encrypted, resumed)


def forget_old(outside: Outside, *, by: str) -> int:
    """How many older keys were taken out of the file; back-ups made under them lose their secrets.

    Raises:
        WrongState: A stored secret still needs one.
        InvalidInput: The keys come from outside.
    """
    path = _own_file(outside)
    keys = read_keys(path)
    with outside.db.write() as session:
        vault = Vault.open(outside.settings)
        if not all(vault.is_current(one.value) for one in _stored(session) if _can_read(vault, one.value)):
            raise WrongState("some stored secrets still need an older key; run `workbench key rotate` first")
        if len(keys) > 1:
            record(
                session,
                at=outside.now(),
                actor=by,
                verb="key.forgotten",
                about=f"key:{vault.key_ids[0]}",
                before={"keys": list(vault.key_ids)},
                after={"keys": [vault.key_ids[0]]},
            )
            write_keys(path, keys[:1])
    return len(keys) - 1


def _add_key(outside: Outside) -> None:
    path = _own_file(outside)
    write_keys(path, [new_key(), *read_keys(path)])


def _own_file(outside: Outside) -> Path:
    path = key_path(outside.settings)
    if outside.settings.secret_key is not None:
        raise InvalidInput(
            "the key comes from WORKBENCH_SECRET_KEY; put a new one (`workbench key new`) before it, with a "
            "comma between, restart the workbench, then run this again"
        )
    if not os.access(path.parent, os.W_OK):
        raise InvalidInput(
            f"{path} cannot be written here; put a new key (`workbench key new`) on a line above the others "
            "at its source, restart the workbench, then run this again"
        )
    return path


def _stored(session: Session) -> Iterator[_Stored]:
    """Every encrypted secret of the database, wherever it lies."""
    for table in all_tables().sorted_tables:
        for column in table.columns:
            if not isinstance(column.type, LargeBinary) or column.type.length is not None:
                continue
            keys = list(table.primary_key.columns)
            starts = [func.substr(column, 1, len(one)) == one for one in (PREFIX, FIRST_RELEASE)]
            for *key, value in session.execute(select(*keys, column).where(or_(*starts))):
                yield _Stored(table, column, tuple(key), bytes(value))


def _can_read(vault: Vault, value: bytes) -> bool:
    try:
        vault.unlock(value)
    except Unavailable:
        return False
    return True


def _encrypt_anew(session: Session, vault: Vault, one: _Stored) -> bool:
    if vault.is_current(one.value) or not _can_read(vault, one.value):
        return False
    keys = zip(one.table.primary_key.columns, one.key, strict=True)
    session.execute(
        update(one.table)
        .where(*(column == value for column, value in keys))
        .values({one.column: vault.lock(vault.unlock(one.value))})
    )
    return True
