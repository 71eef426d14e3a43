from pathlib import Path

import numpy as np
import pytest

from models.errors import LabelsDontMatch, WeightsRefused
from models.interface import Predictor
from models.keyword import FILE_NAME, KeywordPredictor, load_keyword

KEYWORDS = {"good": ["fine", "great"], "bad": ["awful"]}


def test_keywords_decide() -> None:
    predictor = KeywordPredictor(KEYWORDS)
    assert isinstance(predictor, Predictor)
    scores = predictor.predict(["A GREAT day", "awful", "nothing", ""])
    assert scores.probabilities.dtype == np.float32
    np.testing.assert_allclose(scores.probabilities.sum(axis=1), 1, atol=1e-6)
    assert scores.probabilities.argmax(axis=1)[:2].tolist() == [0, 1]
    assert scores.probabilities[2:].tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert predictor.predict([]).probabilities.shape == (0, 2)


def test_stored_and_loaded_in_the_order_of_the_project(tmp_path: Path) -> None:
    KeywordPredictor(KEYWORDS).save(tmp_path)
    predictor = load_keyword(tmp_path, ["bad", "fine by me"], {"good": "fine by me"})
    assert predictor.labels == ("bad", "fine by me")
    assert predictor.predict(["great"]).probabilities[0].argmax() == 1
    with pytest.raises(LabelsDontMatch):
        load_keyword(tmp_path, ["good"])


def test_broken_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text('{"keywords": {"a": 5}}')
    with pytest.raises(WeightsRefused, match="keywords"):
        load_keyword(tmp_path)
