"""Brakes on guessing: failed tries are counted in the database, for every process and across restarts.

A try is counted before it is judged, so that many at once gain nothing, and given back where it was right.
Waiting grows from seconds to a quarter of an hour and never further: nobody can lock somebody else out for
good. The brake of a whole account spares addresses from which its owner signed in before.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlalchemy.orm import Session

from workbench.auth.domain import digest
from workbench.auth.tables import BrakeRow
from workbench.errors import TooMany

_KEPT = timedelta(days=1)


@dataclass(frozen=True)
class Brake:
    """How many tries are free, and how long one waits after more.

    Attributes:
        kind: What is counted.
        free: Failures without any wait.
        first_s: The first wait; each further failure doubles it.
        longest_s: The longest one.
        forget_s: All is forgotten after this long without a failure.
    """

    kind: str
    free: int
    first_s: float
    longest_s: float
    forget_s: float = 1800.0

    def wait_after(self, failures: int) -> timedelta | None:
        """How long the next try has to wait."""
        if failures < self.free:
            return None
        doublings = min(failures - self.free, 20)
        return timedelta(seconds=min(self.longest_s, self.first_s * 2**doublings))


PAIR = Brake("pair", free=5, first_s=15, longest_s=900)
ACCOUNT = Brake("account", free=20, first_s=15, longest_s=60)
ADDRESS = Brake("address", free=40, first_s=30, longest_s=900)
FACTOR = Brake("factor", free=5, first_s=30, longest_s=900, forget_s=3600)
Names = list[tuple[Brake, str]]


def count_try(session: Session, now: datetime, names: Names) -> set[Brake]:
    """Counts a try under all these names; the brakes that just began to hold.

    Raises:
        TooMany: One of them holds; says how long. The try is then not counted.
    """
    session.execute(delete(BrakeRow).where(BrakeRow.last_at < now - _KEPT))
    rows = [(brake, _row(session, brake, name, now)) for brake, name in names]
    waits = [row.free_at for _, row in rows if row.free_at is not None and row.free_at > now]
    if waits:
        raise _too_many(max(waits) - now)
    begun = set()
    for brake, row in rows:
        row.failures += 1
        row.last_at = now
        wait = brake.wait_after(row.failures)
        row.free_at = None if wait is None else now + wait
        if row.failures == brake.free:
            begun.add(brake)
    session.flush()
    return begun


def forget(session: Session, brake: Brake, name: str) -> int:
    """Forgets every failure under a name; how many there were, beside the try that was right."""
    row = session.get(BrakeRow, _key(brake, name))
    if row is None:
        return 0
    failures = row.failures
    session.delete(row)
    session.flush()
    return max(failures - 1, 0)


def give_back(session: Session, brake: Brake, name: str) -> None:
    """Takes one try off, because it was right; one's own account must not free an address of all others."""
    row = session.get(BrakeRow, _key(brake, name))
    if row is not None:
        row.failures = max(row.failures - 1, 0)
        if row.failures < brake.free:
            row.free_at = None
        session.flush()


def _row(session: Session, brake: Brake, name: str, now: datetime) -> BrakeRow:
    key = _key(brake, name)
    row = session.get(BrakeRow, key, with_for_update=True)
    if row is None:
        row = BrakeRow(name=key, failures=0, last_at=now, free_at=None)
        session.add(row)
    elif now - row.last_at > timedelta(seconds=brake.forget_s):
        row.failures, row.free_at = 0, None
    return row


def _key(brake: Brake, name: str) -> bytes:
    return digest(f"{brake.kind}:{name}")


def _too_many(wait: timedelta) -> TooMany:
    seconds = int(wait.total_seconds()) + 1
    words = f"{seconds} s" if seconds <= 90 else f"{-(-seconds // 60)} min"  # noqa: PLR2004
    return TooMany(f"too many failed tries; wait {words} and try again", retry_after_s=seconds)
