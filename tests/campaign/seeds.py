"""Seeds that once failed, each with what it found; they are lived through again with every test run."""

from __future__ import annotations

SIMULATION: dict[int, str] = {
    10: "answers given after the server's clock was set back were never read",
    58: "the same, on a task that had been read before",
    1030: "the same, where the answer was newer than the last reading of its task",
    94: "the same, with an annotation that was deleted",
}
"""Seed of a simulated life, and what it found."""

WIDER: dict[int, str] = {
    120: "an item was sent to adjudication twice: its own answers were wanted again meanwhile",
    126: "a task with answers that a restore of ours had forgotten was adopted and then taken for a copy",
    153: "answers adopted after a restore of ours kept their items from being asked about again",
    175: "a push in doubt was found under a number that a restored server had given out before",
    154: "a restored server gave an answer's number to another answer, and reading failed for ever",
}
"""The same for wide lives."""
