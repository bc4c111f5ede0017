"""The convolutions of the codec, and what lies between them.

All of them are causal, so a call needs only the last inputs of the call before. At the few steps
of a call a convolution kernel is slower than products of matrices, which also serve several
streams at once. A transposed convolution is an ordinary one in disguise: each input step gives
`stride` output steps, made of this input and the last.

Everything is time before channels: (B, T, C), T time steps of each row. `past` is the rows'
past inputs, (B, N), of which every layer reads and renews its own part. Knows nothing about
slots.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from qwen3_tts_live.model.codec_state import Past

__all__ = [
    "Conv",
    "ConvNeXt",
    "Plan",
    "Product",
    "ResidualUnit",
    "Snake",
    "SnakeConv",
    "product",
    "scaled",
]

#: (N, in) -> (N, out)
Product: TypeAlias = Callable[[Tensor], Tensor]

# From this many steps a frame on, a CPU is faster with one product a tap than with one product
# of all windows, whose copies no longer stay in its cache. Below, the weights are what takes time.
_STEPS_FOR_TAPS = 100
# With fewer channels the calls themselves take longer than what they do.
_CHANNELS_FOR_TAPS = 64
# Smaller weights stay in a core's cache, and oneDNN's calls are slow to set up.
_LARGE = 1 << 17
# oneDNN lays weights out for this many rows. Other numbers of rows are as fast.
_USUAL_ROWS = 32


class Plan:
    """What the layers of a decoder agree on while they are made, in the order of the signal.

    Args:
        dtype: of weights, activations and past inputs.

    Attributes:
        size: elements that the past inputs of one stream take so far.
        rate: steps a frame of the signal at this point.
        reach: frames back that the signal at this point depends on.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.size = 0
        self.rate = 1
        self.reach = 0.0

    def place(self, steps: int, channels: int) -> Past:
        """Return where a layer that looks `steps` back keeps its inputs."""
        place = Past(self.size, steps, channels)
        self.size += steps * channels
        self.reach += steps / self.rate
        return place


def product(weight: Tensor, bias: Tensor | None) -> Product:
    """Return x -> x weight^T + bias, for few rows and large weights."""
    weight = weight.contiguous()
    if not _packs(weight):
        return lambda x: functional.linear(x, weight, bias)
    packed = torch.ops.mkldnn._reorder_linear_weight(weight, _USUAL_ROWS)

    def forward(x: Tensor) -> Tensor:
        out: Tensor = torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")
        return out

    return forward


def scaled(
    weight: Tensor, bias: Tensor | None, scale: Tensor | None, dtype: torch.dtype
) -> tuple[Tensor, Tensor | None]:
    """Return weight and bias in `dtype`, each output times its `scale`, rounded once."""
    weight, bias = weight.detach(), None if bias is None else bias.detach()
    if scale is not None:
        wide = torch.promote_types(scale.dtype, torch.float32)
        scale = scale.detach().to(wide)
        weight, bias = weight * scale[:, None], None if bias is None else bias * scale
    return weight.to(dtype), None if bias is None else bias.to(dtype)


def _packs(weight: Tensor) -> bool:
    """Whether to lay weights out once as oneDNN wants them.

    The BLAS behind `functional.linear` rearranges them in every call, which takes longer than
    the product itself when there are 2 to 32 rows. Seen on x86 in fp32; for bf16, which goes to
    oneDNN anyway, and for other processors it has not been tried.
    """
    if weight.device.type != "cpu" or weight.dtype != torch.float32:
        return False
    if weight.numel() < _LARGE:
        return False
    x86 = platform.machine() in ("x86_64", "AMD64")
    return x86 and bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]


class Conv:
    """A causal convolution, ordinary or transposed, that continues where it stopped.

    Args:
        official: a causal convolution module of the official decoder.
        plan: the decoder's.
        dtype: what it computes in, if not in the decoder's.
    """

    def __init__(self, official: Any, plan: Plan, dtype: torch.dtype | None = None) -> None:
        conv = official.conv
        weight, bias = conv.weight.detach(), conv.bias.detach()
        stride, self._dilation = 1, conv.dilation[0]
        if isinstance(conv, torch.nn.ConvTranspose1d):
            stride = conv.stride[0]
            weight, bias = _as_ordinary(weight, stride), bias.repeat(stride)
        self._stride = stride
        self._channels, self._taps = weight.shape[1:]
        self.delay = (self._taps - 1) * self._dilation
        self._past = plan.place(self.delay, self._channels)
        self._dtype = dtype or plan.dtype
        weight, bias = weight.to(self._dtype), bias.to(self._dtype)
        large = plan.rate >= _STEPS_FOR_TAPS and self._channels >= _CHANNELS_FOR_TAPS
        # Sums of taps are rounded one by one: only where that is in fp32.
        if large and weight.device.type == "cpu" and weight.dtype == torch.float32:
            self._forward = self._by_taps
            self._weights = weight.permute(2, 1, 0).contiguous().unbind(0)  # (in, out) each
            self._bias = bias
        else:
            self._forward = self._by_windows
            self._product = product(weight.transpose(1, 2).flatten(1), bias)
        plan.rate *= stride

    def line(self, x: Tensor) -> Tensor:
        """Return an empty line (B, delay + T, in) for inputs like x, to be filled from `delay` on."""
        return x.new_empty(len(x), self.delay + x.shape[1], self._channels)

    def of_line(self, line: Tensor, past: Tensor) -> Tensor:
        """Return what the inputs in a line give: (B, T x stride, out)."""
        batch, steps, _ = line.shape
        if self.delay:
            place = self._past.of(past)
            line[:, : self.delay] = place
            place.copy_(line[:, steps - self.delay :])
        steps -= self.delay
        out = self._forward(line.to(self._dtype), steps)
        return out.view(batch, steps * self._stride, -1)

    def __call__(self, x: Tensor, past: Tensor) -> Tensor:
        """Return what `x` (B, T, in) gives: (B, T x stride, out)."""
        line = self.line(x)
        line[:, self.delay :] = x
        return self.of_line(line, past)

    def _by_windows(self, line: Tensor, steps: int) -> Tensor:
        windows = line.as_strided(
            (len(line), steps, self._taps, self._channels),
            (line.stride(0), self._channels, self._dilation * self._channels, 1),
        )
        return self._product(windows.reshape(len(line) * steps, -1))

    def _by_taps(self, line: Tensor, steps: int) -> Tensor:
        out = line.new_empty(len(line), steps, len(self._bias))
        for inputs, outputs in zip(line, out, strict=True):
            torch.addmm(self._bias, inputs[:steps], self._weights[0], out=outputs)
            for tap, weight in enumerate(self._weights[1:], start=1):
                outputs.addmm_(inputs[tap * self._dilation :][:steps], weight)
        return out


def _as_ordinary(weight: Tensor, stride: int) -> Tensor:
    """Turn a transposed convolution's (in, out, k) into (stride x out, in, k / stride).

    Output step t x stride + r is made of weight r of input t, weight stride + r of input t - 1,
    and so on; an ordinary convolution's first tap is that of the oldest input.
    """
    phases = weight.reshape(*weight.shape[:2], -1, stride).flip(2)  # (in, out, taps, stride)
    return phases.permute(3, 1, 0, 2).flatten(0, 1)


class Snake:
    """SnakeBeta: x + sin(x a)^2 / b, for each channel."""

    def __init__(self, official: Any, dtype: torch.dtype) -> None:
        self._a = official.alpha.detach().float().exp().to(dtype)
        b = official.beta.detach().float().exp() + official.no_div_by_zero
        self._one_by_b = (1.0 / b).to(dtype)

    def __call__(self, x: Tensor, out: Tensor) -> None:
        """Write the result for `x` (B, T, C) into `out` of the same shape."""
        wave = torch.mul(x, self._a).sin_().square_()
        torch.addcmul(x, wave, self._one_by_b, out=out)


class SnakeConv:
    """A snake and the convolution that follows it."""

    def __init__(self, snake: Any, conv: Any, plan: Plan, dtype: torch.dtype | None = None) -> None:
        self._snake = Snake(snake, plan.dtype)
        self._conv = Conv(conv, plan, dtype)

    def __call__(self, x: Tensor, past: Tensor) -> Tensor:
        """Return what `x` (B, T, in) gives: (B, T x stride, out)."""
        line = self._conv.line(x)
        self._snake(x, line[:, self._conv.delay :])
        return self._conv.of_line(line, past)


class ResidualUnit:
    """Two snakes and convolutions, added to their input."""

    def __init__(self, official: Any, plan: Plan) -> None:
        self._first = SnakeConv(official.act1, official.conv1, plan)
        self._second = SnakeConv(official.act2, official.conv2, plan)

    def __call__(self, x: Tensor, past: Tensor) -> Tensor:
        """Return the sum, in the place of `x` (B, T, C)."""
        return x.add_(self._second(self._first(x, past), past))


class ConvNeXt:
    """Depthwise convolution, norm and two products, added to the input."""

    def __init__(self, official: Any, plan: Plan) -> None:
        conv, norm, gamma = official.dwconv.conv, official.norm, official.gamma
        weight = conv.weight.detach().to(plan.dtype)  # (C, 1, taps)
        self._past = plan.place(weight.shape[2] - 1, len(weight))
        self._taps = weight[:, 0].t().contiguous()
        self._bias = conv.bias.detach().to(plan.dtype)
        self._norm = norm.weight.detach().to(plan.dtype), norm.bias.detach().to(plan.dtype)
        self._eps: float = norm.eps
        up, down = official.pwconv1, official.pwconv2
        self._up = product(*scaled(up.weight, up.bias, None, plan.dtype))
        self._down = product(*scaled(down.weight, down.bias, gamma, plan.dtype))

    def __call__(self, x: Tensor, past: Tensor) -> Tensor:
        """Return the sum, in the place of `x` (B, T, C)."""
        place = self._past.of(past)
        line = torch.cat([place, x], dim=1)
        place.copy_(line[:, line.shape[1] - place.shape[1] :])
        windows = line.unfold(1, len(self._taps), 1).transpose(2, 3)  # (B, T, taps, C)
        mixed = (windows * self._taps).sum(2).add_(self._bias)
        normed = functional.layer_norm(mixed, mixed.shape[-1:], *self._norm, self._eps)
        inner = functional.gelu(self._up(normed.flatten(0, 1)))
        return x.add_(self._down(inner).view_as(x))
