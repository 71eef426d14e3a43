"""Looking after what a lane is on the server: its settings, its webhook, and how far the server's ids are."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from integrations.label_studio import parse
from integrations.label_studio.errors import AddressRefused, LabelStudioRejected
from integrations.label_studio.interface import HighIds, Hook, LaneSpec, Mended
from integrations.label_studio.transport import Transport
from integrations.label_studio.wire import lane_body, lane_line

PROBE_KEY = "probe"
_ALONE = frozenset({"label_config", "model_version"})
_NOT_FOUND = 404
_PROBE = LaneSpec(
    key=PROBE_KEY,
    title="Workbench: a check, gone at once",
    label_config='<View><Text name="text" value="$text"/><Choices name="label" toName="text">'
    '<Choice value="yes"/></Choices></View>',
)
_ANSWER = {
    "result": [
        {
            "id": "a",
            "from_name": "label",
            "to_name": "text",
            "type": "choices",
            "value": {"choices": ["yes"]},
        }
    ],
    "lead_time": 0,
}


def config_digest(label_config: str) -> bytes:
    """SHA-256 of a label config as the server shows it."""
    return hashlib.sha256(label_config.strip().encode()).digest()


def mend_lane(transport: Transport, ls_project_id: int, spec: LaneSpec, digest: bytes | None) -> Mended:
    """Puts back what members changed about a lane; the screen last, since answers may stand against it.

    Args:
        transport: The server.
        ls_project_id: The lane's project.
        spec: What it should be.
        digest: Of the label config as the server showed it when it was right; None takes what is there.
    """
    path = f"/api/projects/{ls_project_id}/"
    present = parse.as_object(transport.call("GET", path), "a project")
    wanted = lane_body(spec)
    shown = parse.as_text(present.get("label_config"))
    is_same = digest is None or config_digest(shown) == digest
    if is_same or shown.strip() == spec.label_config.strip():
        wanted.pop("label_config")
    changed = [name for name, value in wanted.items() if present.get(name) != value]
    if "description" in changed and _same_lines(present.get("description"), wanted["description"]):
        changed.remove("description")
    plain = {name: wanted[name] for name in changed if name not in _ALONE}
    if plain:
        transport.call("PATCH", path, body=plain)
    refused: tuple[str, ...] = ()
    if "model_version" in changed:
        try:
            transport.call("PATCH", path, body={"model_version": wanted["model_version"]})
        except LabelStudioRejected:
            # Not taken while the lane has no prediction; the first push sets it.
            changed.remove("model_version")
    if "label_config" in changed:
        try:
            answer = transport.call("PATCH", path, body={"label_config": wanted["label_config"]})
            shown = parse.as_text(parse.as_object(answer, "a project").get("label_config")) or shown
        except LabelStudioRejected:
            refused = ("label_config",)
    return Mended(tuple(n for n in changed if n not in refused), refused, config_digest(shown))


def hooks(transport: Transport, ls_project_id: int) -> list[Hook]:
    """The webhooks of a project."""
    answer = transport.call("GET", "/api/webhooks/", params=[("project", str(ls_project_id))])
    return [_hook(one) for one in parse.as_list(answer, "the webhooks")]


def set_hook(
    transport: Transport,
    ls_project_id: int,
    hook_id: int | None,
    *,
    url: str,
    headers: Mapping[str, str],
    actions: Sequence[str],
) -> int:
    """Makes a webhook, or sets an existing one right; its id.

    Raises:
        AddressRefused: The server does not call this address.
    """
    body = {
        "url": url,
        "headers": dict(headers),
        "actions": list(actions),
        "send_payload": True,
        "send_for_all_actions": False,
        "is_active": True,
    }
    with _telling_refusal():
        if hook_id is None:
            answer = transport.call("POST", "/api/webhooks/", body=body | {"project": ls_project_id})
        else:
            answer = transport.call("PATCH", f"/api/webhooks/{hook_id}/", body=body)
    return parse.as_int(parse.as_object(answer, "the webhook").get("id"), "the webhook's id")


def delete_hook(transport: Transport, hook_id: int) -> None:
    """Removes a webhook; nothing happens where it is gone already."""
    _unless_gone(lambda: transport.call("DELETE", f"/api/webhooks/{hook_id}/"))


def probe_ids(transport: Transport, find_lane: Callable[[str], int | None]) -> HighIds:
    """The next ids that the server gives out, seen on a project that is removed at once.

    Ids never fall while a server lives on: where they do, its database was replaced by an older one.
    """
    left = find_lane(PROBE_KEY)
    if left is not None:
        _unless_gone(lambda: transport.call("DELETE", f"/api/projects/{left}/"))
    project = parse.as_object(transport.call("POST", "/api/projects/", body=lane_body(_PROBE)), "the project")
    project_id = parse.as_int(project.get("id"), "the project's id")
    try:
        # Not by import: on SQLite that takes the highest id that is left, so ids of deleted tasks come again.
        task = transport.call("POST", "/api/tasks/", body={"project": project_id, "data": {"text": "-"}})
        task_id = parse.as_int(parse.as_object(task, "the task").get("id"), "the task's id")
        annotation = transport.call("POST", f"/api/tasks/{task_id}/annotations/", body=_ANSWER)
        annotation_id = parse.as_int(parse.as_object(annotation, "the answer").get("id"), "the answer's id")
    finally:
        _unless_gone(lambda: transport.call("DELETE", f"/api/projects/{project_id}/"))
    return HighIds(project_id, task_id, annotation_id)


def _hook(value: Any) -> Hook:
    told = parse.as_object(value, "a webhook")
    headers, actions = told.get("headers"), told.get("actions")
    return Hook(
        hook_id=parse.as_int(told.get("id"), "a webhook's id"),
        url=parse.as_text(told.get("url")),
        headers={str(k): str(v) for k, v in headers.items()} if isinstance(headers, Mapping) else {},
        actions=frozenset(str(one) for one in actions) if isinstance(actions, list) else frozenset(),
        is_active=told.get("is_active") is True and told.get("send_payload") is True,
        for_all_actions=told.get("send_for_all_actions") is True,
    )


def _same_lines(present: Any, wanted: str) -> bool:
    text = parse.as_text(present).replace("\r\n", "\n")
    return lane_line(text) == lane_line(wanted) and text.strip() == wanted.strip()


@contextmanager
def _telling_refusal() -> Iterator[None]:
    try:
        yield
    except AddressRefused:
        raise
    except LabelStudioRejected as problem:
        if problem.status == _NOT_FOUND:
            raise
        raise AddressRefused(
            "Label Studio does not take the workbench's address for webhooks; give it one that looks like "
            "https://workbench.example.org (webhook_url)",
            status=problem.status,
        ) from None


def _unless_gone(call: Callable[[], Any]) -> None:
    try:
        call()
    except LabelStudioRejected as problem:
        if problem.status != _NOT_FOUND:
            raise
