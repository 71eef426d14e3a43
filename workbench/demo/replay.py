"""One replay account: a program of its own that answers in Label Studio from recorded ratings.

It knows Label Studio's address, one e-mail address and password, and the rated texts; it never reads the
workbench's database. It signs in, finds the lanes whose description names it, takes what the queue serves,
and answers with a rating that some person once gave to that very text. Each rating is dealt once.

    python -m workbench.demo.replay < order.json

`order.json` holds the fields of `Order`. SIGTERM ends it after the answer in hand, and so does the end of the
program that started it. The last line of standard output is one JSON object with its counts.
"""

import contextlib
import hashlib
import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path

from workbench.demo.dataset import DemoDataError, RatedText, load, text_key, vote
from workbench.demo.replay_session import Lane, ServedTask, Session, SignInRefused, Stopped

POLL_S = (0.3, 1.0)  # first and longest wait while every lane is empty
LANES_AGE_S = 3.0  # how old the list of lanes may get
ASIDE_S = 30.0  # how long a lane is left alone whose next task can't be answered


class BadOrder(Exception):
    """The order on standard input can't be carried out; the message names the field."""


@dataclass(frozen=True)
class Order:
    """What one replay account is told.

    Attributes:
        address: Label Studio's, such as http://127.0.0.1:8080.
        email: The account's.
        password: The account's.
        texts: Path of the archive of rated texts.
        account: Which of the replay accounts this is, from 0.
        accounts: How many there are; each has its own share of every text's ratings.
        dealt: Where this account notes what it has dealt, so that a second run deals other ratings.
        max_per_minute: Answers at most; without it, as fast as the queue serves.
    """

    address: str
    email: str
    password: str = field(repr=False)
    texts: str
    account: int
    accounts: int
    dealt: str | None = None
    max_per_minute: float | None = None


def read_order(text: str) -> Order:
    """The order in a JSON object.

    Raises:
        BadOrder: It is no JSON object, or a field is missing, unknown or out of range.
    """
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadOrder("standard input must hold one JSON object") from error
    known = {it.name for it in fields(Order)}
    if not isinstance(values, dict) or set(values) - known:
        raise BadOrder(f"the order must be an object with the fields {', '.join(sorted(known))} only")
    try:
        order = Order(**values)
    except TypeError as error:
        raise BadOrder(f"the order lacks a field: {error}") from error
    if not 0 <= order.account < order.accounts:
        raise BadOrder(f"account must be from 0 to {order.accounts - 1}, not {order.account}")
    if order.max_per_minute is not None and order.max_per_minute <= 0:
        raise BadOrder("max_per_minute must be above 0, or left out")
    return order


class Dealer:
    """Which recorded rating of a text this account gives next; no two accounts give the same one."""

    def __init__(
        self, texts: Iterable[RatedText], *, account: int, accounts: int, notes: Path | None = None
    ) -> None:
        self._texts: dict[str, RatedText] = {}
        for it in texts:
            self._texts.setdefault(text_key(it.text), it)
        self._account = account
        self._accounts = accounts
        self._notes = notes
        self._dealt: Counter[str] = Counter()
        if notes is not None and notes.is_file():
            self._dealt.update(notes.read_text("utf-8").split())

    def knows(self, text: str) -> bool:
        """Whether `text` is one of the rated texts."""
        return text_key(text) in self._texts

    def deal(self, text: str) -> int | None:
        """One rating of `text` that was not dealt before, or None when this account's share is used up.

        Raises:
            KeyError: `text` is none of the rated texts.
        """
        rated = self._texts[text_key(text)]
        name = hashlib.sha256(f"{rated.source}:{rated.external_id}".encode()).hexdigest()
        position = self._account + self._accounts * self._dealt[name]
        if position >= len(rated.ratings):
            return None
        self._dealt[name] += 1
        if self._notes is not None:
            with self._notes.open("a", encoding="utf-8") as notes:
                notes.write(f"{name}\n")
        # Shuffled, the same way for every account: the order in the archive might mean something.
        ranks = [hashlib.sha256(f"{name}:{i}".encode()).digest() for i in range(len(rated.ratings))]
        shuffled = sorted(range(len(ranks)), key=ranks.__getitem__)
        return rated.ratings[shuffled[position]]


class Stopping:
    """Becomes true on SIGTERM or SIGINT, and when the program that started this one has ended."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._parent = os.getppid()

    def listen(self) -> None:
        """Takes over the two signals."""
        signal.signal(signal.SIGTERM, self.now)
        signal.signal(signal.SIGINT, self.now)

    def now(self, *_signal: object) -> None:
        """Ends the waiting."""
        self._event.set()

    def __bool__(self) -> bool:
        return self._event.is_set() or os.getppid() != self._parent

    def wait(self, seconds: float) -> None:
        """Returns after `seconds`, or as soon as the end has come."""
        until = time.monotonic() + seconds
        while not self and (left := until - time.monotonic()) > 0:
            self._event.wait(min(left, 0.5))


class Account:
    """One signed-in account at work."""

    def __init__(self, session: Session, dealer: Dealer, stopping: Stopping, pause_s: float) -> None:
        self.counts: Counter[str] = Counter()
        self._session = session
        self._dealer = dealer
        self._stopping = stopping
        self._pause_s = pause_s
        self._last_answer = time.monotonic() - pause_s
        self._aside: dict[int, float] = {}

    def work(self) -> None:
        """Answers what the lanes serve, the first by title first, until the end comes."""
        names = self._session.own_names()
        wait_s, longest_s = POLL_S
        while not self._stopping:
            lanes = self._session.lanes(names)
            listed_at = time.monotonic()
            while not self._stopping and time.monotonic() - listed_at < LANES_AGE_S:
                if sum(self._drain(lane, listed_at + LANES_AGE_S) for lane in lanes):
                    wait_s = POLL_S[0]
                    continue
                self._stopping.wait(wait_s)
                wait_s = min(wait_s * 1.5, longest_s)

    def _drain(self, lane: Lane, until: float) -> int:
        """Answers tasks of one lane until it is empty or `until` has come; how many."""
        answered = 0
        while not self._stopping and time.monotonic() < until:
            if self._aside.get(lane.id, 0.0) > time.monotonic():
                break
            task = self._session.next_task(lane)
            if task is None:
                break
            outcome = self._answer(task)
            self.counts[outcome] += 1
            if outcome in {"unknown", "refused"}:
                self._aside[lane.id] = time.monotonic() + ASIDE_S
                break
            answered += 1
        return answered

    def _answer(self, task: ServedTask) -> str:
        if not self._dealer.knows(task.text):
            return "unknown"
        rating = self._dealer.deal(task.text)
        self._stopping.wait(self._last_answer + self._pause_s - time.monotonic())
        self._last_answer = time.monotonic()
        if rating is None:
            return self._session.skip(task)
        return self._session.answer(task, vote(rating))


def main() -> int:
    """Carries out the order on standard input; the exit status."""
    stopping = Stopping()
    stopping.listen()
    started = time.monotonic()
    account: Account | None = None
    session: Session | None = None
    problem = ""
    try:
        order = read_order(sys.stdin.read())
        notes = Path(order.dealt) if order.dealt else None
        dealer = Dealer(load(Path(order.texts)), account=order.account, accounts=order.accounts, notes=notes)
        session = Session(order.address, order.email, order.password, stopping)
        account = Account(
            session, dealer, stopping, 60 / order.max_per_minute if order.max_per_minute else 0.0
        )
        with contextlib.suppress(Stopped):
            account.work()
    except (BadOrder, DemoDataError, SignInRefused) as error:
        problem = str(error)
        print(f"replay account: {problem}", file=sys.stderr)  # noqa: T201
    finally:
        if session is not None:
            session.close()
    counts = account.counts if account else Counter[str]()
    kinds = ("answered", "skipped", "unknown", "withdrawn", "refused")
    figures = {
        "name": session.name if session else "",
        **{kind: counts[kind] for kind in kinds},
        "retries": session.retries if session else 0,
        "seconds": round(time.monotonic() - started, 1),
    }
    print(json.dumps(figures), flush=True)  # noqa: T201
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
