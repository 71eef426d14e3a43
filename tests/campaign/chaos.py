"""`make chaos`: the fault campaign at length, with a screen, a state file that it goes on from, and a table.

python -m tests.campaign.chaos --minutes 30 --seed 1 --only sim
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
def simulation(options: argparse.Namespace) -> Iterator[Trial]:
    from tests.campaign.simulation import run
    from tests.campaign.template import IN_MEMORY, Template

    with tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as folder:
        template = Template(Path(folder) / "template")

        def trial(seed: int) -> tuple[int, int, str]:
            outcome = run(template, seed)
            if options.story:
                print("\n".join(outcome.story))
            return 1, int(not outcome.is_good), "" if outcome.is_good else outcome.told()

        yield trial
        template.close()


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


@contextmanager
def real(options: argparse.Namespace) -> Iterator[Trial]:
    """The tests of a real Label Studio behind the fault proxy, each time anew."""
    import subprocess

    files = ["tests/end_to_end/test_label_studio_faults.py", "tests/end_to_end/test_trust.py"]

    def trial(seed: int) -> tuple[int, int, str]:
        command = [sys.executable, "-m", "pytest", "-q", "--tb=short", *files]
        told = subprocess.run(command, capture_output=True, text=True, check=False)
        return 1, int(told.returncode != 0), told.stdout[-4000:]

    yield trial


KINDS = {
    "sim": (simulation, "simulated lives: server, people, process and clock misbehave at random"),
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
    try:
        for name in names:
            tally = state.setdefault(name, Tally())
            live(name, tally, time.monotonic() + share, options, state)
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here", file=sys.stderr)
    print(f"\n{table(state)}")
    return 3 if any(state[name].violations for name in names if name in state) else 0


if __name__ == "__main__":
    sys.exit(main())
