"""Text that a spreadsheet will show rather than run."""

from __future__ import annotations

_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - full-width forms run too
FORMULA_NOTE = (
    "a value that begins with = + - @, their full-width forms, a tab or a line end has ' before it, so that "
    "no spreadsheet runs it"
)


def formula_safe(text: str) -> str:
    """The text with ' before it where a spreadsheet would take it for a formula.

    >>> formula_safe("=1+1"), formula_safe("fine")
    ("'=1+1", 'fine')
    """
    return "'" + text if text.lstrip(" ").startswith(_STARTS) else text
