"""The official codec decoder with random weights, in memory: no checkpoint is written."""

from __future__ import annotations

from typing import Any

import torch
from random_shapes import Shape, codec_config
from random_weights import codec_weights

from qwen3_tts_live.model.qwen_tts import load_qwen_tts

__all__ = ["random_decoder"]


def random_decoder(shape: Shape, *, seed: int = 0, **config: Any) -> Any:
    """Return a Qwen3TTSTokenizerV2Decoder in fp32.

    Args:
        shape: its widths and depths.
        seed: what the weights are drawn with.
        config: entries of its configuration that shall differ.
    """
    core = load_qwen_tts().core
    settings = codec_config(shape)
    settings["decoder_config"] |= config
    with torch.device("meta"):
        whole = core.Qwen3TTSTokenizerV2Model(core.Qwen3TTSTokenizerV2Config(**settings))
    weights = {
        name.removeprefix("decoder."): weight
        for name, weight in codec_weights(whole, torch.Generator().manual_seed(seed))
        if name.startswith("decoder.")
    }
    decoder = type(whole.decoder)(whole.decoder.config).eval()
    decoder.load_state_dict(weights, assign=True)
    return decoder
