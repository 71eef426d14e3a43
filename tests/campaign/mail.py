"""Webhooks of a simulated server: lost, doubled, out of order and forged, through our own inbox and drain."""

from __future__ import annotations

import json
import random
from typing import Any

from sqlalchemy import select

from tests.campaign.unruly import Unruly
from tests.factories import LABELS
from workbench.inbox.domain import digest_of
from workbench.inbox.tables import DeliveryRow
from workbench.inbox.writer import InboxWriter, _Waiting
from workbench.outside import Outside

LOST, DOUBLED, LATE = 0.2, 0.15, 0.3
FORGERIES = ("nonsense", "unknown action", "unknown project", "task gone", "answer gone", "answer", "lane")


class Post:
    """What one server sends us.

    Attributes:
        kept: Digests of what we answered with success: it must be in the inbox from then on.
    """

    def __init__(self, outside: Outside, server_id: int, server: Unruly, rng: random.Random) -> None:
        self.outside, self.server_id, self.server, self.rng = outside, server_id, server, rng
        self.waiting: list[bytes] = []
        self.kept: set[bytes] = set()
        self._number = 0
        server.tell = self.told

    def told(self, action: str, lane: int, task_id: int, annotation_id: int) -> None:
        """Something changed: a letter is written, and perhaps lost at once, or sent twice."""
        if not self.server.hooks(lane) or self.rng.random() < LOST:
            return
        letter = self._letter(action, lane, task_id, annotation_id)
        self.waiting += [letter] * (1 + (self.rng.random() < DOUBLED))

    def _letter(self, action: str, lane: int, task_id: int, annotation_id: int, **more: Any) -> bytes:
        self._number += 1
        told: dict[str, Any] = {"action": action, "project": {"id": lane, "token": "t"}, "n": self._number}
        if action == "TASKS_DELETED":
            told["tasks"] = [{"id": task_id}]
        elif action == "ANNOTATIONS_DELETED":
            told["annotations"] = [{"id": annotation_id}]
        else:
            told |= {"task": {"id": task_id}, "annotation": {"id": annotation_id, "task": task_id, **more}}
        return json.dumps(told).encode()

    def forge(self) -> str:
        """Somebody who has the secret writes what is not so; what it was."""
        what = self.rng.choice(FORGERIES)
        lane = self.rng.choice(list(self.server.lanes) or [1])
        task = self.rng.choice(list(self.server.tasks) or [1])
        answers = [n for one in self.server.tasks.values() for n in one.annotations]
        answer = self.rng.choice(answers or [1])
        letters = {
            "nonsense": lambda: b'{"action": ' + str(self.rng.random()).encode(),
            "unknown action": lambda: self._letter("TASKS_EXPLODED", lane, task, answer),
            "unknown project": lambda: self._letter("ANNOTATION_CREATED", 987_654, task, answer),
            "task gone": lambda: self._letter("TASKS_DELETED", lane, task, answer),
            "answer gone": lambda: self._letter("ANNOTATIONS_DELETED", lane, task, answer),
            "answer": lambda: self._letter(
                "ANNOTATION_CREATED", lane, task, 10**6 + answer, result=LABELS[0], completed_by=1
            ),
            "lane": lambda: self._letter("PROJECT_UPDATED", lane, task, answer),
        }
        self.waiting.append(letters[what]())
        return what

    def arrive(self, *, everything: bool = False) -> None:
        """What has come through by now is taken in, in whatever order; success is answered when it is stored."""
        self.rng.shuffle(self.waiting)
        late = [one for one in self.waiting if not everything and self.rng.random() < LATE]
        come = [one for one in self.waiting if one not in late]
        self.waiting = late
        if come:
            # Nobody waits in this loop: the writer's own thread is left out, its work is done here.
            nobody: Any = None
            InboxWriter(self.outside)._store(
                [_Waiting(self.server_id, body, nobody, nobody) for body in come]
            )
            self.kept |= {digest_of(body) for body in come}

    def lost(self) -> list[str]:
        """Letters that we said we have and do not, for I6."""
        with self.outside.db.read() as session:
            there = set(
                session.scalars(select(DeliveryRow.digest).where(DeliveryRow.server_id == self.server_id))
            )
        return [digest.hex()[:12] for digest in sorted(self.kept - there)]
