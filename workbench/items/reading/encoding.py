"""Which character encoding a file is in, and its lines without ever holding a whole file."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from pathlib import Path

from workbench.errors import InvalidInput

_BLOCK = 1 << 20
_SAMPLE = 1 << 16
_LINE_CHARACTERS = 4_000_000
# A lead byte with a high trail byte: nearly all pairs of Chinese text, few of accented Latin text.
_HIGH_PAIR = re.compile(rb"[\x81-\xfe][\x80-\xfe]")
_LOW_PAIR = re.compile(rb"[\x81-\xfe][\x00-\x7f]")
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def text_encoding(path: Path) -> tuple[str, list[str]]:
    """Python's name of the file's encoding, and notes where it was guessed.

    The whole file is looked at, in blocks. A mark at the start decides; then UTF-8, UTF-16 without a
    mark, GB18030 (Chinese) and Windows-1252 are tried in this order. UTF-8 with a few broken bytes
    stays UTF-8: the rows that hold them are rejected one by one.

    Raises:
        InvalidInput: It is empty, or no text at all.
    """
    with path.open("rb") as file:
        sample = file.read(_SAMPLE)
    if not sample:
        raise InvalidInput("the file is empty; choose one with a header line and at least one row")
    for mark, name in _BOMS:
        if sample.startswith(mark):
            return name, []
    wide = _utf16_without_mark(sample)
    if wide:
        return wide, [f"Read as {wide.upper()} without a byte order mark."]
    if len(_CONTROL.findall(sample)) > max(2, len(sample) // 20):
        raise InvalidInput("the file is no text; upload CSV, JSON Lines or XLSX")
    if _decodes(path, "utf-8"):
        return "utf-8", []
    if _mostly_utf8(sample):
        return "utf-8", ["Some bytes are not valid UTF-8; the rows that hold them are rejected."]
    if _chinese(sample) and _decodes(path, "gb18030"):
        return "gb18030", ["Not UTF-8: read as GB18030 (Chinese). If it looks wrong, save it as UTF-8."]
    name = "cp1252" if _decodes(path, "cp1252") else "latin-1"
    return name, [f"Not UTF-8: read as {name} (Western European). If it looks wrong, save it as UTF-8."]


def open_text(path: Path, encoding: str) -> io.TextIOWrapper:
    """The file as text with its line ends kept; broken bytes become lone surrogates, not errors."""
    errors = "surrogateescape" if encoding.startswith("utf-8") else "replace"
    return path.open("r", encoding=encoding, errors=errors, newline="")


def bounded_lines(file: io.TextIOWrapper) -> Iterator[str | None]:
    """Lines of a text file; None for one that is longer than any row may be."""
    while line := file.readline(_LINE_CHARACTERS):
        if len(line) < _LINE_CHARACTERS:
            yield line
            continue
        while line and not line.endswith(("\n", "\r")):
            line = file.readline(_LINE_CHARACTERS)
        yield None


def broken(text: str) -> str:
    """Why this text cannot be kept, or "".

    >>> broken("fine")
    ''
    >>> broken("a" + chr(0))
    'holds a NUL character'
    """
    if "\x00" in text:
        return "holds a NUL character"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "holds bytes or half characters (lone surrogates) that are no text in Unicode"
    return ""


def _decodes(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    with path.open("rb") as file:
        try:
            while block := file.read(_BLOCK):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


def _utf16_without_mark(sample: bytes) -> str:
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    many = max(2, len(sample) // 8)
    if odd > many and even < odd // 8:
        return "utf-16-le"
    if even > many and odd < even // 8:
        return "utf-16-be"
    return ""


def _mostly_utf8(sample: bytes) -> bool:
    text = sample.decode("utf-8", "replace")
    bad = text.count("\ufffd")
    good = sum(character > "\x7f" for character in text) - bad
    return good >= 2 * bad  # never both 0: something in the file is not UTF-8, perhaps after the sample


def _chinese(sample: bytes) -> bool:
    high = len(_HIGH_PAIR.findall(sample))
    low = len(_LOW_PAIR.findall(_HIGH_PAIR.sub(b"", sample)))
    return high > 2 * low
