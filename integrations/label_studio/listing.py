"""Long lists from Label Studio, page by page, with none missed while people work."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from integrations.label_studio import parse
from integrations.label_studio.errors import LabelStudioRejected
from integrations.label_studio.interface import TaskStamp
from integrations.label_studio.transport import Transport
from integrations.label_studio.wire import as_filter_time, column_filter

PAGE = 1_000
Conditions = list[dict[str, Any]]
_MICROSECOND = timedelta(microseconds=1)
_NOT_FOUND = 404


class Listing:
    """The lists of one server; each page may take `timeout_s`."""

    def __init__(self, transport: Transport, *, timeout_s: float) -> None:
        self._transport = transport
        self._timeout_s = timeout_s

    def projects(self) -> Iterator[Any]:
        """Every project's id and description."""
        seen: set[int] = set()
        page = 1
        while True:
            params = [("include", "id,description"), ("page_size", str(PAGE)), ("page", str(page))]
            answer = self._transport.call("GET", "/api/projects/", params=params, timeout_s=self._timeout_s)
            found = parse.as_object(answer, "the projects")
            rows = [
                parse.as_object(one, "a project")
                for one in parse.as_list(found.get("results"), "the projects")
            ]
            yield from rows
            if not found.get("next"):
                return
            ids = {parse.as_int(one.get("id"), "a project's id") for one in rows}
            if ids <= seen:
                parse.no_end("projects")
            seen |= ids
            page += 1

    def by_id(self, ls_project_id: int, conditions: Conditions, fields: str) -> Iterator[Any]:
        """Tasks by id; each page begins after the last id seen, so a deletion meanwhile skips none."""
        last = 0
        while True:
            after = [*conditions, column_filter("tasks:id", "greater", "Number", last)]
            rows = self.page(ls_project_id, after, fields)
            yield from rows
            if len(rows) < PAGE:
                return
            before, last = last, parse.as_int(rows[-1].get("id"), "a task's id")
            if last <= before:
                parse.no_end("tasks")

    def changed(self, ls_project_id: int, since: datetime | None) -> list[TaskStamp]:
        """Tasks changed after `since` (all for None), oldest change first."""
        stamps: dict[int, TaskStamp] = {}
        cursor, page = since, 1
        while True:
            conditions = [] if cursor is None else [_after(cursor)]
            rows = self.page(ls_project_id, conditions, "id,updated_at", order="tasks:updated_at", page=page)
            found = [parse.task_stamp(row) for row in rows]
            if page > 1 and len(found) >= PAGE and all(stamp.task_id in stamps for stamp in found):
                parse.no_end("changed tasks")
            stamps |= {stamp.task_id: stamp for stamp in found}
            if len(found) < PAGE:
                break
            # Tasks that change while we read move to the end, so page numbers would skip some: go on from the
            # last moment seen. Only where a whole page shares one moment are page numbers needed.
            next_cursor = found[-1].updated_at - _MICROSECOND
            same = cursor is not None and next_cursor <= cursor
            cursor, page = (cursor, page + 1) if same else (next_cursor, 1)
        return sorted(stamps.values(), key=lambda stamp: (stamp.updated_at, stamp.task_id))

    def page(
        self,
        ls_project_id: int,
        conditions: Conditions,
        fields: str,
        *,
        order: str = "tasks:id",
        page: int = 1,
        annotations: bool = False,
    ) -> list[Any]:
        """One page of tasks; empty beyond the last one."""
        query = {"filters": {"conjunction": "and", "items": conditions}, "ordering": [order]}
        params = [
            ("project", str(ls_project_id)),
            ("fields", "all" if annotations else "task_only"),
            ("resolve_uri", "false"),
            ("include", fields),
            ("page_size", str(PAGE)),
            ("page", str(page)),
            ("query", json.dumps(query, separators=(",", ":"))),
        ]
        try:
            answer = self._transport.call("GET", "/api/tasks/", params=params, timeout_s=self._timeout_s)
        except LabelStudioRejected as error:
            # Beyond the last page Label Studio answers 404; the first page is there if the lane is.
            if error.status == _NOT_FOUND and page > 1:
                return []
            raise
        rows = parse.as_list(parse.as_object(answer, "the tasks").get("tasks"), "the tasks")
        return [parse.as_object(row, "a task") for row in rows]


def _after(moment: datetime) -> dict[str, Any]:
    return column_filter("tasks:updated_at", "greater", "Datetime", as_filter_time(moment))
