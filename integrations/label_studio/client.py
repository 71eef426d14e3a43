"""The real Label Studio behind `interface.LabelStudio`, over its HTTP API."""

import json
import ssl
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Self
from urllib.parse import quote

import httpx

from integrations.label_studio import parse, upkeep
from integrations.label_studio.errors import (
    LabelConfigInvalid,
    LabelStudioConfused,
    LabelStudioRefused,
    LabelStudioRejected,
    LabelStudioUnavailable,
)
from integrations.label_studio.interface import (
    DOOR,
    HighIds,
    Hook,
    LaneSpec,
    Member,
    Mended,
    NewTask,
    ServerInfo,
    TaskAnswers,
    TaskStamp,
    lane_address,
)
from integrations.label_studio.listing import Listing
from integrations.label_studio.transport import Transport
from integrations.label_studio.wire import (
    LANE_LINE,
    checked_key,
    checked_title,
    chunks,
    column_filter,
    described,
    encoded_task,
    ids_filter,
    imported_ids,
    lane_body,
    lane_line,
    shown_instruction,
)
from integrations.outbound.rules import Rules

PUSH_CHUNK = 1_000
PUSH_CHUNK_BYTES = 20 * 1024 * 1024
# Servers and proxies commonly refuse request lines above 4,094 bytes; this part is for ids or keys.
QUERY_BYTES = 2_700
IDS_PER_QUERY = 400
# Named once, these hold for a task and for each of its annotations.
ANSWER_FIELDS = (
    "id,updated_at,is_labeled,data,annotations,"
    "result,completed_by,updated_by,was_cancelled,lead_time,created_at,ground_truth,unique_id"
)
BULK_PATIENCE = 4
LONGEST_VERSION = 40
DOOR_PATIENCE_S = 2.0
_NOT_FOUND = 404


class LabelStudioClient:
    """One server as one account.

    Args:
        url: The server's address.
        token: A legacy token or a personal access token of an account that may manage projects.
        timeout_s: How long an ordinary call may take; bulk calls may take four times as long.
        http: A client to use instead of our own.
        rules: What may be called; by default public addresses and this machine.
        tls: Trusted certificates; by default those that browsers trust.

    Raises:
        LabelStudioRejected: `url` is not an address, or one that can never be called.
        LabelStudioRefused: `token` cannot be a token.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout_s: float = 30.0,
        http: httpx.Client | None = None,
        rules: Rules | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._transport = Transport(url, token, timeout_s=timeout_s, http=http, rules=rules, tls=tls)
        self._bulk_s = timeout_s * BULK_PATIENCE
        self._listing = Listing(self._transport, timeout_s=self._bulk_s)
        self._has_door: bool | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives the connections back."""
        self._transport.close()

    @property
    def url(self) -> str:
        """The server's address, without a closing slash."""
        return self._transport.url

    def probe(self) -> ServerInfo:
        """Who we are there, its version and what it can do."""
        began = time.perf_counter()
        me = parse.as_object(self._get("/api/current-user/whoami"), "the account")
        latency_ms = (time.perf_counter() - began) * 1_000
        version = parse.as_object(self._get("/api/version"), "the version")
        tokens = parse.as_object(self._get("/api/jwt/settings"), "the token settings")
        legacy = tokens.get("legacy_api_tokens_enabled") is True
        organization = me.get("active_organization")
        return ServerInfo(
            version=parse.as_text(version.get("release"))[:LONGEST_VERSION],
            organization_id=None
            if organization is None
            else parse.as_int(organization, "the organization's id"),
            user_id=parse.as_int(me.get("id"), "the account's id"),
            user_email=parse.as_text(me.get("email")),
            legacy_tokens=legacy,
            latency_ms=latency_ms,
            capabilities={
                "community": version.get("edition") == "Community",
                "door": self._knows_door(),
                "legacy_tokens": legacy,
                "personal_tokens": tokens.get("api_tokens_enabled") is True,
                "supported_version": parse.as_text(version.get("release")).startswith("1.23"),
            },
        )

    def find_lane(self, key: str) -> int | None:
        """The Label Studio project that carries our key; the oldest where there are several."""
        wanted = LANE_LINE + checked_key(key)
        found = [
            parse.as_int(project.get("id"), "a project's id")
            for project in self._listing.projects()
            if lane_line(parse.as_text(project.get("description"))) == wanted
        ]
        return min(found, default=None)

    def create_lane(self, spec: LaneSpec) -> int:
        """The lane's Label Studio project, made only where none carries the key yet.

        Raises:
            LabelConfigInvalid: Label Studio does not take the label config.
        """
        found = self.find_lane(spec.key)
        if found is not None:
            return found
        body = lane_body(spec)
        project = parse.as_object(self._create_project(body), "the new project")
        # These two come back in Label Studio's own spelling.
        spelled = {"label_config", "expert_instruction"}
        wrong = [name for name in body if name not in spelled and project.get(name) != body[name]]
        if wrong:
            raise LabelStudioConfused(
                f"Label Studio made the lane with other values for {', '.join(wrong)}; "
                "check that its version is supported (1.23)"
            )
        made = parse.as_int(project.get("id"), "the new project's id")
        # Two jobs may have looked at the same moment: both keep the older lane.
        oldest = self.find_lane(spec.key)
        if oldest is not None and oldest != made:
            self.delete_lane(made)
            return oldest
        return made

    def update_lane(
        self,
        ls_project_id: int,
        *,
        title: str | None = None,
        description: str | None = None,
        instruction: str | None = None,
    ) -> None:
        """Changes what people read about a lane; its key stays."""
        changes: dict[str, Any] = {}
        if title is not None:
            changes["title"] = checked_title(title)
        if instruction is not None:
            changes |= {
                "expert_instruction": shown_instruction(instruction),
                "show_instruction": bool(instruction.strip()),
            }
        if description is not None:
            present = parse.as_object(self._get(f"/api/projects/{ls_project_id}/"), "a project")
            line = lane_line(parse.as_text(present.get("description")))
            key = line.removeprefix(LANE_LINE)
            changes["description"] = described(description, key) if key else description
        if changes:
            self._transport.call("PATCH", f"/api/projects/{ls_project_id}/", body=changes)

    def lane_exists(self, ls_project_id: int) -> bool:
        """Whether the server still has the lane's project."""
        try:
            self._get(f"/api/projects/{ls_project_id}/")
        except LabelStudioRejected as error:
            if error.status == _NOT_FOUND:
                return False
            raise
        return True

    def delete_lane(self, ls_project_id: int) -> None:
        """Removes a lane with all its tasks and annotations; nothing happens where it is gone already."""
        self._unless_gone("DELETE", f"/api/projects/{ls_project_id}/")

    def push(self, ls_project_id: int, tasks: Sequence[NewTask]) -> dict[str, int]:
        """Task ids by visit key, after a bulk import that is never repeated by itself.

        After any error some tasks may have been created: ask `find_tasks` before sending again.

        Raises:
            LabelStudioRejected: A task cannot be sent as it is (before anything was sent), or is refused.
            LabelStudioConfused: The counts in the answer disagree with what was sent.
        """
        keys = [task.visit_key for task in tasks]
        if len(set(keys)) != len(keys):
            raise LabelStudioRejected("two tasks to be pushed have the same visit key; push each visit once")
        encoded = [encoded_task(task) for task in tasks]
        made: dict[str, int] = {}
        for chunk in chunks(
            list(zip(keys, encoded, strict=True)), lambda one: len(one[1]), PUSH_CHUNK, PUSH_CHUNK_BYTES
        ):
            body = b"[" + b",".join(one for _, one in chunk) + b"]"
            answer = self._transport.call(
                "POST",
                f"/api/projects/{ls_project_id}/import",
                params=[("return_task_ids", "true")],
                content=body,
                timeout_s=self._bulk_s,
            )
            ids = imported_ids(answer, len(chunk))
            made |= dict(zip((key for key, _ in chunk), ids, strict=True))
        return made

    def find_tasks(self, ls_project_id: int, visit_keys: Iterable[str]) -> dict[str, list[int]]:
        """Task ids by visit key, for those the lane has; several ids are duplicates."""
        found: dict[str, list[int]] = {}
        wanted = sorted(set(visit_keys))
        for chunk in chunks(wanted, lambda key: len(quote(json.dumps(key))) + 6, IDS_PER_QUERY, QUERY_BYTES):
            items = [column_filter("tasks:data.wb_visit", "in_list", "String", chunk)]
            for task in self._listing.by_id(ls_project_id, items, "id,data"):
                key = parse.visit_key(task)
                if key in set(chunk):
                    found.setdefault(str(key), []).append(parse.as_int(task.get("id"), "a task's id"))
        return {key: sorted(set(ids)) for key, ids in found.items()}

    def changed_tasks(self, ls_project_id: int, since: datetime | None) -> list[TaskStamp]:
        """Tasks changed after `since` (all for None), oldest change first.

        `visit_key` is None here: reading it for every task costs more than `read_tasks` for the changed ones.
        """
        return self._listing.changed(ls_project_id, since)

    def read_tasks(self, ls_project_id: int, task_ids: Iterable[int]) -> list[TaskAnswers]:
        """The tasks with all their annotations, those without any too; tasks that are gone are left out."""
        # An export is as fast, but each one leaves a copy of the tasks on the server's disk, and it does not
        # tell whether a task is finished.
        answers: list[TaskAnswers] = []
        for chunk in chunks(sorted(set(task_ids)), lambda one: len(str(one)) + 3, IDS_PER_QUERY, QUERY_BYTES):
            query = [ids_filter(chunk)]
            rows = self._listing.page(ls_project_id, query, ANSWER_FIELDS, annotations=True)
            answers += parse.answers_of(rows, set(chunk))
        return answers

    def task_ids(self, ls_project_id: int) -> set[int]:
        """Every task the lane has now."""
        return {
            parse.as_int(task.get("id"), "a task's id")
            for task in self._listing.by_id(ls_project_id, [], "id")
        }

    def delete_tasks(self, ls_project_id: int, task_ids: Iterable[int]) -> None:
        """Removes tasks with their annotations; those that are gone already do no harm."""
        for chunk in chunks(sorted(set(task_ids)), lambda _: 1, PUSH_CHUNK, PUSH_CHUNK):
            self._transport.call(
                "POST",
                "/api/dm/actions",
                params=[("id", "delete_tasks"), ("project", str(ls_project_id))],
                body={
                    "selectedItems": {"all": False, "included": chunk},
                    "filters": {"conjunction": "and", "items": [ids_filter(chunk)]},
                },
                timeout_s=self._bulk_s,
            )

    def close_task(self, task_id: int) -> None:
        """Takes a task out of the annotators' queue (recall)."""
        self._transport.call("PATCH", f"/api/tasks/{task_id}/", body={"is_labeled": True})

    def reopen_task(self, task_id: int, overlap: int) -> None:
        """Puts a task back into the queue until it has `overlap` annotations."""
        self._transport.call(
            "PATCH", f"/api/tasks/{task_id}/", body={"overlap": overlap, "is_labeled": False}
        )

    def mend_lane(self, ls_project_id: int, spec: LaneSpec, config_digest: bytes | None) -> Mended:
        """Puts back what members changed about a lane's project; `config_digest` None: as it is shown now."""
        return upkeep.mend_lane(self._transport, ls_project_id, spec, config_digest)

    def hooks(self, ls_project_id: int) -> list[Hook]:
        """The project's webhooks, ours and others'."""
        return upkeep.hooks(self._transport, ls_project_id)

    def set_hook(
        self,
        ls_project_id: int,
        hook_id: int | None,
        *,
        url: str,
        headers: Mapping[str, str],
        actions: Sequence[str],
    ) -> int:
        """Makes a webhook (None) or sets one right; its id."""
        return upkeep.set_hook(
            self._transport, ls_project_id, hook_id, url=url, headers=headers, actions=actions
        )

    def delete_hook(self, hook_id: int) -> None:
        """Removes a webhook; nothing happens where it is gone already."""
        upkeep.delete_hook(self._transport, hook_id)

    def probe_ids(self) -> HighIds:
        """The next ids that the server gives out, seen on a project that is removed at once."""
        return upkeep.probe_ids(self._transport, self.find_lane)

    def members(self) -> list[Member]:
        """Every account of the organization, by id."""
        users = parse.as_list(self._get("/api/users"), "the accounts")
        return sorted((parse.member(user) for user in users), key=lambda one: one.user_id)

    def set_names(self, user_id: int, *, first_name: str, last_name: str) -> None:
        """Changes the name that an account shows."""
        body = {"first_name": first_name, "last_name": last_name}
        self._transport.call("PATCH", f"/api/users/{user_id}/", body=body)

    def invite_token(self) -> str:
        """The secret of the organization's invitation link, for `accounts.sign_up`."""
        token = parse.as_text(parse.as_object(self._get("/api/invite"), "the invitation").get("token"))
        if not token:
            raise LabelStudioConfused(
                "Label Studio gave no invitation link; check that its version is supported (1.23)"
            )
        return token

    def lane_url(self, ls_project_id: int) -> str:
        """The address of the lane's queue: straight to the next task where the server has our door.

        Elsewhere it is the lane's page, where "Label All Tasks" must be pressed. Never Label Studio's own
        `?labeling=1`: in a browser where that button was never pressed, it hands everybody the same task.
        """
        return lane_address(self.url, ls_project_id, has_door=self._knows_door())

    def _knows_door(self) -> bool:
        """Whether the server has our door, asked once; a server that does not answer is asked again later."""
        if self._has_door is None:
            try:
                answer = self._transport.call("GET", DOOR, timeout_s=DOOR_PATIENCE_S)
                self._has_door = isinstance(answer, dict) and answer.get("door") is True
            except (LabelStudioRejected, LabelStudioRefused, LabelStudioConfused):
                self._has_door = False
            except LabelStudioUnavailable:
                return False
        return self._has_door

    def _get(self, path: str) -> Any:
        return self._transport.call("GET", path)

    def _unless_gone(self, method: str, path: str) -> None:
        try:
            self._transport.call(method, path, timeout_s=self._bulk_s)
        except LabelStudioRejected as error:
            if error.status != _NOT_FOUND:
                raise

    def _create_project(self, body: dict[str, Any]) -> Any:
        try:
            return self._transport.call("POST", "/api/projects/", body=body)
        except LabelStudioRejected as error:
            if "label_config" in str(error):
                raise LabelConfigInvalid(
                    "Label Studio does not take the label config; "
                    "try it in Label Studio's own editor to see why"
                ) from None
            raise
