"""Seeds that once failed, each with what it found; they are lived through again with every test run."""

from __future__ import annotations

SIMULATION: dict[int, str] = {
    10: "answers given after the server's clock was set back were never read",
    58: "the same, on a task that had been read before",
    1030: "the same, where the answer was newer than the last reading of its task",
    94: "the same, with an annotation that was deleted",
}
"""Seed of a simulated life: what it found."""
