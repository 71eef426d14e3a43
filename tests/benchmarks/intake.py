"""Webhook deliveries held durably per second, against a route that keeps nothing.

    python -m tests.benchmarks.intake --json

Both are asked of the same process in turns: the application as `workbench serve` runs it (uvicorn, SQLite with
`synchronous=FULL`), with one more route at the same place that reads the body and answers 202. Each round sends
to both in thin slices by turns; the median of the rounds' ratios counts. Exit status 1 when less than 60% of that
route's rate is held, or p99 at 500 a second is above 0.5 s. `bare_ratio` is for information: against a function
without any framework, as the door itself is one, so what is left is what keeping costs.
"""

import argparse
import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import httpx
from sqlalchemy import func, select

from workbench.db.tables import all_tables

SLICE = 1_500
SLICES = 3
N = SLICE * SLICES
SENDERS = 384
TURNS = 7
PROMISED_PER_S = 500
PROMISED_S = 5
FLOOR = 0.60
SLOWEST_P99_S = 0.5
NOTHING = "/hooks/nothing"
BARE = "/hooks/bare"


def serve(folder: str, port: int) -> None:
    """The server's process: the application with the empty route beside its door for webhooks."""
    import uvicorn
    from fastapi import FastAPI, Request
    from starlette.responses import Response

    from workbench.app import create_app
    from workbench.inbox.intake import _body

    outside = _outside(folder)
    app = create_app(outside, features=())
    empty = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @empty.post(NOTHING)
    async def nothing(request: Request) -> Response:
        await request.body()
        return Response(status_code=202)

    async def with_nothing(scope, receive, send):  # type: ignore[no-untyped-def]
        if scope["type"] == "http" and scope["path"] == NOTHING:
            await empty(scope, receive, send)
            return
        if scope["type"] == "http" and scope["path"] == BARE:
            await _body(receive)
            headers = [(b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 202, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return
        await app(scope, receive, send)

    uvicorn.run(
        with_nothing, host="127.0.0.1", port=port, log_config=None, access_log=False, server_header=False
    )


def _outside(folder: str):  # type: ignore[no-untyped-def]
    from workbench.outside import outside_of
    from workbench.settings import load_settings

    def none(url: str, token: str):  # type: ignore[no-untyped-def]
        raise AssertionError("no Label Studio is asked here")

    return outside_of(load_settings(data_dir=Path(folder)), label_studio=none)


@dataclass
class Turn:
    """One run: requests a second, and how long each took."""

    per_s: float
    seconds: list[float]


def delivery(n: int) -> bytes:
    """A delivery as Label Studio sends it, about 4 KB, each another."""
    text = f"item {n} " + "word " * 100
    region = {
        "id": "a",
        "from_name": "label",
        "to_name": "text",
        "type": "choices",
        "value": {"choices": ["A"]},
    }
    annotation = {
        "id": n,
        "task": n,
        "result": [region],
        "lead_time": 4.2,
        "created_at": "2026-01-01T00:00:00Z",
    }
    project = {"id": 3, "title": "Sentiment", "label_config": "<View/>" * 150, "token": "0" * 40}
    told = {
        "action": "ANNOTATION_CREATED",
        "annotation": annotation,
        "task": {"id": n, "data": {"text": text, "wb_visit": f"v{n}"}},
        "project": project | {"parsed_label_config": {"label": {"labels": ["A"] * 40}}},
    }
    return json.dumps(told).encode()


async def send(port: int, path: str, bodies: list[bytes], headers: dict[str, str]) -> Turn:
    """All bodies by `SENDERS` connections that each wait for their answer; raw sockets, to cost little."""
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    seconds: list[float] = []
    waiting = iter(bodies)
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(SENDERS)]

    async def sender(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for body in waiting:
            start = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n{head}\r\n"
            began = time.perf_counter()
            writer.write(start.encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            seconds.append(time.perf_counter() - began)
            if not answer.startswith(b"HTTP/1.1 202"):
                raise SystemExit(f"answered {answer[:40]!r}")
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(sender(*connection) for connection in connections))
    return Turn(len(bodies) / (time.perf_counter() - began), seconds)


async def paced(port: int, path: str, headers: dict[str, str]) -> list[float]:
    """How long each took of as many a second as are promised, from when it was due."""
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(SENDERS):
        free.put_nowait(await asyncio.open_connection("127.0.0.1", port))
    began = time.perf_counter()

    async def one(n: int) -> float:
        due = began + n / PROMISED_PER_S
        await asyncio.sleep(due - time.perf_counter())
        connection = await free.get()
        body = delivery(n - PROMISED_PER_S * PROMISED_S)
        start = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n{head}\r\n"
        connection[1].write(start.encode() + body)
        answer = await connection[0].readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 202"):
            raise SystemExit(f"answered {answer[:40]!r}")
        free.put_nowait(connection)
        return time.perf_counter() - due

    return list(await asyncio.gather(*(one(n) for n in range(PROMISED_PER_S * PROMISED_S))))


def quantile(values: list[float], share: float) -> float:
    """The value that this share of all is not above."""
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def main() -> int:
    """Measures both in turns; the median of the ratios counts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json
    from workbench.inbox.service import address_of, receiver_for
    from workbench.inbox.tables import DeliveryRow

    with tempfile.TemporaryDirectory() as folder:
        outside = _outside(folder)
        all_tables().create_all(outside.db.writer)
        with outside.db.write() as session:
            from tests.factories import make_server

            row = receiver_for(outside, session, make_server(session).id)
        hook = address_of(outside, row)
        path = "/hooks/label-studio/" + hook.url.rpartition("/")[2]
        port = _free_port()
        process = subprocess.Popen(
            [sys.executable, "-c", f"from tests.benchmarks.intake import serve; serve({folder!r}, {port})"],
            cwd=Path(__file__).resolve().parent.parent.parent,
        )
        try:
            _wait(port)
            rounds = [_round(port, turn, path, hook.headers) for turn in range(TURNS + 1)][1:]
            promised = asyncio.run(paced(port, path, hook.headers))
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        # After a kill, as after a crash: everything that was answered with 202 is there.
        with outside.db.read() as session:
            stored = session.scalar(select(func.count()).select_from(DeliveryRow)) or 0
        outside.db.close()
    answered = N * (TURNS + 1) + len(promised)
    ratio = _ratio(rounds, path, NOTHING)
    p99 = quantile(promised, 0.99)
    report = {
        "benchmark": "intake",
        "database": "sqlite",
        "deliveries": N * TURNS,
        "senders": SENDERS,
        "body_bytes": len(delivery(1)),
        "held_per_s": _rate(rounds, path),
        "nothing_per_s": _rate(rounds, NOTHING),
        "bare_per_s": _rate(rounds, BARE),
        "paced_per_s": PROMISED_PER_S,
        "p50_ms": round(quantile(promised, 0.5) * 1000, 2),
        "p99_ms": round(p99 * 1000, 2),
        "answered": answered,
        "stored_after_kill": stored,
        "ratio": round(ratio, 3),
        "bare_ratio": round(_ratio(rounds, path, BARE), 3),
        "floor": FLOOR,
    }
    report["passed"] = ratio >= FLOOR and stored == answered and p99 <= SLOWEST_P99_S
    if as_json:
        print(json.dumps(report))
    else:
        for name, value in report.items():
            print(f"{name:>20} {value}")
    return 0 if report["passed"] else 1


def _round(port: int, turn: int, path: str, headers: dict[str, str]) -> dict[str, Turn]:
    """The same bodies sent to all three."""
    # In thin slices by turns: whatever else the machine does meanwhile, it does to all three.
    slices: dict[str, list[Turn]] = {path: [], NOTHING: [], BARE: []}
    for part in range(SLICES):
        start = turn * N + part * SLICE
        bodies = [delivery(start + n) for n in range(SLICE)]
        for place in sorted(slices, reverse=bool((turn + part) % 2)):
            slices[place].append(asyncio.run(send(port, place, bodies, headers)))
    found = {place: _together(turns) for place, turns in slices.items()}
    _say(
        f"round {turn or 'to warm up'}: {found[path].per_s:.0f} held/s, "
        f"{found[NOTHING].per_s:.0f}/s with nothing kept, {found[BARE].per_s:.0f}/s bare"
    )
    return found


def _together(turns: list[Turn]) -> Turn:
    seconds = sum(SLICE / turn.per_s for turn in turns)
    return Turn(SLICE * len(turns) / seconds, [one for turn in turns for one in turn.seconds])


def _ratio(rounds: list[dict[str, Turn]], one: str, other: str) -> float:
    return median(turn[one].per_s / turn[other].per_s for turn in rounds)


def _rate(rounds: list[dict[str, Turn]], place: str) -> float:
    return round(median(turn[place].per_s for turn in rounds), 1)


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(port: int) -> None:
    with httpx.Client(trust_env=False) as client:
        for _ in range(300):
            try:
                if client.post(f"http://127.0.0.1:{port}{NOTHING}").is_success:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.1)
    raise SystemExit("the server did not start")


if __name__ == "__main__":
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    sys.exit(main())
