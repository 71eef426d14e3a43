"""`make chaos`: the fault campaign at length, with a screen, a state file that it goes on from, and a table.

python -m tests.campaign.chaos --minutes 30 --seed 1 --only sim
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

STATE = Path(__file__).resolve().parents[2] / ".cache" / "chaos.json"
SURE = 3.0
"""No failure in n runs: with 95% the rate of failures is below 3/n."""


@dataclass
class Tally:
    """How one kind of fault went so far."""

    runs: int = 0
    violations: int = 0
    next_seed: int = 1
    seconds: float = 0.0
    failing: list[int] = field(default_factory=list)

    @property
    def bound(self) -> str:
        return f"< {SURE / self.runs:.2%}" if self.runs and not self.violations else "none"


Trial = Callable[[int], tuple[int, int, str]]
"""A seed to how many runs it was, how many of them failed, and what to say of the first."""


@contextmanager
def _lives(options: argparse.Namespace, *, is_wide: bool) -> Iterator[Trial]:
    from tests.campaign.simulation import run
    from tests.campaign.template import IN_MEMORY, Template

    with tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as folder:
        template = Template(Path(folder) / "template")

        def trial(seed: int) -> tuple[int, int, str]:
            outcome = run(template, seed, is_wide=is_wide)
            if options.story:
                print("\n".join(outcome.story))
            return 1, int(not outcome.is_good), "" if outcome.is_good else outcome.told()

        yield trial
        template.close()


def simulation(options: argparse.Namespace) -> AbstractContextManager[Trial]:
    return _lives(options, is_wide=False)


def wide(options: argparse.Namespace) -> AbstractContextManager[Trial]:
    return _lives(options, is_wide=True)


@contextmanager
def cut(options: argparse.Namespace) -> Iterator[Trial]:
    """Lives on PostgreSQL whose connections end now and then, in and between transactions."""
    from tests.campaign.simulation import run
    from tests.campaign.template import Template
    from tests.postgresql_server import TEMPLATE, running_server
    from workbench.db import migrate
    from workbench.settings import load_settings

    ends = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'test%'"
    for server in running_server():
        server.run(f"CREATE DATABASE {TEMPLATE}")
        migrate.upgrade(load_settings(data_dir=server.folder / "none", database_url=server.url(TEMPLATE)))
        with tempfile.TemporaryDirectory() as folder:
            template = Template(Path(folder) / "template", server.emptied)

            def trial(seed: int) -> tuple[int, int, str]:
                outcome = run(template, seed, cut=lambda: server.run(ends) and None)  # noqa: B023
                if options.story:
                    print("\n".join(outcome.story))
                return 1, int(not outcome.is_good), "" if outcome.is_good else outcome.told()

            yield trial
            template.close()


@contextmanager
def disk(options: argparse.Namespace) -> Iterator[Trial]:
    """A data folder on a file system of 20 MB that fills up while an import runs; then there is room again."""
    from tests.campaign.disk import trial

    yield trial


@contextmanager
def kills(options: argparse.Namespace) -> Iterator[Trial]:
    from tests.campaign.kills import site

    with tempfile.TemporaryDirectory() as folder, site(Path(folder)) as made:
        yield made.trial


@contextmanager
def power(options: argparse.Namespace) -> Iterator[Trial]:
    from tests.campaign.power import site

    with tempfile.TemporaryDirectory() as folder, site(Path(folder)) as made:
        yield made.trial


@contextmanager
def api(options: argparse.Namespace) -> Iterator[Trial]:
    from tests.campaign.machine import trial

    yield trial


def _tests(*files: str) -> Callable[[argparse.Namespace], AbstractContextManager[Trial]]:
    """These tests, each time anew, in a process of their own."""

    @contextmanager
    def make(options: argparse.Namespace) -> Iterator[Trial]:
        def trial(seed: int) -> tuple[int, int, str]:
            command = [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider", *files]
            told = subprocess.run(command, capture_output=True, text=True, check=False)
            return 1, int(told.returncode != 0), told.stdout[-4000:]

        yield trial

    return make


real = _tests("tests/end_to_end/test_label_studio_faults.py", "tests/end_to_end/test_trust.py")
team = _tests("tests/integration/jobs/test_workers.py", "tests/integration/db/test_away.py")

KINDS = {
    "sim": (simulation, "simulated lives: server, people, process and clock misbehave at random"),
    "wide": (wide, "the same with webhooks, restores of both sides, recalls, exports, two suppliers"),
    "cut": (cut, "lives on PostgreSQL whose connections are terminated at random"),
    "team": (team, "several workers on PostgreSQL: killed, stopped, cut off; the database away"),
    "disk": (disk, "a file system that fills up during an import"),
    "kills": (kills, "SIGKILL of the real worker at named failpoints"),
    "power": (power, "power cut: legal disk states of both SQLite files"),
    "api": (api, "state machine over the HTTP API"),
    "real": (real, "a real Label Studio behind the fault proxy"),
}


def read_state() -> dict[str, Tally]:
    if not STATE.exists():
        return {}
    return {name: Tally(**values) for name, values in json.loads(STATE.read_text()).items()}


def write_state(state: dict[str, Tally]) -> None:
    STATE.parent.mkdir(exist_ok=True)
    part = STATE.with_suffix(".part")
    part.write_text(json.dumps({name: asdict(tally) for name, tally in state.items()}, indent=1))
    part.replace(STATE)


def live(name: str, tally: Tally, until: float, options: argparse.Namespace, state: dict[str, Tally]) -> None:
    """Try seeds of one kind until its time is over."""
    make, title = KINDS[name]
    print(f"\n{name}: {title}", flush=True)
    with make(options) as trial:
        done = 0
        while time.monotonic() < until and (options.runs is None or done < options.runs):
            seed = options.seed + done if options.seed is not None else tally.next_seed
            began = time.monotonic()
            runs, failed, told = trial(seed)
            tally.seconds += time.monotonic() - began
            tally.runs += runs
            tally.violations += failed
            tally.next_seed = max(tally.next_seed, seed + 1)
            done += 1
            if failed:
                tally.failing.append(seed)
                print(f'\n{told}\nagain: make chaos ARGS="--only {name} --seed {seed} --runs 1"', flush=True)
            write_state(state)
            if sys.stderr.isatty():
                line = f"  {tally.runs} runs, {tally.violations} with violations, seed {seed}"
                print(f"\r{line:<78}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


def table(state: dict[str, Tally]) -> str:
    lines = [f"{'fault':<8} {'runs':>7} {'violations':>11} {'bound':>9} {'minutes':>8}  failing seeds"]
    for name, tally in state.items():
        failing = " ".join(map(str, tally.failing[:8])) or "none"
        lines.append(
            f"{name:<8} {tally.runs:>7} {tally.violations:>11} {tally.bound:>9} {tally.seconds / 60:>8.1f}  {failing}"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=240.0, help="in all, shared evenly by the kinds")
    parser.add_argument("--seed", type=int, help="begin here instead of where the last run ended")
    parser.add_argument("--runs", type=int, help="seeds of each kind, at most")
    parser.add_argument("--only", choices=[*KINDS], action="append", help="a kind; may be given again")
    parser.add_argument("--story", action="store_true", help="tell what happened in each simulated life")
    parser.add_argument("--fresh", action="store_true", help="forget earlier runs")
    options = parser.parse_args()
    state = {} if options.fresh else read_state()
    names = options.only or [*KINDS]
    share = options.minutes * 60 / len(names)
    broken: list[str] = []
    try:
        for name in names:
            tally = state.setdefault(name, Tally())
            try:
                live(name, tally, time.monotonic() + share, options, state)
            except Exception:  # noqa: BLE001 - the other kinds go on; the end tells it
                traceback.print_exc()
                broken.append(name)
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here", file=sys.stderr)
    print(f"\n{table(state)}")
    if broken:
        print(f"could not be run to the end: {', '.join(broken)}")
    return 3 if broken or any(state[name].violations for name in names if name in state) else 0


if __name__ == "__main__":
    sys.exit(main())
