"""What the workbench asks of a Label Studio server, in plain types."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

JSON = Any
"""A value that JSON can carry: None, bool, int, float, str, list or dict."""

MODEL_VERSION = "workbench"
"""The one model version every pushed prediction carries.

Label Studio shows annotators only the predictions of a project's one chosen model version, so the version
that really predicted is kept in our own database and not in this field.
"""


DOOR = "/workbench/label"
"""Where a server that we started puts an annotator straight in front of a lane's next task."""


def lane_address(url: str, ls_project_id: int, *, has_door: bool) -> str:
    """The page of a lane's queue.

    Where the server has our door it leads straight to the next task, in the queue's order. Elsewhere it is
    the lane's page, where "Label All Tasks" must be pressed: Label Studio's own `?labeling=1` hands everybody
    the same task in a browser where that button was never pressed.
    """
    return (
        f"{url.rstrip('/')}{DOOR}/{ls_project_id}"
        if has_door
        else f"{url.rstrip('/')}/projects/{ls_project_id}/data"
    )


@dataclass(frozen=True)
class ServerInfo:
    """Who and what answered a probe."""

    version: str
    organization_id: int | None
    user_id: int
    user_email: str
    legacy_tokens: bool
    latency_ms: float
    capabilities: dict[str, bool] = field(default_factory=dict)


@dataclass(frozen=True)
class LaneSpec:
    """A lane to be created.

    Attributes:
        key: Our opaque key; kept as the last line of the description, so that the lane is found again.
        title: 3 to 50 characters; shown to annotators.
        label_config: The XML of the screen.
        overlap: Annotations wanted for every task; cannot change later.
        instruction: Shown to annotators before they begin; empty for none.
        description: Shown on the project's card; the key's line is added to it.
    """

    key: str
    title: str
    label_config: str
    overlap: int = 1
    instruction: str = ""
    description: str = ""


@dataclass(frozen=True)
class NewTask:
    """An item to be shown to annotators.

    Attributes:
        visit_key: Ours, unique; the task carries it as `wb_visit`.
        item_key: The item's; the task carries it as `wb_item_id`.
        data: The fields that the label config shows, without names beginning with `wb_`.
        queue_score: Lower is served first.
        model_version: The version that predicted; for the caller's records, annotators never see it.
        result: The pre-label in Label Studio's form; empty shows nothing and keeps the place in the queue.
    """

    visit_key: str
    item_key: str
    data: dict[str, JSON]
    queue_score: float
    model_version: str = MODEL_VERSION
    result: list[dict[str, JSON]] = field(default_factory=list)


@dataclass(frozen=True)
class TaskStamp:
    """A task and when it last changed."""

    task_id: int
    updated_at: datetime
    visit_key: str | None


@dataclass(frozen=True)
class RawAnnotation:
    """An annotation as the server tells it; nothing here has been checked.

    Attributes:
        completed_by: The account that the annotation names as its author; a client may set it to anyone;
            0 where that account is gone.
        updated_by: The account that last wrote it; None where the server does not say.
        was_cancelled: The annotator skipped the task.
        lead_time_s: Seconds spent, as told by the annotator's browser.
        unique_id: The server's own key beside the id; None where it does not tell it.
    """

    annotation_id: int
    task_id: int
    completed_by: int
    updated_by: int | None
    was_cancelled: bool
    lead_time_s: float | None
    result: list[dict[str, JSON]]
    created_at: datetime
    updated_at: datetime
    ground_truth: bool
    unique_id: str | None


@dataclass(frozen=True)
class TaskAnswers:
    """A task with every annotation it has now; an annotation no longer listed was deleted."""

    task_id: int
    visit_key: str | None
    updated_at: datetime
    is_labeled: bool
    annotations: tuple[RawAnnotation, ...]
    item_key: str | None = None


@dataclass(frozen=True)
class Hook:
    """A webhook of one project; every member of the server can read and change it."""

    hook_id: int
    url: str
    headers: dict[str, str]
    actions: frozenset[str]
    is_active: bool
    for_all_actions: bool


@dataclass(frozen=True)
class Mended:
    """What was wrong about a lane's project.

    Attributes:
        fields: Settings that were put back.
        refused: Settings that the server does not let us put back.
        config_digest: Of the label config as the server shows it now.
    """

    fields: tuple[str, ...]
    refused: tuple[str, ...]
    config_digest: bytes


@dataclass(frozen=True)
class HighIds:
    """The newest ids that a server gave out; they only rise while its database lives on."""

    project_id: int
    task_id: int
    annotation_id: int


@dataclass(frozen=True)
class Member:
    """An account of the server's organization."""

    user_id: int
    email: str
    first_name: str
    last_name: str


class LabelStudio(Protocol):
    """A Label Studio server.

    Every method may raise `LabelStudioUnavailable`, `LabelStudioRefused`, `LabelStudioRejected` or
    `LabelStudioConfused`.
    """

    def probe(self) -> ServerInfo:
        """Who we are there, its version and what it can do."""
        ...

    def find_lane(self, key: str) -> int | None:
        """The Label Studio project that carries our key; the oldest where there are several."""
        ...

    def create_lane(self, spec: LaneSpec) -> int:
        """The lane's Label Studio project, made only where none carries the key yet."""
        ...

    def update_lane(
        self,
        ls_project_id: int,
        *,
        title: str | None = None,
        description: str | None = None,
        instruction: str | None = None,
    ) -> None:
        """Changes what people read about a lane; its key stays."""
        ...

    def lane_exists(self, ls_project_id: int) -> bool:
        """Whether the server still has the lane's project."""
        ...

    def delete_lane(self, ls_project_id: int) -> None:
        """Removes a lane with all its tasks and annotations; nothing happens where it is gone already."""
        ...

    def push(self, ls_project_id: int, tasks: Sequence[NewTask]) -> dict[str, int]:
        """Task ids by visit key, after a bulk import that is never repeated by itself.

        After any error some tasks may have been created: ask `find_tasks` before sending again.
        """
        ...

    def find_tasks(self, ls_project_id: int, visit_keys: Iterable[str]) -> dict[str, list[int]]:
        """Task ids by visit key, for those the lane has; several ids are duplicates."""
        ...

    def changed_tasks(self, ls_project_id: int, since: datetime | None) -> list[TaskStamp]:
        """Tasks changed after `since` (all for None), oldest change first."""
        ...

    def read_tasks(self, ls_project_id: int, task_ids: Iterable[int]) -> list[TaskAnswers]:
        """The tasks with all their annotations, those without any too; tasks that are gone are left out."""
        ...

    def task_ids(self, ls_project_id: int) -> set[int]:
        """Every task the lane has now."""
        ...

    def delete_tasks(self, ls_project_id: int, task_ids: Iterable[int]) -> None:
        """Removes tasks with their annotations; those that are gone already do no harm."""
        ...

    def close_task(self, task_id: int) -> None:
        """Takes a task out of the annotators' queue (recall)."""
        ...

    def reopen_task(self, task_id: int, overlap: int) -> None:
        """Puts a task back into the queue until it has `overlap` annotations."""
        ...

    def mend_lane(self, ls_project_id: int, spec: LaneSpec, config_digest: bytes | None) -> Mended:
        """Puts back what members changed about a lane's project; `config_digest` None: as it is shown now."""
        ...

    def hooks(self, ls_project_id: int) -> list[Hook]:
        """The project's webhooks, ours and others'."""
        ...

    def set_hook(
        self,
        ls_project_id: int,
        hook_id: int | None,
        *,
        url: str,
        headers: Mapping[str, str],
        actions: Sequence[str],
    ) -> int:
        """Makes a webhook (None) or sets one right; its id. May raise `AddressRefused`."""
        ...

    def delete_hook(self, hook_id: int) -> None:
        """Removes a webhook; nothing happens where it is gone already."""
        ...

    def probe_ids(self) -> HighIds:
        """The next ids that the server gives out, seen on a project that is removed at once."""
        ...

    def members(self) -> list[Member]:
        """Every account of the organization, by id."""
        ...

    def set_names(self, user_id: int, *, first_name: str, last_name: str) -> None:
        """Changes the name that an account shows."""
        ...

    def invite_token(self) -> str:
        """The secret of the organization's invitation link, for `accounts.sign_up`."""
        ...

    def lane_url(self, ls_project_id: int) -> str:
        """The address that takes a signed-in annotator to the lane's queue."""
        ...
