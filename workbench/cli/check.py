"""One check of `workbench doctor`: how a thing stands, and what to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal


@dataclass(frozen=True)
class Check:
    """How one thing stands.

    Attributes:
        name: The thing.
        state: `fail` keeps the workbench from working; `warn` may matter.
        sentence: How it stands.
        remedy: What to do; empty where nothing needs doing.
    """

    name: str
    state: Literal["ok", "warn", "fail"]
    sentence: str
    remedy: str = ""

    @classmethod
    def good(cls, name: str, sentence: str) -> Check:
        """It is as it should be."""
        return cls(name, "ok", sentence)

    @classmethod
    def doubtful(cls, name: str, sentence: str, remedy: str) -> Check:
        """It may matter."""
        return cls(name, "warn", sentence, remedy)

    @classmethod
    def failed(cls, name: str, sentence: str, remedy: str) -> Check:
        """It keeps the workbench from working."""
        return cls(name, "fail", sentence, remedy)

    def value(self) -> dict[str, str]:
        """The check as JSON values."""
        return asdict(self)
