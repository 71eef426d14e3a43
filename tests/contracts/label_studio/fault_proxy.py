"""A tiny HTTP proxy that misbehaves on purpose, between our client and the real server."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx


@dataclass
class Faults:
    """What to do with the next requests.

    Attributes:
        status: Answer this at once instead of asking the server.
        body: The answer's body for `status`.
        headers: More headers for `status`.
        delay_s: Wait so long before anything is sent on.
        lose_answer: Let the server do its work, then close the connection without an answer.
        only: Faults hit only requests with this method; others pass.
        path: Faults hit only addresses that hold this; others pass.
    """

    status: int | None = None
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    lose_answer: bool = False
    only: str | None = None
    path: str = ""
    seen: list[str] = field(default_factory=list)


@contextmanager
def fault_proxy(target: str) -> Iterator[tuple[str, Faults]]:
    """The proxy's address and its switchboard."""
    faults = Faults()
    ended = threading.Event()
    upstream = httpx.Client(base_url=target, timeout=60, trust_env=False)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            faults.seen.append(f"{self.command} {self.path.partition('?')[0]}")
            hit = faults.only in {None, self.command} and faults.path in self.path
            if hit and faults.delay_s:
                ended.wait(faults.delay_s)
            if hit and faults.status is not None:
                self._answer(faults.status, faults.body, faults.headers)
                return
            kept = {
                name: value
                for name, value in self.headers.items()
                if name.lower() not in {"host", "connection"}
            }
            answer = upstream.request(self.command, self.path, content=body, headers=kept)
            if hit and faults.lose_answer:
                self.close_connection = True
                return
            self._answer(
                answer.status_code, answer.content, {"Content-Type": answer.headers.get("Content-Type", "")}
            )

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            try:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                self.close_connection = True

        do_GET = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Nothing: test output stays readable."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Nothing: a client that gave up waiting is what these tests are about."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", faults
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
        time.sleep(0.05)
        upstream.close()
