"""The second factor: an authenticator app (TOTP, RFC 6238) and recovery codes that stand in for it once."""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass, field

import pyotp
import segno
from markupsafe import Markup
from sqlalchemy.orm import Session

from workbench.activity.store import record
from workbench.auth import brakes, store
from workbench.auth.domain import digest
from workbench.auth.tables import RecoveryCodeRow, SecondFactorRow
from workbench.errors import InvalidInput, NotFound, WrongState
from workbench.outside import Outside

STEP_S = 30
DRIFT = 1
"""Steps by which the clocks may differ, either way."""
N_CODES = 10
_DIGITS = 6


@dataclass(frozen=True)
class Enrolment:
    """What an authenticator app takes in, once."""

    secret: str = field(repr=False)
    uri: str = field(repr=False)

    @property
    def picture(self) -> Markup:
        """The QR code as SVG without any style, dark on light as cameras want it."""
        rows = list(segno.make(self.uri, error="m", micro=False).matrix_iter(border=3))
        path = "".join(
            f"M{x} {y}h1v1h-1z" for y, row in enumerate(rows) for x, dark in enumerate(row) if dark
        )
        return Markup(
            '<svg class="qr" viewBox="0 0 {n} {n}" width="220" height="220" role="img" '
            'aria-label="QR code for your authenticator app" shape-rendering="crispEdges">'
            '<rect width="{n}" height="{n}" fill="#fff"/><path d="{path}" fill="#000"/></svg>'
        ).format(n=len(rows), path=path)

    @property
    def spelled(self) -> str:
        """The secret in groups of four, for typing."""
        return " ".join(self.secret[at : at + 4] for at in range(0, len(self.secret), 4))


def is_enrolled(session: Session, user_id: int) -> bool:
    """Whether signing in asks this user for a code."""
    row = session.get(SecondFactorRow, user_id)
    return row is not None and row.confirmed_at is not None


def start(session: Session, outside: Outside, user_id: int) -> None:
    """A new secret that waits for its first code; one that waited before is forgotten.

    Raises:
        WrongState: The user has a second factor.
    """
    row = session.get(SecondFactorRow, user_id)
    if row is not None and row.confirmed_at is not None:
        raise WrongState("you have a second factor already; remove it first")
    secret = base64.b32encode(outside.random_bytes(20))
    if row is not None:
        session.delete(row)
        session.flush()
    locked = outside.vault.lock(secret)
    session.add(SecondFactorRow(user_id=user_id, secret_locked=locked, last_step=0, created_at=outside.now()))
    session.flush()


def waiting(session: Session, outside: Outside, user_id: int) -> Enrolment | None:
    """What the authenticator app has to take in, while the first code is awaited."""
    row = session.get(SecondFactorRow, user_id)
    if row is None or row.confirmed_at is not None:
        return None
    secret = outside.vault.unlock(row.secret_locked).decode()
    email = store.find_user(session, user_id).email
    return Enrolment(secret, pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name="Workbench"))


def confirm(outside: Outside, user_id: int, code: str) -> list[str]:
    """The recovery codes, after the first right code of the app; they can be read this once.

    Raises:
        InvalidInput: The code is not right.
        TooMany: Too many were not.
        WrongState: No enrolment was begun.
    """
    _count(outside, user_id)
    with outside.db.write() as session:
        row = session.get(SecondFactorRow, user_id)
        if row is None or row.confirmed_at is not None:
            raise WrongState("begin with a new QR code; this one is not waited for any more")
        _use_step(session, outside, row, code)
        row.confirmed_at = outside.now()
        brakes.forget(session, brakes.FACTOR, str(user_id))
        codes = _new_codes(session, outside, user_id)
        _record(session, outside, user_id, "user.second_factor_enrolled", "")
    return codes


def check(outside: Outside, user_id: int, given: str) -> int:
    """How many recovery codes are left, after a right code of the app or one of them.

    Raises:
        InvalidInput: The code is not right, or was used before.
        TooMany: Too many were not.
    """
    _count(outside, user_id)
    with outside.db.write() as session:
        row = session.get(SecondFactorRow, user_id)
        if row is None or row.confirmed_at is None:
            raise WrongState("this account has no second factor; sign in again")
        if _is_recovery(given):
            _use_recovery(session, outside, user_id, given)
        else:
            _use_step(session, outside, row, given)
        brakes.forget(session, brakes.FACTOR, str(user_id))
        return store.codes_left(session, user_id)


def new_codes(session: Session, outside: Outside, user_id: int) -> list[str]:
    """Recovery codes in place of the old ones; they can be read this once.

    Raises:
        WrongState: The user has no second factor.
    """
    if not is_enrolled(session, user_id):
        raise WrongState("set up a second factor first")
    codes = _new_codes(session, outside, user_id)
    _record(session, outside, user_id, "user.recovery_codes_made", "")
    return codes


def remove(session: Session, outside: Outside, user_id: int, *, by: str = "") -> None:
    """Takes the second factor away, by its owner or for somebody who lost it.

    Raises:
        NotFound: There is none.
    """
    row = session.get(SecondFactorRow, user_id)
    if row is None:
        raise NotFound("there is no second factor on this account")
    was_on = row.confirmed_at is not None
    session.delete(row)
    store.forget_codes(session, user_id)
    brakes.forget(session, brakes.FACTOR, str(user_id))
    session.flush()
    if was_on:
        _record(session, outside, user_id, "user.second_factor_removed", by)


def _count(outside: Outside, user_id: int) -> None:
    # Counted in its own transaction: a wrong code must not take its own count back.
    with outside.db.write() as session:
        begun = brakes.count_try(session, outside.now(), [(brakes.FACTOR, str(user_id))])
        if begun:
            _record(session, outside, user_id, "user.second_factor_braked", "sign-in")


def _use_step(session: Session, outside: Outside, row: SecondFactorRow, given: str) -> None:
    code = "".join(given.split())
    totp = pyotp.TOTP(outside.vault.unlock(row.secret_locked).decode())
    now = int(outside.now().timestamp()) // STEP_S
    fitting = [
        step
        for step in range(now - DRIFT, now + DRIFT + 1)
        if hmac.compare_digest(totp.generate_otp(step).encode(), code.encode())
    ]
    # The same code twice is somebody who looked over a shoulder.
    if not fitting or not store.use_step(session, row.user_id, fitting[-1]):
        raise InvalidInput("this code is not right, or was used already; wait for the next one")
    session.refresh(row)


def _is_recovery(given: str) -> bool:
    return len(_plain(given)) > _DIGITS


def _plain(given: str) -> str:
    return "".join(given.lower().replace("-", " ").split())


def _use_recovery(session: Session, outside: Outside, user_id: int, given: str) -> None:
    if not store.use_code(session, user_id, digest(_plain(given)), outside.now()):
        raise InvalidInput("this recovery code is not right, or was used already")
    _record(session, outside, user_id, "user.recovery_code_used", "")


def _new_codes(session: Session, outside: Outside, user_id: int) -> list[str]:
    store.forget_codes(session, user_id)
    plain = [base64.b32encode(outside.random_bytes(10)).decode().lower() for _ in range(N_CODES)]
    session.add_all(
        RecoveryCodeRow(sha256=digest(code), user_id=user_id, created_at=outside.now()) for code in plain
    )
    session.flush()
    return ["-".join(code[at : at + 4] for at in range(0, len(code), 4)) for code in plain]


def _record(session: Session, outside: Outside, user_id: int, verb: str, by: str) -> None:
    email = store.find_user(session, user_id).email
    record(session, at=outside.now(), actor=by or email, verb=verb, about=f"user:{user_id}")
