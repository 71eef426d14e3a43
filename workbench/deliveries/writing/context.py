"""What a writer must know besides its rows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Screen:
    """How the project shows and names things.

    Attributes:
        label_config: Its label config, as XML.
        text_field: Under which name a task's text stands.
        labels: Its labels in their order.
    """

    label_config: str
    text_field: str
    labels: tuple[str, ...]
