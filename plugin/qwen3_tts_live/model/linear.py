"""Linear layers behind one seam: float as loaded, or int8 weights on a CPU.

Several layers with one input become one, as few large calls beat many small ones. Knows nothing
about what the layers are for.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

__all__ = ["Linear", "MakeLinear", "Quantize", "float_linear", "joined", "linear_maker"]

#: (N, in) -> (N, out)
Linear: TypeAlias = Callable[[Tensor], Tensor]
#: Makes one layer of several with the same input; the outputs are joined in their order.
MakeLinear: TypeAlias = Callable[[Sequence[nn.Linear]], Linear]
Quantize: TypeAlias = Literal["none", "int8"]


def linear_maker(quantize: Quantize) -> MakeLinear:
    """Return what makes the linear layers."""
    return int8_linear if quantize == "int8" else float_linear


def float_linear(layers: Sequence[nn.Linear]) -> Linear:
    """Return the layers as one, in the precision in which they were loaded.

    The weights are not copied for good: the official modules keep views of the joined ones.
    """
    weight = joined([layer.weight for layer in layers])
    biases = _biases(layers)
    bias = joined(biases) if biases else None

    transposed = weight.t()

    def forward(x: Tensor) -> Tensor:
        # The plain products: `functional.linear` looks at shapes and layouts first, 144 times a
        # frame.
        if bias is None:
            return torch.mm(x, transposed)
        return torch.addmm(bias, x, transposed)

    return forward


def int8_linear(layers: Sequence[nn.Linear]) -> Linear:
    """Return the layers as one with int8 weights, a scale an output, for fp32 input on a CPU.

    The input is quantized on the fly, one scale a call: so a row's result depends a little on
    the rows that share its batch.
    """
    weight = torch.cat([layer.weight for layer in layers]).float()
    biases = _biases(layers)
    bias = torch.cat(biases).float() if biases else None
    # The smallest normal float keeps a row of zeros from a scale of zero.
    scales = (weight.abs().amax(dim=1) / 127).clamp_min(torch.finfo(torch.float32).tiny)
    zeros = torch.zeros(len(scales), dtype=torch.int64)
    with _no_deprecation():
        quantized = torch.quantize_per_channel(weight, scales, zeros, 0, torch.qint8)
    packed = torch.ops.quantized.linear_prepack(quantized, bias)
    half_range = not _exact_int8_products()

    def forward(x: Tensor) -> Tensor:
        out: Tensor = torch.ops.quantized.linear_dynamic(x, packed, half_range)
        return out

    return forward


@contextmanager
def _no_deprecation() -> Iterator[None]:
    # torch deprecates its int8 tensors and offers nothing as fast in their place; this seam is
    # where the next thing will go, and users can do nothing about it.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.quantize_per", UserWarning)
        yield


def _biases(layers: Sequence[nn.Linear]) -> list[Tensor]:
    biases: list[Tensor | None] = [layer.bias for layer in layers]
    return [bias for bias in biases if bias is not None]


def _exact_int8_products() -> bool:
    """Whether this CPU adds pairs of int8 products without overflow (VNNI does, AVX2 does not).

    Where it does not, inputs have to be quantized to 7 bits.
    """
    ones = torch.full((1, 64), 127.0)
    with _no_deprecation():
        weight = torch.quantize_per_tensor(ones, 1.0, 0, torch.qint8)
    packed = torch.ops.quantized.linear_prepack(weight, None)
    out: Tensor = torch.ops.quantized.linear_dynamic(ones, packed, False)
    return abs(out.item() / (127 * 127 * 64) - 1) < 0.01


def joined(parts: Sequence[Tensor]) -> Tensor:
    """Return parameters as one tensor, of which they become views: nothing is held twice."""
    if len(parts) == 1:
        return parts[0].detach()
    joined = torch.cat([part.detach() for part in parts])
    for part, view in zip(
        parts, joined.split_with_sizes([len(part) for part in parts]), strict=True
    ):
        part.data = view
    return joined
