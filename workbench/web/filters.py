"""Numbers, shares, money and times as people read them; pure, used by templates as filters."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

NONE = "\N{EN DASH}"
_SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "CNY": "CN¥", "JPY": "¥", "INR": "₹", "KRW": "₩"}
_TO = "\N{EN DASH}"
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_TONES = {
    "good": {"active", "ready", "done", "succeeded", "resolved", "delivered", "live", "accepted", "counted"},
    "accent": {
        "running",
        "queued",
        "in_labeling",
        "annotated",
        "predicted",
        "waiting",
        "evaluated",
        "shadow",
    },
    "warn": {"paused", "problem", "cancelled", "cancelling", "above_overlap", "retired", "expired", "frozen"},
    "bad": {"failed", "error", "rejected", "broken", "unreachable", "lost"},
}
Number = int | float | Decimal
_SMALL = 0.01
_SHORTEST = 0.05


def number(value: Number | None, digits: int = 0) -> str:
    """37,331 or 0.81; a dash for None."""
    return NONE if value is None else f"{value:,.{digits}f}"


def percent(value: Number | None, digits: int = 1) -> str:
    """A share from 0 to 1 as 36.4%."""
    return NONE if value is None else f"{value * 100:.{digits}f}%"


def money(value: Number | None, currency: str, digits: int | None = None) -> str:
    """$1,204.50 or $0.08; amounts below one unit have up to four places after the point."""
    if value is None:
        return NONE
    if digits is None:
        digits = _places(float(value))
    sign = "\N{MINUS SIGN}" if value < 0 else ""
    symbol = _SYMBOLS.get(currency, f"{currency} ")
    return f"{sign}{symbol}{abs(value):,.{digits}f}"


def _places(value: float) -> int:
    """Two places, and up to two more where a small amount needs them."""
    if value == 0 or abs(value) >= 1:
        return 2
    shown = f"{abs(value):.{3 if abs(value) >= _SMALL else 4}f}".rstrip("0")
    return max(2, len(shown.partition(".")[2]))


def duration(seconds: Number | None) -> str:
    """0.4 s, 12 s, 4 min 12 s, 2 h 5 min, 3 d 4 h."""
    if seconds is None:
        return NONE
    if seconds < 10:  # noqa: PLR2004 - below this a tenth of a second says something
        return "under 0.1 s" if seconds < _SHORTEST else f"{seconds:.1f} s"
    whole = round(float(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return _two(whole, _MINUTE, "min", 1, "s")
    if whole < _DAY:
        return _two(whole, _HOUR, "h", _MINUTE, "min")
    return _two(whole, _DAY, "d", _HOUR, "h")


def _two(whole: int, large: int, large_name: str, small: int, small_name: str) -> str:
    rest = whole % large // small
    return f"{whole // large} {large_name}" + (f" {rest} {small_name}" if rest else "")


def ago(value: datetime | None, now: datetime) -> str:
    """Just now, 3 min ago, 2 h ago, 5 d ago; in 4 d for what is to come."""
    if value is None:
        return "never"
    seconds = (now - value).total_seconds()
    if abs(seconds) < _MINUTE:
        return "just now"
    size, name = next((s, n) for s, n in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")) if abs(seconds) >= s)
    count = int(abs(seconds) // size)
    return f"{count} {name} ago" if seconds > 0 else f"in {count} {name}"


def local(value: datetime | None, zone: str, form: str = "%d %b %Y %H:%M") -> str:
    """The time in a zone, as 02 Mar 2026 09:00."""
    return NONE if value is None else value.astimezone(ZoneInfo(zone)).strftime(form)


def estimate(
    value: Number | None, low: Number | None, high: Number | None, digits: int = 2, *, share: bool = False
) -> str:
    """A value with its interval: 0.81 (0.79 to 0.83), or as percent for a share."""
    if value is None:
        return NONE
    if share:
        inside = (
            "" if low is None or high is None else f" ({low * 100:.{digits}f}{_TO}{high * 100:.{digits}f}%)"
        )
        return f"{value * 100:.{digits}f}%{inside}"
    inside = "" if low is None or high is None else f" ({low:.{digits}f}{_TO}{high:.{digits}f})"
    return f"{value:.{digits}f}{inside}"


def plural(count: Number, one: str, many: str = "") -> str:
    """1 item, 2,591 items."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def tone(state: str) -> str:
    """The tone of a state word: good, accent, warn, bad or nothing."""
    return next((name for name, states in _TONES.items() if str(state) in states), "")


def words(name: str) -> str:
    """A state or key as words: "in labeling"."""
    return str(name).replace("_", " ")


def spark_paths(values: list[Number], width: int = 200, height: int = 34) -> tuple[str, str]:
    """SVG path data of a spark line and of the area below it."""
    points = [float(value) for value in values]
    if len(points) < 2:  # noqa: PLR2004 - a line needs two ends
        return "", ""
    low, high = min(points), max(points)
    span = (high - low) or 1.0
    step = width / (len(points) - 1)
    pad = 3.0
    xy = [(i * step, height - pad - (v - low) / span * (height - 2 * pad)) for i, v in enumerate(points)]
    line = "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in xy)
    return line, f"{line} L{width} {height} L0 {height} Z"


def chart_table(spec: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of a chart's own numbers; its `usermeta.columns` chooses fields and headings."""
    rows = _values(spec)
    columns: dict[str, str] = spec.get("usermeta", {}).get("columns", {})
    if not columns:
        columns = {name: words(name).capitalize() for row in rows[:1] for name in row}
    return list(columns.values()), [[_cell(row.get(name)) for name in columns] for row in rows]


def _values(spec: dict[str, Any]) -> list[dict[str, Any]]:
    data = spec.get("data") or {}
    if data.get("values"):
        return list(data["values"])
    for many in ("layer", "hconcat", "vconcat", "concat"):
        for part in spec.get(many, []):
            if found := _values(part):
                return found
    return list(next(iter(spec.get("datasets", {}).values()), []))


def _cell(value: object) -> str:
    if value is None:
        return NONE
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"  # noqa: PLR2004 - four figures are read
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)
