import json
import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from models.errors import LabelsDontMatch, ModelError, ModelUnavailable, WeightsRefused
from models.interface import EncoderIdentity, Predictor, RuntimeOptions
from models.linear_head import train_head
from models.text_classification import EncoderHeadPredictor, HuggingFacePredictor
from tests.unit.models.building import LABELS, clusters, edit_json

ONE = RuntimeOptions(threads=1)
TEXTS = ["the day is fine", "", "words " * 300, "bad 😀!", "مرحبا", "the", "\ud800", "the day is bad ! " * 3]


@pytest.fixture(scope="module")
def predictor(bert_source: Path) -> HuggingFacePredictor:
    return HuggingFacePredictor(bert_source, max_tokens=64, options=ONE)


def test_folder_loads_and_gives_probabilities(predictor: HuggingFacePredictor) -> None:
    assert isinstance(predictor, Predictor)
    assert predictor.labels == LABELS
    scores = predictor.predict(TEXTS)
    assert scores.probabilities.shape == (len(TEXTS), 3)
    np.testing.assert_allclose(scores.probabilities.sum(axis=1), 1, atol=1e-5)
    assert scores.seconds > 0
    assert np.ptp(scores.probabilities, axis=0).max() > 0.01  # texts differ, so do their scores


def test_sorted_batches_equal_one_by_one(predictor: HuggingFacePredictor) -> None:
    together = predictor.predict(TEXTS).probabilities
    alone = np.vstack([predictor.predict([text]).probabilities for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_same_as_transformers_itself(predictor: HuggingFacePredictor, bert_source: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(bert_source).eval()
    tokenizer = AutoTokenizer.from_pretrained(bert_source)
    for text in ("the day is fine", "bad 😀!", "words " * 300):
        with torch.inference_mode():
            encoded = tokenizer(text, return_tensors="pt", truncation=True, max_length=64)
            wanted = model(encoded["input_ids"], attention_mask=encoded["attention_mask"]).logits.softmax(-1)
        np.testing.assert_allclose(predictor.predict([text]).probabilities, wanted.numpy(), atol=1e-5)


def test_label_map_reorders_and_adds_up(bert_source: Path, predictor: HuggingFacePredictor) -> None:
    two = HuggingFacePredictor(
        bert_source,
        labels=["good", "bad"],
        label_map={"calm": "good", "glad": "good", "angry": "bad"},
        max_tokens=64,
    )
    own = predictor.predict(TEXTS).probabilities
    mapped = two.predict(TEXTS).probabilities
    np.testing.assert_allclose(mapped[:, 0], own[:, 0] + own[:, 2], atol=1e-5)
    np.testing.assert_allclose(mapped[:, 1], own[:, 1], atol=1e-5)
    assert two.card().labels == ("good", "bad")


def test_labels_that_do_not_match_name_both_sides(bert_source: Path) -> None:
    with pytest.raises(LabelsDontMatch, match=r"'angry'.*'Angry'.*Nearest: 'angry' -> 'Angry'"):
        HuggingFacePredictor(bert_source, labels=["calm", "Angry", "glad"])


def test_auto_map_is_refused(bert_folder: Path) -> None:
    edit_json(bert_folder / "config.json", auto_map={"AutoModel": "modeling.Evil"})
    with pytest.raises(WeightsRefused, match="own Python code"):
        HuggingFacePredictor(bert_folder)
    edit_json(bert_folder / "config.json", auto_map=None)
    edit_json(bert_folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["tok.Evil", None]})
    with pytest.raises(WeightsRefused, match=r"tokenizer_config\.json"):
        HuggingFacePredictor(bert_folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"problem_type": "multi_label_classification"}, "multi_label"),
        ({"architectures": ["BertModel"]}, "not a sequence classifier"),
        ({"id2label": {"0": "a", "1": "b"}}, "2 labels and the weights have 3"),
        ({"id2label": {"1": "a", "2": "b", "3": "c"}}, "0, 1, 2"),
        ({"id2label": {"0": "a", "1": "a", "2": "b"}}, "different"),
        ({"_attn_implementation": "kernels-community/flash"}, "network"),
        ({"quantization_config": {"quant_method": "x"}}, "quantised"),
        ({"num_hidden_layers": 3}, "lacks weights"),
        ({"hidden_size": "many"}, "cannot load"),
        ({"model_type": "no-such-model"}, "cannot load"),
    ],
)
def test_hostile_or_wrong_config_is_refused(
    bert_folder: Path, changes: dict[str, object], message: str
) -> None:
    edit_json(bert_folder / "config.json", **changes)
    with pytest.raises(WeightsRefused, match=message):
        HuggingFacePredictor(bert_folder, max_tokens=64)


def test_pickle_beside_or_instead_of_the_weights_is_refused(bert_folder: Path) -> None:
    (bert_folder / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": 1}))
    with pytest.raises(WeightsRefused, match=r"pytorch_model\.bin"):
        HuggingFacePredictor(bert_folder)
    (bert_folder / "pytorch_model.bin").unlink()
    (bert_folder / "model.safetensors").write_bytes(pickle.dumps(list(range(1000))))
    with pytest.raises(WeightsRefused, match=r"model\.safetensors"):
        HuggingFacePredictor(bert_folder)


def test_truncated_weights_are_refused(bert_folder: Path) -> None:
    path = bert_folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsRefused, match="should hold"):
        HuggingFacePredictor(bert_folder)


def test_index_that_points_outside_is_refused(bert_folder: Path) -> None:
    index = {"weight_map": {"a": "../../other.safetensors"}}
    (bert_folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(WeightsRefused, match="leads out"):
        HuggingFacePredictor(bert_folder)


def test_missing_weights_or_tokenizer_say_what_to_do(bert_folder: Path) -> None:
    (bert_folder / "tokenizer.json").unlink()
    with pytest.raises(ModelUnavailable, match=r"tokenizer\.json"):
        HuggingFacePredictor(bert_folder)
    (bert_folder / "model.safetensors").unlink()
    with pytest.raises(ModelUnavailable, match="save_pretrained"):
        HuggingFacePredictor(bert_folder)


def test_weights_of_nan_give_rows_of_nan(bert_folder: Path) -> None:
    path = bert_folder / "model.safetensors"
    tensors = load_file(path)
    tensors["classifier.bias"] = np.full(3, np.nan, dtype=np.float32)
    save_file(tensors, path, metadata={"format": "pt"})
    scores = HuggingFacePredictor(bert_folder, max_tokens=64, options=ONE).predict(["the day"])
    assert np.isnan(scores.probabilities).all()


def test_more_tokens_than_positions_is_an_error(bert_source: Path) -> None:
    with pytest.raises(ModelError, match="at most 64"):
        HuggingFacePredictor(bert_source, max_tokens=65)


class HalfEncoder:
    """Embeds "bad" as a failure and anything else by its length."""

    identity = EncoderIdentity(name="half", sha256={}, dimensions=384, max_tokens=16)
    parameters = 10
    size_bytes = 40

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        rows = np.zeros((len(texts), 384), dtype=np.float32)
        for row, text in enumerate(texts):
            rows[row, len(text) % 3] = 1 if text != "bad" else np.nan
        return rows


def test_head_on_an_encoder() -> None:
    points, names = clusters(80)
    encoder = HalfEncoder()
    head = train_head(points, names, LABELS, encoder=encoder.identity)
    predictor = EncoderHeadPredictor(encoder, head, labels=("glad", "calm", "angry"))
    assert isinstance(predictor, Predictor)
    scores = predictor.predict(["abc", "a", "ab", "bad"]).probabilities
    assert [predictor.labels[k] for k in scores[:3].argmax(axis=1)] == ["calm", "angry", "glad"]
    assert np.isnan(scores[3]).all()
    card = predictor.card()
    assert card.encoder == "half"
    assert card.evaluation is not None
    assert card.evaluation["n"] == 80


def test_head_of_another_encoder_is_refused() -> None:
    points, names = clusters(80)
    with pytest.raises(WeightsRefused, match="trained on all-MiniLM-L6-v2 at 128 tokens"):
        EncoderHeadPredictor(HalfEncoder(), train_head(points, names, LABELS))
