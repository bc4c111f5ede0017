"""The linear layers behind their seam."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from qwen3_tts_live.model.linear import linear_maker


def layers(bias: bool) -> list[nn.Linear]:
    torch.manual_seed(0)
    return [nn.Linear(64, size, bias=bias) for size in (32, 48, 16)]


@pytest.mark.parametrize("bias", [False, True])
def test_several_layers_become_one_and_share_their_weights_with_it(bias: bool) -> None:
    parts = layers(bias)
    x = torch.randn(5, 64)
    expected = torch.cat([part(x) for part in parts], dim=1)
    with torch.no_grad():
        linear = linear_maker("none")(parts)
        assert torch.allclose(linear(x), expected, atol=1e-6)
        parts[1].weight.zero_()
        assert not linear(x)[:, 32:80].sub(parts[1].bias if bias else 0).any()


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 100.0])
def test_int8_is_within_a_percent_of_float(bias: bool, scale: float) -> None:
    parts = layers(bias)
    x = torch.randn(8, 64) * scale
    with torch.no_grad():
        expected = torch.cat([part(x) for part in parts], dim=1)
        error = linear_maker("int8")(parts)(x) - expected
    assert error.pow(2).mean().sqrt() < 0.02 * expected.pow(2).mean().sqrt()


def test_int8_holds_for_the_largest_sums_and_for_rows_of_zeros() -> None:
    layer = nn.Linear(512, 4, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([1.0, -1.0, 0.0, 0.5])[:, None].expand(4, 512))
        out = linear_maker("int8")([layer])(torch.ones(1, 512))
        assert torch.allclose(out, functional.linear(torch.ones(1, 512), layer.weight), rtol=0.02)
