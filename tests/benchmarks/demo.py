"""Wall time of the demo by stage, from a fresh data folder: `python -m tests.benchmarks.demo --json`.

The limit is four minutes on two cores, after set-up. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from integrations.label_studio.server import free_port

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 240.0
LINE = re.compile(r"^\[\s*(\d+) s\] (\S.*)$")


def stages_of(lines: list[str], total_s: float) -> list[dict[str, Any]]:
    """Stages in order, each with the seconds until the next one begins (whole seconds)."""
    begun = [(int(match[1]), match[2]) for line in lines if (match := LINE.match(line))]
    ends = [start for start, _ in begun[1:]] + [round(total_s)]
    return [{"stage": name, "seconds": end - start} for (start, name), end in zip(begun, ends, strict=True)]


def measure() -> dict[str, Any]:
    """One run of the demo."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            str(ROOT / ".venv" / "bin" / "workbench"), "demo", "--exit", "--json",
            "--data-dir", f"{folder}/demo", "--port", str(free_port()), "--label-studio-port", str(free_port()),
        ]  # fmt: skip
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
        )
        assert process.stderr is not None
        assert process.stdout is not None
        lines = []
        for line in process.stderr:
            lines.append(line.rstrip("\n"))
            print(line, end="", file=sys.stderr, flush=True)
        last = process.stdout.read().strip().splitlines()
        if process.wait() != 0 or not last:
            raise SystemExit("the demo failed; its own words are above")
        figures = json.loads(last[-1])
    return {
        "seconds": figures["seconds"],
        "limit_s": LIMIT_S,
        "annotations_per_second": round(figures["annotations_received"] / figures["seconds"], 2),
        "stages": stages_of(lines, figures["seconds"]),
        "figures": figures,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    as_json = parser.parse_args().json
    found = measure()
    if as_json:
        print(json.dumps(found))
    else:
        for stage in found["stages"]:
            print(f"{stage['seconds']:5d} s  {stage['stage']}")
        print(f"{found['seconds']:5.0f} s  in all (limit {LIMIT_S:.0f})")
    return 0 if found["seconds"] <= LIMIT_S else 1


if __name__ == "__main__":
    sys.exit(main())
