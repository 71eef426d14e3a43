"""One small page beside Label Studio's own: the door through which annotators come to their work.

Label Studio's address for labelling, `/projects/N/data?labeling=1`, hands every person the same task and
ignores the queue, unless "Label All Tasks" was pressed once in that browser. All that button keeps is an
entry in the browser's own storage, which only a page of the same address can write: this one does.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

DOOR = "/workbench/label"
_LANE = re.compile(rf"{DOOR}/([1-9][0-9]{{0,17}})")
_SCRIPT = (
    'localStorage.setItem("dm:labelstream:mode","all");'
    'location.replace("/projects/"+location.pathname.split("/").pop()+"/data?labeling=1");'
)
_HASH = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
_PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>Opening your work</title>'
    f"<script>{_SCRIPT}</script><noscript>Please switch JavaScript on to label.</noscript></html>"
).encode()
_HEADERS = [
    ("Content-Security-Policy", f"default-src 'none'; script-src 'sha256-{_HASH}'; frame-ancestors 'self'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
]


def with_door(application: WSGIApplication) -> WSGIApplication:
    """The application with the door beside it; every other request passes unchanged."""

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if environ.get("REQUEST_METHOD") != "GET" or not path.startswith(DOOR):
            return application(environ, start_response)
        if path == DOOR:
            return _answer(start_response, "application/json", json.dumps({"door": True}).encode())
        if _LANE.fullmatch(path):
            return _answer(start_response, "text/html; charset=utf-8", _PAGE)
        return application(environ, start_response)

    return serve


def _answer(start_response: StartResponse, kind: str, body: bytes) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", kind), ("Content-Length", str(len(body))), *_HEADERS])
    return [body]
