import torch
from torch import nn

from models import fast_linear
from models.fast_linear import OneDnnLinear, speed_up


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(8, 16)
        self.intermediate_act_fn = nn.GELU()
        self.out = nn.Linear(16, 4, bias=False)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.out(self.intermediate_act_fn(self.dense(values)))


def test_same_numbers_or_left_alone() -> None:
    torch.manual_seed(0)
    block, values = Block().eval(), torch.randn(3, 5, 8)
    with torch.inference_mode():
        before = block(values)
        swapped = speed_up(block, lambda: block(values))
        assert torch.allclose(before, block(values), atol=1e-5)
    assert isinstance(block.dense, OneDnnLinear) == swapped


def test_wrong_numbers_are_undone(monkeypatch) -> None:
    block, values = Block().eval(), torch.randn(2, 8)
    monkeypatch.setattr(
        OneDnnLinear, "forward", lambda self, x: x.new_zeros(*x.shape[:-1], self.out_features)
    )
    assert not speed_up(block, lambda: block(values))
    assert type(block.dense) is nn.Linear
    assert type(block.intermediate_act_fn) is nn.GELU


def test_missing_operator_is_undone(monkeypatch) -> None:
    def gone(self: OneDnnLinear, x: torch.Tensor) -> torch.Tensor:
        raise AttributeError("'_OpNamespace' 'mkldnn' object has no attribute '_linear_pointwise'")

    block, values = Block().eval(), torch.randn(2, 8)
    monkeypatch.setattr(OneDnnLinear, "forward", gone)
    assert not speed_up(block, lambda: block(values))
    assert type(block.out) is nn.Linear


def test_tanh_gelu_is_not_fused() -> None:
    assert fast_linear._is_exact_gelu(nn.GELU())
    assert not fast_linear._is_exact_gelu(nn.GELU(approximate="tanh"))
    assert not fast_linear._is_exact_gelu(nn.ReLU())
