"""Write a checkpoint with random weights that the official package `qwen-tts` loads.

Same files, codec ids and time base as the real ones, any widths. The tests run on tiny ones; the
benchmarks on ones of real size, as speed does not depend on what the weights are.

    python benchmarks/random_checkpoint.py FOLDER --size 0.6B --type base

Its parts: `random_shapes.py` for widths and configuration, `random_tokenizer.py` for the text
tokenizer, `random_weights.py` for what is drawn, and how a form ends or loops on purpose.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import torch
from random_shapes import (
    FEATURES,
    GENERATION,
    NARROW,
    SHAPES,
    SIZE_06B,
    SIZE_17B,
    TINY,
    WIDE,
    ModelType,
    Shape,
    codec_config,
    model_config,
)
from random_tokenizer import write_json, write_tokenizer
from random_weights import codec_weights, talker_weights, write_weights

from qwen3_tts_live.model.qwen_tts import load_qwen_tts

__all__ = [
    "NARROW",
    "SHAPES",
    "SIZE_06B",
    "SIZE_17B",
    "TINY",
    "WIDE",
    "Shape",
    "main",
    "write_checkpoint",
]


def write_checkpoint(
    folder: Path,
    shape: Shape = TINY,
    *,
    model_type: ModelType = "base",
    seed: int = 0,
    ends: bool = False,
    loops: bool = False,
    size: Literal["0b6", "1b7"] | None = None,
) -> Path:
    """Write a checkpoint into `folder`, which is made; return it.

    Random weights never end by themselves: the end is never among the 50 most likely ids.

    Args:
        folder: where to.
        shape: widths and depths.
        model_type: `custom_voice` has speakers, two with a dialect; `base` a speaker encoder.
        seed: what the weights are drawn with; equal seeds give equal files.
        ends: it ends by itself after its text, greedy and sampled, whatever the seed. With N
            text tokens: layout `track` ends after exactly N + 1 frames (with a reference in the
            prompt, one frame for each row of text that its frames leave over, and at least 2);
            layout `prefill` after about N to 2 N frames, and at least 2, where a reference's
            own text and frames count too. Instructions, speaker and language hardly matter.
        loops: one id of codebook 0 comes in every frame, greedy and sampled.
        size: what config.json calls it; the shape's own if None.
    """
    (folder / "speech_tokenizer").mkdir(parents=True, exist_ok=True)
    config = model_config(shape, model_type, size or shape.size, write_tokenizer(folder))
    write_json(folder / "config.json", config)
    write_json(folder / "generation_config.json", GENERATION)
    write_json(folder / "speech_tokenizer" / "config.json", codec_config(shape))
    write_json(folder / "speech_tokenizer" / "preprocessor_config.json", FEATURES)
    core = load_qwen_tts().core
    with torch.device("meta"):  # shapes and names, no memory
        model = core.models.Qwen3TTSForConditionalGeneration(core.models.Qwen3TTSConfig(**config))
        codec = core.Qwen3TTSTokenizerV2Model(core.Qwen3TTSTokenizerV2Config(**codec_config(shape)))
    random = torch.Generator().manual_seed(seed)
    weights = talker_weights(model, random, ends=ends, loops=loops)
    write_weights(folder / "model.safetensors", model, weights, torch.bfloat16)
    weights = codec_weights(codec, random)
    write_weights(folder / "speech_tokenizer" / "model.safetensors", codec, weights, torch.float32)
    return folder


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description="Write a Qwen3-TTS checkpoint with random weights: it loads and runs like a "
        "real one, and speaks noise.",
        epilog="Size on disk: tiny 6 MB, 0.6B 2.5 GB, 1.7B 4.5 GB.",
    )
    parser.add_argument("folder", type=Path, help="where to; made if it is not there")
    parser.add_argument("--size", choices=SHAPES, default="tiny", help="default: tiny")
    parser.add_argument(
        "--type", choices=get_args(ModelType), default="base", help="kind of model; default: base"
    )
    parser.add_argument("--seed", type=int, default=0, help="equal seeds, equal files; default: 0")
    parser.add_argument("--ends", action="store_true", help="it ends by itself after its text")
    parser.add_argument("--loops", action="store_true", help="it repeats one id of codebook 0")
    args = parser.parse_args(arguments)
    if args.ends and args.loops:
        parser.error("a checkpoint either ends or loops")
    folder = write_checkpoint(
        args.folder,
        SHAPES[args.size],
        model_type=args.type,
        seed=args.seed,
        ends=args.ends,
        loops=args.loops,
    )
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{folder}: {size / 1e6:,.1f} MB")


if __name__ == "__main__":
    main()
