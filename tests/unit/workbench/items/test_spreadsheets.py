from __future__ import annotations

import pytest

from workbench.items.spreadsheets import formula_safe


@pytest.mark.parametrize(
    "text", ["=1", "+1", "-1", "@a", "\ta", "\ra", "  =1", "\uff1d1", "\uff0b1", "\uff0d1", "\uff20a"]
)
def test_what_a_spreadsheet_would_run_is_quoted(text: str):
    assert formula_safe(text) == "'" + text


@pytest.mark.parametrize("text", ["", "a=1", "1-1", "'=1"])
def test_other_text_stays(text: str):
    assert formula_safe(text) == text
