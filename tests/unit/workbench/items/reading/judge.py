"""Reads files that somebody sent, each in a process of its own with little memory and little time.

    python -m tests.unit.workbench.items.reading.judge

takes a path a line on standard input, and answers each with one JSON line: `refused` (the sentence), `rows`
(read, and with problems), or `died` (how).
"""

import json
import os
import resource
import signal
import sys
import tempfile
from pathlib import Path

import workbench.items.reading.datasets
import workbench.items.reading.parquet  # noqa: F401 - loaded before memory is short
from workbench.errors import WorkbenchError
from workbench.items.importing import _write_rows
from workbench.items.reading.detect import open_table, preview

MORE_BYTES = 700_000_000
SECONDS = 30
UNFOLDED_BYTES = 300_000_000


def main() -> None:
    """Answers until the input ends."""
    for line in sys.stdin:
        path = Path(line.rstrip("\n"))
        read_end, write_end = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read_end)
            os.write(write_end, json.dumps(_judged(path)).encode())
            os._exit(0)
        os.close(write_end)
        with os.fdopen(read_end, "rb") as pipe:
            answer = pipe.read()
        _, status = os.waitpid(child, 0)
        print(answer.decode() or json.dumps({"died": os.waitstatus_to_exitcode(status)}), flush=True)


def _judged(path: Path) -> dict[str, object]:
    used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MORE_BYTES, used + MORE_BYTES))
    signal.alarm(SECONDS)
    try:
        seen = preview(path, path.name)
        problems = [row.problem for row in seen.rows if row.problem]
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "rows"
            n = _write_rows(open_table(path, path.name).rows, target, UNFOLDED_BYTES)
    except WorkbenchError as problem:
        return {"refused": str(problem)}
    except BaseException as problem:  # noqa: BLE001 - whatever it is, it is told
        return {"died": repr(problem)[:300]}
    return {"rows": n, "problems": problems}


if __name__ == "__main__":
    main()
