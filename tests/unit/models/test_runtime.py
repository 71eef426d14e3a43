import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ModelError
from models.interface import RuntimeOptions
from models.runtime import plan_batches, run

ONE = RuntimeOptions(threads=1, token_budget=64)


@given(st.lists(st.integers(1, 300), max_size=80), st.integers(1, 512))
def test_batches_hold_every_item_once_within_the_budget(lengths: list[int], budget: int) -> None:
    batches = plan_batches(lengths, budget)
    assert sorted(item for batch in batches for item in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[item] for item in batch) <= budget


def total(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return (ids * mask).sum(dim=1, keepdim=True).float()


def test_rows_come_back_in_the_order_given() -> None:
    rng = np.random.default_rng(0)
    items = [rng.integers(1, 9, size=int(n)).tolist() for n in rng.integers(1, 40, size=100)]
    rows = run(items, total, width=1, pad_id=7, options=ONE)
    assert rows[:, 0].tolist() == [float(sum(ids)) for ids in items]
    assert torch.get_num_threads() == 1


def test_one_item_that_fails_is_nan_and_the_rest_goes_on() -> None:
    def picky(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        if (ids == 13).any():
            raise RuntimeError("unlucky")
        return total(ids, mask)

    rows = run([[1], [2, 2], [13, 1], [4]], picky, width=1, pad_id=0, options=ONE)
    assert rows[[0, 1, 3], 0].tolist() == [1, 4, 4]
    assert np.isnan(rows[2, 0])


def test_infinite_answers_become_nan() -> None:
    rows = run([[0], [1]], lambda ids, _: 1 / ids.float(), width=1, pad_id=0, options=ONE)
    assert np.isnan(rows[0, 0])
    assert rows[1, 0] == 1


def test_a_model_that_always_fails_is_an_error() -> None:
    def broken(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no such layer")

    with pytest.raises(ModelError, match="all 2 items: no such layer"):
        run([[1], [2]], broken, width=1, pad_id=0, options=ONE)


def test_no_items_give_no_rows() -> None:
    assert run([], total, width=3, pad_id=0, options=ONE).shape == (0, 3)
