"""What a demo says while it works: on standard error, a bar on a terminal and lines elsewhere."""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

LINE_EVERY_S = 5.0


class Narrator:
    """Tells stages and their progress; use it as a context manager."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._is_terminal = sys.stderr.isatty()
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._started = time.monotonic()
        self._spoke = 0.0
        self.stages: dict[str, float] = {}

    def say(self, text: str) -> None:
        """One line."""
        self._console.print(f"[{self.elapsed():5.0f} s] {text}", markup=False)

    def elapsed(self) -> float:
        """Seconds since the demo began."""
        return time.monotonic() - self._started

    def begin(self, text: str, total: int) -> None:
        """A stage whose progress is counted."""
        if self._is_terminal:
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[note]}"),
                TimeElapsedColumn(),
                console=self._console,
            )
            self._progress.start()
            self._task = self._progress.add_task(text, total=total, note="")
        else:
            self.say(text)
        self._spoke = time.monotonic()

    def update(self, done: int, total: int, note: str = "") -> None:
        """How far the stage is."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done, total=total, note=note)
        elif time.monotonic() - self._spoke > LINE_EVERY_S:
            self._spoke = time.monotonic()
            self.say(f"  {done:,} of {total:,} {note}".rstrip())

    def end(self) -> None:
        """The stage is over."""
        if self._progress is not None:
            self._progress.stop()
        self._progress = self._task = None
