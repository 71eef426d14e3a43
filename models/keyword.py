"""A classifier by keywords: deterministic, instant and without torch, for unit tests and dry runs."""

import json
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from models.errors import LabelsDontMatch, WeightsRefused
from models.interface import TEXT_CLASSIFICATION, ModelCard, Scores
from models.weights import read_json

FILE_NAME = "keywords.json"
WORD = re.compile(r"\w+")


class KeywordPredictor:
    """Probability grows with how many of a label's keywords stand in the text.

    A label with h hits weighs (1 + `weight` * h), so a text without any keyword gets equal shares.

    >>> predictor = KeywordPredictor({"good": ["fine"], "bad": ["awful"]})
    >>> predictor.predict(["a fine day"]).probabilities.round(2).tolist()
    [[0.8999999761581421, 0.10000000149011612]]
    """

    def __init__(self, keywords: Mapping[str, Sequence[str]], *, weight: float = 8.0) -> None:
        if not keywords:
            raise WeightsRefused("a keyword model needs at least one label with its keywords")
        self._keywords = {label: [word.casefold() for word in words] for label, words in keywords.items()}
        self._weight = weight

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels in the order given."""
        return tuple(self._keywords)

    def predict(self, texts: Sequence[str]) -> Scores:
        """Label probabilities of each text."""
        started = time.process_time()
        weights = np.ones((len(texts), len(self._keywords)), dtype=np.float64)
        for row, text in enumerate(texts):
            words = WORD.findall(text.casefold())
            for column, keywords in enumerate(self._keywords.values()):
                weights[row, column] += self._weight * sum(words.count(keyword) for keyword in keywords)
        probabilities = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
        return Scores(probabilities, seconds=time.process_time() - started)

    def card(self) -> ModelCard:
        """A card that says how little this model knows."""
        words = sum(len(words) for words in self._keywords.values())
        return ModelCard(
            name="keyword", task=TEXT_CLASSIFICATION, labels=self.labels, licence="Apache-2.0",
            parameters=words, encoder=None, max_tokens=0, trained_on="nothing: keywords were written by hand",
            evaluation=None, size_bytes=0,
        )  # fmt: skip

    def save(self, directory: Path) -> Path:
        """Write `keywords.json` into the folder and return its path."""
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / FILE_NAME
        content = {"keywords": self._keywords, "weight": self._weight}
        path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        return path


def load_keyword(
    directory: Path, labels: Sequence[str] = (), label_map: Mapping[str, str] | None = None
) -> KeywordPredictor:
    """The keyword model of a folder, its columns in the order of `labels` (its own order when empty).

    Raises:
        WeightsRefused: `keywords.json` is broken.
        LabelsDontMatch: its labels, after the map, are not `labels`.
    """
    content = read_json(directory / FILE_NAME)
    keywords = content.get("keywords")
    if not isinstance(keywords, dict) or not all(isinstance(words, list) for words in keywords.values()):
        raise WeightsRefused(f'{FILE_NAME} needs {{"keywords": {{label: [words]}}}}')
    mapped: dict[str, list[str]] = {}
    for label, words in keywords.items():
        mapped.setdefault((label_map or {}).get(label, label), []).extend(str(word) for word in words)
    order = tuple(labels) or tuple(mapped)
    if set(order) != set(mapped):
        raise LabelsDontMatch(tuple(mapped), order, where=f"keyword model {directory.name}")
    return KeywordPredictor(
        {label: mapped[label] for label in order}, weight=float(content.get("weight", 8.0))
    )
