"""A Label Studio in memory that loses answers, stalls, forgets, is restored from last week and lies."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from integrations.label_studio.errors import (
    LabelStudioConfused,
    LabelStudioRefused,
    LabelStudioRejected,
    LabelStudioUnavailable,
)
from integrations.label_studio.interface import (
    HighIds,
    Hook,
    LaneSpec,
    Member,
    Mended,
    NewTask,
    RawAnnotation,
    TaskAnswers,
    TaskStamp,
)
from tests.integration.line.label_studio_double import LabelStudioDouble, Task

LOST, DOWN, BROKEN, STALLED, REFUSED = "lost", "down", "broken", "stalled", "refused"
FAULTS = (LOST, DOWN, BROKEN, STALLED, REFUSED)


@dataclass
class Snapshot:
    """What a backup of the server holds; ids given out since are given out again after a restore."""

    lanes: dict[int, LaneSpec]
    tasks: dict[int, Task]
    webhooks: dict[int, tuple[int, Hook]]
    last_id: int


@dataclass
class Pending:
    """A push that the server was given up on and still works at."""

    due: datetime
    lane: int
    tasks: list[NewTask] = field(default_factory=list)


class Unruly(LabelStudioDouble):
    """Behaves as the double does, but for faults that are drawn at each call.

    Attributes:
        fault_rate: How often a call goes wrong.
        at_call: Told before and after each call: a person may act, or the process may die there.
        tell: Told what people change: (action, lane, task, annotation), for whoever writes webhooks.
        is_thorough: Every call may go wrong, not only those that move tasks and answers.
    """

    def __init__(self, now: Callable[[], datetime], rng: random.Random) -> None:
        super().__init__(now)
        self.rng = rng
        self.fault_rate = 0.0
        self.at_call: Callable[[], None] = lambda: None
        self.tell: Callable[[str, int, int, int], None] = lambda *_: None
        self.is_thorough = False
        self.backup: Snapshot | None = None
        self.pending: list[Pending] = []
        self.faults: list[str] = []
        self.pushed: list[str] = []

    def _around(self, name: str, work: Callable[[], Any]) -> Any:
        """One call over a network that cannot be trusted."""
        self.land()
        self.at_call()
        fault = self.rng.choice(FAULTS) if self.rng.random() < self.fault_rate else ""
        if fault:
            self.faults.append(f"{name} {fault}")
        if fault == DOWN:
            raise LabelStudioUnavailable("Label Studio cannot be reached; it is tried again by itself")
        if fault == REFUSED:
            raise LabelStudioRefused("Label Studio refuses our token (401); give a new token")
        if fault == BROKEN:
            kinds = (LabelStudioUnavailable("answered 500"), LabelStudioConfused("answered nonsense"))
            raise self.rng.choice(kinds)
        if fault == STALLED:
            raise LabelStudioUnavailable("Label Studio did not answer within 60 s")
        found = work()
        self.at_call()
        if fault == LOST:
            raise LabelStudioUnavailable("the connection ended before the answer came")
        return found

    def land(self) -> None:
        """Pushes that were given up take effect when their time has come."""
        for late in [one for one in self.pending if one.due <= self._now()]:
            self.pending.remove(late)
            if late.lane in self.lanes:
                super().push(late.lane, late.tasks)

    def _perhaps(self, name: str, work: Callable[[], Any]) -> Any:
        return self._around(name, work) if self.is_thorough else work()

    def _lane(self, ls_project_id: int) -> None:
        if ls_project_id not in self.lanes:
            raise LabelStudioRejected("Label Studio has no such project", status=404)

    # What the workbench asks.

    def create_lane(self, spec: LaneSpec) -> int:
        return self._around("create_lane", lambda: super(Unruly, self).create_lane(spec))

    def update_lane(self, ls_project_id: int, **changes: str | None) -> None:
        self._lane(ls_project_id)
        return self._around("update_lane", lambda: super(Unruly, self).update_lane(ls_project_id, **changes))

    def push(self, ls_project_id: int, tasks: Sequence[NewTask]) -> dict[str, int]:
        self._lane(ls_project_id)
        self.pushed += [task.visit_key for task in tasks]
        if self.rng.random() < self.fault_rate / 2:
            # Nobody waits any longer, and it happens all the same, a while later.
            due = self._now() + timedelta(seconds=self.rng.uniform(0, 300))
            self.pending.append(Pending(due, ls_project_id, list(tasks)))
            self.faults.append("push late")
            raise LabelStudioUnavailable("Label Studio did not answer within 60 s")
        if self.rng.random() < self.fault_rate / 4:
            self.faults.append("push in part")
            self.part_of_push = self.rng.randrange(len(tasks) + 1)
            super().push(ls_project_id, tasks)
            raise LabelStudioUnavailable("the connection ended before the answer came")
        return self._around("push", lambda: super(Unruly, self).push(ls_project_id, tasks))

    def find_tasks(self, ls_project_id: int, visit_keys: Iterable[str]) -> dict[str, list[int]]:
        self._lane(ls_project_id)
        keys = list(visit_keys)
        return self._around("find_tasks", lambda: super(Unruly, self).find_tasks(ls_project_id, keys))

    def changed_tasks(self, ls_project_id: int, since: datetime | None) -> list[TaskStamp]:
        self._lane(ls_project_id)
        return self._around("changed_tasks", lambda: super(Unruly, self).changed_tasks(ls_project_id, since))

    def read_tasks(self, ls_project_id: int, task_ids: Iterable[int]) -> list[TaskAnswers]:
        self._lane(ls_project_id)
        ids = list(task_ids)
        return self._around("read_tasks", lambda: super(Unruly, self).read_tasks(ls_project_id, ids))

    def task_ids(self, ls_project_id: int) -> set[int]:
        self._lane(ls_project_id)
        return self._around("task_ids", lambda: super(Unruly, self).task_ids(ls_project_id))

    def delete_tasks(self, ls_project_id: int, task_ids: Iterable[int]) -> None:
        ids = list(task_ids)
        self._around("delete_tasks", lambda: super(Unruly, self).delete_tasks(ls_project_id, ids))
        for task_id in ids:
            self.tell("TASKS_DELETED", ls_project_id, task_id, 0)

    def close_task(self, task_id: int) -> None:
        return self._around("close_task", lambda: self._closed(task_id))

    def _closed(self, task_id: int) -> None:
        if task_id not in self.tasks:
            raise LabelStudioRejected("Label Studio has no such task", status=404)
        self.tasks[task_id].overlap = 0
        self.tasks[task_id].updated_at = self._stamp()

    def reopen_task(self, task_id: int, overlap: int) -> None:
        return self._around("reopen_task", lambda: super(Unruly, self).reopen_task(task_id, overlap))

    def find_lane(self, key: str) -> int | None:
        return self._perhaps("find_lane", lambda: super(Unruly, self).find_lane(key))

    def lane_exists(self, ls_project_id: int) -> bool:
        return self._perhaps("lane_exists", lambda: super(Unruly, self).lane_exists(ls_project_id))

    def mend_lane(self, ls_project_id: int, spec: LaneSpec, config_digest: bytes | None) -> Mended:
        mend = super().mend_lane
        return self._perhaps("mend_lane", lambda: mend(ls_project_id, spec, config_digest))

    def set_hook(
        self,
        ls_project_id: int,
        hook_id: int | None,
        *,
        url: str,
        headers: Mapping[str, str],
        actions: Sequence[str],
    ) -> int:
        given: dict[str, Any] = {"url": url, "headers": headers, "actions": actions}
        return self._perhaps(
            "set_hook", lambda: super(Unruly, self).set_hook(ls_project_id, hook_id, **given)
        )

    def probe_ids(self) -> HighIds:
        return self._perhaps("probe_ids", self._next_ids)

    def _next_ids(self) -> HighIds:
        # One number of each kind is used up, as on a real server, where each kind has its own.
        self.calls.append("probe_ids")
        number = self._id()
        return HighIds(number, number, number)

    def members(self) -> list[Member]:
        return self._perhaps("members", super().members)

    # What people do, told to whoever wants to know.

    def answer(self, task: Task | int, user: int, label: str | Sequence[str] | None, **odd: Any) -> int:
        task = task if isinstance(task, Task) else self.tasks[task]
        number = super().answer(task, user, label, **odd)
        self.tell("ANNOTATION_CREATED", task.lane, task.task_id, number)
        return number

    def edit(self, annotation_id: int, label: str | None = None, **changes: Any) -> None:
        super().edit(annotation_id, label, **changes)
        task = next(one for one in self.tasks.values() if annotation_id in one.annotations)
        self.tell("ANNOTATION_UPDATED", task.lane, task.task_id, annotation_id)

    def delete_annotation(self, annotation_id: int) -> RawAnnotation:
        task = next(one for one in self.tasks.values() if annotation_id in one.annotations)
        gone = super().delete_annotation(annotation_id)
        self.tell("ANNOTATIONS_DELETED", task.lane, task.task_id, annotation_id)
        return gone

    # What befalls it.

    def delete_project(self, ls_project_id: int) -> None:
        """A member deletes a lane with all that is in it."""
        self.lanes.pop(ls_project_id, None)
        for task in self._in(ls_project_id):
            del self.tasks[task.task_id]

    def back_up(self) -> None:
        """What can be restored later."""
        hooks = dict(self.webhooks)
        self.backup = Snapshot(dict(self.lanes), copy.deepcopy(self.tasks), hooks, self._last_id)

    def restore(self) -> bool:
        """The last backup is put back; False where there is none."""
        if self.backup is None:
            return False
        self.lanes, self.tasks = dict(self.backup.lanes), copy.deepcopy(self.backup.tasks)
        self.webhooks, self._last_id = dict(self.backup.webhooks), self.backup.last_id
        self.pending.clear()
        return True

    def delete_tasks_by_hand(self, task_id: int) -> None:
        """A member deletes a task."""
        gone = self.tasks.pop(task_id, None)
        if gone is not None:
            self.tell("TASKS_DELETED", gone.lane, task_id, 0)

    def edit_by(self, task: Task, user: int, label: str) -> None:
        """A member changes somebody else's answer."""
        if task.annotations:
            self.edit(self.rng.choice(list(task.annotations)), label, updated_by=user)

    def foreign_task(self, ls_project_id: int) -> None:
        """A member imports a task of their own into a lane."""
        task_id = self._id()
        new = NewTask(visit_key="", item_key="", data={"text": "mine"}, queue_score=0.0)
        self.tasks[task_id] = Task(task_id, ls_project_id, new, 1, self._stamp())
