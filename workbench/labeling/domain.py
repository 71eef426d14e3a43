"""Visits, and how each answer that Label Studio holds counts: pure rules."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from workbench.tallies.domain import Status

SKIPS_TO_SEND_ON = 3


class VisitState(StrEnum):
    """How far a visit is."""

    QUEUED = "queued"
    PUSHING = "pushing"
    """Being sent: whether the server has it is only known after asking."""
    IN_LANE = "in_lane"
    REOPEN = "reopen"
    """The server thinks the task is done, but an answer is still wanted."""
    ANSWERED = "answered"
    WITHDRAWN = "withdrawn"
    RECALLED = "recalled"
    """Taken back: its task is being removed; an answer that somebody gives meanwhile is kept and paid."""
    REFUSED = "refused"
    """Label Studio does not take this one item; somebody must look at it."""


OPEN_IN_LANE = (VisitState.PUSHING, VisitState.IN_LANE, VisitState.REOPEN)


class LaneState(StrEnum):
    """Whether a lane can be worked in."""

    WANTED = "wanted"
    READY = "ready"
    BROKEN = "broken"
    FROZEN = "frozen"
    """Its server seems to have been restored from an older state: a person has to decide."""
    SUSPECT = "suspect"
    """Its tasks are not what we sent: a person has to look; nothing that doesn't fit is believed."""


@dataclass(frozen=True)
class Heard:
    """An annotation as the server tells it, read but not judged.

    Attributes:
        labels: The labels chosen in the project's control.
        problems: What is odd about the answer.
    """

    ls_annotation_id: int
    completed_by: int
    updated_by: int | None
    skipped: bool
    labels: tuple[str, ...]
    unknown: tuple[str, ...]
    problems: tuple[str, ...]
    lead_time_s: float | None
    created_at: datetime
    updated_at: datetime
    result: tuple[Any, ...]


@dataclass(frozen=True)
class Judged:
    """How an annotation counts, and why."""

    heard: Heard
    status: Status
    reason: str
    label: str


def judge(
    heard: Sequence[Heard],
    overlap: int,
    *,
    only_by: frozenset[int] | None = None,
    earlier: frozenset[int] = frozenset(),
) -> list[Judged]:
    """How each answer of one visit counts, oldest first.

    The first `overlap` people with a usable answer count. Later ones are above the overlap: the server
    handed the task to too many; they are paid and used for agreement. What cannot be used is kept with
    its reason.

    Args:
        heard: Answers of one visit.
        overlap: How many people are wanted.
        only_by: Accounts that may decide here; None: whoever answers counts.
        earlier: Accounts whose answers count already, from a task of this visit that is gone.
    """
    judged: list[Judged] = []
    people: set[int] = set(earlier)
    for one in sorted(heard, key=lambda answer: (answer.created_at, answer.ls_annotation_id)):
        status, reason, label = _judge_one(one, people)
        if status is Status.COUNTED and only_by is not None and one.completed_by not in only_by:
            status, reason = Status.NOT_COUNTED, "not one of the people who decide in this lane"
        if status is Status.COUNTED:
            people.add(one.completed_by)
            if len(people) > overlap:
                status = Status.ABOVE_OVERLAP
                reason = f"answer {len(people)} where {overlap} were wanted"
        judged.append(Judged(one, status, reason, label))
    return judged


def _judge_one(one: Heard, people: set[int]) -> tuple[Status, str, str]:
    label = one.labels[0] if len(one.labels) == 1 else ""
    refuse = ""
    if one.completed_by == 0:
        refuse = "the account that wrote it is gone from Label Studio"
    elif one.updated_by is not None and one.updated_by != one.completed_by:
        refuse = f"written by account {one.updated_by} in the name of account {one.completed_by}"
    elif one.skipped:
        return Status.SKIPPED, "skipped", ""
    elif one.unknown:
        refuse = f"label {one.unknown[0]!r} is not one of the project's"
    elif not one.labels:
        refuse = one.problems[0] if one.problems else "no label was chosen"
    elif len(one.labels) > 1:
        refuse = f"{len(one.labels)} labels were chosen where one is wanted"
    elif one.completed_by in people:
        refuse = "a second answer by the same person"
    if refuse:
        return Status.NOT_COUNTED, refuse, label
    return Status.COUNTED, "", label


def missing_answers(judged: Sequence[Judged], overlap: int) -> int:
    """How many more usable answers the visit wants."""
    return max(overlap - sum(one.status is Status.COUNTED for one in judged), 0)


def too_often_skipped(judged: Sequence[Judged], pool_size: int) -> bool:
    """Whether so many people passed that somebody else should decide."""
    people = {one.heard.completed_by for one in judged if one.status is Status.SKIPPED}
    return len(people) >= min(SKIPS_TO_SEND_ON, max(pool_size, 1))


def nobody_left(judged: Sequence[Judged], accounts: frozenset[int], missing: int) -> bool:
    """Whether the lane can no longer give the answers that are missing.

    Label Studio never asks a person twice, whatever came of the first time.

    Args:
        judged: What people did so far.
        accounts: Accounts of the people in the lane's pool; an empty pool may still be filled.
        missing: Usable answers that are wanted yet.
    """
    asked = {one.heard.completed_by for one in judged}
    return bool(accounts) and bool(asked) and len(accounts - asked) < missing


def queue_score(priority: int, visit_id: int) -> float:
    """The number that Label Studio sorts by, lowest first: higher priority, then first come.

    It tells nothing of the purpose, so that audits can't be told from other work.
    """
    return float((100 - priority) * 1_000_000_000 + visit_id)


def lane_title(project: str, pool: str, stage: str, overlap: int) -> str:
    """What annotators read on the lane's card, within Label Studio's 50 characters.

    >>> lane_title("Sentiment", "English", "label", 2)
    'Sentiment · English · 2 opinions'
    """
    ending = {"adjudicate": " · decide", "review": " · review", "qualify": " · quiz"}.get(
        stage, f" · {overlap} opinions" if overlap > 1 else ""
    )
    middle = f" · {pool}"[: 47 - len(ending) - 3]
    return f"{project[: 50 - len(middle) - len(ending)].rstrip()}{middle}{ending}".ljust(3, ".")


def lane_key(project: str, server: str, pool: str, stage: str, overlap: int) -> str:
    """The key that a lane's project in Label Studio carries, 24 characters.

    The same lane always has the same key: when our database comes back from a back-up that was made before
    the lane was, the lane that people went on working in is found again. The ids of server and pool are
    opaque and random, so nobody else's lane has it.
    """
    place = json.dumps([project, server, pool, stage, overlap])
    return hashlib.sha256(place.encode()).hexdigest()[:24]


def lane_description(names: Sequence[str]) -> str:
    """What the lane's card says: whose it is."""
    people = ", ".join(names) if names else "nobody yet"
    return f"For: {people}\nOpen your work from the workbench: it takes you to the right lane."
