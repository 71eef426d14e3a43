import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.errors import LabelsDontMatch, ModelError, ModelUnavailable, WeightsRefused
from models.inspection import inspect
from models.interface import Kind, RuntimeOptions, Scores
from models.keyword import KeywordPredictor
from models.linear_head import train_head
from models.loading import load, smoke
from tests.unit.models.building import LABELS, clusters, edit_json

ONE = RuntimeOptions(threads=1)


@pytest.fixture
def head_folder(tmp_path: Path) -> Path:
    points, names = clusters(60)
    train_head(points, names, LABELS).save(tmp_path / "head")
    return tmp_path / "head"


def test_hugging_face_folder_from_draft_to_predictor(bert_folder: Path) -> None:
    (bert_folder / "README.md").write_text("---\nlicense: mit\ndatasets:\n- moods\n---\n# Moods\n")
    found = inspect(bert_folder)
    assert found.spec.kind is Kind.HF_DIRECTORY
    assert found.spec.labels == LABELS
    assert found.spec.max_tokens == 64
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(found.spec.sha256)
    assert (found.licence, found.trained_on) == ("mit", "moods")
    assert found.size_bytes > 4 * found.parameters > 10_000
    predictor = load(found.spec, options=ONE)
    assert smoke(predictor).probabilities.shape == (3, 3)
    assert predictor.card().parameters == found.parameters


def test_head_from_draft_to_predictor(head_folder: Path) -> None:
    found = inspect(head_folder)
    assert found.spec.kind is Kind.ENCODER_HEAD
    assert found.evaluation is not None
    predictor = load(found.spec, options=ONE)
    smoke(predictor)
    assert predictor.predict([]).probabilities.shape == (0, 3)
    assert predictor.card().licence == "Apache-2.0"


def test_keyword_from_draft_to_predictor(tmp_path: Path) -> None:
    KeywordPredictor({"a": ["x"], "b": ["y"]}).save(tmp_path)
    found = inspect(tmp_path)
    assert found.spec.kind is Kind.KEYWORD
    smoke(load(replace(found.spec, labels=("b", "a"))))


def test_changed_file_is_refused(bert_folder: Path, head_folder: Path) -> None:
    for folder, name in ((bert_folder, "tokenizer_config.json"), (head_folder, "head.json")):
        spec = inspect(folder).spec
        edit_json(folder / name, touched=True)
        with pytest.raises(WeightsRefused, match="SHA-256"):
            load(spec)


def test_wrong_labels_task_or_nothing_registered(head_folder: Path) -> None:
    spec = inspect(head_folder).spec
    with pytest.raises(LabelsDontMatch):
        load(replace(spec, labels=("calm", "angry")), options=ONE)
    with pytest.raises(ModelError, match="names no labels"):
        load(replace(spec, labels=()))
    with pytest.raises(ModelError, match="not supported"):
        load(replace(spec, task="translation"))
    with pytest.raises(WeightsRefused, match="no hashes"):
        load(replace(spec, sha256={}))
    with pytest.raises(WeightsRefused, match="trained on"):
        load(replace(spec, max_tokens=64), options=ONE)


def test_folder_without_a_model(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(ModelUnavailable, match="no model in"):
        inspect(tmp_path)
    with pytest.raises(ModelUnavailable, match="does not exist"):
        inspect(tmp_path / "nowhere")


def test_smoke_refuses_rows_that_are_no_probabilities() -> None:
    class Broken(KeywordPredictor):
        def predict(self, texts):
            return Scores(np.full((len(texts), 2), 0.7, dtype=np.float32), seconds=0)

    with pytest.raises(ModelError, match="no proper probabilities"):
        smoke(Broken({"a": [], "b": []}))


@pytest.mark.parametrize("kind", ["hf", "head"])
def test_inspecting_never_imports_torch(bert_folder: Path, head_folder: Path, kind: str) -> None:
    folder = bert_folder if kind == "hf" else head_folder
    code = (
        "import sys, models.interface, models.errors, models.weights, models.keyword, models.default_encoder\n"
        "from models.inspection import inspect\n"
        "inspect(sys.argv[1])\n"
        "print([name for name in ('torch', 'transformers') if name in sys.modules])\n"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
