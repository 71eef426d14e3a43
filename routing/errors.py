"""What `routing` refuses.

RoutingError
├── PolicyInvalid       a policy document or condition that cannot be used, with the place and a hint
└── NotEnoughEvidence   a figure was asked of too few items
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RoutingError(Exception):
    """Root of all errors of this library; it knows no HTTP."""


class PolicyInvalid(RoutingError):
    """A routing policy, or one condition in it, that cannot be used.

    Args:
        path: Where in the document, such as `rules[0].when`.
        message: What is wrong and what to write instead.
        did_you_mean: The nearest accepted word, if there is one.
        position: Character of the condition's text where the trouble starts, counted from 1.
    """

    def __init__(
        self, path: str, message: str, did_you_mean: str | None = None, position: int | None = None
    ) -> None:
        self.path = path
        self.message = message
        self.did_you_mean = did_you_mean
        self.position = position
        place = path if position is None else f"{path}, character {position}"
        hint = f"; did you mean `{did_you_mean}`?" if did_you_mean else ""
        super().__init__(f"{place}: {message}{hint}")


class NotEnoughEvidence(RoutingError):
    """A rate or bound was asked of no observations at all."""


def closest(word: str, options: Iterable[str]) -> str | None:
    """The accepted word most like `word`, or None when nothing is near.

    >>> closest("confidance", ["confidence", "margin"])
    'confidence'
    """
    found = difflib.get_close_matches(word, list(options), n=1, cutoff=0.6)
    return found[0] if found else None
