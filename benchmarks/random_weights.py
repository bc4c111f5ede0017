"""What the weights of a random checkpoint are.

The package's own initialisation would make tests mean nothing: its codec says 1e-9, and its
attention is uniform. Here every layer keeps the scale of what it is given, norms and biases are
not trivial, the codec's loudness is that of speech, and no layer is too weak to matter.

A form that ends on purpose keeps a few axes of the talker's hidden size for that; no other
weight writes to them, and no code is chosen by them.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

__all__ = ["codec_weights", "talker_weights", "write_weights"]

_LOOP_ID = 77
_EOS, _PAD, _AUDIO = 2150, 2148, slice(2048)
_LOUDNESS = 0.15  # RMS of the waveform, about that of speech

# The axes. Whether a row's text track is text, or is the pad that follows text; +1 where its
# codec track is the pad, as on rows that only hold text, and -1 where it is a frame; the mean of
# that over all rows so far; and what is the same in every row.
_AXES = slice(5)
_TEXT, _SILENT, _ROW, _BALANCE, _CONSTANT = range(5)
_SIZE = 2.0  # of a value on an axis, beside about 1 on the others


def talker_weights(
    model: nn.Module, random: torch.Generator, *, ends: bool, loops: bool
) -> Iterator[tuple[str, Tensor]]:
    """Yield what model.safetensors holds, one tensor after the other.

    Args:
        model: the official model on the meta device, for names and shapes.
        random: what draws.
        ends: see `random_checkpoint.write_checkpoint`.
        loops: likewise.
    """
    talker = model.config.talker_config
    for name, parameter in model.state_dict().items():
        weight = _draw(name, parameter.shape, random)
        if name == "talker.codec_head.weight":
            weight[_EOS] = 0.0  # the 50 most likely of 2,048 others are all above 0
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            # All layers together add about as much as comes in.
            weight /= math.sqrt(2 * talker.num_hidden_layers)
        if ends or loops:
            _clear_axes(name, weight)
        if ends:
            _end_after_text(name, weight, talker.head_dim, model.config.tts_pad_token_id)
        if loops:
            _loop(name, weight)
        yield name, weight


def codec_weights(codec: nn.Module, random: torch.Generator) -> Iterator[tuple[str, Tensor]]:
    """Yield what speech_tokenizer/model.safetensors holds, one tensor after the other.

    Args:
        codec: the official codec on the meta device, for names and shapes.
        random: what draws.
    """
    shapes = codec.state_dict()
    own = {
        name: _draw(f"decoder.{name}", parameter.shape, random)
        for name, parameter in codec.decoder.state_dict().items()
    }
    decoder = type(codec.decoder)(codec.decoder.config).eval()
    decoder.load_state_dict(own, assign=True)
    last = decoder.decoder[-1].conv
    codes = torch.randint(2048, (1, 16, 8), generator=random)
    with torch.inference_mode():
        for _ in range(3):  # the loudest samples are clipped, the fewer the nearer it is
            factor = _LOUDNESS / decoder(codes).square().mean().sqrt()
            last.weight *= factor
            last.bias *= factor
    for name, parameter in shapes.items():
        inside = name.removeprefix("decoder.")
        yield name, own[inside] if inside != name else _draw(name, parameter.shape, random)


def write_weights(
    path: Path, like: nn.Module, weights: Iterable[tuple[str, Tensor]], dtype: torch.dtype
) -> None:
    """Write a safetensors file while the weights are drawn, so that one is in memory at a time.

    Args:
        path: the file.
        like: the module whose state they are, in the same order.
        weights: by name.
        dtype: what they are stored as.
    """
    kind = {torch.bfloat16: "BF16", torch.float32: "F32"}[dtype]
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, parameter in like.state_dict().items():
        start, end = end, end + parameter.numel() * dtype.itemsize
        header[name] = {
            "dtype": kind,
            "shape": list(parameter.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, weight in weights:
            file.write(weight.to(dtype).contiguous().view(torch.uint8).numpy().data)


def _draw(name: str, shape: torch.Size, random: torch.Generator) -> Tensor:
    """Draw one tensor as its name wants it."""
    noise = torch.randn(shape, generator=random)
    if name.endswith("initialized"):
        return torch.ones(shape)
    if name.endswith("cluster_usage"):
        return _usage(shape[0])
    if name.endswith(("embed_sum", "embedding_sum")):  # entries of unit variance
        return noise * _usage(shape[0])[:, None]
    if name.endswith((".scale", ".gamma")):
        return noise.mul_(0.05).add_(0.3)
    if name.endswith((".alpha", ".beta")):  # logarithms
        return noise.mul_(0.3)
    if name.endswith(".bias"):
        return noise.mul_(0.1)
    if "norm" in name:
        return noise.mul_(0.1).add_(1.0)
    if "text_embedding" in name:
        return noise
    if "codec_embedding" in name:
        return noise.mul_(0.25)  # 16 of them are summed
    return noise.mul_(_gain(name) / math.sqrt(_inputs(name, shape)))


def _usage(entries: int) -> Tensor:
    return torch.linspace(0.5, 3.0, entries)


def _gain(name: str) -> float:
    if "head" in name:
        return 2.5  # some ids are clearly likelier than others
    if ".conv2.conv." in name and name.startswith("decoder."):
        return 0.3  # a chain of 12 residual units, which would double its input each
    if name == "speaker_encoder.fc.weight":
        return 0.1  # what it gives is a row beside others
    if name.startswith(("speaker_encoder.", "encoder.")):
        return 1.5  # what their rectifiers take away
    return 1.0


def _inputs(name: str, shape: torch.Size) -> int:
    """Return how many inputs one output sums."""
    if name.startswith("decoder.upsample.") and name.endswith(".0.conv.weight"):
        return shape[0]  # transposed convolution, its kernel as long as its stride
    if name.startswith("decoder.decoder.") and ".block.1.conv." in name:
        return shape[0] * 2  # transposed convolution, its kernel twice its stride
    return math.prod(shape[1:])


# ---------------------------------------------------------------- forms


def _clear_axes(name: str, weight: Tensor) -> None:
    """Let nothing write to the axes, and no code be chosen by them."""
    if "codec_embedding" in name or name == "talker.codec_head.weight":
        weight[:, _AXES] = 0.0
    if name.startswith(("talker.text_projection.linear_fc2.", "speaker_encoder.fc.")):
        weight[_AXES] = 0.0
    if name.startswith("talker.model.layers.") and name.endswith(
        ("o_proj.weight", "down_proj.weight")
    ):
        weight[_AXES] = 0.0
    if name in ("talker.model.norm.weight", "talker.model.layers.0.input_layernorm.weight"):
        weight[_AXES] = 1.0


def _end_after_text(name: str, weight: Tensor, head_dim: int, pad: int) -> None:
    """Make the end likely where the text is over, and where frames have come for all of it.

    In layout `track` that is the first row after the text; a text there outweighs all else. In
    layout `prefill` no row after the prompt has text: the first head of the first layer looks at
    all rows equally and weighs rows of text against frames.
    """
    match name.removeprefix("talker.").removesuffix(".weight"):
        case "model.text_embedding":
            weight[:, :2] = torch.tensor([4.0, 0.0])
            weight[pad, :2] = torch.tensor([0.0, 4.0])
        case "text_projection.linear_fc1":
            weight[:, :2] = 0.0
            weight[:2] = torch.eye(2, weight.shape[1])
        case "text_projection.linear_fc1.bias":
            weight[:2] = 0.0
        case "text_projection.linear_fc2":
            weight[:, :2] = 0.0
            weight[_TEXT, 0] = weight[_SILENT, 1] = _SIZE / 4.0
        case "model.codec_embedding":
            weight[_AUDIO, _ROW] = -_SIZE
            weight[_PAD, _ROW] = _SIZE
        case "model.layers.0.self_attn.q_proj":
            weight[:head_dim] = 0.0
        case "model.layers.0.self_attn.v_proj":
            weight[0] = 0.0
            weight[0, _ROW] = 1.0
        case "model.layers.0.self_attn.o_proj":
            weight[_BALANCE, 0] = 1.0
        case "codec_head":
            weight[_EOS, [_TEXT, _SILENT, _BALANCE]] = torch.tensor([-300.0, 20.0, -150.0])


def _loop(name: str, weight: Tensor) -> None:
    """Make one id far likelier than the rest, whatever the row."""
    if name == "talker.text_projection.linear_fc2.bias":
        weight[_CONSTANT] = _SIZE
    if name == "talker.codec_head.weight":
        weight[_LOOP_ID, _CONSTANT] = 30.0
