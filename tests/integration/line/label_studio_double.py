"""A Label Studio in memory, with faults on demand; tests/contracts hold the real one to the same behaviour."""

from __future__ import annotations

import copy
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from integrations.label_studio.errors import AddressRefused, LabelStudioRejected, LabelStudioUnavailable
from integrations.label_studio.interface import (
    HighIds,
    Hook,
    LaneSpec,
    Member,
    Mended,
    NewTask,
    RawAnnotation,
    ServerInfo,
    TaskAnswers,
    TaskStamp,
)


@dataclass
class Task:
    task_id: int
    lane: int
    new: NewTask
    overlap: int
    updated_at: datetime
    annotations: dict[int, RawAnnotation] = field(default_factory=dict)
    is_closed: bool = False

    @property
    def is_labeled(self) -> bool:
        return (
            self.is_closed or sum(not one.was_cancelled for one in self.annotations.values()) >= self.overlap
        )


class LabelStudioDouble:
    """Keeps lanes and tasks; `before[name]` and `after[name]` hold faults for the next calls of a method."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._ticks = 0
        self._last_id = 100
        self.lanes: dict[int, LaneSpec] = {}
        self.tasks: dict[int, Task] = {}
        self.people: list[Member] = []
        self.before: defaultdict[str, list[Exception]] = defaultdict(list)
        self.after: defaultdict[str, list[Exception]] = defaultdict(list)
        self.part_of_push: int | None = None
        self.calls: list[str] = []
        self.webhooks: dict[int, tuple[int, Hook]] = {}
        self.refuses_hooks = False
        self.keeps_config = False

    # What the workbench asks.

    def probe(self) -> ServerInfo:
        return ServerInfo("1.23.2", 1, 1, "owner@example.org", True, 1.0, {})

    def find_lane(self, key: str) -> int | None:
        return min((i for i, spec in self.lanes.items() if spec.key == key), default=None)

    def create_lane(self, spec: LaneSpec) -> int:
        self._fault("create_lane", self.before)
        made = self.find_lane(spec.key)
        if made is None:
            made = self._id()
            self.lanes[made] = spec
        self._fault("create_lane", self.after)
        return made

    def update_lane(self, ls_project_id: int, **changes: str | None) -> None:
        spec = self.lanes[ls_project_id]
        given = {name: value for name, value in changes.items() if value is not None}
        self.lanes[ls_project_id] = LaneSpec(**(vars(spec) | given))

    def lane_exists(self, ls_project_id: int) -> bool:
        return ls_project_id in self.lanes

    def delete_lane(self, ls_project_id: int) -> None:
        self.lanes.pop(ls_project_id, None)

    def push(self, ls_project_id: int, tasks: Sequence[NewTask]) -> dict[str, int]:
        self._fault("push", self.before)
        taken = tasks if self.part_of_push is None else tasks[: self.part_of_push]
        self.part_of_push = None
        made = {}
        for new in taken:
            task_id = self._id()
            overlap = self.lanes[ls_project_id].overlap
            self.tasks[task_id] = Task(task_id, ls_project_id, new, overlap, self._stamp())
            made[new.visit_key] = task_id
        self._fault("push", self.after)
        return made

    def find_tasks(self, ls_project_id: int, visit_keys: Iterable[str]) -> dict[str, list[int]]:
        self._fault("find_tasks", self.before)
        found: dict[str, list[int]] = {}
        wanted = set(visit_keys)
        for task in self._in(ls_project_id):
            if task.new.visit_key in wanted:
                found.setdefault(task.new.visit_key, []).append(task.task_id)
        return found

    def changed_tasks(self, ls_project_id: int, since: datetime | None) -> list[TaskStamp]:
        self._fault("changed_tasks", self.before)
        changed = [t for t in self._in(ls_project_id) if since is None or t.updated_at > since]
        return [TaskStamp(t.task_id, t.updated_at, None) for t in sorted(changed, key=lambda t: t.updated_at)]

    def read_tasks(self, ls_project_id: int, task_ids: Iterable[int]) -> list[TaskAnswers]:
        self._fault("read_tasks", self.before)
        return [
            TaskAnswers(
                t.task_id,
                t.new.visit_key,
                t.updated_at,
                t.is_labeled,
                tuple(t.annotations.values()),
                t.new.item_key,
            )
            for t in (self.tasks[i] for i in task_ids if i in self.tasks)
        ]

    def task_ids(self, ls_project_id: int) -> set[int]:
        return {task.task_id for task in self._in(ls_project_id)}

    def delete_tasks(self, ls_project_id: int, task_ids: Iterable[int]) -> None:
        for task_id in task_ids:
            self.tasks.pop(task_id, None)

    def close_task(self, task_id: int) -> None:
        self.calls.append("close_task")
        if task_id in self.tasks:
            self.tasks[task_id].is_closed = True

    def reopen_task(self, task_id: int, overlap: int) -> None:
        self._fault("reopen_task", self.before)
        if task_id not in self.tasks:
            raise LabelStudioRejected("Label Studio has no such task", status=404)
        self.tasks[task_id].overlap = overlap
        self.tasks[task_id].is_closed = False
        self.tasks[task_id].updated_at = self._stamp()

    def mend_lane(self, ls_project_id: int, spec: LaneSpec, config_digest: bytes | None) -> Mended:
        self._fault("mend_lane", self.before)
        if ls_project_id not in self.lanes:
            raise LabelStudioRejected("Label Studio has no such project", status=404)
        present = self.lanes[ls_project_id]
        changed = [
            name
            for name in ("title", "description", "label_config", "instruction")
            if getattr(present, name) != getattr(spec, name)
            and not (name == "label_config" and not config_digest)
        ]
        refused = [name for name in changed if name == "label_config" and self.keeps_config]
        put_back = {name: getattr(spec, name) for name in changed if name not in refused}
        self.lanes[ls_project_id] = LaneSpec(**(vars(present) | put_back))
        shown = self.lanes[ls_project_id].label_config
        return Mended(tuple(put_back), tuple(refused), hashlib.sha256(shown.encode()).digest())

    def hooks(self, ls_project_id: int) -> list[Hook]:
        return [hook for lane, hook in self.webhooks.values() if lane == ls_project_id]

    def set_hook(
        self,
        ls_project_id: int,
        hook_id: int | None,
        *,
        url: str,
        headers: Mapping[str, str],
        actions: Sequence[str],
    ) -> int:
        self._fault("set_hook", self.before)
        if self.refuses_hooks:
            raise AddressRefused("Label Studio does not call private addresses", status=403)
        hook_id = hook_id or self._id()
        self.webhooks[hook_id] = (
            ls_project_id,
            Hook(hook_id, url, dict(headers), frozenset(actions), True, False),
        )
        return hook_id

    def delete_hook(self, hook_id: int) -> None:
        self.webhooks.pop(hook_id, None)

    def probe_ids(self) -> HighIds:
        self.calls.append("probe_ids")
        return HighIds(self._id(), self._id(), self._id())

    def members(self) -> list[Member]:
        self.calls.append("members")
        return self.people

    def set_names(self, user_id: int, *, first_name: str, last_name: str) -> None:
        raise NotImplementedError

    def invite_token(self) -> str:
        raise NotImplementedError

    def lane_url(self, ls_project_id: int) -> str:
        return f"http://example.org/{ls_project_id}"

    # What people do there.

    def answer(self, task: Task | int, user: int, label: str | Sequence[str] | None, **odd: Any) -> int:
        """An annotation; `label` None: skipped. `odd` overrides any field of it."""
        task = task if isinstance(task, Task) else self.tasks[task]
        labels = [] if label is None else [label] if isinstance(label, str) else list(label)
        at = self._stamp()
        given = {
            "annotation_id": self._id(),
            "task_id": task.task_id,
            "completed_by": user,
            "updated_by": user,
            "was_cancelled": label is None,
            "lead_time_s": 12.5,
            "result": _result(labels),
            "created_at": at,
            "updated_at": at,
            "ground_truth": False,
            "unique_id": None,
        } | odd
        task.annotations[given["annotation_id"]] = RawAnnotation(**given)
        task.updated_at = at
        return given["annotation_id"]

    def edit(self, annotation_id: int, label: str | None = None, **changes: Any) -> None:
        task = next(t for t in self.tasks.values() if annotation_id in t.annotations)
        at = self._stamp()
        given = vars(task.annotations[annotation_id]) | {"updated_at": at} | changes
        if label is not None:
            given["result"] = _result([label])
        task.annotations[annotation_id] = RawAnnotation(**given)
        task.updated_at = at

    def delete_annotation(self, annotation_id: int) -> RawAnnotation:
        task = next(t for t in self.tasks.values() if annotation_id in t.annotations)
        task.updated_at = self._stamp()
        return task.annotations.pop(annotation_id)

    def backup(self) -> dict[str, Any]:
        """Everything that its database holds."""
        kept = {name: getattr(self, name) for name in ("lanes", "tasks", "webhooks", "_last_id")}
        return copy.deepcopy(kept)

    def restore(self, kept: dict[str, Any]) -> None:
        """Another database in place of this one."""
        for name, value in copy.deepcopy(kept).items():
            setattr(self, name, value)

    def task_of(self, visit_key: str) -> Task:
        return next(task for task in self.tasks.values() if task.new.visit_key == visit_key)

    def lose_answer(self, method: str) -> None:
        """The next call has its effect, but its answer never arrives."""
        self.after[method].append(LabelStudioUnavailable("Label Studio did not answer in time"))

    def fail(self, method: str, problem: Exception) -> None:
        self.before[method].append(problem)

    def _fault(self, name: str, faults: dict[str, list[Exception]]) -> None:
        self.calls.append(name)
        if faults[name]:
            raise faults[name].pop(0)

    def _in(self, lane: int) -> list[Task]:
        return [task for task in self.tasks.values() if task.lane == lane]

    def _id(self) -> int:
        self._last_id += 1
        return self._last_id

    def _stamp(self) -> datetime:
        self._ticks += 1
        return self._now() + timedelta(microseconds=self._ticks)


def _result(labels: Sequence[str]) -> list[dict[str, Any]]:
    if not labels:
        return []
    return [
        {
            "id": "a",
            "from_name": "label",
            "to_name": "text",
            "type": "choices",
            "value": {"choices": list(labels)},
        }
    ]
