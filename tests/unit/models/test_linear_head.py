from pathlib import Path

import numpy as np
import pytest

from models import default_encoder
from models.errors import LabelsDontMatch, ModelError, ModelUnavailable, NotEnoughLabels, WeightsRefused
from models.linear_head import FACTS_NAME, TENSORS_NAME, load_head, train_head
from tests.unit.models.building import LABELS, clusters, edit_json


def test_better_than_majority_on_separable_points() -> None:
    points, names = clusters(120)
    head = train_head(points, names, LABELS, seed=1)
    assert head.facts.accuracy > head.facts.majority_share + 0.2
    fresh, truth = clusters(200, seed=9)
    guesses = [LABELS[k] for k in head.probabilities(fresh).argmax(axis=1)]
    assert np.mean([a == b for a, b in zip(guesses, truth, strict=True)]) > 0.95


def test_same_data_and_seed_give_the_same_bytes(tmp_path: Path) -> None:
    points, names = clusters(80)
    for folder in ("a", "b"):
        train_head(points, names, LABELS, seed=4).save(tmp_path / folder)
    for name in (TENSORS_NAME, FACTS_NAME):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == sorted([TENSORS_NAME, FACTS_NAME])


def test_stored_head_gives_the_same_probabilities(tmp_path: Path) -> None:
    points, names = clusters(80)
    head = train_head(points, names, LABELS)
    head.save(tmp_path)
    again = load_head(tmp_path)
    np.testing.assert_array_equal(head.probabilities(points), again.probabilities(points))
    assert again.facts == head.facts
    assert again.encoder == default_encoder.identity()


def test_out_of_fold_rows_follow_the_order_given() -> None:
    points, names = clusters(100)
    head = train_head(points, names, LABELS, seed=2)
    assert head.out_of_fold is not None
    guesses = [LABELS[k] for k in head.out_of_fold.argmax(axis=1)]
    assert np.mean([a == b for a, b in zip(guesses, names, strict=True)]) == pytest.approx(
        head.facts.accuracy
    )
    np.testing.assert_allclose(head.out_of_fold.sum(axis=1), 1, atol=1e-5)


def test_label_without_examples_keeps_a_small_probability() -> None:
    points, names = clusters(80)
    head = train_head(points, names, ("never", *LABELS))
    shares = head.probabilities(points)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    assert (shares[:, 0] > 0).all()
    assert (shares[:, 0] < 0.02).all()
    assert head.facts.counts["never"] == 0


def test_label_with_one_example_trains_and_turns_the_temperature_off() -> None:
    points, names = clusters(40)
    extra = np.eye(1, 384, k=50, dtype=np.float32)
    head = train_head(np.vstack([points, extra]), [*names, "rare"], (*LABELS, "rare"))
    assert np.isfinite(head.probabilities(points)).all()
    assert head.temperature == 1.0
    assert "1 examples" in head.facts.temperature_reason


def test_embedding_that_failed_gives_a_row_of_nan() -> None:
    points, names = clusters(40)
    head = train_head(points, names, ("never", *LABELS))
    broken = points[:3].copy()
    broken[1] = np.nan
    shares = head.probabilities(broken)
    assert np.isnan(shares[1]).all()
    assert np.isfinite(shares[[0, 2]]).all()


def test_random_labels_are_near_chance_and_not_overconfident() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(200, 384)).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    names = [LABELS[k] for k in rng.integers(3, size=200)]
    head = train_head(points, names, LABELS)
    assert head.facts.accuracy < 0.5
    assert head.facts.log_loss < np.log(3) + 0.1


@pytest.mark.parametrize("names", [[], ["calm"] * 6, ["calm", "calm", "angry"]])
def test_too_few_labels_says_how_many_are_needed(names: list[str]) -> None:
    points = np.ones((len(names), 384), dtype=np.float32)
    with pytest.raises(NotEnoughLabels, match="at least 2 labels with at least 2 examples"):
        train_head(points, names, LABELS)


def test_two_labels_with_two_examples_each_are_enough() -> None:
    points = np.eye(4, 384, dtype=np.float32)
    head = train_head(points, ["calm", "calm", "angry", "angry"], LABELS)
    assert np.isfinite(head.probabilities(points)).all()


def test_unknown_label_and_broken_embeddings_are_refused() -> None:
    points, names = clusters(20)
    with pytest.raises(LabelsDontMatch, match="'calmm'"):
        train_head(points, ["calmm", *names[1:]], LABELS)
    with pytest.raises(ModelError, match="came with"):
        train_head(points, names[:-1], LABELS)
    with pytest.raises(ModelError, match="twice"):
        train_head(points, names, (*LABELS, "calm"))
    points[0, 0] = np.nan
    with pytest.raises(ModelError, match="not finite"):
        train_head(points, names, LABELS)


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": ["calm", "angry"]},
        {"temperature": 0},
        {"format": 2},
        {"encoder": {}},
        {"seen": [False] * 3},
    ],
)
def test_description_that_does_not_fit_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    points, names = clusters(40)
    train_head(points, names, LABELS).save(tmp_path)
    edit_json(tmp_path / FACTS_NAME, **changes)
    with pytest.raises(WeightsRefused):
        load_head(tmp_path)


def test_half_a_head_is_unavailable(tmp_path: Path) -> None:
    points, names = clusters(40)
    train_head(points, names, LABELS).save(tmp_path)
    (tmp_path / TENSORS_NAME).unlink()
    with pytest.raises(ModelUnavailable, match=TENSORS_NAME):
        load_head(tmp_path)
