import hashlib
import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.demo import dataset
from workbench.demo.dataset import DemoDataError, RatedText, choose, load, parse, reference, text_key, vote

TRUTH = "1\t2.5\tWhat a day &amp;amp; night\r\n2\t-0.5\tSo so\r\n"
RATINGS = "2\t-0.5\t0.5\t[0, -1]\r\n1\t2.5\t0.5\t[2, 3]\r\n"


def rated(number: int, text: str, *, source: str = "news", ratings: tuple[int, ...] = (1,)) -> RatedText:
    return RatedText(source, str(number), text, ratings, 1.0)


@pytest.mark.parametrize(
    ("mean", "label"),
    [(0.51, "positive"), (0.5, "neutral"), (0.0, "neutral"), (-0.5, "neutral"), (-0.51, "negative")],
)
def test_reference_is_the_sign_beyond_one_half(mean, label):
    assert reference(mean) == label


@pytest.mark.parametrize(
    ("rating", "label"),
    [(4, "positive"), (1, "positive"), (0, "neutral"), (-1, "negative"), (-4, "negative")],
)
def test_vote_is_the_sign(rating, label):
    assert vote(rating) == label


def test_parse_joins_by_id_and_reads_entities():
    assert parse("news", TRUTH, RATINGS) == [
        RatedText("news", "1", "What a day & night", (2, 3), 2.5),
        RatedText("news", "2", "So so", (0, -1), -0.5),
    ]


@pytest.mark.parametrize(
    "ratings",
    [
        "1\t2.5\t[1]",
        "1\t2.5\t0.1\t[]",
        "1\t2.5\t0.1\t[5]",
        "1\t2.5\t0.1\t[1.0]",
        "1\t2.5\t0.1\t[true]",
        "1\t2.5\t0.1\t__import__('os')",
    ],
)
def test_a_broken_rating_line_is_named(ratings):
    with pytest.raises(DemoDataError, match="ratings of news, line 1"):
        parse("news", "", ratings)


def test_a_text_without_ratings_is_named():
    with pytest.raises(DemoDataError, match="texts of news, line 2"):
        parse("news", TRUTH, "1\t2.5\t0.5\t[2, 3]")


def test_choose_takes_distinct_texts_that_qualify():
    texts = [rated(1, "Good"), rated(2, "good "), rated(3, "Bad"), rated(4, "Few", ratings=())]
    chosen = choose(texts, 2, seed=0)
    assert sorted(text_key(it.text) for it in chosen) == ["bad", "good"]
    with pytest.raises(ValueError, match="2 qualify"):
        choose(texts, 3, seed=0)
    with pytest.raises(ValueError, match="unknown source x"):
        choose(texts, 1, seed=0, sources=["x"])


@given(st.permutations([rated(i, f"text {i}") for i in range(12)]), st.integers(0, 5), st.integers(1, 12))
def test_choose_depends_on_the_seed_alone(texts, seed, n):
    ordered = choose(sorted(texts, key=lambda it: it.external_id), 12, seed=seed)
    assert choose(texts, n, seed=seed) == ordered[:n]


def archive(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def small_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    inner = {}
    for stem in dataset.SOURCES.values():
        inner[f"hutto_ICWSM_2014/{stem}_GroundTruth.txt"] = b"\xef\xbb\xbf" + TRUTH.encode()
        inner[f"hutto_ICWSM_2014/{stem}_anonDataRatings.txt"] = b"\xef\xbb\xbf" + RATINGS.encode()
    content = archive({dataset._INNER_ARCHIVE: archive(inner), "../outside": b"never unpacked"})
    path = tmp_path / dataset.ARCHIVE_NAME
    path.write_bytes(content)
    monkeypatch.setattr(dataset, "ARCHIVE_SHA256", hashlib.sha256(content).hexdigest())
    return path


def test_load_reads_every_source(small_archive):
    texts = load(small_archive)
    assert [it.source for it in texts] == [source for source in dataset.SOURCES for _ in range(2)]
    assert {it.external_id for it in texts} == {"1", "2"}


def test_fetch_takes_the_file_that_is_there(small_archive, monkeypatch):
    monkeypatch.setattr(dataset, "_download", lambda _: pytest.fail("nothing to download"))
    assert dataset.fetch(small_archive.parent) == small_archive


def test_a_changed_archive_is_refused(small_archive):
    small_archive.write_bytes(small_archive.read_bytes() + b"x")
    with pytest.raises(DemoDataError, match="not the pinned archive"):
        load(small_archive)


def test_a_missing_archive_names_the_command(tmp_path):
    with pytest.raises(DemoDataError, match=r"bootstrap\.py demo-data"):
        load(tmp_path / "none.tar.gz")


def test_another_file_from_the_index_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(
        dataset, "_download", lambda folder: (folder / dataset.ARCHIVE_NAME).write_bytes(b"other")
    )
    with pytest.raises(DemoDataError, match="another file"):
        dataset.fetch(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_download_says_what_to_check(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset.sys, "executable", "/bin/false")
    with pytest.raises(DemoDataError, match="check the network"):
        dataset.fetch(tmp_path)


def test_an_oversized_or_missing_member_is_refused():
    content = archive({"a": b"12345"})
    with pytest.raises(DemoDataError, match="at most 4 bytes"):
        dataset._member(io.BytesIO(content), ["a"], 4)
    with pytest.raises(DemoDataError, match="lacks b"):
        dataset._member(io.BytesIO(content), ["b"], 4)


def test_vote_accuracy_weighs_each_text_the_same():
    texts = [rated(1, "a", ratings=(1, 1, 1, -1)), rated(2, "b", ratings=(2,))]
    assert dataset.vote_accuracy(texts) == {"news": pytest.approx(0.875)}
